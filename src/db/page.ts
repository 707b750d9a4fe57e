/** One page of a list: filters, sort and a keyset seek after a marker, in at most two queries. */
import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely';
import { Fault } from '../lib/errors.ts';
import { decodeRow, keyColumn, type RecordOf, type RecordTable, statusColumn } from './rows.ts';
import type { Db } from './schema.ts';

/** What a row must satisfy. `tags` and other lists lie in their columns as JSON text. */
export type Condition =
  | { is: 'equal'; column: string; value: string | number }
  | { is: 'nothing' }
  | { is: 'any-of'; conditions: readonly Condition[] }
  | { is: 'has-all' | 'has-any' | 'lacks-one' | 'lacks-all'; column: string; values: readonly string[] }
  | { is: 'of-project'; project_id: string }
  | { is: 'parent-of'; child: 'health_monitor'; column: 'pool_id'; id: string };

export interface SortKey {
  column: string;
  descending: boolean;
  /** Null sorts before every value, on every database alike. */
  nullable: boolean;
}

export interface Page {
  /** What the caller may see at all; a marker must lie within it. */
  scope: readonly Condition[];
  filters: readonly Condition[];
  /** Ends with keys that make every row distinct. */
  sort: readonly SortKey[];
  /** null: no limit. */
  limit: number | null;
  /** The key of the record after which the page begins, or before which it ends when `before` is set. */
  marker?: string;
  before?: boolean;
}

/** The rows of the page, in the order of `sort` also when it lies before the marker. Throws on an unknown marker. */
export async function listPage<T extends RecordTable>(db: Db, table: T, page: Page): Promise<RecordOf<T>[]> {
  const sort = page.before ? page.sort.map(key => ({ ...key, descending: !key.descending })) : page.sort;
  let query = db.selectFrom(table as 'listener').selectAll();
  const status = statusColumn(table);
  if (status) query = query.where(status as 'provisioning_status', '<>', 'DELETED');
  for (const condition of [...page.scope, ...page.filters]) query = query.where(toSql(condition));
  if (page.marker !== undefined) {
    const values = await markerValues(db, table, page.marker, page.scope, sort);
    const first = sort[0]!;
    // The bound on the leading key alone is implied, but lets an index do the seek.
    if (!first.nullable) {
      query = query.where(
        first.descending
          ? sql<SqlBool>`${sql.ref(first.column)} <= ${values[0]}`
          : sql<SqlBool>`${sql.ref(first.column)} >= ${values[0]}`,
      );
    }
    query = query.where(isAfter(sort, values));
  }
  for (const { column, descending, nullable } of sort) {
    const order = descending ? 'desc' : 'asc';
    if (nullable) query = query.orderBy(sql`case when ${sql.ref(column)} is null then 0 else 1 end`, order);
    query = query.orderBy(sql.ref(column), order);
  }
  if (page.limit !== null) query = query.limit(page.limit);
  const rows = await query.execute();
  const records = rows.map(row => decodeRow(table, row as never));
  return page.before ? records.reverse() : records;
}

async function markerValues(
  db: Db,
  table: RecordTable,
  marker: string,
  scope: readonly Condition[],
  sort: readonly SortKey[],
): Promise<unknown[]> {
  let query = db
    .selectFrom(table as 'listener')
    .selectAll()
    .where(keyColumn(table) as 'id', '=', marker);
  const status = statusColumn(table);
  if (status) query = query.where(status as 'provisioning_status', '<>', 'DELETED');
  for (const condition of scope) query = query.where(toSql(condition));
  const row = (await query.executeTakeFirst()) as Record<string, unknown> | undefined;
  if (!row) throw new Fault('invalid', `Unknown marker ${marker}: no such object is in this list.`);
  return sort.map(key => row[key.column]);
}

/** Rows that come after the one with these values: greater in the first key, or equal there and greater in the next. */
function isAfter(sort: readonly SortKey[], values: readonly unknown[]): RawBuilder<SqlBool> {
  const alternatives = sort.map((_, i) => {
    const equal = sort.slice(0, i).map((key, j) => sameAs(key, values[j]));
    return sql`(${sql.join([...equal, beyond(sort[i]!, values[i])], sql` and `)})`;
  });
  return sql<SqlBool>`(${sql.join(alternatives, sql` or `)})`;
}

function sameAs(key: SortKey, value: unknown): RawBuilder<unknown> {
  return value === null ? sql`${sql.ref(key.column)} is null` : sql`${sql.ref(key.column)} = ${value}`;
}

function beyond(key: SortKey, value: unknown): RawBuilder<unknown> {
  const column = sql.ref(key.column);
  if (value === null) return key.descending ? sql`1 = 0` : sql`${column} is not null`;
  if (!key.descending) return sql`${column} > ${value}`;
  return key.nullable ? sql`(${column} < ${value} or ${column} is null)` : sql`${column} < ${value}`;
}

function toSql(condition: Condition): Expression<SqlBool> {
  switch (condition.is) {
    case 'nothing':
      return sql<SqlBool>`1 = 0`;
    case 'any-of':
      return sql<SqlBool>`(${sql.join(condition.conditions.map(toSql), sql` or `)})`;
    case 'equal':
      return sql<SqlBool>`${sql.ref(condition.column)} = ${condition.value}`;
    case 'of-project':
      return sql<SqlBool>`loadbalancer_id in (select id from load_balancer where project_id = ${condition.project_id})`;
    case 'parent-of':
      return sql<SqlBool>`id in (select ${sql.ref(condition.column)} from ${sql.table(condition.child)} where id = ${condition.id})`;
    case 'has-all':
      return all(condition.values.map(value => has(condition.column, value)));
    case 'has-any':
      return any(condition.values.map(value => has(condition.column, value)));
    case 'lacks-one':
      return sql<SqlBool>`not ${all(condition.values.map(value => has(condition.column, value)))}`;
    case 'lacks-all':
      return sql<SqlBool>`not ${any(condition.values.map(value => has(condition.column, value)))}`;
  }
}

const all = (parts: RawBuilder<SqlBool>[]) => sql<SqlBool>`(${sql.join(parts, sql` and `)})`;
const any = (parts: RawBuilder<SqlBool>[]) => sql<SqlBool>`(${sql.join(parts, sql` or `)})`;

/**
 * Whether the JSON list in the column holds the text. A quote inside a text is escaped, so `"text"` can begin and end
 * at an item's own quotes only, unless it is empty or a comma, which no filter asks for. `replace` compares bytes on
 * every database, where `like` ignores case on some.
 */
function has(column: string, text: string): RawBuilder<SqlBool> {
  if (text === '' || text === ',') return sql<SqlBool>`(1 = 0)`;
  const ref = sql.ref(column);
  return sql<SqlBool>`(length(replace(${ref}, ${JSON.stringify(text)}, '')) < length(${ref}))`;
}
