/** Rows of any resource as the API finds and writes them: one record by its key, many rows in one statement. */
import { sql, type UpdateObject } from 'kysely';
import { decodeRow, encodeRow, keyColumn, type RecordOf, type RecordTable, statusColumn } from './rows.ts';
import type { Db, Tables, Trx } from './schema.ts';

/** The resources under a load balancer. */
export const CHILD_TABLES = ['pool', 'listener', 'member', 'health_monitor', 'l7policy', 'l7rule'] as const;
export type ChildTable = (typeof CHILD_TABLES)[number];
export type ResourceTable = ChildTable | 'load_balancer';

/** Rows per statement: below the number of parameters that every database takes. */
const CHUNK = 200;

/** The record, or undefined when there is none or it is a deleted one that is kept for a while. */
export async function findRecord<T extends RecordTable>(
  db: Db | Trx,
  table: T,
  key: string,
): Promise<RecordOf<T> | undefined> {
  let query = db
    .selectFrom(table as 'listener')
    .selectAll()
    .where(keyColumn(table) as 'id', '=', key);
  const status = statusColumn(table);
  if (status) query = query.where(status as 'provisioning_status', '<>', 'DELETED');
  const row = await query.executeTakeFirst();
  return row && decodeRow(table, row as never);
}

/** The same, and nobody else locks or changes the record before the transaction ends. */
export async function lockRecord<T extends RecordTable>(
  trx: Trx,
  table: T,
  key: string,
): Promise<RecordOf<T> | undefined> {
  const column = keyColumn(table);
  // An update that changes nothing locks the row on every database.
  const { numUpdatedRows } = await trx
    .updateTable(table as 'listener')
    .set({ [column]: sql.ref(column) })
    .where(column as 'id', '=', key)
    .executeTakeFirstOrThrow();
  // A row that somebody inserts between the two statements would not be locked.
  return numUpdatedRows === 0n ? undefined : findRecord(trx, table, key);
}

/** Whether any record of the table, a deleted load balancer aside, has this value. */
export async function isReferenced(
  trx: Trx,
  { table, column }: { table: RecordTable; column: string },
  value: string,
): Promise<boolean> {
  let query = trx
    .selectFrom(table as 'listener')
    .select(sql`1`.as('found'))
    .where(column as 'id', '=', value)
    .limit(1);
  const status = statusColumn(table);
  if (status) query = query.where(status as 'provisioning_status', '<>', 'DELETED');
  return (await query.executeTakeFirst()) !== undefined;
}

export async function deleteRecord(trx: Trx, table: RecordTable, key: string): Promise<void> {
  await trx
    .deleteFrom(table as 'listener')
    .where(keyColumn(table) as 'id', '=', key)
    .execute();
}

/** Inserts all records, in as few statements as the databases allow. */
export async function insertRecords<T extends RecordTable>(
  trx: Trx,
  table: T,
  records: readonly RecordOf<T>[],
): Promise<void> {
  for (const part of chunks(records)) {
    const rows = part.map(record => encodeRow(table, record));
    await trx
      .insertInto(table as 'listener')
      .values(rows as never)
      .execute();
  }
}

/** Sets the same columns on all the rows; a status that the heartbeats write meanwhile stays as it is. */
export async function updateRecords<T extends RecordTable>(
  trx: Trx,
  table: T,
  keys: readonly string[],
  set: Partial<RecordOf<T>>,
): Promise<void> {
  for (const part of chunks(keys)) {
    await trx
      .updateTable(table as 'listener')
      .set(encodeRow(table, set) as UpdateObject<Tables, 'listener'>)
      .where(keyColumn(table) as 'id', 'in', part)
      .execute();
  }
}

export function chunks<T>(items: readonly T[], size = CHUNK): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < items.length; i += size) parts.push(items.slice(i, i + size));
  return parts;
}
