/** Answers that are given again as they were, byte for byte, until anything is written that they could show. */

/** Together they hold at most this much; the oldest goes first. */
const LIMIT_BYTES = 32 * 1024 * 1024;

/** What a client is told, ready to be sent. */
export type Answer = Buffer;

export class RememberedAnswers {
  readonly #version: () => string | undefined;
  readonly #limitBytes: number;
  readonly #answers = new Map<string, Answer>();
  #bytes = 0;
  /** What all that is remembered was made from. */
  #made: string | undefined;

  /** `version` tells by a change that answers may be different now; undefined: nobody knows, so nothing is remembered. */
  constructor(version: () => string | undefined, limitBytes = LIMIT_BYTES) {
    this.#version = version;
    this.#limitBytes = limitBytes;
  }

  /** `key` holds all that the answer depends on besides the data: who asks, and for what. */
  find(key: string): Answer | undefined {
    this.#forgetOld();
    return this.#answers.get(key);
  }

  /** To be called before the rows are read: the function it returns keeps the answer, if nothing was written meanwhile. */
  prepare(key: string): (answer: Answer) => void {
    const before = this.#version();
    return answer => {
      this.#forgetOld();
      if (before === undefined || before !== this.#made || answer.length > this.#limitBytes) return;
      this.#bytes += answer.length - (this.#answers.get(key)?.length ?? 0);
      this.#answers.set(key, answer);
      for (const [oldest, { length }] of this.#answers) {
        if (this.#bytes <= this.#limitBytes) break;
        this.#answers.delete(oldest);
        this.#bytes -= length;
      }
    };
  }

  #forgetOld(): void {
    const now = this.#version();
    if (now === this.#made) return;
    this.#answers.clear();
    this.#bytes = 0;
    this.#made = now;
  }
}
