/**
 * Finds amphorae that fell silent and has the worker ask them, which replaces those that do not answer: lack of news is not
 * death. Source: contract heartbeat.md 6.
 */
import type { Clock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Queue } from '../queue/queue.ts';
import type { HealthStore } from './health-store.ts';
import { OnceAMinute } from './once-a-minute.ts';
import { LONG_TIMEOUTS, planFailovers } from './plan-failovers.ts';

export interface OverdueOptions {
  heartbeatTimeoutMs: number;
  checkIntervalMs: number;
  /** With this many silent at once none is replaced: the fault is the network's or our own. null: a share of all. */
  failoverThreshold: number | null;
  /** Asked or replaced at the same time. */
  failoversAtOnce: number;
}

export interface OverdueParts {
  store: HealthStore;
  queue: Queue;
  clock: Clock;
  log: Log;
}

/** What one look came to. */
export type OverdueOutcome =
  /** Silence proves nothing yet: we were not listening ourselves for long enough. */
  | { looked: false; believe_in_ms: number }
  | { looked: true; doubted: string[]; held_back: string[]; resumed: string[] };

export class OverdueWatch {
  readonly #options: OverdueOptions;
  readonly #parts: OverdueParts;
  readonly #stopping = new AbortController();
  readonly #limit = new OnceAMinute();
  #believeAfterMs: number | undefined;
  #lastLookMs: number | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: OverdueOptions, parts: OverdueParts) {
    this.#options = options;
    this.#parts = parts;
  }

  start(): void {
    this.#ended ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.look();
      } catch (error) {
        // The next look tries again, and begins to wait anew.
        log.error({ error: errorChain(error) }, 'cannot look for silent amphorae');
      }
      // Aborted: the loop ends.
      await clock.sleep(this.#options.checkIntervalMs, signal).catch(() => {});
    }
  }

  /** One look. After a start, an outage of the database or a halt of this process, silence is not believed for a while. */
  async look(): Promise<OverdueOutcome> {
    const { store, clock, log } = this.#parts;
    const nowMs = clock.now();
    const { heartbeatTimeoutMs } = this.#options;
    if (this.#wasDeaf(nowMs)) this.#believeAfterMs = nowMs + heartbeatTimeoutMs;
    // Not set again until the look has succeeded: after an error the next one finds that it was deaf.
    this.#lastLookMs = undefined;

    const cutoffMs = nowMs - heartbeatTimeoutMs;
    const resumed = await store.resumeFailover(cutoffMs, nowMs);
    if (resumed.length > 0) log.info({ amphorae: resumed }, 'amphorae report again and may fail over again');
    if (nowMs < this.#believeAfterMs!) {
      this.#lastLookMs = nowMs;
      return { looked: false, believe_in_ms: this.#believeAfterMs! - nowMs };
    }
    const recentMs = nowMs - LONG_TIMEOUTS * heartbeatTimeoutMs;
    await store.clearDoubts(cutoffMs, recentMs);
    // Those that are only late count in a storm: what is cut off together falls silent within one interval.
    const silence = await store.lookForSilence(nowMs - heartbeatTimeoutMs / 2, recentMs);
    const plan = planFailovers(silence, { nowMs, ...this.#options });
    if (plan.hold.length > 0) {
      await store.stopFailover(plan.hold, nowMs);
      const fields = { amphorae: plan.hold, silent: silence.silent.length, of: silence.total };
      if (this.#limit.hit('storm', nowMs)) log.error(fields, 'too many amphorae are silent to replace them');
    }
    const doubted: string[] = [];
    for (const id of plan.ask) if (await this.#doubt(id, nowMs)) doubted.push(id);
    const outcome = { looked: true, doubted, held_back: plan.hold, resumed } as const;
    this.#lastLookMs = nowMs;
    return outcome;
  }

  async #doubt(amphoraId: string, nowMs: number): Promise<boolean> {
    const { store, queue, log } = this.#parts;
    const askedBeforeMs = nowMs - this.#options.heartbeatTimeoutMs;
    const loadBalancerId = await store.markDoubted(amphoraId, { nowMs, askedBeforeMs });
    if (loadBalancerId === undefined) return false;
    log.warn(
      { amphora_id: amphoraId, loadbalancer_id: loadBalancerId },
      'amphora is silent and will be asked',
    );
    await queue.notify(loadBalancerId);
    return true;
  }

  /** Before the first look, after a failed one, and when this process was stopped or starved between two. */
  #wasDeaf(nowMs: number): boolean {
    const { heartbeatTimeoutMs, checkIntervalMs } = this.#options;
    if (this.#lastLookMs === undefined) return true;
    return nowMs - this.#lastLookMs > checkIntervalMs + heartbeatTimeoutMs / 2;
  }
}
