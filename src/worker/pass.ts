/** One pass over one load balancer: lease → graph → the provider's reconcile → settle. */

import { loadGraph } from '../db/graph.ts';
import { failuresSoFar, type Lease, LeaseLost, renewLease, returnLease, takeLease } from '../db/lease.ts';
import type { Db } from '../db/schema.ts';
import { settleDone, settleFailed, settleRemoved, settleWaiting } from '../db/settle.ts';
import { type Clock, stopwatch } from '../lib/clock.ts';
import { errorChain, TerminalError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import { owesWork } from '../model/graph.ts';
import type { Pass, PassResult, Provider } from '../providers/provider.ts';
import { encodeSteps, Trace } from '../providers/trace.ts';
import { planRetry } from './retry.ts';
import { tellProgress } from './tell-progress.ts';

export interface PassParts {
  db: Db;
  providers: ReadonlyMap<string, { provider: Provider }>;
  clock: Clock;
  log: Log;
  /** Unique to this worker process: host, process and a random part. */
  owner: string;
  leaseTtlMs: number;
  /** How long failures are retried before the user is shown ERROR; retrying goes on. */
  patienceMs: number;
}

/** `again-after` names the time of the next look; everything else needs none from this worker. */
export type PassOutcome =
  | { kind: 'idle' | 'leased' | 'lost' | 'done' | 'removed' }
  | { kind: 'again'; afterMs: number };

/** Runs a pass, or returns at once when nothing is owed or another worker has the lease. */
export async function runPass(parts: PassParts, id: string, stop: AbortSignal): Promise<PassOutcome> {
  const { db, clock, log, owner, leaseTtlMs } = parts;
  const age = stopwatch();
  const lease = await takeLease(db, id, owner, clock.now(), leaseTtlMs);
  if (!lease) return { kind: 'leased' };
  const keeper = keepLease(parts, lease, age, stop);
  try {
    const graph = await loadGraph(db, id);
    if (!graph || !owesWork(graph)) {
      await returnLease(db, lease);
      return { kind: 'idle' };
    }
    return await reconcileAndSettle(parts, lease, graph, keeper);
  } catch (error) {
    // Another worker has taken over, or this one stops: what is left to do is theirs, found by the sweep.
    if (error instanceof LeaseLost || keeper.signal.aborted) {
      log.warn({ load_balancer_id: id, fence: lease.fence, reason: errorChain(error) }, 'pass abandoned');
      await returnLease(db, lease).catch(() => undefined); // Taken over, or it runs out by itself.
      return { kind: 'lost' };
    }
    // What failed here is the database itself; if it lets us, the next try need not wait for the lease to run out.
    await returnLease(db, lease).catch(() => undefined);
    throw error;
  } finally {
    keeper.end();
  }
}

async function reconcileAndSettle(
  parts: PassParts,
  lease: Lease,
  graph: LoadBalancerGraph,
  keeper: Pick<Pass, 'signal' | 'checkLease'>,
): Promise<PassOutcome> {
  const { db, clock, log, owner } = parts;
  const { id, generation, provisioning_status } = graph.load_balancer;
  const trace = new Trace(clock);
  const started_at_ms = trace.startedAtMs;
  const record = () => ({
    worker: owner,
    started_at_ms,
    duration_ms: clock.now() - started_at_ms,
    steps: encodeSteps(trace.steps),
    haproxy_changes: trace.haproxyChanges,
  });
  const fields = { load_balancer_id: id, generation, fence: lease.fence };
  let result: PassResult;
  const endTelling = tellProgress(parts, lease, generation, trace);
  try {
    const entry = parts.providers.get(graph.load_balancer.provider);
    if (!entry) throw new Error(`Provider ${graph.load_balancer.provider} is not configured on this worker`);
    const pass = { ...keeper, graph, trace, lease };
    result = await (provisioning_status === 'PENDING_DELETE'
      ? entry.provider.remove(pass)
      : entry.provider.reconcile(pass));
  } catch (error) {
    if (error instanceof LeaseLost || keeper.signal.aborted) throw error;
    const retry = planRetry(error, await failuresSoFar(db, id), clock.now(), parts.patienceMs);
    log.warn({ ...fields, reason: retry.reason, attempts: retry.attempts }, 'pass failed');
    await settleFailed(db, lease, graph, record(), retry, clock.now());
    return { kind: 'again', afterMs: retry.retryAtMs - clock.now() };
  } finally {
    endTelling();
  }
  if (!result.done) {
    const { waiting_for, again_after_ms } = result;
    log.debug({ ...fields, waiting_for }, 'pass waits');
    const retryAtMs = clock.now() + again_after_ms;
    await settleWaiting(db, lease, graph, record(), { reason: waiting_for, retryAtMs });
    return { kind: 'again', afterMs: again_after_ms };
  }
  if (provisioning_status === 'PENDING_DELETE') {
    await settleRemoved(db, lease, graph, record(), clock.now());
    log.info({ ...fields, duration_ms: clock.now() - started_at_ms }, 'load balancer removed');
    return { kind: 'removed' };
  }
  if (result.faults?.length) {
    const { faults } = result;
    const error = new TerminalError(faults.map(fault => fault.reason).join(' '));
    const failure = planRetry(error, await failuresSoFar(db, id), clock.now(), parts.patienceMs);
    log.warn({ ...fields, reason: failure.reason, attempts: failure.attempts }, 'settled with faults');
    await settleDone(db, lease, graph, record(), clock.now(), { faults, failure });
    return { kind: 'again', afterMs: failure.retryAtMs - clock.now() };
  }
  const owes = await settleDone(db, lease, graph, record(), clock.now());
  log.info({ ...fields, duration_ms: clock.now() - started_at_ms }, 'load balancer settled');
  return owes ? { kind: 'again', afterMs: 0 } : { kind: 'done' };
}

/** A lease that was not renewed for so long may be over before an effect that begins now has ended. */
const SURE_SHARE = 2 / 3;

/**
 * Renews the lease while the pass runs; its signal aborts when the lease is lost or the worker stops. `age` has told since before the
 * lease was asked for how old it is.
 */
export function keepLease(parts: PassParts, lease: Lease, age: () => number, stop: AbortSignal) {
  const lost = new AbortController();
  const ended = new AbortController();
  const signal = AbortSignal.any([stop, lost.signal]);
  const renew = async () => {
    for (;;) {
      await parts.clock.sleep(parts.leaseTtlMs / 3, ended.signal);
      const renewed = stopwatch();
      const kept = await renewLease(parts.db, lease, parts.clock.now(), parts.leaseTtlMs);
      if (!kept) return lost.abort(new LeaseLost(lease));
      age = renewed;
    }
  };
  renew().catch(error => {
    // The end of the pass ends the renewals; a database that does not answer means that the lease runs out.
    if (!ended.signal.aborted) lost.abort(error);
  });
  const checkLease = () => {
    signal.throwIfAborted();
    if (age() > parts.leaseTtlMs * SURE_SHARE) throw new LeaseLost(lease, 'may have run out');
  };
  return { signal, checkLease, end: () => ended.abort() };
}
