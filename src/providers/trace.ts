/** The trace of one pass of the reconciler: which steps it took, when, for how long and with what outcome. */

import type { Clock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';

export interface TraceStep {
  /** Such as `ensure VIP port`. */
  step: string;
  /** The id of what the step was about. */
  subject: string;
  started_at_ms: number;
  duration_ms: number;
  outcome: 'ok' | 'waiting' | 'failed';
  /** The error's sentences when it failed. */
  cause?: string;
}

export class Trace {
  readonly steps: TraceStep[] = [];
  readonly #clock: Clock;
  readonly #onStep: ((step: TraceStep) => void) | undefined;

  constructor(clock: Clock, onStep?: (step: TraceStep) => void) {
    this.#clock = clock;
    this.#onStep = onStep;
  }

  /** Runs one step and records it; an error is recorded and thrown on. */
  async step<T>(step: string, subject: string, run: () => Promise<T>): Promise<T> {
    const started_at_ms = this.#clock.now();
    const record = (outcome: TraceStep['outcome'], cause?: string) => {
      const entry = {
        step,
        subject,
        started_at_ms,
        duration_ms: this.#clock.now() - started_at_ms,
        outcome,
        cause,
      };
      this.steps.push(entry);
      this.#onStep?.(entry);
    };
    try {
      const result = await run();
      record('ok');
      return result;
    } catch (error) {
      record('failed', errorChain(error));
      throw error;
    }
  }
}
