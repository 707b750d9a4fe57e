/** Loads one load balancer with everything under it, as one consistent picture. */
import { emptyGraph, type LoadBalancerGraph } from '../model/graph.ts';
import { CHILD_TABLES, type ChildTable } from './children.ts';
import { decodeRow } from './rows.ts';
import type { Db, Trx } from './schema.ts';

/** Where a graph keeps the rows of a table. */
export const LIST_OF = {
  listener: 'listeners',
  pool: 'pools',
  member: 'members',
  health_monitor: 'health_monitors',
  l7policy: 'l7policies',
  l7rule: 'l7rules',
} as const satisfies Record<ChildTable, keyof LoadBalancerGraph>;

/** Eight queries in one transaction, whatever the size. undefined when the load balancer is absent or deleted. */
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
  const graph = emptyGraph(decodeRow('load_balancer', lb));
  for (const table of CHILD_TABLES) {
    const rows = await trx
      .selectFrom(table as 'listener')
      .selectAll()
      .where('loadbalancer_id', '=', loadBalancerId)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    graph[LIST_OF[table]] = rows.map(row => decodeRow(table, row as never)) as never;
  }
  const amphorae = await trx
    .selectFrom('amphora')
    .selectAll()
    .where('loadbalancer_id', '=', loadBalancerId)
    .where('status', '<>', 'DELETED')
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  graph.amphorae = amphorae.map(row => decodeRow('amphora', row));
  return graph;
}
