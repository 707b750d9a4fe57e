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
import { chunks } from './children.ts';
import { decodeRow } from './rows.ts';
import type { AnnouncedRow, Db, OutboxRow, Trx } from './schema.ts';

/** A database handle and its transactions have the same adapter. */
const targetsOf = new WeakMap<object, readonly string[]>();
const keyOf = (db: Db | Trx): object => db.getExecutor().adapter;

/** Longer reasons are cut; the API has the whole. */
const REASON_LENGTH = 2000;
const CHILDREN = ['listener', 'pool', 'member'] as const;

/** From now on, changes that are made through this handle are announced to these targets; what is so already is known to them. */
export async function enableEvents(db: Db, targets: readonly string[]): Promise<void> {
  if (targets.length === 0) return;
  await db.transaction().execute(noteWhatIs);
  targetsOf.set(keyOf(db), targets);
}

/** Every load balancer has its row before any transaction looks for it, so that two of them never both insert it. */
async function noteWhatIs(db: Trx): Promise<void> {
  // Locked, so that programs which start at the same moment do it one after the other.
  await db
    .updateTable('lease')
    .set({ beats: sql<number>`beats + 1` })
    .where('loadbalancer_id', '=', UNOWNED_ID)
    .execute();
  const isThere = db.selectFrom('load_balancer').select('id').where('provisioning_status', '<>', 'DELETED');
  await db.deleteFrom('announced').where('loadbalancer_id', 'not in', isThere).execute();
  await db
    .insertInto('announced')
    .columns(['resource_id', 'loadbalancer_id', 'provisioning_status', 'operating_status', 'sequence'])
    .expression(
      isThere
        .clearSelect()
        .select(['id', 'id as lb', 'provisioning_status', 'operating_status', sql<number>`0`.as('sequence')])
        .where('id', 'not in', db.selectFrom('announced').select('resource_id')),
    )
    .execute();
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
  const { project_id, error_reason, resources, facts } = await loadStatuses(
    trx,
    loadBalancerId,
    before.get(loadBalancerId),
  );
  let sequence = before.get(loadBalancerId)?.sequence ?? 0;
  const events = resources.flatMap(({ id, resource_type, name, provisioning_status, operating_status }) => {
    const now = { provisioning_status, operating_status };
    const known = before.get(id);
    const previous = known
      ? { provisioning_status: known.provisioning_status, operating_status: known.operating_status }
      : null;
    if (!isNews(resource_type, previous, now)) return [];
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

/**
 * Of a load balancer every change; of what is under it what is not just its way to the load balancer's own: the operating
 * status, and failures. Source: contract controller.md 14, heartbeat.md 7.
 */
export function isNews(
  resource_type: StatusEvent['resource_type'],
  previous: Statuses | null,
  now: Statuses,
): boolean {
  if (resource_type === 'loadbalancer')
    return (
      previous?.provisioning_status !== now.provisioning_status ||
      previous.operating_status !== now.operating_status
    );
  const hasFailed = (statuses: Statuses) => statuses.provisioning_status === 'ERROR';
  return (
    previous !== null &&
    (previous.operating_status !== now.operating_status || hasFailed(previous) !== hasFailed(now))
  );
}

interface Named extends Statuses {
  id: string;
  name: string;
  resource_type: StatusEvent['resource_type'];
}

/** Of one that was withdrawn and has no row any more, that it is gone. */
async function loadStatuses(trx: Trx, id: string, last: AnnouncedRow | undefined) {
  const columns = ['id', 'name', 'provisioning_status', 'operating_status'] as const;
  const lb = await trx
    .selectFrom('load_balancer')
    .select([...columns, ...LOAD_BALANCER_FACTS, 'project_id', 'error_reason'])
    .where('id', '=', id)
    .executeTakeFirst();
  const resources: Named[] = [];
  if (lb) resources.push({ ...lb, resource_type: 'loadbalancer' });
  else if (last) {
    const gone = { provisioning_status: 'DELETED', operating_status: 'OFFLINE' } as const;
    resources.push({ id, name: '', resource_type: 'loadbalancer', ...gone });
  }
  if (lb && lb.provisioning_status !== 'DELETED') {
    for (const resource_type of CHILDREN) {
      const rows = await trx
        .selectFrom(resource_type as 'listener')
        .select(columns)
        .where('loadbalancer_id', '=', id)
        .execute();
      resources.push(...rows.map(row => ({ ...row, resource_type })));
    }
  }
  const { project_id = null, error_reason = null } = lb ?? {};
  return { project_id, error_reason, resources, facts: lb ? factsOf(lb) : null };
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
  const isGone = resources.every(
    ({ id, provisioning_status: status }) => id !== loadbalancer_id || status === 'DELETED',
  );
  const staying = new Map(isGone ? [] : resources.map(row => [row.id, row]));
  const gone = [...before.keys()].filter(id => !staying.has(id));
  for (const part of chunks(gone))
    await trx.deleteFrom('announced').where('resource_id', 'in', part).execute();
  const fresh: AnnouncedRow[] = [];
  for (const { id, provisioning_status, operating_status } of staying.values()) {
    const known = before.get(id);
    const set = { provisioning_status, operating_status, sequence: id === loadbalancer_id ? sequence : 0 };
    if (!known) fresh.push({ resource_id: id, loadbalancer_id, ...set });
    else if (Object.entries(set).some(([key, value]) => known[key as keyof typeof set] !== value))
      await trx.updateTable('announced').set(set).where('resource_id', '=', id).execute();
  }
  for (const part of chunks(fresh)) await trx.insertInto('announced').values(part).execute();
}

const outboxRow = (target: string, event: StatusEvent, nowMs: number): OutboxRow => ({
  ...{ id: randomUUID(), target, loadbalancer_id: event.loadbalancer_id, sequence: event.sequence },
  ...{ body: JSON.stringify(event), created_at_ms: nowMs, attempts: 0, retry_at_ms: 0 },
});
