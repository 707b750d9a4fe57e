/** Delivers what is in the outbox: at least once, in order for each load balancer, beside everything else. */
import {
  claimEvent,
  deleteEvent,
  deleteEventsBefore,
  findNextEvent,
  listDueEvents,
  postponeEvent,
} from '../db/outbox.ts';
import type { Db, OutboxRow } from '../db/schema.ts';
import type { EventTarget } from '../drivers/events/event-target.ts';
import type { Clock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';

export interface EventDeliveryParts {
  db: Db;
  clock: Clock;
  log: Log;
  targets: readonly EventTarget[];
  /** Between two looks while there is nothing to deliver. */
  pollMs: number;
}

/** Load balancers whose events go to one target at the same time. */
const AT_ONCE = 8;
/** Events of one load balancer before it is others' turn: looking for who is next takes the longer the more wait. */
const IN_A_ROW = 50;
/** When somebody else may take over from a process that fell silent; longer than any target may take. */
const CLAIM_MS = 60_000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 5 * 60_000;
/** Between two looks while a target takes nothing. */
const LONGEST_PAUSE_MS = 5000;
/** What nobody took for so long is not told any more. */
const GIVE_UP_MS = 24 * 3_600_000;

/** Several processes share the work: an event is delivered by the one that claimed it, until its time is over. */
export class EventDelivery {
  readonly #parts: EventDeliveryParts;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(parts: EventDeliveryParts) {
    this.#parts = parts;
  }

  /** Each target has a loop of its own, so that one that hangs holds up no other. */
  start(): void {
    this.#running = Promise.all(this.#parts.targets.map(target => this.#deliverUntilStopped(target)));
  }

  /** What is under way is broken off, and comes again. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#parts.targets.map(target => target.close()));
  }

  async #deliverUntilStopped(target: EventTarget): Promise<void> {
    const { db, clock, log, pollMs } = this.#parts;
    const { signal } = this.#stop;
    let isClean = false;
    let waitMs = pollMs;
    while (!signal.aborted) {
      try {
        if (!isClean) await deleteEventsBefore(db, clock.now() - 2 * GIVE_UP_MS);
        isClean = true;
        const due = await listDueEvents(db, target.name, clock.now(), AT_ONCE);
        const settled = await Promise.all(due.map(event => this.#deliverSome(target, event)));
        const isRefused = due.length > 0 && !settled.includes(true);
        waitMs = isRefused ? Math.min(2 * waitMs, LONGEST_PAUSE_MS) : pollMs;
        if (settled.includes(true)) continue;
      } catch (error) {
        // A database that is away comes back; the events are in it.
        log.error({ target: target.name, reason: errorChain(error) }, 'events could not be looked for');
      }
      await clock.sleep(waitMs, signal).catch(() => undefined); // Aborted: the loop ends.
    }
  }

  /** It and what is behind it. Whether any was settled. */
  async #deliverSome(target: EventTarget, first: OutboxRow): Promise<boolean> {
    const { db, clock } = this.#parts;
    let event: OutboxRow | undefined = first;
    for (let settled = 0; settled < IN_A_ROW; settled++) {
      if (!event || !(await this.#deliver(target, event))) return settled > 0;
      event = await findNextEvent(db, event, clock.now());
    }
    return true;
  }

  /** Whether the next event of that load balancer has its turn now. */
  async #deliver(target: EventTarget, event: OutboxRow): Promise<boolean> {
    const { db, clock, log } = this.#parts;
    if (!(await claimEvent(db, event, clock.now() + CLAIM_MS))) return false;
    try {
      await target.publish(event.body, this.#stop.signal);
    } catch (error) {
      const { id, loadbalancer_id, attempts } = event;
      const fields = {
        target: target.name,
        loadbalancer_id,
        attempts: attempts + 1,
        reason: errorChain(error),
      };
      if (clock.now() - event.created_at_ms < GIVE_UP_MS) {
        if (!this.#stop.signal.aborted) log.warn(fields, 'event not delivered');
        const waitMs = this.#stop.signal.aborted ? 0 : backOffMs(attempts);
        await postponeEvent(db, id, clock.now() + waitMs);
        return false;
      }
      log.error(fields, 'event given up after a day');
    }
    await deleteEvent(db, event.id);
    return true;
  }
}

/** Doubles from a second to five minutes. */
const backOffMs = (attempts: number): number =>
  Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts, 16));
