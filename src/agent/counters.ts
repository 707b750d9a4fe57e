/** Turns haproxy's counters since its start into what a heartbeat carries: the change since the last one. */
import { findText, writeWhole } from './files.ts';

export interface Absolute {
  bin: number;
  bout: number;
  ereq: number;
  stot: number;
}

export type Totals = Record<string, Absolute>;

const FIELDS = ['bin', 'bout', 'ereq', 'stot'] as const;

/** A counter that went back was reset: all of it is new. Source: contract heartbeat.md 3. */
export function subtract(current: Absolute, last: Absolute | undefined): Absolute {
  const change = { bin: 0, bout: 0, ereq: 0, stot: 0 };
  for (const field of FIELDS) {
    const difference = current[field] - (last?.[field] ?? 0);
    change[field] = difference < 0 ? current[field] : difference;
  }
  return change;
}

/** Survives a restart of the agent, so that nothing is counted twice. */
export class Counters {
  readonly #path: string;
  #last: Totals;
  /** What the newest `remember` replaced. */
  #before: Record<string, Absolute | undefined> = {};

  constructor(path: string) {
    this.#path = path;
    this.#last = readTotals(path);
  }

  changes(current: Totals): Totals {
    return Object.fromEntries(
      Object.entries(current).map(([listener, absolute]) => [
        listener,
        subtract(absolute, this.#last[listener]),
      ]),
    );
  }

  /** Call it when the changes have been handed over. */
  remember(current: Totals): void {
    this.#before = Object.fromEntries(Object.keys(current).map(listener => [listener, this.#last[listener]]));
    this.#last = { ...this.#last, ...current };
    this.#write();
  }

  /** The changes that were remembered last did not arrive after all: they are part of the next ones again. */
  takeBack(): void {
    for (const [listener, absolute] of Object.entries(this.#before)) {
      if (absolute === undefined) delete this.#last[listener];
      else this.#last[listener] = absolute;
    }
    this.#before = {};
    this.#write();
  }

  /** haproxy counts from zero again for these listeners. */
  forget(listeners: readonly string[]): void {
    for (const listener of listeners) {
      delete this.#last[listener];
      delete this.#before[listener];
    }
    this.#write();
  }

  #write(): void {
    writeWhole(this.#path, JSON.stringify(this.#last), 0o640);
  }
}

function readTotals(path: string): Totals {
  try {
    return JSON.parse(findText(path) ?? '{}') as Totals;
  } catch {
    // A torn file costs the exactness of one message, and is written anew with it.
    return {};
  }
}
