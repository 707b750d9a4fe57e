/** Lets every process see a pass while it runs: those that take long are the ones that somebody asks about. */
import type { Lease } from '../db/lease.ts';
import type { Db } from '../db/schema.ts';
import { writeProgress } from '../db/timeline.ts';
import type { Clock } from '../lib/clock.ts';
import { encodeProgress, type Trace } from '../providers/trace.ts';

/** Most passes have ended before it is told of them once. */
const TELL_AGAIN_MS = 500;

/** Tells what changes, until the result is called. */
export function tellProgress(
  { db, clock }: { db: Db; clock: Clock },
  lease: Lease,
  generation: number,
  trace: Trace,
): () => void {
  const ended = new AbortController();
  const tell = async () => {
    for (let told = ''; ; ) {
      await clock.sleep(TELL_AGAIN_MS, ended.signal);
      const progress = encodeProgress(generation, trace);
      if (progress === told) continue;
      told = progress;
      // A picture is not worth a pass: what did not get through is told with what comes next.
      await writeProgress(db, lease, progress).catch(() => undefined);
    }
  };
  tell().catch(() => undefined); // The pass has ended.
  return () => ended.abort();
}
