/** One pass over what belongs to no load balancer: lease → the providers' reconcileUnowned. */
import { returnLease, takeLease } from '../db/lease.ts';
import { stopwatch } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import { UNOWNED_ID } from '../model/unowned.ts';
import { Trace } from '../providers/trace.ts';
import { keepLease, type PassOutcome, type PassParts } from './pass.ts';

/** Failures are logged and tried again at the next nudge, which housekeeping sends all the time. */
export async function runUnownedPass(parts: PassParts, stop: AbortSignal): Promise<PassOutcome> {
  const { db, clock, log, owner, leaseTtlMs } = parts;
  const age = stopwatch();
  const lease = await takeLease(db, UNOWNED_ID, owner, clock.now(), leaseTtlMs);
  if (!lease) return { kind: 'leased' };
  const keeper = keepLease(parts, lease, age, stop);
  const bracket = { ...keeper, lease, trace: new Trace(clock) };
  let outcome: PassOutcome = { kind: 'done' };
  try {
    for (const provider of new Set([...parts.providers.values()].map(entry => entry.provider))) {
      const result = await provider.reconcileUnowned?.(bracket);
      if (result && !result.done) outcome = { kind: 'again', afterMs: result.again_after_ms };
    }
  } catch (error) {
    log.warn({ reason: errorChain(error) }, 'spare amphorae or leftovers could not be seen to');
    outcome = { kind: 'idle' };
  } finally {
    keeper.end();
  }
  await returnLease(db, lease).catch(() => undefined); // Taken over, or it runs out by itself.
  return outcome;
}
