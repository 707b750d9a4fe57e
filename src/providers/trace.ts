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

/** The passes that run in this process, by their load balancers. */
export type PassesUnderWay = Map<string, { generation: number; trace: Trace }>;

export class Trace {
  readonly steps: TraceStep[] = [];
  /** Of the amphorae whose haproxy went through anything, by their ids; written when the pass is settled. */
  readonly haproxyChanges = new Map<string, HaproxyChanges>();
  readonly startedAtMs: number;
  /** The step that began last and has not ended. */
  current: Pick<TraceStep, 'step' | 'subject' | 'started_at_ms'> | undefined;
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
