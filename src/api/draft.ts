/** One write while it is being thought out: rules change the graph in memory, then the rows that differ are written. */
import { randomUUID } from 'node:crypto';
import { type Change, changeLoadBalancer } from '../db/change.ts';
import {
  CHILD_TABLES,
  type ChildTable,
  insertRecords,
  type ResourceTable,
  updateRecords,
} from '../db/children.ts';
import { LIST_OF, loadGraphIn } from '../db/graph.ts';
import { shiftPositions } from '../db/positions.ts';
import { findMetQuota, type Growth, type QuotaDefaults, withQuotaRow } from '../db/quotas.ts';
import type { RecordOf } from '../db/rows.ts';
import type { Db, Trx } from '../db/schema.ts';
import { findCanonicalAddress, type IpVersion, versionOf } from '../lib/addresses.ts';
import { Fault } from '../lib/errors.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import type { L7Policy } from '../model/l7.ts';
import type { LoadBalancer, Resource } from '../model/load-balancer.ts';
import { isStaying, type ProvisioningStatus } from '../model/status.ts';

export const TITLES: Record<ResourceTable, string> = {
  load_balancer: 'Load Balancer',
  listener: 'Listener',
  pool: 'Pool',
  member: 'Member',
  health_monitor: 'Health Monitor',
  l7policy: 'L7 Policy',
  l7rule: 'L7 Rule',
};

export function notFound(table: ResourceTable, id: string): Fault {
  return new Fault('not-found', `${TITLES[table]} ${id.slice(0, 80).toWellFormed()} not found.`);
}

export function immutable(table: ResourceTable, record: Resource): Fault {
  return new Fault(
    'conflict',
    `${TITLES[table]} ${record.id} is immutable and cannot be updated: it is ${record.provisioning_status}.`,
  );
}

interface Written {
  table: ResourceTable;
  set: Record<string, unknown>;
}

export class Draft {
  readonly graph: LoadBalancerGraph;
  /** What every row that is touched is stamped with. */
  readonly generation: number;
  /** Naive UTC. */
  readonly now: string;
  /** Octavia's rule: what is not ACTIVE cannot be a parent. */
  readonly strict: boolean;
  /** The IP versions of the VIPs, as far as they are known. */
  readonly vipVersions: ReadonlySet<IpVersion>;
  readonly #inserted = new Map<Resource, ChildTable>();
  #created = 0;
  readonly #written = new Map<Resource, Written>();
  readonly #shifts = new Map<string, number>();

  constructor(
    graph: LoadBalancerGraph,
    options: { now: string; strict?: boolean; vipVersions?: ReadonlySet<IpVersion> },
  ) {
    this.graph = graph;
    this.generation = graph.load_balancer.generation;
    this.now = options.now;
    this.strict = options.strict ?? false;
    this.vipVersions = options.vipVersions ?? versionsOf(graph.load_balancer);
  }

  /** What every new record begins with. */
  newRecord(body: Record<string, unknown>): Resource & { loadbalancer_id: string } {
    const { id, project_id } = this.graph.load_balancer;
    return {
      id: randomUUID(),
      loadbalancer_id: id,
      project_id,
      name: (body.name as string | null) ?? '',
      admin_state_up: (body.admin_state_up as boolean | null) ?? true,
      provisioning_status: 'PENDING_CREATE',
      operating_status: 'OFFLINE',
      tags: (body.tags as string[] | null) ?? [],
      created_at: this.#nextTime(),
      updated_at: null,
      generation: this.generation,
    };
  }

  get isUnchanged(): boolean {
    return this.#inserted.size === 0 && this.#written.size === 0;
  }

  /** By table, how many more rows there will be: the new ones without those that are to go. */
  growth(): Map<string, number> {
    const growth = new Map<string, number>();
    const add = (table: string, n: number) => growth.set(table, (growth.get(table) ?? 0) + n);
    for (const table of this.#inserted.values()) add(table, 1);
    for (const { table, set } of this.#written.values())
      if (set.provisioning_status === 'PENDING_DELETE') add(table, -1);
    return growth;
  }

  /** Throws `not-found`. */
  get<T extends ChildTable>(table: T, id: string): RecordOf<T> {
    const record = this.#list(table).find(r => r.id === id);
    if (!record) throw notFound(table, id);
    return record;
  }

  /** The record, if it may be changed: not on its way out. */
  getMutable<T extends ChildTable>(table: T, id: string): RecordOf<T> {
    const record = this.get(table, id);
    if (!isStaying(record)) throw immutable(table, record);
    return record;
  }

  /** The record, if something may be put under it. Source: contract api.md 4.1. */
  getParent<T extends ChildTable>(table: T, id: string): RecordOf<T> {
    const record = this.getMutable(table, id);
    if (this.strict && record.provisioning_status !== 'ACTIVE') throw immutable(table, record);
    return record;
  }

  /** Those that are not on their way out: only they count when something must be unique. */
  staying<T extends ChildTable>(table: T): RecordOf<T>[] {
    return this.#list(table).filter(isStaying);
  }

  insert<T extends ChildTable>(table: T, record: RecordOf<T>): RecordOf<T> {
    this.#list(table).push(record);
    this.#inserted.set(record, table);
    return record;
  }

  /** Changes fields and owes the worker's attention; a creation that is pending stays one, a deletion is left alone. */
  touch<T extends ChildTable>(table: T, record: RecordOf<T>, set: Partial<RecordOf<T>> = {}): void {
    if (!isStaying(record)) return;
    const status = {
      provisioning_status: pendingUpdate(record.provisioning_status),
      generation: this.generation,
    };
    const updated = status.provisioning_status === 'PENDING_UPDATE' ? { updated_at: this.now } : {};
    this.#write(table, record, { ...set, ...status, ...updated });
  }

  remove<T extends ChildTable>(table: T, record: RecordOf<T>): void {
    this.#write(table, record, {
      provisioning_status: 'PENDING_DELETE',
      generation: this.generation,
      updated_at: this.now,
    });
  }

  /** Makes room for another policy: what is shifted is as settled as before, because only the order counts. */
  shift(policy: L7Policy, by: number): void {
    policy.position += by;
    if (!this.#inserted.has(policy)) this.#shifts.set(policy.id, (this.#shifts.get(policy.id) ?? 0) + by);
  }

  /** Its status and generation were raised already when the draft began. */
  changeLoadBalancer(set: Partial<LoadBalancer>): void {
    const lb = this.graph.load_balancer;
    const updated = lb.provisioning_status === 'PENDING_UPDATE' ? { updated_at: this.now } : {};
    this.#write('load_balancer', lb, { ...set, ...updated });
  }

  /** Writes all of it: one statement per table for what is new, one per kind of change for the rest. */
  async write(trx: Trx): Promise<void> {
    for (const table of CHILD_TABLES) {
      const records = [...this.#inserted].filter(([, t]) => t === table).map(([record]) => record);
      if (records.length > 0) await insertRecords(trx, table, records as RecordOf<typeof table>[]);
    }
    const groups = new Map<string, Written & { ids: string[] }>();
    for (const [record, written] of this.#written) {
      const key = `${written.table} ${JSON.stringify(written.set)}`;
      const group = groups.get(key);
      if (group) group.ids.push(record.id);
      else groups.set(key, { ...written, ids: [record.id] });
    }
    for (const { table, ids, set } of groups.values()) {
      if (Object.keys(set).length > 0) await updateRecords(trx, table, ids, set);
    }
    await shiftPositions(trx, this.#shifts);
  }

  /** Microseconds tell the order in which the records of one request were named. */
  #nextTime(): string {
    return this.now.slice(0, -3) + String(Math.min(this.#created++, 999)).padStart(3, '0');
  }

  #list<T extends ChildTable>(table: T): RecordOf<T>[] {
    return this.graph[LIST_OF[table]] as unknown as RecordOf<T>[];
  }

  #write(table: ResourceTable, record: Resource, set: object): void {
    Object.assign(record, set);
    if (this.#inserted.has(record)) return;
    const written = this.#written.get(record);
    if (written) Object.assign(written.set, set);
    else this.#written.set(record, { table, set: { ...set } });
  }
}

const pendingUpdate = (status: ProvisioningStatus): ProvisioningStatus =>
  status === 'PENDING_CREATE' ? 'PENDING_CREATE' : 'PENDING_UPDATE';

function versionsOf(lb: LoadBalancer): Set<IpVersion> {
  const addresses = [lb.vip_address, ...lb.additional_vips.map(vip => vip.ip_address)];
  return new Set(addresses.flatMap(a => (a !== null && findCanonicalAddress(a) ? [versionOf(a)] : [])));
}

/** The statuses from which Octavia's own rule lets a load balancer be changed. Source: contract api.md 4.1. */
export const STRICTLY_MUTABLE: readonly ProvisioningStatus[] = ['ACTIVE'];
export const STRICTLY_DELETABLE: readonly ProvisioningStatus[] = ['ACTIVE', 'ERROR'];

export interface DraftOptions {
  nowMs: number;
  strict: boolean;
  /** null: nothing is limited. */
  quotas: QuotaDefaults | null;
  /** In the same transaction, before the plan: locks what it relies on beside the load balancer. */
  lock?: ((trx: Trx) => Promise<void>) | undefined;
}

/**
 * Raises the load balancer's generation, lets `plan` change the draft, and writes what it changed: all in one
 * transaction, of which nothing stays when anything throws. Returns whether there was anything to write.
 */
export async function writeDraft(
  db: Db,
  loadBalancerId: string,
  options: DraftOptions,
  plan: (draft: Draft) => void,
): Promise<boolean> {
  const onlyIn = options.strict ? STRICTLY_MUTABLE : undefined;
  try {
    const { nowMs, strict, quotas, lock } = options;
    await withQuotaRow(db, () =>
      changeLoadBalancer(db, loadBalancerId, { nowMs, onlyIn }, async change => {
        await lock?.(change.trx);
        const draft = await openDraft(change, strict);
        plan(draft);
        if (draft.isUnchanged) throw new NothingToDo();
        await checkQuota(change.trx, change.load_balancer.project_id, draft.growth(), quotas);
        await draft.write(change.trx);
      }),
    );
    return true;
  } catch (error) {
    // Rolled back on purpose: the load balancer stays as settled as it was.
    if (error instanceof NothingToDo) return false;
    throw error;
  }
}

/** Throws `forbidden` when the project would have more than it may; inside `withQuotaRow`. */
export async function checkQuota(
  trx: Trx,
  project_id: string | null,
  growth: Growth,
  quotas: QuotaDefaults | null,
): Promise<void> {
  const met = quotas && project_id && (await findMetQuota(trx, project_id, growth, quotas));
  if (met) throw new Fault('forbidden', `Quota has been met for resources: ${TITLES[met]}`);
}

class NothingToDo extends Error {}

async function openDraft(change: Change, strict: boolean): Promise<Draft> {
  const graph = await loadGraphIn(change.trx, change.load_balancer.id);
  if (!graph) throw notFound('load_balancer', change.load_balancer.id);
  return new Draft(graph, { now: change.now, strict });
}
