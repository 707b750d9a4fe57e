/** Sums of the counters that the amphorae report per listener. */
import { sql } from 'kysely';
import type { ListenerStatistics, Statistics } from '../model/statistics.ts';
import type { Db } from './schema.ts';

/** The sum over a listener's amphorae, or over all listeners of a load balancer; zeros when nothing was reported yet. */
export async function sumStatistics(
  db: Db,
  of: { listener_id: string } | { loadbalancer_id: string },
): Promise<Statistics> {
  const listeners =
    'listener_id' in of
      ? [of.listener_id]
      : db.selectFrom('listener').select('id').where('loadbalancer_id', '=', of.loadbalancer_id);
  const row = await db
    .selectFrom('listener_statistics as s')
    .leftJoin('amphora', 'amphora.id', 's.amphora_id')
    .where('s.listener_id', 'in', listeners as string[])
    .select([
      sql<number>`coalesce(sum(s.bytes_in), 0)`.as('bytes_in'),
      sql<number>`coalesce(sum(s.bytes_out), 0)`.as('bytes_out'),
      // A replaced amphora keeps what it has counted, but has no connections any more. Source: contract api.md 5.2.
      sql<number>`coalesce(sum(case when amphora.status = 'ALLOCATED' or s.amphora_id = s.listener_id then s.active_connections else 0 end), 0)`.as(
        'active_connections',
      ),
      sql<number>`coalesce(sum(s.total_connections), 0)`.as('total_connections'),
      sql<number>`coalesce(sum(s.request_errors), 0)`.as('request_errors'),
    ])
    .executeTakeFirstOrThrow();
  return {
    bytes_in: Number(row.bytes_in),
    bytes_out: Number(row.bytes_out),
    active_connections: Number(row.active_connections),
    total_connections: Number(row.total_connections),
    request_errors: Number(row.request_errors),
  };
}

export type AmphoraStatistics = Omit<ListenerStatistics, 'amphora_id'> & {
  id: string;
  loadbalancer_id: string;
};

/** What one amphora has counted, by listener. */
export async function listAmphoraStatistics(db: Db, amphoraId: string): Promise<AmphoraStatistics[]> {
  const rows = await db
    .selectFrom('listener_statistics as s')
    .innerJoin('listener', 'listener.id', 's.listener_id')
    .selectAll('s')
    .select('listener.loadbalancer_id')
    .where('s.amphora_id', '=', amphoraId)
    .orderBy('s.listener_id')
    .execute();
  return rows.map(({ amphora_id, ...row }) => ({ id: amphora_id, ...row }));
}
