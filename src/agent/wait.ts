/** Waiting for a condition with a limit, and doing one thing at a time. */
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_AGAIN_MS = 5;

/** True as soon as the condition holds, false when it did not within the time. */
export async function awaitCondition(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = LOOK_AGAIN_MS; ; pauseMs = Math.min(pauseMs * 1.5, 100)) {
    if (await condition()) return true;
    if (performance.now() >= deadline) return false;
    await delay(pauseMs);
  }
}

/** Runs what it is given one after another: changes of the host must not mix. */
export class Lane {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    // The next one runs however this one ended; the error goes to whoever asked for it.
    this.#last = result.catch(() => {});
    return result;
  }
}
