/** The time of the database, which all processes share: each one's own clock may be wrong, and may be set while it runs. */
import { sql } from 'kysely';
import { type Clock, systemClock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Db } from './schema.ts';

const TRIES = 3;
/** An answer that took longer says too little, unless nothing is known. */
const SLOWEST_ANSWER_MS = 1000;
const AGAIN_AFTER_MS = 10_000;

/** In milliseconds, whatever the time zone of the session. A file is read by processes of one machine, with one clock. */
const NOW = {
  mysql: sql<number>`timestampdiff(microsecond, '1970-01-01', utc_timestamp(3)) div 1000`,
  postgres: sql<number>`floor(extract(epoch from clock_timestamp()) * 1000)`,
};

/** What leases, times of next tries and heartbeats are judged by. Throws when the database does not tell the time. */
export async function openClock(db: Db, url: string, log: Log): Promise<Clock & AsyncDisposable> {
  if (url.startsWith('sqlite:')) return { ...systemClock, async [Symbol.asyncDispose]() {} };
  const clock = new DatabaseClock(db, url.startsWith('postgres') ? NOW.postgres : NOW.mysql);
  await clock.measure(Number.POSITIVE_INFINITY);
  const stop = new AbortController();
  const follow = async () => {
    while (!stop.signal.aborted) {
      await systemClock.sleep(AGAIN_AFTER_MS, stop.signal).catch(() => undefined); // Aborted: the loop ends.
      if (stop.signal.aborted) return;
      // The machine's own count of milliseconds goes on meanwhile.
      await clock.measure().catch(error => log.warn({ reason: errorChain(error) }, 'cannot ask the time'));
    }
  };
  const ended = follow();
  return Object.assign(clock, {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  });
}

export class DatabaseClock implements Clock {
  readonly sleep = systemClock.sleep;
  readonly #db: Db;
  readonly #expression: typeof NOW.mysql;
  /** The database's time less the count of this machine, which nobody sets. */
  #offsetMs = 0;

  constructor(db: Db, expression: typeof NOW.mysql) {
    this.#db = db;
    this.#expression = expression;
  }

  now(): number {
    return Math.floor(performance.now() + this.#offsetMs);
  }

  /** Asks a few times and believes the quickest answer. */
  async measure(slowestMs = SLOWEST_ANSWER_MS): Promise<void> {
    let best: { tookMs: number; offsetMs: number } | undefined;
    for (let i = 0; i < TRIES; i++) {
      const before = performance.now();
      const { rows } = await sql<{ now: number }>`select ${this.#expression} as now`.execute(this.#db);
      const tookMs = performance.now() - before;
      const offsetMs = Number(rows[0]!.now) - before - tookMs / 2;
      if (tookMs < (best?.tookMs ?? slowestMs)) best = { tookMs, offsetMs };
    }
    if (!best) throw new Error(`The database takes longer than ${slowestMs} ms to tell the time`);
    this.#offsetMs = best.offsetMs;
  }
}
