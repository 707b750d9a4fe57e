/** Rows of load balancers: made and taken back by the API, their VIP completed by whoever gets its port. */
import { sql } from 'kysely';
import { Fault } from '../lib/errors.ts';
import type { LoadBalancer, VipFacts } from '../model/load-balancer.ts';
import { markLoadBalancerDeleted } from './change.ts';
import { CHILD_TABLES } from './children.ts';
import { announce } from './events.ts';
import { fenced, type Lease } from './lease.ts';
import { encodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';

/**
 * Inserts the load balancer with its lease. While `heldBy` holds the lease no worker takes it: the API holds it until
 * the VIP's port exists, and a worker finishes what an API process that died has begun.
 */
export async function insertLoadBalancer(
  db: Db,
  record: LoadBalancer,
  heldBy: { owner: string; expires_at_ms: number } | undefined,
): Promise<void> {
  const lease = {
    loadbalancer_id: record.id,
    owner: heldBy?.owner ?? null,
    expires_at_ms: heldBy?.expires_at_ms ?? 0,
    fence: 1,
    beats: 0,
    attempts: 0,
    failing_since_ms: null,
    retry_at_ms: 0,
  };
  const insert = async (trx: Db) => {
    await trx.insertInto('load_balancer').values(encodeRow('load_balancer', record)).execute();
    await trx.insertInto('lease').values(lease).execute();
    await announce(trx as Trx, record.id, Date.parse(`${record.created_at.slice(0, 23)}Z`));
  };
  await (db.isTransaction ? insert(db) : db.transaction().execute(insert));
}

/** Stores the VIP and gives the lease back, in one transaction. A worker that took the lease over keeps it. */
export async function storeVip(db: Db, id: string, owner: string, vip: VipFacts): Promise<void> {
  await db.transaction().execute(async trx => {
    await trx
      .updateTable('lease')
      .set({ owner: null, expires_at_ms: 0 })
      .where('loadbalancer_id', '=', id)
      .where('owner', '=', owner)
      .execute();
    await writeVip(trx, id, vip);
  });
}

/** Stores what a pass of the worker found out about the VIP. */
export async function setVip(db: Db, lease: Lease, vip: VipFacts): Promise<void> {
  await fenced(db, lease, trx => writeVip(trx, lease.loadbalancer_id, vip));
}

async function writeVip(trx: Trx, id: string, vip: VipFacts): Promise<void> {
  await trx.updateTable('load_balancer').set(encodeRow('load_balancer', vip)).where('id', '=', id).execute();
}

/**
 * Takes back a load balancer whose VIP could not be had. While the lease is still the caller's, nothing of it is in the
 * world and its rows just go; otherwise, or when `leftovers` may be in the world, it is marked for a worker to remove.
 */
export async function withdrawLoadBalancer(
  db: Db,
  id: string,
  owner: string,
  options: { leftovers: boolean; nowMs: number },
): Promise<'gone' | 'marked'> {
  const gone = await db.transaction().execute(async trx => {
    const held = await trx
      .updateTable('lease')
      .set(
        options.leftovers
          ? { owner: null, expires_at_ms: 0, beats: sql<number>`beats + 1` }
          : { beats: sql<number>`beats + 1` },
      )
      .where('loadbalancer_id', '=', id)
      .where('owner', '=', owner)
      .executeTakeFirstOrThrow();
    if (Number(held.numUpdatedRows) === 0 || options.leftovers) return false;
    for (const table of [...CHILD_TABLES, 'lease'] as const) {
      await trx
        .deleteFrom(table as 'lease')
        .where('loadbalancer_id', '=', id)
        .execute();
    }
    await trx.deleteFrom('load_balancer').where('id', '=', id).execute();
    await announce(trx, id, options.nowMs);
    return true;
  });
  if (gone) return 'gone';
  try {
    await markLoadBalancerDeleted(db, id, { nowMs: options.nowMs }, async () => {});
  } catch (error) {
    // The user deleted it meanwhile: that is what is wanted here.
    if (!(error instanceof Fault)) throw error;
  }
  return 'marked';
}
