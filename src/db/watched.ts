/** What heartbeats are held against: amphorae with the graphs and counters of their load balancers, kept from one batch to the next. */
import type { StatusGraph, WatchedAmphora } from '../model/health.ts';
import { chunks } from './children.ts';
import { decodeRow } from './rows.ts';
import type { Trx } from './schema.ts';

/** What other processes wrote without a new generation is seen after this time at the latest. */
const KEPT_MS = 30_000;

interface Kept<T> {
  value: T;
  untilMs: number;
}

type Statistics = WatchedAmphora['statistics'];

/** Whoever gets a graph may note in it what he writes. Not for two transactions at once. */
export class WatchedAmphorae {
  readonly #graphs = new Map<string, Kept<StatusGraph>>();
  readonly #statistics = new Map<string, Kept<Statistics>>();
  #sweptMs = 0;

  clear(): void {
    this.#graphs.clear();
    this.#statistics.clear();
  }

  /** Those that have a row; read anew are the few columns that tell whether the rest is as it was. */
  async load(trx: Trx, ids: readonly string[], nowMs: number): Promise<Map<string, WatchedAmphora>> {
    this.#sweep(nowMs);
    const watched = new Map<string, WatchedAmphora>();
    for (const part of chunks(ids)) {
      const rows = await loadHeads(trx, part);
      await this.#loadGraphs(trx, rows, nowMs);
      await this.#loadStatistics(trx, rows, nowMs);
      for (const { id, status, loadbalancer_id, updated_at, doubt } of rows) {
        const graph = status === 'DELETED' ? undefined : this.#graphs.get(loadbalancer_id ?? '')?.value;
        const statistics = this.#statistics.get(id)!.value;
        watched.set(id, {
          id,
          status,
          loadbalancer_id,
          updated_at,
          doubted: doubt !== null,
          graph,
          statistics,
        });
      }
    }
    return watched;
  }

  async #loadGraphs(trx: Trx, rows: Awaited<ReturnType<typeof loadHeads>>, nowMs: number): Promise<void> {
    const stale = new Set<string>();
    for (const row of rows) {
      const id = row.loadbalancer_id;
      if (id === null || row.status === 'DELETED') continue;
      const kept = this.#graphs.get(id)?.value.load_balancer;
      if (row.generation === null || row.provisioning_status === 'DELETED') this.#graphs.delete(id);
      else if (!kept || !isSame(row as Head, kept)) stale.add(id);
    }
    if (stale.size === 0) return;
    for (const graph of await loadStatusGraphs(trx, [...stale]))
      this.#graphs.set(graph.load_balancer.id, { value: graph, untilMs: untilMs(nowMs) });
  }

  async #loadStatistics(trx: Trx, rows: { id: string }[], nowMs: number): Promise<void> {
    const ids = rows.flatMap(({ id }) => (this.#statistics.has(id) ? [] : [id]));
    if (ids.length === 0) return;
    for (const id of ids) this.#statistics.set(id, { value: new Map(), untilMs: untilMs(nowMs) });
    const counted = await trx
      .selectFrom('listener_statistics')
      .selectAll()
      .where('amphora_id', 'in', ids)
      .execute();
    for (const { listener_id, amphora_id, ...row } of counted) {
      this.#statistics.get(amphora_id)!.value.set(listener_id, {
        bytes_in: Number(row.bytes_in),
        bytes_out: Number(row.bytes_out),
        active_connections: Number(row.active_connections),
        total_connections: Number(row.total_connections),
        request_errors: Number(row.request_errors),
      });
    }
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < 1000) return;
    this.#sweptMs = nowMs;
    for (const kept of [this.#graphs, this.#statistics])
      for (const [id, { untilMs }] of kept) if (nowMs >= untilMs) kept.delete(id);
  }
}

/** Spread, so that what was read together is not read together again. */
const untilMs = (nowMs: number): number => nowMs + KEPT_MS * (0.5 + Math.random() / 2);

const HEAD = [
  'admin_state_up',
  'provisioning_status',
  'operating_status',
  'generation',
  'settled_generation',
] as const satisfies (keyof StatusGraph['load_balancer'])[];
type Head = Record<(typeof HEAD)[number], string | number | boolean>;

const isSame = (a: Head, b: Head): boolean =>
  // Booleans are numbers in rows, and large integers text on some databases.
  HEAD.every(column => a[column] === b[column] || Number(a[column]) === Number(b[column]));

function loadHeads(trx: Trx, ids: readonly string[]) {
  return trx
    .selectFrom('amphora as a')
    .leftJoin('load_balancer as l', 'l.id', 'a.loadbalancer_id')
    .leftJoin('amphora_doubt as d', join =>
      join.onRef('d.amphora_id', '=', 'a.id').on('d.verdict', 'is', null),
    )
    .select(['a.id', 'a.status', 'a.loadbalancer_id', 'a.updated_at', 'd.amphora_id as doubt'])
    .select(HEAD.map(column => `l.${column}` as const))
    .where('a.id', 'in', ids)
    .execute();
}

/** Load balancers that exist, with the few columns that statuses follow from. */
async function loadStatusGraphs(trx: Trx, ids: string[]): Promise<Iterable<StatusGraph>> {
  const graphs = new Map<string, StatusGraph>();
  const lbs = await trx
    .selectFrom('load_balancer')
    .select(['id', ...HEAD])
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
  for (const row of listeners)
    graphs.get(row.loadbalancer_id)?.listeners.push(decodeRow('listener', row as never));
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
  for (const row of members) graphs.get(row.loadbalancer_id)?.members.push(decodeRow('member', row as never));
  return graphs.values();
}
