/** An amphora that serves on while its load balancer becomes a pair or single: no connection is cut by that. */
import { ensureVrrpGroup, storeGiven } from '../../db/vrrp-groups.ts';
import type { Amphora } from '../../model/amphora.ts';
import { update } from './instance.ts';
import { hasKeepalived, hasVip } from './pair.ts';
import { type AmphoraPass, step } from './parts.ts';
import { replugVip } from './plug.ts';

/** The one with a role of the other topology that has the VIP and could go on in this one. Never throws. */
export async function findHolder(pass: AmphoraPass): Promise<string | undefined> {
  const { load_balancer: lb, amphorae } = pass.graph;
  const others = amphorae.filter(
    a => a.status === 'ALLOCATED' && (a.role === 'STANDALONE') === (lb.topology === 'ACTIVE_STANDBY'),
  );
  // One that does not answer as it should is replaced like any that failed.
  const has = await Promise.all(others.map(a => canGoOn(pass, a).catch(() => false)));
  return others.find((_, i) => has[i])?.id;
}

async function canGoOn(pass: AmphoraPass, amphora: Amphora): Promise<boolean> {
  const { parts } = pass;
  if (!(await parts.amphora.findInfo(amphora))) return false;
  if (!(await parts.amphora.details(amphora)).changes_topology) return false;
  return hasVip(pass, amphora);
}

/**
 * The agent's file once more, as settings and topology are now. Before it becomes a half of a pair, its interface leaves the VIP
 * to keepalived; a half that goes on alone keeps its keepalived until no other one can take the VIP.
 */
export async function configureAgent(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const text = pass.parts.agentConfig(amphora, pass.graph.load_balancer.topology);
  await step(pass, 'configure agent', amphora.id, () => pass.parts.amphora.configure(amphora, text));
  if (wasHalf(amphora)) return;
  if (amphora.role !== 'STANDALONE') await replugVip(pass, amphora);
  await update(pass, amphora, { config_due: false });
}

const wasHalf = (amphora: Amphora) => amphora.role === 'STANDALONE' && hasKeepalived(amphora);

/** Has one that is not a half of a pair tell its neighbours that the VIP is here now, because others had it until now. */
export async function announceVip(
  pass: AmphoraPass,
  serving: readonly Amphora[],
  leaving: readonly Amphora[],
): Promise<void> {
  if (leaving.length === 0) return;
  for (const amphora of serving)
    if (amphora.role === 'STANDALONE' && !wasHalf(amphora)) await replugVip(pass, amphora);
}

/** Ends the keepalived of a half whose pair is gone, with the VIP staying where it is. */
export async function goOnAlone(pass: AmphoraPass, serving: readonly Amphora[]): Promise<void> {
  const { db, amphora: driver, settings } = pass.parts;
  for (const amphora of serving.filter(wasHalf)) {
    const group = await ensureVrrpGroup(db, pass.lease, settings.vrrp.advertIntervalMs);
    const { [amphora.id]: _, ...given } = group.given;
    // Should it become a half again, it is to be told all anew.
    await storeGiven(db, pass.lease, { ...group, given });
    await step(pass, 'end keepalived', amphora.id, () => driver.applyVrrp(amphora, null));
    await replugVip(pass, amphora);
    await update(pass, amphora, { vrrp_priority: null, config_due: false });
  }
}
