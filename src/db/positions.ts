/** Positions of l7policies, 1 to n without gaps within a listener: rows make room and close ranks. */
import { sql } from 'kysely';
import { chunks } from './children.ts';
import type { Trx } from './schema.ts';

/** Moves each policy by so many places: one statement for each distance. */
export async function shiftPositions(trx: Trx, shifts: ReadonlyMap<string, number>): Promise<void> {
  for (const [by, entries] of Map.groupBy(shifts, ([, distance]) => distance)) {
    for (const part of chunks(entries)) {
      await trx
        .updateTable('l7policy')
        .set({ position: sql<number>`${sql.ref('position')} + ${by}` })
        .where(
          'id',
          'in',
          part.map(([id]) => id),
        )
        .execute();
    }
  }
}

/** Closes the gaps that removed policies have left. */
export async function closeGaps(trx: Trx, loadBalancerId: string): Promise<void> {
  const rows = await trx
    .selectFrom('l7policy')
    .select(['id', 'listener_id', 'position'])
    .where('loadbalancer_id', '=', loadBalancerId)
    .orderBy('position')
    .execute();
  const shifts = new Map<string, number>();
  for (const policies of Map.groupBy(rows, row => row.listener_id).values()) {
    for (const [i, { id, position }] of policies.entries()) {
      if (position !== i + 1) shifts.set(id, i + 1 - position);
    }
  }
  await shiftPositions(trx, shifts);
}
