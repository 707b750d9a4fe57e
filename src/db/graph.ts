/** Loads one load balancer with everything under it, as one consistent picture. */
import type { LoadBalancerGraph } from '../model/graph.ts';
import { decodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';

/** Six queries in one transaction, whatever the size. undefined when the load balancer is absent or deleted. */
export async function loadGraph(db: Db, loadBalancerId: string): Promise<LoadBalancerGraph | undefined> {
  return db.transaction().execute(trx => loadGraphIn(trx, loadBalancerId));
}

/** Lists are ordered by creation and id, so that equal rows render to equal bytes. */
export async function loadGraphIn(
  trx: Trx | Db,
  loadBalancerId: string,
): Promise<LoadBalancerGraph | undefined> {
  const lb = await trx
    .selectFrom('load_balancer')
    .selectAll()
    .where('id', '=', loadBalancerId)
    .where('provisioning_status', '<>', 'DELETED')
    .executeTakeFirst();
  if (!lb) return undefined;
  const children = <T extends 'listener' | 'pool' | 'member' | 'health_monitor'>(table: T) =>
    trx
      .selectFrom(table as 'listener')
      .selectAll()
      .where('loadbalancer_id', '=', loadBalancerId)
      .orderBy('created_at')
      .orderBy('id')
      .execute() as Promise<never[]>;
  const listeners = await children('listener');
  const pools = await children('pool');
  const members = await children('member');
  const monitors = await children('health_monitor');
  const amphorae = await trx
    .selectFrom('amphora')
    .selectAll()
    .where('loadbalancer_id', '=', loadBalancerId)
    .where('status', '<>', 'DELETED')
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return {
    load_balancer: decodeRow('load_balancer', lb),
    listeners: listeners.map(row => decodeRow('listener', row)),
    pools: pools.map(row => decodeRow('pool', row)),
    members: members.map(row => decodeRow('member', row)),
    health_monitors: monitors.map(row => decodeRow('health_monitor', row)),
    amphorae: amphorae.map(row => decodeRow('amphora', row)),
  };
}
