/** What a failed pass leads to: when it is tried again, and whether the user is told by now. Pure. */
import type { Failure } from '../db/settle.ts';
import { errorChain, TerminalError } from '../lib/errors.ts';

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 60_000;

/** Doubles from a quarter of a second to a minute. */
export function backOffMs(attempts: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 16));
}

/** A `TerminalError` is shown at once; other failures once they have lasted longer than the patience. */
export function planRetry(
  error: unknown,
  soFar: { attempts: number; failingSinceMs: number | null },
  nowMs: number,
  patienceMs: number,
): Failure {
  const attempts = soFar.attempts + 1;
  const failingSinceMs = soFar.failingSinceMs ?? nowMs;
  return {
    reason: errorChain(error),
    show: error instanceof TerminalError || nowMs - failingSinceMs >= patienceMs,
    attempts,
    failingSinceMs,
    retryAtMs: nowMs + backOffMs(attempts),
  };
}
