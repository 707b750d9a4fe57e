/** What is kept about the passes over a load balancer, and how it stands now. */
import { owesWork } from '../model/graph.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import { isStill, type Lease } from './lease.ts';
import { decodeRow } from './rows.ts';
import type { Db, LeaseRow, PassRow } from './schema.ts';

/** How a load balancer stands, a deleted one as well. */
export interface Standing {
  load_balancer: LoadBalancer;
  owes_work: boolean;
  /** undefined once it is deleted. */
  lease: LeaseRow | undefined;
}

/** undefined when there is no row of it any more. */
export async function findStanding(db: Db, id: string): Promise<Standing | undefined> {
  const row = await db.selectFrom('load_balancer').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) return undefined;
  const load_balancer = decodeRow('load_balancer', row);
  const amphorae = await db
    .selectFrom('amphora')
    .select('status')
    .where('loadbalancer_id', '=', id)
    .execute();
  const lease = await db.selectFrom('lease').selectAll().where('loadbalancer_id', '=', id).executeTakeFirst();
  return { load_balancer, owes_work: owesWork({ load_balancer, amphorae }), lease };
}

/** The newest passes, the newest last. */
export async function listPasses(db: Db, loadBalancerId: string, limit: number): Promise<PassRow[]> {
  const rows = await db
    .selectFrom('pass')
    .selectAll()
    .where('loadbalancer_id', '=', loadBalancerId)
    .orderBy('started_at_ms', 'desc')
    .limit(limit)
    .execute();
  return rows.reverse();
}

/** Notes how far a pass has come; nothing when its lease is not its own any more. */
export async function writeProgress(db: Db, lease: Lease, progress: string): Promise<void> {
  await db.updateTable('lease').set({ progress }).where(isStill(lease)).execute();
}
