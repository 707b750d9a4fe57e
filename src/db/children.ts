/** Rows of any resource as the API finds and writes them: one record by its id, many rows in one statement. */
import type { UpdateObject } from 'kysely';
import { decodeRow, encodeRow, type RecordOf } from './rows.ts';
import type { Db, Tables, Trx } from './schema.ts';

/** The resources under a load balancer. */
export type ChildTable = 'listener' | 'pool' | 'member' | 'health_monitor';
export type ResourceTable = ChildTable | 'load_balancer';

/** Rows per statement: below the number of parameters that every database takes. */
const CHUNK = 200;

/** The record, or undefined when there is none or it is a deleted load balancer. */
export async function findRecord<T extends ResourceTable>(
  db: Db | Trx,
  table: T,
  id: string,
): Promise<RecordOf<T> | undefined> {
  const row = await db
    .selectFrom(table as 'listener')
    .selectAll()
    .where('id', '=', id)
    .where('provisioning_status', '<>', 'DELETED')
    .executeTakeFirst();
  return row && decodeRow(table, row as never);
}

/** Inserts all records, in as few statements as the databases allow. */
export async function insertRecords<T extends ResourceTable>(
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
export async function updateRecords<T extends ResourceTable>(
  trx: Trx,
  table: T,
  ids: readonly string[],
  set: Partial<RecordOf<T>>,
): Promise<void> {
  for (const part of chunks(ids)) {
    await trx
      .updateTable(table as 'listener')
      .set(encodeRow(table, set) as UpdateObject<Tables, 'listener'>)
      .where('id', 'in', part)
      .execute();
  }
}

export function chunks<T>(items: readonly T[], size = CHUNK): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < items.length; i += size) parts.push(items.slice(i, i + size));
  return parts;
}
