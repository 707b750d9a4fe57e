/** Events on their way: which are next, who delivers them, and when they are tried again. */
import { sql } from 'kysely';
import type { Db, OutboxRow } from './schema.ts';

/** The oldest of each load balancer, those whose time has come: what is behind them has to wait for them. */
export async function listDueEvents(
  db: Db,
  target: string,
  nowMs: number,
  limit: number,
): Promise<OutboxRow[]> {
  // The index alone answers this, however much has gathered behind a target that is away.
  const heads = db
    .selectFrom('outbox')
    .select(eb => ['loadbalancer_id', eb.fn.min('sequence').as('head')])
    .where('target', '=', target)
    .groupBy('loadbalancer_id')
    .as('h');
  return db
    .selectFrom('outbox as o')
    .innerJoin(heads, join =>
      join.onRef('h.loadbalancer_id', '=', 'o.loadbalancer_id').onRef('h.head', '=', 'o.sequence'),
    )
    .selectAll('o')
    .where('o.target', '=', target)
    .where('o.retry_at_ms', '<=', nowMs)
    .orderBy('o.retry_at_ms')
    .orderBy('o.created_at_ms')
    .limit(limit)
    .execute();
}

/** The oldest of one load balancer; undefined when there is none, or when its time has not come. */
export async function findNextEvent(
  db: Db,
  { target, loadbalancer_id }: Pick<OutboxRow, 'target' | 'loadbalancer_id'>,
  nowMs: number,
): Promise<OutboxRow | undefined> {
  const next = await db
    .selectFrom('outbox')
    .selectAll()
    .where('target', '=', target)
    .where('loadbalancer_id', '=', loadbalancer_id)
    .orderBy('sequence')
    .limit(1)
    .executeTakeFirst();
  return next && next.retry_at_ms <= nowMs ? next : undefined;
}

/** Nobody else delivers it before that time; false when somebody was faster. */
export async function claimEvent(db: Db, event: OutboxRow, untilMs: number): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('outbox')
    .set({ retry_at_ms: untilMs, attempts: sql<number>`attempts + 1` })
    .where('id', '=', event.id)
    .where('retry_at_ms', '=', event.retry_at_ms)
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows) === 1;
}

export async function postponeEvent(db: Db, id: string, untilMs: number): Promise<void> {
  await db.updateTable('outbox').set({ retry_at_ms: untilMs }).where('id', '=', id).execute();
}

export async function deleteEvent(db: Db, id: string): Promise<void> {
  await db.deleteFrom('outbox').where('id', '=', id).execute();
}

/** Those of targets that nobody has any more. */
export async function deleteEventsBefore(db: Db, ms: number): Promise<void> {
  await db.deleteFrom('outbox').where('created_at_ms', '<', ms).execute();
}
