/** Rows of spare amphorae: booted ahead, of no load balancer until one takes them. */
import { timestamp } from '../lib/clock.ts';
import type { Amphora, AmphoraRole } from '../model/amphora.ts';
import type { AmphoraStatus } from '../model/status.ts';
import { UNOWNED_ID } from '../model/unowned.ts';
import { newAmphora } from './amphorae.ts';
import { isDuplicate } from './failures.ts';
import { fenced, type Lease, lockLease } from './lease.ts';
import { decodeRow, encodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';

/** Those that have or may have an instance, the oldest first. */
export async function listSpares(db: Db | Trx): Promise<Amphora[]> {
  const rows = await db
    .selectFrom('amphora')
    .selectAll()
    .where('loadbalancer_id', 'is', null)
    .where('status', '<>', 'DELETED')
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map(row => decodeRow('amphora', row));
}

/** Those that are worth most to keep come first. */
const WORTH: readonly AmphoraStatus[] = ['READY', 'BOOTING', 'PENDING_CREATE'];

/**
 * Has the worker build or release spares until there are so many: rows of those that are missing, marks on those that
 * are too many. Returns how many were added; negative for those that are to go.
 */
export async function markSpares(db: Db, size: number, nowMs: number): Promise<number> {
  await ensureUnownedLease(db);
  return db.transaction().execute(async trx => {
    // Locked, so that two programs at once do not both add what is missing.
    await lockLease(trx, UNOWNED_ID);
    const usable = (await listSpares(trx))
      .filter(spare => WORTH.includes(spare.status))
      .sort((a, b) => WORTH.indexOf(a.status) - WORTH.indexOf(b.status));
    for (let missing = size - usable.length; missing > 0; missing--) {
      const spare = newAmphora({ loadbalancer_id: null, role: null }, nowMs);
      await trx.insertInto('amphora').values(encodeRow('amphora', spare)).execute();
    }
    for (const { id } of usable.slice(size)) await releaseSpare(trx, id, nowMs);
    return size - usable.length;
  });
}

/** Marks it to be released, unless a load balancer has taken it. */
export async function releaseSpare(db: Db | Trx, id: string, nowMs: number): Promise<void> {
  await db
    .updateTable('amphora')
    .set({ status: 'PENDING_DELETE', updated_at: timestamp(nowMs) })
    .where('id', '=', id)
    .where('loadbalancer_id', 'is', null)
    .execute();
}

/**
 * Gives the oldest spare that is ready to the load balancer of the lease; undefined when there is none. It is marked to
 * be told its configuration again, because the settings may have changed since it was built.
 */
export async function takeSpare(
  db: Db,
  lease: Lease,
  role: AmphoraRole,
  nowMs: number,
): Promise<Amphora | undefined> {
  return fenced(db, lease, async trx => {
    for (const spare of await listSpares(trx)) {
      if (spare.status !== 'READY') continue;
      const set = {
        ...{ loadbalancer_id: lease.loadbalancer_id, role, config_due: true },
        ...{ status: 'BOOTING' as const, updated_at: timestamp(nowMs) },
      };
      const { numUpdatedRows } = await trx
        .updateTable('amphora')
        .set(encodeRow('amphora', set))
        .where('id', '=', spare.id)
        .where('status', '=', 'READY')
        .where('loadbalancer_id', 'is', null)
        .executeTakeFirstOrThrow();
      if (Number(numUpdatedRows) === 1) return { ...spare, ...set };
    }
    return undefined;
  });
}

/** The row that a worker's lease is taken on; made by whoever needs it first. */
export async function ensureUnownedLease(db: Db): Promise<void> {
  const known = db.selectFrom('lease').select('fence').where('loadbalancer_id', '=', UNOWNED_ID);
  if (await known.executeTakeFirst()) return;
  const free = { owner: null, expires_at_ms: 0, failing_since_ms: null, retry_at_ms: 0 };
  const row = { loadbalancer_id: UNOWNED_ID, ...free, fence: 0, beats: 0, attempts: 0 };
  try {
    await db.insertInto('lease').values(row).execute();
  } catch (error) {
    // Another program made it in the same moment, which is as good.
    if (!isDuplicate(error)) throw error;
  }
}
