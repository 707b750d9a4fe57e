/** A value that prints as `[redacted]` however it is printed, so that a key never reaches a log by accident. */
import { inspect } from 'node:util';

export class Secret<T = string> {
  readonly #value: T;
  constructor(value: T) {
    this.#value = value;
  }
  /** The value itself; the name makes each use easy to find. */
  reveal(): T {
    return this.#value;
  }
  toString(): string {
    return '[redacted]';
  }
  toJSON(): string {
    return '[redacted]';
  }
  [inspect.custom](): string {
    return '[redacted]';
  }
}
