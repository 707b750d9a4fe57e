/** Keeps a log readable while somebody sends the same trouble over and over. */

const MINUTE_MS = 60_000;
/** Sources can be forged: beyond this many they share one line. */
const MOST_KEYS = 1000;
const OTHERS = 'others';

/** Counts occurrences by key and says when one is due to be logged, with how many there were since the last time. */
export class OnceAMinute {
  readonly #keys = new Map<string, { since: number; count: number }>();

  /** How often it happened since it was last due, this time included; undefined when it is not due yet. */
  hit(key: string, nowMs: number): { key: string; count: number } | undefined {
    const known = this.#keys.get(key);
    if (known !== undefined && nowMs - known.since < MINUTE_MS) {
      known.count++;
      return undefined;
    }
    if (known === undefined && this.#keys.size >= MOST_KEYS) {
      this.#forgetQuiet(nowMs);
      if (this.#keys.size >= MOST_KEYS && key !== OTHERS) return this.hit(OTHERS, nowMs);
    }
    this.#keys.set(key, { since: nowMs, count: 0 });
    return { key, count: (known?.count ?? 0) + 1 };
  }

  #forgetQuiet(nowMs: number): void {
    for (const [key, { since }] of this.#keys) if (nowMs - since >= MINUTE_MS) this.#keys.delete(key);
  }
}
