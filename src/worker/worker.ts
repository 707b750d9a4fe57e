/** The worker: takes ids from nudges and from the sweep, and runs one pass at a time for each. */
import { loadBalancersOwingWork } from '../db/lease.ts';
import { errorChain } from '../lib/errors.ts';
import { UNOWNED_ID } from '../model/unowned.ts';
import type { Queue } from '../queue/queue.ts';
import { type PassOutcome, type PassParts, runPass } from './pass.ts';
import { runUnownedPass } from './unowned.ts';

export interface WorkerParts extends PassParts {
  queue: Queue;
  /** Load balancers worked on at the same time. */
  concurrency: number;
  /** Between two looks for work that no nudge announced. */
  sweepIntervalMs: number;
}

export class Worker {
  readonly #parts: WorkerParts;
  readonly #stop = new AbortController();
  /** Waiting their turn, in order; an id stands in it once. */
  readonly #waiting = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  /** Nudged while their pass was running. */
  readonly #nudgedAgain = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #endConsuming: (() => void) | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#endConsuming = this.#parts.queue.consume(id => this.nudge(id));
    this.#sweeping = this.#sweepUntilStopped();
  }

  /** Begins no new pass, lets the running steps end, and leaves the rest to the next worker. */
  async stop(): Promise<void> {
    this.#endConsuming?.();
    this.#stop.abort();
    this.#waiting.clear();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.allSettled([this.#sweeping, ...this.#running.values()]);
  }

  /** Look at this load balancer; asked during its pass, it is looked at once more after it. */
  nudge(id: string): void {
    if (this.#stop.signal.aborted) return;
    if (this.#running.has(id)) this.#nudgedAgain.add(id);
    else this.#waiting.add(id);
    this.#fill();
  }

  /** Resolves when nothing runs and nobody waits for a turn; work that was put off may still be owed. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running.values());
  }

  #fill(): void {
    for (const id of this.#waiting) {
      if (this.#running.size >= this.#parts.concurrency) return;
      this.#waiting.delete(id);
      this.#running.set(id, this.#work(id));
    }
  }

  async #work(id: string): Promise<void> {
    let outcome: PassOutcome = { kind: 'lost' };
    try {
      outcome =
        id === UNOWNED_ID
          ? await runUnownedPass(this.#parts, this.#stop.signal)
          : await runPass(this.#parts, id, this.#stop.signal);
    } catch (error) {
      // The database failed us, perhaps before the lease was given back: our own lease is no obstacle to us.
      outcome = { kind: 'again', afterMs: this.#parts.sweepIntervalMs };
      this.#parts.log.error({ load_balancer_id: id, reason: errorChain(error) }, 'pass could not be settled');
    }
    this.#running.delete(id);
    if (this.#nudgedAgain.delete(id)) this.#waiting.add(id);
    else if (outcome.kind === 'again') this.#nudgeLater(id, outcome.afterMs);
    if (!this.#stop.signal.aborted) this.#fill();
  }

  #nudgeLater(id: string, afterMs: number): void {
    if (this.#stop.signal.aborted) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        this.nudge(id);
      },
      Math.max(0, afterMs),
    );
    this.#timers.add(timer);
  }

  async #sweepUntilStopped(): Promise<void> {
    const { db, clock, log, concurrency, sweepIntervalMs } = this.#parts;
    while (!this.#stop.signal.aborted) {
      try {
        const owing = await loadBalancersOwingWork(db, clock.now(), concurrency * 4);
        for (const id of owing) if (!this.#running.has(id)) this.nudge(id);
        await clock.sleep(sweepIntervalMs, this.#stop.signal);
      } catch (error) {
        // A database that is away comes back; sweeping on is what notices it.
        if (this.#stop.signal.aborted) return;
        log.error({ reason: errorChain(error) }, 'sweep failed');
        await clock.sleep(sweepIntervalMs, this.#stop.signal).catch(() => undefined);
      }
    }
  }
}
