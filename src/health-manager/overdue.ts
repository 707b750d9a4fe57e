/** Finds amphorae that fell silent and marks them to be replaced. Source: contract heartbeat.md 6. */
import type { Clock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Queue } from '../queue/queue.ts';
import type { HealthStore } from './health-store.ts';

export interface OverdueOptions {
  heartbeatTimeoutMs: number;
  checkIntervalMs: number;
  /** With this many silent at once none is replaced: the fault is the network's or our own. null: no limit. */
  failoverThreshold: number | null;
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
  | { looked: true; failed: string[]; held_back: string[]; resumed: string[] };

export class OverdueWatch {
  readonly #options: OverdueOptions;
  readonly #parts: OverdueParts;
  readonly #stopping = new AbortController();
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
    const { heartbeatTimeoutMs, failoverThreshold } = this.#options;
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
    const overdue = await store.listOverdue(cutoffMs);
    const outcome = { looked: true, failed: [] as string[], held_back: [] as string[], resumed } as const;
    if (overdue.length > 0 && failoverThreshold !== null && overdue.length >= failoverThreshold) {
      await store.stopFailover(overdue, nowMs);
      outcome.held_back.push(...overdue);
      log.error(
        { amphorae: overdue, threshold: failoverThreshold },
        'too many amphorae are silent: none is replaced',
      );
    } else {
      for (const id of overdue) if (await this.#fail(id, nowMs)) outcome.failed.push(id);
    }
    this.#lastLookMs = nowMs;
    return outcome;
  }

  async #fail(amphoraId: string, nowMs: number): Promise<boolean> {
    const { store, queue, log } = this.#parts;
    const loadBalancerId = await store.markFailed(amphoraId, nowMs);
    if (loadBalancerId === undefined) return false;
    log.warn(
      { amphora_id: amphoraId, loadbalancer_id: loadBalancerId },
      'amphora is silent and will be replaced',
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
