/** Tells a keepalived that hangs from one that runs: whoever has adverts to send or to hear gives up its processor again and again. */

/** The most that a look may add: between two that lie further apart the agent did not run either, such as in a machine that was paused. */
const LOOK_MS = 1_500;

export class HangWatch {
  #turns = '';
  #idleMs = 0;
  #lookedAtMs = 0;

  /** Milliseconds for which nothing was seen to be done. `turns` is any text that differs when something was. */
  look(turns: string, nowMs: number): number {
    const passedMs = Math.min(nowMs - this.#lookedAtMs, LOOK_MS);
    this.#idleMs = turns === this.#turns ? this.#idleMs + passedMs : 0;
    this.#turns = turns;
    this.#lookedAtMs = nowMs;
    return this.#idleMs;
  }
}
