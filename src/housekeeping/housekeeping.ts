/** Housekeeping: keeps rows and marks as they should be over time. It has no effects of its own: the worker resolves its marks. */
import { markAmphoraDue, markForReplacement } from '../db/amphorae.ts';
import { listEndingCertificates, purgeDeleted } from '../db/housekeeping.ts';
import type { Db } from '../db/schema.ts';
import { markSpares, releaseSpare } from '../db/spares.ts';
import type { Clock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { UNOWNED_ID } from '../model/unowned.ts';
import type { Queue } from '../queue/queue.ts';

export interface HousekeepingOptions {
  cleanupIntervalMs: number;
  /** How long the row of what was deleted is kept. */
  amphoraExpiryMs: number;
  loadBalancerExpiryMs: number;
  certificateIntervalMs: number;
  /** A certificate is renewed this long before its end. */
  certificateBufferMs: number;
  /** As many are marked with one look, so that not all amphorae are touched at once. */
  certificatesAtOnce: number;
  sparesIntervalMs: number;
  spares: number;
}

export interface HousekeepingParts {
  db: Db;
  queue: Pick<Queue, 'notify'>;
  clock: Clock;
  log: Log;
}

export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #parts: HousekeepingParts;
  readonly #stopping = new AbortController();
  #ended: Promise<unknown> | undefined;

  constructor(options: HousekeepingOptions, parts: HousekeepingParts) {
    this.#options = options;
    this.#parts = parts;
  }

  start(): void {
    const { cleanupIntervalMs, certificateIntervalMs, sparesIntervalMs } = this.#options;
    this.#ended ??= Promise.all([
      this.#repeat('purge deleted rows', cleanupIntervalMs, () => this.purge()),
      this.#repeat('renew certificates', certificateIntervalMs, () => this.renewCertificates()),
      this.#repeat('keep spare amphorae', sparesIntervalMs, () => this.keepSpares()),
    ]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  async purge(): Promise<void> {
    const { db, clock, log } = this.#parts;
    const { amphoraExpiryMs, loadBalancerExpiryMs } = this.#options;
    const nowMs = clock.now();
    const purged = await purgeDeleted(db, {
      amphoraeMs: nowMs - amphoraExpiryMs,
      loadBalancersMs: nowMs - loadBalancerExpiryMs,
    });
    if (purged.amphorae + purged.load_balancers > 0) log.info(purged, 'rows of what was deleted are gone');
  }

  /** Ahead of its end a certificate is renewed; an amphora that no longer can be told one, and a spare, are built anew. */
  async renewCertificates(): Promise<void> {
    const { db, queue, clock, log } = this.#parts;
    const { certificateBufferMs, certificatesAtOnce } = this.#options;
    const nowMs = clock.now();
    const ending = await listEndingCertificates(db, nowMs + certificateBufferMs, certificatesAtOnce);
    for (const { id, loadbalancer_id: lbId, cert_expiration } of ending) {
      log.info({ amphora_id: id, load_balancer_id: lbId, cert_expiration }, 'certificate ends soon');
      if (lbId === null) await releaseSpare(db, id, nowMs);
      else if (Date.parse(`${cert_expiration}Z`) <= nowMs) await markForReplacement(db, lbId, { nowMs }, id);
      else await markAmphoraDue(db, lbId, id, 'cert_busy');
      await queue.notify(lbId ?? UNOWNED_ID);
    }
  }

  /** The worker is nudged in any case: it looks after the spares that there are, and after leftovers. */
  async keepSpares(): Promise<void> {
    const { db, queue, clock, log } = this.#parts;
    const missing = await markSpares(db, this.#options.spares, clock.now());
    if (missing !== 0)
      log.info({ missing }, missing > 0 ? 'spare amphorae are missing' : 'too many spare amphorae');
    await queue.notify(UNOWNED_ID);
  }

  async #repeat(what: string, intervalMs: number, run: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // A database that is away comes back, and the next look does what this one could not.
      await run().catch(error => log.error({ reason: errorChain(error) }, `cannot ${what}`));
      await clock.sleep(intervalMs, signal).catch(() => {}); // Aborted: the loop ends.
    }
  }
}
