/** The present, as something a test can step by hand. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, { signal });
  },
};

/**
 * Tells how many milliseconds have passed since this call, rather too many than too few: of the machine's two clocks one may be set, and
 * the other may stand still while the machine does.
 */
export function stopwatch(): () => number {
  const [count, time] = [performance.now(), Date.now()];
  return () => Math.max(performance.now() - count, Date.now() - time);
}

/** Naive UTC with microseconds, as the API prints times: `2026-11-22T00:38:53.123000`. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000`;
}
