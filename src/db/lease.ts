/** Who works on which load balancer: leases with fencing, and the list of load balancers that owe work. */
import { type ExpressionBuilder, sql } from 'kysely';
import type { Db, Tables, Trx } from './schema.ts';

export interface Lease {
  loadbalancer_id: string;
  owner: string;
  fence: number;
}

/** Thrown by a write of a worker whose lease another worker has or may have taken over: the pass ends there, without a trace. */
export class LeaseLost extends Error {
  constructor(lease: Lease, why = 'was taken over') {
    super(
      `Cannot act for load balancer ${lease.loadbalancer_id}: the lease ${lease.fence} of ${lease.owner} ${why}`,
    );
    this.name = 'LeaseLost';
  }
}

/**
 * Takes the lease when nobody holds it or the holder's time is over; undefined when somebody works on it. An owner that
 * asks again gets it at once: it runs one pass at a time, so the one before is over without having given it back.
 */
export async function takeLease(
  db: Db,
  loadBalancerId: string,
  owner: string,
  nowMs: number,
  ttlMs: number,
): Promise<Lease | undefined> {
  return db.transaction().execute(async trx => {
    const taken = await trx
      .updateTable('lease')
      .set({ owner, expires_at_ms: nowMs + ttlMs, fence: sql<number>`fence + 1`, progress: null })
      .where('loadbalancer_id', '=', loadBalancerId)
      .where(eb =>
        eb.or([eb('owner', 'is', null), eb('owner', '=', owner), eb('expires_at_ms', '<=', nowMs)]),
      )
      .executeTakeFirstOrThrow();
    if (Number(taken.numUpdatedRows) === 0) return undefined;
    const row = await trx
      .selectFrom('lease')
      .select('fence')
      .where('loadbalancer_id', '=', loadBalancerId)
      .executeTakeFirstOrThrow();
    return { loadbalancer_id: loadBalancerId, owner, fence: Number(row.fence) };
  });
}

/** The row of the lease as long as nobody else has taken it. */
export const isStill =
  ({ loadbalancer_id, owner, fence }: Lease) =>
  (eb: ExpressionBuilder<Tables, 'lease'>) =>
    eb.and({ loadbalancer_id, owner, fence });

/** Prolongs the lease; false when it was lost. */
export async function renewLease(db: Db, lease: Lease, nowMs: number, ttlMs: number): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('lease')
    .set({ expires_at_ms: nowMs + ttlMs, beats: sql<number>`beats + 1` })
    .where(isStill(lease))
    .executeTakeFirstOrThrow();
  return Number(numUpdatedRows) === 1;
}

/** Gives the lease back without having settled anything. */
export async function returnLease(db: Db, lease: Lease): Promise<void> {
  await fenced(db, lease, trx =>
    trx
      .updateTable('lease')
      .set({ owner: null, expires_at_ms: 0 })
      .where('loadbalancer_id', '=', lease.loadbalancer_id)
      .execute(),
  );
}

/**
 * Ends all leases: for a system in one process that has just started, and so knows that their holders are gone.
 * Fencing numbers stay, so that a holder which is not gone after all is refused.
 */
export async function endAllLeases(db: Db): Promise<void> {
  await db
    .updateTable('lease')
    .set({ owner: null, expires_at_ms: 0, fence: sql<number>`fence + 1`, retry_at_ms: 0 })
    .execute();
}

/** The present row of failures: how many, and since when. */
export async function failuresSoFar(
  db: Db,
  loadBalancerId: string,
): Promise<{ attempts: number; failingSinceMs: number | null }> {
  const row = await db
    .selectFrom('lease')
    .select(['attempts', 'failing_since_ms'])
    .where('loadbalancer_id', '=', loadBalancerId)
    .executeTakeFirstOrThrow();
  return { attempts: row.attempts, failingSinceMs: row.failing_since_ms };
}

/** Nobody else takes, renews or settles it before the transaction ends; the row need not be ours. */
export async function lockLease(trx: Trx, loadBalancerId: string): Promise<void> {
  await trx
    .updateTable('lease')
    .set({ beats: sql<number>`beats + 1` })
    .where('loadbalancer_id', '=', loadBalancerId)
    .execute();
}

/** Runs `write` in a transaction that fails with `LeaseLost` unless the lease is still ours. */
export async function fenced<T>(db: Db, lease: Lease, write: (trx: Trx) => Promise<T>): Promise<T> {
  return db.transaction().execute(async trx => {
    const { numUpdatedRows } = await trx
      .updateTable('lease')
      .set({ beats: sql<number>`beats + 1` })
      .where(isStill(lease))
      .executeTakeFirstOrThrow();
    if (Number(numUpdatedRows) !== 1) throw new LeaseLost(lease);
    return write(trx);
  });
}

/**
 * Load balancers that owe work, that nobody works on and whose time to be tried has come, longest untried first.
 * The same rule as `owesWork` in model/graph.ts.
 */
export async function loadBalancersOwingWork(db: Db, nowMs: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('load_balancer')
    .innerJoin('lease', 'lease.loadbalancer_id', 'load_balancer.id')
    .select('load_balancer.id')
    .where('load_balancer.provisioning_status', '<>', 'DELETED')
    .where(eb =>
      eb.or([
        eb('load_balancer.generation', '>', eb.ref('load_balancer.settled_generation')),
        eb.exists(
          eb
            .selectFrom('amphora')
            .select('amphora.id')
            .whereRef('amphora.loadbalancer_id', '=', 'load_balancer.id')
            .where('amphora.status', 'in', ['ERROR', 'PENDING_DELETE']),
        ),
      ]),
    )
    .where('lease.retry_at_ms', '<=', nowMs)
    .where(eb => eb.or([eb('lease.owner', 'is', null), eb('lease.expires_at_ms', '<=', nowMs)]))
    .orderBy('lease.retry_at_ms')
    .orderBy('load_balancer.id')
    .limit(limit)
    .execute();
  return rows.map(row => row.id);
}
