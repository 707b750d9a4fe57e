/** What heartbeats change: liveness, operating statuses, counters; and which amphorae fell silent. */
import { sql } from 'kysely';
import { timestamp } from '../lib/clock.ts';
import type {
  HealthChanges,
  OperatingStatusChange,
  StatisticsChange,
  StatusGraph,
  WatchedAmphora,
} from '../model/health.ts';
import { markAmphoraFailed } from './amphorae.ts';
import { decodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';

type Decide = (watched: ReadonlyMap<string, WatchedAmphora>) => HealthChanges;

/** The health manager's view of a database, as `health-manager/health-store.ts` promises it. */
export class DatabaseHealth {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  /** One transaction, and as many queries whether one amphora reported or a thousand. */
  async update(amphoraIds: readonly string[], nowMs: number, decide: Decide): Promise<string[]> {
    return this.#db.transaction().execute(async trx => {
      const watched = await loadWatched(trx, amphoraIds);
      const changes = decide(watched);
      await writeAlive(trx, [...changes.alive], nowMs);
      await writeStatuses(trx, changes.statuses, nowMs);
      for (const change of changes.statistics) await writeStatistics(trx, change);
      const released = [...changes.release].flatMap(id => watched.get(id) ?? []);
      return markReleased(trx, released, nowMs);
    });
  }

  async resumeFailover(cutoffMs: number, nowMs: number): Promise<string[]> {
    return this.#db.transaction().execute(async trx => {
      const rows = await trx
        .selectFrom('amphora_health as h')
        .innerJoin('amphora as a', 'a.id', 'h.amphora_id')
        .select('a.id')
        .where('a.status', '=', 'FAILOVER_STOPPED')
        .where('h.busy', '=', 0)
        .where('h.last_update_ms', '>=', cutoffMs)
        .execute();
      const ids = rows.map(row => row.id);
      await setAmphoraStatus(trx, ids, 'FAILOVER_STOPPED', 'ALLOCATED', nowMs);
      return ids;
    });
  }

  async listOverdue(cutoffMs: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('amphora_health as h')
      .innerJoin('amphora as a', 'a.id', 'h.amphora_id')
      .select('a.id')
      .where('a.status', 'in', ['ALLOCATED', 'FAILOVER_STOPPED'])
      .where('h.busy', '=', 0)
      .where('h.last_update_ms', '<', cutoffMs)
      .orderBy('h.last_update_ms')
      .orderBy('a.id')
      .execute();
    return rows.map(row => row.id);
  }

  async stopFailover(amphoraIds: readonly string[], nowMs: number): Promise<void> {
    await setAmphoraStatus(this.#db, amphoraIds, 'ALLOCATED', 'FAILOVER_STOPPED', nowMs);
  }

  async markFailed(amphoraId: string, nowMs: number): Promise<string | undefined> {
    return markAmphoraFailed(this.#db, amphoraId, nowMs);
  }
}

async function loadWatched(trx: Trx, amphoraIds: readonly string[]): Promise<Map<string, WatchedAmphora>> {
  const amphorae = await trx
    .selectFrom('amphora')
    .select(['id', 'status', 'loadbalancer_id', 'updated_at'])
    .where('id', 'in', amphoraIds)
    .execute();
  const serving = amphorae.filter(a => a.status !== 'DELETED');
  const graphs = await loadStatusGraphs(trx, [...new Set(serving.flatMap(a => a.loadbalancer_id ?? []))]);
  const statistics = await trx
    .selectFrom('listener_statistics')
    .selectAll()
    .where('amphora_id', 'in', amphoraIds)
    .execute();
  const watched = new Map<string, WatchedAmphora>();
  for (const amphora of amphorae) {
    const graph = amphora.status === 'DELETED' ? undefined : graphs.get(amphora.loadbalancer_id ?? '');
    watched.set(amphora.id, { ...amphora, graph, statistics: new Map() });
  }
  for (const { listener_id, amphora_id, ...row } of statistics) {
    watched.get(amphora_id)?.statistics.set(listener_id, {
      bytes_in: Number(row.bytes_in),
      bytes_out: Number(row.bytes_out),
      active_connections: Number(row.active_connections),
      total_connections: Number(row.total_connections),
      request_errors: Number(row.request_errors),
    });
  }
  return watched;
}

/** Load balancers that exist, with the few columns that statuses follow from. */
async function loadStatusGraphs(trx: Trx, ids: string[]): Promise<Map<string, StatusGraph>> {
  const graphs = new Map<string, StatusGraph>();
  if (ids.length === 0) return graphs;
  const lbs = await trx
    .selectFrom('load_balancer')
    .select([
      'id',
      'admin_state_up',
      'provisioning_status',
      'operating_status',
      'generation',
      'settled_generation',
    ])
    .where('id', 'in', ids)
    .where('provisioning_status', '<>', 'DELETED')
    .execute();
  for (const lb of lbs) {
    const load_balancer = decodeRow('load_balancer', lb as never);
    load_balancer.generation = Number(lb.generation);
    load_balancer.settled_generation = Number(lb.settled_generation);
    graphs.set(lb.id, { load_balancer, listeners: [], pools: [], members: [] });
  }
  const listeners = await trx
    .selectFrom('listener')
    .select(['id', 'loadbalancer_id', 'protocol', 'admin_state_up', 'default_pool_id', 'operating_status'])
    .where('loadbalancer_id', 'in', ids)
    .execute();
  for (const row of listeners) {
    graphs.get(row.loadbalancer_id)?.listeners.push(decodeRow('listener', row as never));
  }
  const pools = await trx
    .selectFrom('pool')
    .select(['id', 'loadbalancer_id', 'operating_status'])
    .where('loadbalancer_id', 'in', ids)
    .execute();
  for (const row of pools) graphs.get(row.loadbalancer_id)?.pools.push(row);
  const members = await trx
    .selectFrom('member')
    .select(['id', 'loadbalancer_id', 'pool_id', 'admin_state_up', 'operating_status'])
    .where('loadbalancer_id', 'in', ids)
    .execute();
  for (const row of members) {
    graphs.get(row.loadbalancer_id)?.members.push(decodeRow('member', row as never));
  }
  return graphs;
}

/** The first sign of life makes the row: until then an amphora cannot fall silent. Source: contract heartbeat.md 6. */
async function writeAlive(trx: Trx, ids: string[], nowMs: number): Promise<void> {
  if (ids.length === 0) return;
  await trx
    .updateTable('amphora_health')
    .set({ last_update_ms: nowMs })
    .where('amphora_id', 'in', ids)
    .execute();
  const known = await trx
    .selectFrom('amphora_health')
    .select('amphora_id')
    .where('amphora_id', 'in', ids)
    .execute();
  const present = new Set(known.map(row => row.amphora_id));
  const fresh = ids.filter(id => !present.has(id));
  if (fresh.length === 0) return;
  await trx
    .insertInto('amphora_health')
    .values(fresh.map(amphora_id => ({ amphora_id, last_update_ms: nowMs, busy: 0 })))
    .execute();
}

/** One statement for each table and status. */
async function writeStatuses(
  trx: Trx,
  changes: readonly OperatingStatusChange[],
  nowMs: number,
): Promise<void> {
  const groups = Map.groupBy(changes, c => `${c.kind} ${c.operating_status}`);
  for (const group of groups.values()) {
    const { kind, operating_status } = group[0]!;
    await trx
      .updateTable(kind as 'listener')
      .set({ operating_status, updated_at: timestamp(nowMs) })
      .where(
        'id',
        'in',
        group.map(c => c.id),
      )
      .execute();
  }
}

/** Added in SQL, so that no counter is lost to another writer. */
async function writeStatistics(trx: Trx, { how, ...change }: StatisticsChange): Promise<void> {
  const { listener_id, amphora_id, active_connections } = change;
  const sums = {
    bytes_in: sql<number>`bytes_in + ${change.bytes_in}`,
    bytes_out: sql<number>`bytes_out + ${change.bytes_out}`,
    total_connections: sql<number>`total_connections + ${change.total_connections}`,
    request_errors: sql<number>`request_errors + ${change.request_errors}`,
    active_connections,
  };
  const { numUpdatedRows } = await trx
    .updateTable('listener_statistics')
    .set(how === 'add' ? sums : change)
    .where('listener_id', '=', listener_id)
    .where('amphora_id', '=', amphora_id)
    .executeTakeFirstOrThrow();
  if (Number(numUpdatedRows) === 0) await trx.insertInto('listener_statistics').values(change).execute();
}

/** Amphorae that should be gone are released once more, by the reconciler of the load balancer they belonged to. */
async function markReleased(trx: Trx, amphorae: readonly WatchedAmphora[], nowMs: number): Promise<string[]> {
  if (amphorae.length === 0) return [];
  const owners = await trx
    .selectFrom('load_balancer')
    .select('id')
    .where(
      'id',
      'in',
      amphorae.flatMap(a => a.loadbalancer_id ?? []),
    )
    .where('provisioning_status', '<>', 'DELETED')
    .execute();
  const alive = new Set(owners.map(row => row.id));
  const marked = amphorae.filter(a => alive.has(a.loadbalancer_id ?? ''));
  await setAmphoraStatus(
    trx,
    marked.map(a => a.id),
    'DELETED',
    'PENDING_DELETE',
    nowMs,
  );
  return [...new Set(marked.flatMap(a => a.loadbalancer_id ?? []))];
}

async function setAmphoraStatus(
  db: Db | Trx,
  ids: readonly string[],
  from: WatchedAmphora['status'],
  to: WatchedAmphora['status'],
  nowMs: number,
): Promise<void> {
  if (ids.length === 0) return;
  await db
    .updateTable('amphora')
    .set({ status: to, updated_at: timestamp(nowMs) })
    .where('id', 'in', ids)
    .where('status', '=', from)
    .execute();
}
