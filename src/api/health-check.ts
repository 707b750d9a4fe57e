/** What a balancer in front of the API reads: whether this process can serve. Source: contract api.md 1.1, oslo.middleware's healthcheck. */
import { checkDatabase } from '../db/check.ts';
import type { Db } from '../db/schema.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';

const LIMIT_MS = 5_000;

/** Looks at most once in an interval, however many ask. Returns what is wrong, or undefined. */
export function healthCheck(deps: { db: Db; clock: Clock; log: Log }, intervalMs: number) {
  let last: { atMs: number; reason: Promise<string | undefined> } | undefined;
  const look = async (): Promise<string | undefined> => {
    const done = new AbortController();
    const limit = systemClock.sleep(LIMIT_MS, done.signal).then(() => {
      throw new Error(`The database does not answer within ${LIMIT_MS} ms`);
    });
    try {
      await Promise.race([checkDatabase(deps.db), limit]);
      return undefined;
    } catch (error) {
      // The answer tells it to the balancer, and this to the operator.
      deps.log.error({ cause: errorChain(error) }, 'health check failed');
      return 'The Octavia database is unavailable.';
    } finally {
      done.abort();
      limit.catch(() => undefined); // Aborted: the database was quicker.
    }
  };
  return (): Promise<string | undefined> => {
    const now = deps.clock.now();
    if (!last || Math.abs(now - last.atMs) >= intervalMs) last = { atMs: now, reason: look() };
    return last.reason;
  };
}

const BODIES: Readonly<Record<string, (reason: string) => string>> = {
  'text/plain': reason => reason,
  'text/html': reason =>
    `<html><head><title>Healthcheck Status</title></head><body><h2>Result of 1 checks:</h2><p>${reason}</p></body></html>`,
  'application/json': reason => JSON.stringify({ detailed: false, reasons: [reason] }),
};

/** `type` is what the client reads best, the first one being the last resort. */
export function healthDocument(accept: string | undefined, reason = 'OK'): { type: string; body: string } {
  const type = bestType(accept ?? '', Object.keys(BODIES));
  return { type, body: BODIES[type]!(reason) };
}

function bestType(accept: string, offers: readonly string[]): string {
  const ranges = accept.split(',').map(range => {
    const [name = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase());
    const q = parameters.find(parameter => parameter.startsWith('q='));
    return { name, q: q === undefined ? 1 : Number(q.slice(2)) || 0 };
  });
  const qualityOf = (type: string) => {
    const fits = [type, `${type.split('/')[0]}/*`, '*/*'];
    // The most precise range counts.
    for (const name of fits) {
      const range = ranges.find(candidate => candidate.name === name);
      if (range) return range.q;
    }
    return 0;
  };
  return offers.reduce((best, type) => (qualityOf(type) > qualityOf(best) ? type : best));
}
