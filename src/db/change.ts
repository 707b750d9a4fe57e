/** The bracket that every write of intent goes through: one transaction that raises the load balancer's generation. */
import { sql } from 'kysely';
import { timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import type { ProvisioningStatus } from '../model/status.ts';
import { announce } from './events.ts';
import { decodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';

/** What a write may use inside the bracket. */
export interface Change {
  trx: Trx;
  /** As it is after the generation was raised. */
  load_balancer: LoadBalancer;
  /** Every row that the write touches is stamped with it. */
  generation: number;
  /** Naive UTC. */
  now: string;
}

export interface ChangeOptions {
  nowMs: number;
  /** Octavia's rule: refuse unless the load balancer is in one of these statuses. Without it only PENDING_DELETE refuses. */
  onlyIn?: readonly ProvisioningStatus[];
}

/**
 * Locks the load balancer's row, raises its generation, marks it PENDING_UPDATE (a pending creation stays one) and
 * runs `write` in the same transaction; anything thrown undoes it all. The caller notifies the queue afterwards.
 * Throws `Fault('not-found')` when it is absent, `Fault('conflict')` when it may not be changed.
 */
export async function changeLoadBalancer<T>(
  db: Db,
  id: string,
  options: ChangeOptions,
  write: (change: Change) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async trx => {
    const load_balancer = await raiseGeneration(trx, id, options);
    const result = await write({
      trx,
      load_balancer,
      generation: load_balancer.generation,
      now: timestamp(options.nowMs),
    });
    await announce(trx, id, options.nowMs);
    return result;
  });
}

/** Marks the load balancer PENDING_DELETE; `check` runs first, in the same transaction, and may refuse by throwing. */
export async function markLoadBalancerDeleted(
  db: Db,
  id: string,
  options: ChangeOptions,
  check: (change: Change) => Promise<void>,
): Promise<void> {
  await changeLoadBalancer(db, id, options, async change => {
    await check(change);
    await change.trx
      .updateTable('load_balancer')
      .set({ provisioning_status: 'PENDING_DELETE' })
      .where('id', '=', id)
      .execute();
  });
}

/** Raises the generation inside a transaction that the caller holds; used by the health manager's marks as well. */
export async function raiseGeneration(trx: Trx, id: string, options: ChangeOptions): Promise<LoadBalancer> {
  // A user's write is worth an attempt at once, however long the back-off of earlier failures still is. And every
  // transaction about a load balancer takes its lease's row first, the worker's as well, so that none deadlock.
  await trx.updateTable('lease').set({ retry_at_ms: 0 }).where('loadbalancer_id', '=', id).execute();
  let update = trx
    .updateTable('load_balancer')
    .set({
      generation: sql<number>`generation + 1`,
      provisioning_status: sql<ProvisioningStatus>`case when provisioning_status = 'PENDING_CREATE' then 'PENDING_CREATE' else 'PENDING_UPDATE' end`,
    })
    .where('id', '=', id);
  update = options.onlyIn
    ? update.where('provisioning_status', 'in', options.onlyIn)
    : update.where('provisioning_status', 'not in', ['PENDING_DELETE', 'DELETED']);
  const { numUpdatedRows } = await update.executeTakeFirstOrThrow();
  const row = await trx.selectFrom('load_balancer').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row || row.provisioning_status === 'DELETED')
    throw new Fault('not-found', `Load Balancer ${id} not found.`);
  // Source of the sentence's form: what clients of Octavia print for an immutable load balancer (contract api.md 2.3).
  if (Number(numUpdatedRows) === 0) {
    throw new Fault(
      'conflict',
      `Load Balancer ${id} is immutable and cannot be updated: it is ${row.provisioning_status}.`,
    );
  }
  return decodeRow('load_balancer', row);
}
