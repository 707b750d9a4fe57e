/** Who belongs to whom, for a whole page of a list at once: a constant number of queries, however long the page. */
import { isStaying } from '../model/status.ts';
import { type ChildTable, chunks } from './children.ts';
import type { Db } from './schema.ts';

/** Parent id to the ids of its children, in the order of their creation, l7policies in that of their positions; parents without children are absent. */
export type Relation = ReadonlyMap<string, readonly string[]>;

type ParentColumn = 'loadbalancer_id' | 'pool_id' | 'default_pool_id' | 'listener_id' | 'l7policy_id';

/** Children in PENDING_DELETE come last: where there can be only one, the living one is first. */
export async function listRelation(
  db: Db,
  child: ChildTable,
  parentColumn: ParentColumn,
  parentIds: readonly string[],
): Promise<Relation> {
  const relation = new Map<string, string[]>();
  for (const part of chunks(parentIds, 1000)) {
    const rows = await db
      .selectFrom(child as 'listener')
      .select(['id', 'provisioning_status', `${parentColumn as 'loadbalancer_id'} as parent`])
      .where(parentColumn as 'loadbalancer_id', 'in', part)
      .orderBy((child === 'l7policy' ? 'position' : 'created_at') as 'created_at')
      .orderBy('id')
      .execute();
    const ordered = rows.toSorted((a, b) => Number(isStaying(b)) - Number(isStaying(a)));
    for (const { parent, id } of ordered) {
      const ids = relation.get(parent);
      if (ids) ids.push(id);
      else relation.set(parent, [id]);
    }
  }
  return relation;
}
