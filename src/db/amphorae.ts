/** Rows of amphorae: written by the worker under its lease, marked by everybody else. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { timestamp } from '../lib/clock.ts';
import type { Amphora, AmphoraRole } from '../model/amphora.ts';
import { type AmphoraStatus, isMarked } from '../model/status.ts';
import { UNOWNED_ID } from '../model/unowned.ts';
import { type ChangeOptions, changeLoadBalancer } from './change.ts';
import { fenced, type Lease } from './lease.ts';
import { encodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';

/** The record of an amphora that is to be built. */
export function newAmphora(
  owner: Pick<Amphora, 'loadbalancer_id' | 'role'> & { built_for?: Amphora['built_for'] },
  nowMs: number,
): Amphora {
  return {
    id: randomUUID(),
    compute_id: null,
    lb_network_ip: null,
    vrrp_ip: null,
    ha_ip: null,
    vrrp_port_id: null,
    ha_port_id: null,
    cert_expiration: null,
    cert_busy: false,
    status: 'PENDING_CREATE',
    vrrp_interface: null,
    vrrp_id: null,
    vrrp_priority: null,
    cached_zone: null,
    image_id: null,
    compute_flavor: null,
    built_for: null,
    config_due: false,
    haproxy_changes: null,
    created_at: timestamp(nowMs),
    updated_at: null,
    ...owner,
  };
}

/** Its row, written before anything of it exists. */
export async function insertAmphora(
  db: Db,
  lease: Lease,
  seat: { role: AmphoraRole; built_for: string | null },
  nowMs: number,
): Promise<Amphora> {
  const amphora = newAmphora({ loadbalancer_id: lease.loadbalancer_id, ...seat }, nowMs);
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
  await fenced(db, lease, async trx => {
    if (set.status === 'ALLOCATED') await ensureWatched(trx, id, nowMs);
    let update = trx
      .updateTable('amphora')
      .set({ ...encodeRow('amphora', set), updated_at: timestamp(nowMs) })
      .where('id', '=', id);
    // A spare that a load balancer has taken meanwhile is that one's to write.
    if (lease.loadbalancer_id === UNOWNED_ID) update = update.where('loadbalancer_id', 'is', null);
    // A mark that was set meanwhile stays, for the next pass.
    if (set.status && !isMarked(set.status))
      update = update.where('status', 'not in', ['ERROR', 'PENDING_DELETE']);
    await update.execute();
  });
}

/** Its agent has answered, which is a sign of life: from now on it may fall silent, even if it never reports. */
async function ensureWatched(trx: Trx, amphora_id: string, nowMs: number): Promise<void> {
  const known = trx.selectFrom('amphora_health').select('busy').where('amphora_id', '=', amphora_id);
  if (await known.executeTakeFirst()) return;
  await trx.insertInto('amphora_health').values({ amphora_id, last_update_ms: nowMs, busy: 0 }).execute();
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

/** Health managers watch these, and they may be replaced. */
export const IN_SERVICE: readonly AmphoraStatus[] = ['ALLOCATED', 'FAILOVER_STOPPED'];

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

/**
 * Has the worker give the agent its configuration file again, or a new certificate; no status changes.
 * Source: contract api.md 4.1, controller.md 6.
 */
export async function markAmphoraDue(
  db: Db,
  loadBalancerId: string,
  id: string,
  what: 'config_due' | 'cert_busy',
): Promise<void> {
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
    await trx
      .updateTable('amphora')
      .set({ [what]: 1 })
      .where('id', '=', id)
      .execute();
  });
}
