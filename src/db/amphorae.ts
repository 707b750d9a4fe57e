/** Rows of amphorae: written by the worker under its lease, marked by everybody else. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { timestamp } from '../lib/clock.ts';
import type { Amphora, AmphoraRole } from '../model/amphora.ts';
import { type AmphoraStatus, isMarked } from '../model/status.ts';
import { type ChangeOptions, changeLoadBalancer, raiseGeneration } from './change.ts';
import { fenced, type Lease } from './lease.ts';
import { decodeRow, encodeRow } from './rows.ts';
import type { Db } from './schema.ts';

/** The row of an amphora that is to be built: written before anything of it exists. */
export async function insertAmphora(
  db: Db,
  lease: Lease,
  role: AmphoraRole,
  nowMs: number,
): Promise<Amphora> {
  const amphora: Amphora = {
    id: randomUUID(),
    loadbalancer_id: lease.loadbalancer_id,
    compute_id: null,
    lb_network_ip: null,
    vrrp_ip: null,
    ha_ip: null,
    vrrp_port_id: null,
    ha_port_id: null,
    cert_expiration: null,
    cert_busy: false,
    role,
    status: 'PENDING_CREATE',
    vrrp_interface: null,
    vrrp_id: null,
    vrrp_priority: null,
    cached_zone: null,
    image_id: null,
    compute_flavor: null,
    config_due: false,
    haproxy_changes: null,
    created_at: timestamp(nowMs),
    updated_at: null,
  };
  await fenced(db, lease, trx => trx.insertInto('amphora').values(encodeRow('amphora', amphora)).execute());
  return amphora;
}

/** Writes the fields that a step of the worker found out. */
export async function updateAmphora(
  db: Db,
  lease: Lease,
  id: string,
  set: Partial<Omit<Amphora, 'id'>>,
  nowMs: number,
): Promise<void> {
  await fenced(db, lease, trx => {
    let update = trx
      .updateTable('amphora')
      .set({ ...encodeRow('amphora', set), updated_at: timestamp(nowMs) })
      .where('id', '=', id);
    // A mark that was set meanwhile stays, for the next pass.
    if (set.status && !isMarked(set.status))
      update = update.where('status', 'not in', ['ERROR', 'PENDING_DELETE']);
    return update.execute();
  });
}

/** The amphora is gone from the world: its row stays as DELETED for a while, its health row goes. */
export async function settleAmphoraDeleted(db: Db, lease: Lease, id: string, nowMs: number): Promise<void> {
  await fenced(db, lease, async trx => {
    await trx
      .updateTable('amphora')
      .set({ status: 'DELETED', updated_at: timestamp(nowMs) })
      .where('id', '=', id)
      .execute();
    await trx.deleteFrom('amphora_health').where('amphora_id', '=', id).execute();
  });
}

/** Those that have or may have an instance. */
export async function listAmphoraIds(db: Db, loadBalancerId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('amphora')
    .select('id')
    .where('loadbalancer_id', '=', loadBalancerId)
    .where('status', '!=', 'DELETED')
    .execute();
  return rows.map(({ id }) => id);
}

const IN_SERVICE: readonly AmphoraStatus[] = ['ALLOCATED', 'FAILOVER_STOPPED'];

/**
 * Marks an amphora to be replaced and raises its load balancer's generation, so that the next pass does it.
 * Returns the load balancer to notify, or undefined when the amphora is not in service or its load balancer is
 * being deleted: then there is nothing to replace.
 */
export async function markAmphoraFailed(db: Db, id: string, nowMs: number): Promise<string | undefined> {
  return db.transaction().execute(async trx => {
    const row = await trx.selectFrom('amphora').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row) return undefined;
    const amphora = decodeRow('amphora', row);
    if (!amphora.loadbalancer_id || !IN_SERVICE.includes(amphora.status)) return undefined;
    const lb = await trx
      .selectFrom('load_balancer')
      .select('provisioning_status')
      .where('id', '=', amphora.loadbalancer_id)
      .executeTakeFirst();
    if (!lb || ['PENDING_DELETE', 'DELETED'].includes(lb.provisioning_status)) return undefined;
    await raiseGeneration(trx, amphora.loadbalancer_id, { nowMs });
    await trx
      .updateTable('amphora')
      .set({ status: 'ERROR', updated_at: timestamp(nowMs) })
      .where('id', '=', id)
      .where('status', 'in', IN_SERVICE)
      .execute();
    return amphora.loadbalancer_id;
  });
}

/**
 * Marks the amphorae of a load balancer that are in service, or one of them, to be replaced: a write like any other, after
 * which everything is made ACTIVE. Those that are being built are new, and stay. Source: contract statuses.md 9, 10.
 */
export async function markForReplacement(
  db: Db,
  loadBalancerId: string,
  options: ChangeOptions,
  amphoraId?: string,
): Promise<void> {
  await changeLoadBalancer(db, loadBalancerId, options, async ({ trx, now }) => {
    let update = trx
      .updateTable('amphora')
      .set({ status: 'PENDING_DELETE', updated_at: now })
      .where('loadbalancer_id', '=', loadBalancerId)
      .where('status', 'in', IN_SERVICE);
    if (amphoraId) update = update.where('id', '=', amphoraId);
    await update.execute();
  });
}

/** Marks an amphora in ERROR to be released; false when it is in another status. */
export async function markAmphoraDeleted(db: Db, id: string, nowMs: number): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('amphora')
    .set({ status: 'PENDING_DELETE', updated_at: timestamp(nowMs) })
    .where('id', '=', id)
    .where('status', '=', 'ERROR')
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows) === 1;
}

/** Has the worker give the agent its configuration file again; no status changes. Source: contract api.md 4.1. */
export async function markConfigDue(db: Db, loadBalancerId: string, id: string): Promise<void> {
  await db.transaction().execute(async trx => {
    await trx
      .updateTable('lease')
      .set({ retry_at_ms: 0 })
      .where('loadbalancer_id', '=', loadBalancerId)
      .execute();
    await trx
      .updateTable('load_balancer')
      .set({ generation: sql<number>`generation + 1` })
      .where('id', '=', loadBalancerId)
      .execute();
    await trx.updateTable('amphora').set({ config_due: 1 }).where('id', '=', id).execute();
  });
}
