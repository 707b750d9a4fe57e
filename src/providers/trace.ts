/** The trace of one pass of the reconciler: which steps it took, when, for how long and with what outcome. */

import type { Clock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { HaproxyChanges } from '../model/amphora.ts';

export interface TraceStep {
  /** Such as `ensure VIP port`. */
  step: string;
  /** The id of what the step was about. */
  subject: string;
  started_at_ms: number;
  duration_ms: number;
  outcome: 'ok' | 'waiting' | 'failed';
  /** What came of it, where that is worth a word. */
  note?: string;
  /** The error's sentences when it failed. */
  cause?: string;
}

/** A pass that has not ended. */
export interface PassProgress {
  generation: number;
  started_at_ms: number;
  steps: readonly TraceStep[];
  /** The step that began last and has not ended. */
  current: Pick<TraceStep, 'step' | 'subject' | 'started_at_ms'> | undefined;
}

export class Trace {
  readonly steps: TraceStep[] = [];
  /** Of the amphorae whose haproxy went through anything, by their ids; written when the pass is settled. */
  readonly haproxyChanges = new Map<string, HaproxyChanges>();
  readonly startedAtMs: number;
  current: PassProgress['current'];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.startedAtMs = clock.now();
  }

  /** Runs one step and records it; an error is recorded and thrown on. */
  async step<T>(
    step: string,
    subject: string,
    run: () => Promise<T>,
    describe?: (result: T) => string | undefined,
  ): Promise<T> {
    const started_at_ms = this.#clock.now();
    const current = { step, subject, started_at_ms };
    this.current = current;
    const record = (outcome: TraceStep['outcome'], cause?: string, note?: string) => {
      const entry = {
        step,
        subject,
        started_at_ms,
        duration_ms: this.#clock.now() - started_at_ms,
        outcome,
        cause,
        note,
      };
      this.steps.push(entry);
      if (this.current === current) this.current = undefined;
    };
    try {
      const result = await run();
      record('ok', undefined, describe?.(result));
      return result;
    } catch (error) {
      record('failed', errorChain(error));
      throw error;
    }
  }
}

/** What a text of MariaDB holds, and some less. */
const MOST_BYTES = 60_000;

/** The steps as JSON for a row; of very many the newest. */
export function encodeSteps(steps: readonly TraceStep[]): string {
  return encodeNewest(steps, kept => kept);
}

export function encodeProgress(generation: number, { startedAtMs, steps, current }: Trace): string {
  const progress = { generation, started_at_ms: startedAtMs, current };
  return encodeNewest(steps, kept => ({ ...progress, steps: kept }) satisfies PassProgress);
}

function encodeNewest(steps: readonly TraceStep[], complete: (kept: readonly TraceStep[]) => object): string {
  for (let kept = steps; ; kept = kept.slice(Math.ceil(kept.length / 2))) {
    const text = JSON.stringify(complete(kept));
    if (kept.length === 0 || Buffer.byteLength(text) <= MOST_BYTES) return text;
  }
}
