/** What housekeeping asks of the rows: which are past their time, and which certificates end soon. */
import { timestamp } from '../lib/clock.ts';
import type { Db } from './schema.ts';

/** Rows that are deleted with one statement: lists of ids have limits on every database. */
const BATCH = 500;

/**
 * Removes the rows of amphorae and load balancers that were deleted before these times, with what was recorded of them.
 * An amphora that reported since then is kept. Source: contract controller.md 12.
 */
export async function purgeDeleted(
  db: Db,
  before: { amphoraeMs: number; loadBalancersMs: number },
): Promise<{ amphorae: number; load_balancers: number }> {
  const amphorae = await db
    .selectFrom('amphora')
    .leftJoin('amphora_health', 'amphora_health.amphora_id', 'amphora.id')
    .select('amphora.id')
    .where('amphora.status', '=', 'DELETED')
    .where('amphora.updated_at', '<', timestamp(before.amphoraeMs))
    .where(eb =>
      eb.or([
        eb('amphora_health.last_update_ms', 'is', null),
        eb('amphora_health.last_update_ms', '<', before.amphoraeMs),
      ]),
    )
    .limit(BATCH)
    .execute();
  const lbs = await db
    .selectFrom('load_balancer')
    .select('id')
    .where('provisioning_status', '=', 'DELETED')
    .where('updated_at', '<', timestamp(before.loadBalancersMs))
    .limit(BATCH)
    .execute();
  await db.transaction().execute(async trx => {
    const amphoraIds = amphorae.map(row => row.id);
    const lbIds = lbs.map(row => row.id);
    if (amphoraIds.length > 0) {
      for (const table of ['amphora_health', 'amphora_doubt'] as const)
        await trx.deleteFrom(table).where('amphora_id', 'in', amphoraIds).execute();
      // A heartbeat may have brought it back meanwhile.
      await trx.deleteFrom('amphora').where('id', 'in', amphoraIds).where('status', '=', 'DELETED').execute();
    }
    if (lbIds.length > 0) {
      await trx.deleteFrom('pass').where('loadbalancer_id', 'in', lbIds).execute();
      await trx.deleteFrom('load_balancer').where('id', 'in', lbIds).execute();
    }
  });
  await purgeStatistics(db);
  return { amphorae: amphorae.length, load_balancers: lbs.length };
}

/** A heartbeat that was being counted while its listener went has left them behind. Looked for without a lock on those of others. */
async function purgeStatistics(db: Db): Promise<void> {
  const rows = await db
    .selectFrom('listener_statistics as s')
    .leftJoin('listener as l', 'l.id', 's.listener_id')
    .select('s.listener_id')
    .where('l.id', 'is', null)
    .limit(BATCH)
    .execute();
  const ids = rows.map(row => row.listener_id);
  if (ids.length > 0) await db.deleteFrom('listener_statistics').where('listener_id', 'in', ids).execute();
}

/** Amphorae in service whose certificate ends before this time, the earliest first; those that are marked already are not in it. */
export async function listEndingCertificates(
  db: Db,
  beforeMs: number,
  limit: number,
): Promise<{ id: string; loadbalancer_id: string | null; cert_expiration: string }[]> {
  const rows = await db
    .selectFrom('amphora')
    .leftJoin('load_balancer', 'load_balancer.id', 'amphora.loadbalancer_id')
    .select(['amphora.id', 'loadbalancer_id', 'cert_expiration'])
    .where('amphora.status', 'in', ['ALLOCATED', 'READY'])
    .where('cert_busy', '=', 0)
    .where('cert_expiration', '<', timestamp(beforeMs))
    .where(eb =>
      eb.or([eb('provisioning_status', 'is', null), eb('provisioning_status', '<>', 'PENDING_DELETE')]),
    )
    .orderBy('cert_expiration')
    .limit(limit)
    .execute();
  return rows.map(row => ({ ...row, cert_expiration: row.cert_expiration! }));
}

/** What became of these load balancers and amphorae: whether they are there, or were deleted. Ids of neither are not in it. */
export async function findOwners(db: Db, ids: readonly string[]): Promise<Map<string, 'there' | 'deleted'>> {
  const owners = new Map<string, 'there' | 'deleted'>();
  for (let start = 0; start < ids.length; start += BATCH) {
    const batch = ids.slice(start, start + BATCH);
    const rows = await db
      .selectFrom('load_balancer')
      .select(['id', 'provisioning_status as status'])
      .where('id', 'in', batch)
      .unionAll(db.selectFrom('amphora').select(['id', 'status']).where('id', 'in', batch) as never)
      .execute();
    for (const { id, status } of rows) owners.set(id, status === 'DELETED' ? 'deleted' : 'there');
  }
  return owners;
}
