/** Waiting for what the outside world does, with a limit and a sentence. */
import { setTimeout as sleep } from 'node:timers/promises';

const LIMIT_MS = 40_000;
const POLL_MS = 25;

/** Looks until there is something that counts; throws what was last seen, or the last look's own failure, after the limit. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false | null> | T | undefined | false | null,
  seen: () => unknown = () => undefined,
  limitMs = LIMIT_MS,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    let cause: unknown;
    const found = await Promise.resolve()
      .then(look)
      .catch(error => {
        // A look that fails has not found it yet; the reason is told when it never does.
        cause = error;
      });
    if (found) return found;
    if (performance.now() > deadline) {
      const last = seen();
      const sentence = `Waited ${limitMs} ms for ${what}${last === undefined ? '' : `; last seen: ${JSON.stringify(last)}`}`;
      throw new Error(sentence, { cause });
    }
    await sleep(POLL_MS);
  }
}
