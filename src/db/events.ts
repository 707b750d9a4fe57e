/** Announces changes of statuses: rows for each target, written in the transaction of the change, or none when nobody listens. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { timestamp } from '../lib/clock.ts';
import {
  LOAD_BALANCER_FACTS,
  type LoadBalancerFacts,
  type StatusEvent,
  type Statuses,
} from '../model/status-event.ts';
import { UNOWNED_ID } from '../model/unowned.ts';
import { CHILD_TABLES, type ChildTable, chunks } from './children.ts';
import { lockLease } from './lease.ts';
import { decodeRow } from './rows.ts';
import type { AnnouncedRow, Db, OutboxRow, Trx } from './schema.ts';

/** A database handle and its transactions have the same adapter. */
const targetsOf = new WeakMap<object, readonly string[]>();
const keyOf = (db: Db | Trx): object => db.getExecutor().adapter;

/** Longer reasons are cut; the API has the whole. */
const REASON_LENGTH = 2000;
/** In the words of the API. */
const WORDS: Record<ChildTable, StatusEvent['resource_type']> = {
  ...{ listener: 'listener', pool: 'pool', member: 'member', health_monitor: 'healthmonitor' },
  ...{ l7policy: 'l7policy', l7rule: 'l7rule' },
};
const GONE = { provisioning_status: 'DELETED', operating_status: 'OFFLINE' } as const satisfies Statuses;

/** From now on, changes that are made through this handle are announced to these targets; what is so already is known to them. */
export async function enableEvents(db: Db, targets: readonly string[]): Promise<void> {
  if (targets.length === 0) return;
  await db.transaction().execute(noteWhatIs);
  targetsOf.set(keyOf(db), targets);
}

/** Every load balancer has its row before any transaction looks for it, so that two of them never both insert it. */
async function noteWhatIs(db: Trx): Promise<void> {
  // Locked, so that programs which start at the same moment do it one after the other.
  await lockLease(db, UNOWNED_ID);
  const isThere = db.selectFrom('load_balancer').select('id').where('provisioning_status', '<>', 'DELETED');
  await db.deleteFrom('announced').where('loadbalancer_id', 'not in', isThere).execute();
  const statuses = ['provisioning_status', 'operating_status'] as const;
  const known = db.selectFrom('announced').select('resource_id');
  const note = (of: ChildTable | 'load_balancer') => {
    const lb = of === 'load_balancer' ? 'id' : 'loadbalancer_id';
    const word = of === 'load_balancer' ? 'loadbalancer' : WORDS[of];
    const fresh = db
      .selectFrom(of as 'listener')
      .select(['id', `${lb as 'loadbalancer_id'} as lb`, ...statuses])
      .select([sql<string>`${sql.lit(word)}`.as('word'), sql<number>`0`.as('sequence')])
      .where(lb as 'loadbalancer_id', 'in', isThere)
      .where(lb as 'loadbalancer_id', 'not in', known);
    return db
      .insertInto('announced')
      .columns(['resource_id', 'loadbalancer_id', ...statuses, 'resource_type', 'sequence'])
      .expression(fresh)
      .execute();
  };
  // The load balancers last: by them it is known whose children are not noted yet.
  for (const of of [...CHILD_TABLES, 'load_balancer'] as const) await note(of);
}

/**
 * To be called at the end of every transaction that may have changed a status of the load balancer or of anything under it:
 * compares what is with what was announced last.
 */
export async function announce(trx: Trx, loadBalancerId: string, nowMs: number): Promise<void> {
  const targets = targetsOf.get(keyOf(trx));
  if (!targets) return;
  // Locks the row: the events of one load balancer are numbered in the order in which they become visible.
  await trx
    .updateTable('announced')
    .set({ sequence: sql<number>`sequence` })
    .where('resource_id', '=', loadBalancerId)
    .execute();
  const rows = await trx
    .selectFrom('announced')
    .selectAll()
    .where('loadbalancer_id', '=', loadBalancerId)
    .execute();
  const before = new Map(rows.map(row => [row.resource_id, row]));
  const { project_id, error_reason, resources, facts } = await loadStatuses(trx, loadBalancerId, before);
  let sequence = before.get(loadBalancerId)?.sequence ?? 0;
  const events = resources.flatMap(({ id, resource_type, name, provisioning_status, operating_status }) => {
    const now = { provisioning_status, operating_status };
    const known = before.get(id);
    const previous = known
      ? { provisioning_status: known.provisioning_status, operating_status: known.operating_status }
      : null;
    if (previous && isSame(previous, now)) return [];
    const about = { resource_type, resource_id: id, name, ...now, previous };
    const event: StatusEvent = {
      ...{ id: randomUUID(), time: timestamp(nowMs), sequence: ++sequence },
      ...{ loadbalancer_id: loadBalancerId, project_id, ...about },
      load_balancer: resource_type === 'loadbalancer' ? facts : null,
      error_reason: error_reason?.slice(0, REASON_LENGTH) ?? null,
    };
    return [event];
  });
  await noteAnnounced(trx, loadBalancerId, before, resources, sequence);
  for (const part of chunks(targets.flatMap(target => events.map(event => outboxRow(target, event, nowMs)))))
    await trx.insertInto('outbox').values(part).execute();
}

const isSame = (a: Statuses, b: Statuses): boolean =>
  a.provisioning_status === b.provisioning_status && a.operating_status === b.operating_status;

interface Named extends Statuses {
  id: string;
  name: string;
  resource_type: StatusEvent['resource_type'];
}

/** What has no row any more, what is under the load balancer, and at last itself: with it all has been told. */
async function loadStatuses(trx: Trx, id: string, before: ReadonlyMap<string, AnnouncedRow>) {
  const columns = ['id', 'name', 'provisioning_status', 'operating_status'] as const;
  const lb = await trx
    .selectFrom('load_balancer')
    .select([...columns, ...LOAD_BALANCER_FACTS, 'project_id', 'error_reason'])
    .where('id', '=', id)
    .executeTakeFirst();
  const present: Named[] = [];
  for (const table of CHILD_TABLES) {
    const rows = await trx
      .selectFrom(table as 'listener')
      .select(columns)
      .where('loadbalancer_id', '=', id)
      .execute();
    present.push(...rows.map(row => ({ ...row, resource_type: WORDS[table] })));
  }
  if (lb) present.push({ ...lb, resource_type: 'loadbalancer' });
  const ids = new Set(present.map(row => row.id));
  const gone = [...before.values()].flatMap(({ resource_id, resource_type }): Named[] =>
    ids.has(resource_id) ? [] : [{ id: resource_id, resource_type, name: '', ...GONE }],
  );
  const { project_id = null, error_reason = null } = lb ?? {};
  return { project_id, error_reason, resources: [...gone, ...present], facts: lb ? factsOf(lb) : null };
}

function factsOf(row: object): LoadBalancerFacts {
  const all = decodeRow('load_balancer', row as never);
  return Object.fromEntries(LOAD_BALANCER_FACTS.map(name => [name, all[name]])) as LoadBalancerFacts;
}

async function noteAnnounced(
  trx: Trx,
  loadbalancer_id: string,
  before: ReadonlyMap<string, AnnouncedRow>,
  resources: readonly Named[],
  sequence: number,
): Promise<void> {
  const present = resources.filter(({ provisioning_status: status }) => status !== 'DELETED');
  const staying = present.some(({ id }) => id === loadbalancer_id) ? present : [];
  const ids = new Set(staying.map(({ id }) => id));
  for (const part of chunks([...before.keys()].filter(id => !ids.has(id))))
    await trx.deleteFrom('announced').where('resource_id', 'in', part).execute();
  const noted = staying.map(
    ({ id, resource_type, provisioning_status, operating_status }): AnnouncedRow => ({
      ...{ resource_id: id, loadbalancer_id, resource_type, provisioning_status, operating_status },
      sequence: id === loadbalancer_id ? sequence : 0,
    }),
  );
  const fresh = noted.filter(row => !before.has(row.resource_id));
  for (const part of chunks(fresh)) await trx.insertInto('announced').values(part).execute();
  const textOf = (row: AnnouncedRow) => `${row.provisioning_status} ${row.operating_status} ${row.sequence}`;
  const changed = noted.filter(row => {
    const known = before.get(row.resource_id);
    return known && textOf(known) !== textOf(row);
  });
  for (const group of Map.groupBy(changed, textOf).values()) {
    const { provisioning_status, operating_status, sequence } = group[0]!;
    const set = { provisioning_status, operating_status, sequence };
    for (const part of chunks(group.map(row => row.resource_id)))
      await trx.updateTable('announced').set(set).where('resource_id', 'in', part).execute();
  }
}

const outboxRow = (target: string, event: StatusEvent, nowMs: number): OutboxRow => ({
  ...{ id: randomUUID(), target, loadbalancer_id: event.loadbalancer_id, sequence: event.sequence },
  ...{ body: JSON.stringify(event), created_at_ms: nowMs, attempts: 0, retry_at_ms: 0 },
});
