/** Asks amphorae that fell silent whether they live, before anything is done about them. */
import { listDoubts, settleDoubt } from '../../db/doubts.ts';
import type { Amphora } from '../../model/amphora.ts';
import type { LoadBalancerGraph } from '../../model/graph.ts';
import { isLvsProtocol } from '../../model/protocols.ts';
import type { AgentDetails } from '../../wire/agent-api.ts';
import { type AmphoraPass, step } from './parts.ts';

/**
 * Marks those that do not answer to be replaced, in the row and in the graph. One that answers is given its configuration again
 * by the pass; when it is still silent and does not run what it should the next time it is asked, it counts as dead.
 */
export async function settleDoubts(pass: AmphoraPass): Promise<void> {
  const { db, clock, log } = pass.parts;
  const doubts = await listDoubts(db, pass.lease.loadbalancer_id);
  await Promise.all(
    doubts.map(async doubt => {
      const amphora = pass.graph.amphorae.find(each => each.id === doubt.amphora_id);
      if (!amphora) return;
      const state = await step(pass, 'ask silent amphora', amphora.id, () => ask(pass, amphora));
      const isDead = state === 'silent' || (state === 'unsound' && doubt.answers > 0);
      const found = isDead ? 'dead' : 'lives';
      const verdict = await settleDoubt(db, pass.lease, doubt, found, clock.now());
      const fields = { amphora_id: amphora.id, load_balancer_id: pass.lease.loadbalancer_id, state };
      log.warn(fields, verdict === 'dead' ? 'silent amphora is replaced' : 'silent amphora answers');
      pass.facts.delete(amphora.id);
      if (verdict === 'dead') amphora.status = 'ERROR';
    }),
  );
}

type State = 'sound' | 'unsound' | 'silent';

async function ask(pass: AmphoraPass, amphora: Amphora): Promise<State> {
  const { clock, settings } = pass.parts;
  for (let tries = settings.askTries; tries > 0; tries--) {
    const ended = new AbortController();
    const limit = clock.sleep(settings.askLimitMs, AbortSignal.any([pass.signal, ended.signal]));
    const state = await Promise.race([
      stateOf(pass, amphora),
      limit.then(
        () => 'silent' as const,
        () => 'silent' as const, // The answer was first, or the pass ends: the next step tells.
      ),
    ]).finally(() => ended.abort());
    pass.signal.throwIfAborted();
    if (state !== 'silent') return state;
  }
  return 'silent';
}

async function stateOf({ parts, graph }: AmphoraPass, amphora: Amphora): Promise<State> {
  try {
    if ((await parts.amphora.findInfo(amphora)) === undefined) return 'silent';
    return isSound(await parts.amphora.details(amphora), graph) ? 'sound' : 'unsound';
  } catch {
    // Whoever answers with an error lives; what the error is, the pass will meet again.
    return 'unsound';
  }
}

/** It runs a process for everything that has been settled. Source: contract amphora-agent.md 4.3. */
function isSound(details: AgentDetails, { load_balancer, listeners }: LoadBalancerGraph): boolean {
  if (!load_balancer.admin_state_up) return true;
  const served = listeners.filter(l => l.admin_state_up && l.provisioning_status === 'ACTIVE');
  const lvs = served.filter(l => isLvsProtocol(l.protocol)).length;
  return details.lvs_listener_process_count >= lvs && (served.length === lvs || details.haproxy_count > 0);
}
