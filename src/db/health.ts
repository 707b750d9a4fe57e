/** What heartbeats change: liveness, operating statuses, counters; and which amphorae fell silent. */
import { timestamp } from '../lib/clock.ts';
import type {
  DoubtTimes,
  HealthChanges,
  OperatingStatusChange,
  Silence,
  StatusGraph,
  WatchedAmphora,
} from '../model/health.ts';
import { chunks } from './children.ts';
import { CounterRows } from './counters.ts';
import { clearDoubts, listSilence, markDoubted } from './doubts.ts';
import { announce } from './events.ts';
import { lockLease } from './lease.ts';
import type { Db, Trx } from './schema.ts';
import { WatchedAmphorae } from './watched.ts';

type Decide = (watched: ReadonlyMap<string, WatchedAmphora>) => HealthChanges;

/** The health manager's view of a database, as `health-manager/health-store.ts` promises it. */
export class DatabaseHealth {
  readonly #db: Db;
  readonly #watched = new WatchedAmphorae();
  readonly #counters = new CounterRows();

  constructor(db: Db) {
    this.#db = db;
  }

  /** One transaction, and as many queries whether one amphora reported or hundreds. */
  async update(amphoraIds: readonly string[], nowMs: number, decide: Decide): Promise<string[]> {
    try {
      return await this.#db.transaction().execute(async trx => {
        const watched = await this.#watched.load(trx, amphoraIds, nowMs);
        const changes = decide(watched);
        const released = [...changes.release].flatMap(id => watched.get(id) ?? []);
        const changed = changedLoadBalancers(watched, changes.statuses);
        await lockLeases(trx, [...changed, ...released.flatMap(a => a.loadbalancer_id ?? [])]);
        await writeStatuses(trx, changes.statuses, nowMs);
        const owing = await markReleased(trx, released, nowMs);
        await writeAlive(trx, [...changes.alive], nowMs);
        await this.#counters.write(trx, changes.statistics);
        for (const id of changed) await announce(trx, id, nowMs);
        return owing;
      });
    } catch (error) {
      // What was decided was noted in it, and not written.
      this.#watched.clear();
      throw error;
    }
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

  async lookForSilence(cutoffMs: number, recentMs: number): Promise<Silence> {
    return listSilence(this.#db, cutoffMs, recentMs);
  }

  async stopFailover(amphoraIds: readonly string[], nowMs: number): Promise<void> {
    await setAmphoraStatus(this.#db, amphoraIds, 'ALLOCATED', 'FAILOVER_STOPPED', nowMs);
  }

  async markDoubted(amphoraId: string, times: DoubtTimes): Promise<string | undefined> {
    return markDoubted(this.#db, amphoraId, times);
  }

  async clearDoubts(cutoffMs: number, recentMs: number): Promise<void> {
    return clearDoubts(this.#db, cutoffMs, recentMs);
  }
}

/** In the order of their ids, so that two batches do not wait for each other. */
function changedLoadBalancers(
  watched: ReadonlyMap<string, WatchedAmphora>,
  changes: readonly OperatingStatusChange[],
): string[] {
  if (changes.length === 0) return [];
  const changed = new Set(changes.map(({ id }) => id));
  const graphs = new Set([...watched.values()].flatMap(({ graph }) => graph ?? []));
  const isChanged = ({ load_balancer, listeners, pools, members }: StatusGraph) =>
    [load_balancer, ...listeners, ...pools, ...members].some(({ id }) => changed.has(id));
  return [...graphs]
    .filter(isChanged)
    .map(graph => graph.load_balancer.id)
    .sort();
}

/** As the worker and the API do before they touch anything else of a load balancer, so that none of them deadlock. */
async function lockLeases(trx: Trx, loadBalancerIds: readonly string[]): Promise<void> {
  for (const id of [...new Set(loadBalancerIds)].sort()) await lockLease(trx, id);
}

/** The first sign of life makes the row: until then an amphora cannot fall silent. Source: contract heartbeat.md 6. */
async function writeAlive(trx: Trx, alive: string[], nowMs: number): Promise<void> {
  for (const ids of chunks(alive.sort())) {
    const { numUpdatedRows } = await trx
      .updateTable('amphora_health')
      .set({ last_update_ms: nowMs })
      .where('amphora_id', 'in', ids)
      .executeTakeFirstOrThrow();
    if (Number(numUpdatedRows) === ids.length) continue;
    const known = await trx
      .selectFrom('amphora_health')
      .select('amphora_id')
      .where('amphora_id', 'in', ids)
      .execute();
    const present = new Set(known.map(row => row.amphora_id));
    const fresh = ids.filter(id => !present.has(id));
    if (fresh.length === 0) continue;
    await trx
      .insertInto('amphora_health')
      .values(fresh.map(amphora_id => ({ amphora_id, last_update_ms: nowMs, busy: 0 })))
      .execute();
  }
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
