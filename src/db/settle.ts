/** The ends of a pass: the only place that takes rows out of `PENDING_*`, and that returns the lease. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { timestamp } from '../lib/clock.ts';
import type { HaproxyChanges } from '../model/amphora.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import type { OperatingStatus, ProvisioningStatus } from '../model/status.ts';
import { CHILD_TABLES, type ChildTable } from './children.ts';
import { announce } from './events.ts';
import { LIST_OF } from './graph.ts';
import { fenced, type Lease } from './lease.ts';
import { closeGaps } from './positions.ts';
import { encodeRow } from './rows.ts';
import type { Db, PassRow, Trx } from './schema.ts';

/** What is written about a pass besides the statuses. */
export interface PassRecord extends Pick<PassRow, 'worker' | 'started_at_ms' | 'duration_ms' | 'steps'> {
  /** What haproxy went through so far, of the amphorae where it went through anything, by their ids. */
  haproxy_changes?: ReadonlyMap<string, HaproxyChanges>;
}

/** What a fault is about; ids are unique among all kinds. */
interface ResourceIds {
  resource_id: string;
}

/** Passes kept per load balancer; older ones are dropped with each new one. */
const PASSES_KEPT = 50;

/**
 * The world equals the graph: rows stamped up to its generation become ACTIVE, or go if they were PENDING_DELETE.
 * Rows written meanwhile stay pending, and so does the load balancer. Returns whether more work is owed.
 *
 * With faults, what has one becomes ERROR, and all else is settled. The load balancer is ACTIVE, because a fault of a child is none of
 * its own (contract statuses.md 3), and goes on owing work: its generation does not count as settled until nothing has a fault.
 */
export async function settleDone(
  db: Db,
  lease: Lease,
  graph: LoadBalancerGraph,
  record: PassRecord,
  nowMs: number,
  faulty?: { faults: readonly ResourceIds[]; failure: Failure },
): Promise<boolean> {
  const { id, generation } = graph.load_balancer;
  return fenced(db, lease, async trx => {
    await removeDeletedChildren(trx, graph);
    const atFault = faulty?.faults.map(fault => fault.resource_id) ?? [];
    const isNot = ['PENDING_CREATE', 'PENDING_UPDATE', 'ERROR'] as const;
    await setChildren(trx, graph, { from: isNot, to: 'ACTIVE', nowMs, except: atFault });
    const wasServed = ['PENDING_CREATE', 'PENDING_UPDATE', 'ACTIVE'] as const;
    await setChildren(trx, graph, { from: wasServed, to: 'ERROR', nowMs, only: atFault });
    await settleOperatingStatuses(trx, graph);
    // A pending deletion is never overwritten: the user asked for it while this pass was under way.
    await trx
      .updateTable('load_balancer')
      .set({
        settled_generation: faulty ? generation - 1 : generation,
        error_reason: faulty?.failure.reason ?? null,
        updated_at: timestamp(nowMs),
      })
      .where('id', '=', id)
      .execute();
    await trx
      .updateTable('load_balancer')
      .set({ provisioning_status: 'ACTIVE' })
      .where('id', '=', id)
      .where('generation', '=', generation)
      .where('provisioning_status', 'in', ['PENDING_CREATE', 'PENDING_UPDATE', 'ERROR'])
      .execute();
    // Created and settled once, it is an update that is pending now.
    await trx
      .updateTable('load_balancer')
      .set({ provisioning_status: 'PENDING_UPDATE' })
      .where('id', '=', id)
      .where('generation', '>', generation)
      .where('provisioning_status', '=', 'PENDING_CREATE')
      .execute();
    if (faulty) await endFailedLease(trx, lease, generation, faulty.failure);
    else await endLease(trx, lease, { attempts: 0, failing_since_ms: null, retry_at_ms: 0 });
    await insertPass(trx, graph, record, faulty ? 'failed' : 'done', faulty?.failure.reason ?? null);
    await announce(trx, id, nowMs);
    return owed(trx, id);
  });
}

/** All of the load balancer is gone from the world: its children's rows go, its own stays as DELETED for a while. */
export async function settleRemoved(
  db: Db,
  lease: Lease,
  graph: LoadBalancerGraph,
  record: PassRecord,
  nowMs: number,
): Promise<void> {
  const { id, generation } = graph.load_balancer;
  await fenced(db, lease, async trx => {
    const listeners = trx.selectFrom('listener').select('id').where('loadbalancer_id', '=', id);
    await trx.deleteFrom('listener_statistics').where('listener_id', 'in', listeners).execute();
    for (const table of CHILD_TABLES) {
      await trx
        .deleteFrom(table as 'listener')
        .where('loadbalancer_id', '=', id)
        .execute();
    }
    await trx
      .updateTable('load_balancer')
      .set({
        provisioning_status: 'DELETED',
        operating_status: 'OFFLINE',
        settled_generation: generation,
        error_reason: null,
        updated_at: timestamp(nowMs),
      })
      .where('id', '=', id)
      .execute();
    await trx.deleteFrom('vrrp_group').where('loadbalancer_id', '=', id).execute();
    await trx.deleteFrom('lease').where('loadbalancer_id', '=', id).execute();
    await insertPass(trx, graph, record, 'removed', null);
    await announce(trx, id, nowMs);
  });
}

export interface Failure {
  reason: string;
  /** The user's patience is used up, or trying again cannot help: show ERROR. It is tried again all the same. */
  show: boolean;
  retryAtMs: number;
  attempts: number;
  failingSinceMs: number;
}

/** The pass failed: the reason is kept and shown, and the time of the next try is set. Deletions stay pending. */
export async function settleFailed(
  db: Db,
  lease: Lease,
  graph: LoadBalancerGraph,
  record: PassRecord,
  failure: Failure,
  nowMs: number,
): Promise<void> {
  const { id, generation } = graph.load_balancer;
  await fenced(db, lease, async trx => {
    await trx
      .updateTable('load_balancer')
      .set({ error_reason: failure.reason })
      .where('id', '=', id)
      .execute();
    if (failure.show) {
      await setChildren(trx, graph, { from: ['PENDING_CREATE', 'PENDING_UPDATE'], to: 'ERROR', nowMs });
      await trx
        .updateTable('load_balancer')
        .set({ provisioning_status: 'ERROR', updated_at: timestamp(nowMs) })
        .where('id', '=', id)
        .where('generation', '=', generation)
        .where('provisioning_status', 'in', ['PENDING_CREATE', 'PENDING_UPDATE'])
        .execute();
    }
    await endFailedLease(trx, lease, generation, failure);
    await insertPass(trx, graph, record, 'failed', failure.reason);
    await announce(trx, id, nowMs);
  });
}

/** Nothing failed, but something takes its time: look again later. */
export async function settleWaiting(
  db: Db,
  lease: Lease,
  graph: LoadBalancerGraph,
  record: PassRecord,
  waiting: { reason: string; retryAtMs: number },
): Promise<void> {
  await fenced(db, lease, async trx => {
    await endLease(trx, lease, { retry_at_ms: waiting.retryAtMs });
    await insertPass(trx, graph, record, 'waiting', waiting.reason);
  });
}

/** Children that the pass has read: what was written since is left alone. */
async function setChildren(
  trx: Trx,
  graph: LoadBalancerGraph,
  { from, to, nowMs, only, except = [] }: ChildStatuses,
): Promise<void> {
  if (only?.length === 0) return;
  for (const table of CHILD_TABLES) {
    let update = trx
      .updateTable(table as 'listener')
      .set({ provisioning_status: to, updated_at: timestamp(nowMs) })
      .where('loadbalancer_id', '=', graph.load_balancer.id)
      .where('generation', '<=', graph.load_balancer.generation)
      .where('provisioning_status', 'in', from);
    if (only) update = update.where('id', 'in', only);
    if (except.length > 0) update = update.where('id', 'not in', except);
    await update.execute();
  }
}

interface ChildStatuses {
  from: readonly ProvisioningStatus[];
  to: ProvisioningStatus;
  nowMs: number;
  /** Ids. */
  only?: readonly string[];
  except?: readonly string[];
}

/** It is tried again after a while, or at once when a write came meanwhile. */
async function endFailedLease(
  trx: Trx,
  lease: Lease,
  generation: number,
  { attempts, failingSinceMs, retryAtMs }: Failure,
): Promise<void> {
  const newer = await trx
    .selectFrom('load_balancer')
    .select('id')
    .where('id', '=', lease.loadbalancer_id)
    .where('generation', '>', generation)
    .executeTakeFirst();
  const retry_at_ms = newer ? 0 : retryAtMs;
  await endLease(trx, lease, { attempts, failing_since_ms: failingSinceMs, retry_at_ms });
}

async function endLease(
  trx: Trx,
  lease: Lease,
  set: { attempts?: number; failing_since_ms?: number | null; retry_at_ms: number },
): Promise<void> {
  await trx
    .updateTable('lease')
    .set({ owner: null, expires_at_ms: 0, ...set })
    .where('loadbalancer_id', '=', lease.loadbalancer_id)
    .execute();
}

async function removeDeletedChildren(trx: Trx, graph: LoadBalancerGraph): Promise<void> {
  const { id, generation } = graph.load_balancer;
  const deleted = (table: 'listener' | 'health_monitor') =>
    trx
      .selectFrom(table as 'health_monitor')
      .where('loadbalancer_id', '=', id)
      .where('provisioning_status', '=', 'PENDING_DELETE')
      .where('generation', '<=', generation);
  // No statement for nothing: in a small table MariaDB looks at every row, and waits for those of others.
  const hasDeleted = (table: ChildTable) =>
    graph[LIST_OF[table]].some(row => row.provisioning_status === 'PENDING_DELETE');
  // Deleting a monitor leaves its pool's members without one. Source: contract statuses.md 7.
  if (hasDeleted('health_monitor'))
    await trx
      .updateTable('member')
      .set({ operating_status: 'NO_MONITOR' })
      .where('pool_id', 'in', deleted('health_monitor').select('pool_id'))
      .execute();
  if (hasDeleted('listener'))
    await trx
      .deleteFrom('listener_statistics')
      .where('listener_id', 'in', deleted('listener').select('id'))
      .execute();
  for (const table of CHILD_TABLES.filter(hasDeleted)) {
    await trx
      .deleteFrom(table as 'listener')
      .where('loadbalancer_id', '=', id)
      .where('provisioning_status', '=', 'PENDING_DELETE')
      .where('generation', '<=', generation)
      .execute();
  }
  // Others keep their places until then. Source: contract api.md 10.4.
  if (hasDeleted('l7policy')) await closeGaps(trx, id);
}

/** That of monitors, policies and rules follows their switch, not the heartbeats. Source: contract statuses.md 7, 8. */
async function settleOperatingStatuses(trx: Trx, graph: LoadBalancerGraph): Promise<void> {
  const { id, generation } = graph.load_balancer;
  for (const table of ['health_monitor', 'l7policy', 'l7rule'] as const) {
    if (graph[LIST_OF[table]].length === 0) continue;
    const status = sql<OperatingStatus>`case when admin_state_up = 1 then 'ONLINE' else 'OFFLINE' end`;
    await trx
      .updateTable(table as 'health_monitor')
      .set({ operating_status: status })
      .where('loadbalancer_id', '=', id)
      .where('generation', '<=', generation)
      .where('operating_status', '<>', status)
      .execute();
  }
}

async function owed(trx: Trx, id: string): Promise<boolean> {
  const row = await trx
    .selectFrom('load_balancer')
    .select('id')
    .where('id', '=', id)
    .whereRef('generation', '>', 'settled_generation')
    .executeTakeFirst();
  return row !== undefined;
}

async function insertPass(
  trx: Trx,
  graph: LoadBalancerGraph,
  { haproxy_changes = new Map(), ...record }: PassRecord,
  outcome: PassRow['outcome'],
  reason: string | null,
): Promise<void> {
  const { id, generation } = graph.load_balancer;
  await trx
    .insertInto('pass')
    .values({ id: randomUUID(), loadbalancer_id: id, generation, outcome, reason, ...record })
    .execute();
  for (const [amphoraId, changes] of haproxy_changes) {
    const set = encodeRow('amphora', { haproxy_changes: changes });
    await trx.updateTable('amphora').set(set).where('id', '=', amphoraId).execute();
  }
  const old = await trx
    .selectFrom('pass')
    .select('id')
    .where('loadbalancer_id', '=', id)
    .orderBy('started_at_ms', 'desc')
    .offset(PASSES_KEPT)
    .limit(PASSES_KEPT)
    .execute();
  if (old.length > 0) {
    await trx
      .deleteFrom('pass')
      .where(
        'id',
        'in',
        old.map(p => p.id),
      )
      .execute();
  }
}
