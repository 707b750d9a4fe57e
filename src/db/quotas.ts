/** Quotas: the check that concurrent creators of one project cannot slip past together. */
import { QUOTA_TABLES, type Quota, type QuotaTable, UNLIMITED } from '../model/quota.ts';
import { findRecord, insertRecords, lockRecord } from './children.ts';
import { isDuplicate } from './failures.ts';
import { statusColumn } from './rows.ts';
import type { Db, Trx } from './schema.ts';

/** The limits of a project that has none of its own. */
export type QuotaDefaults = Readonly<Record<QuotaTable, number>>;

/** How many more rows of a table a write makes: the new ones without those that it removes. */
export type Growth = ReadonlyMap<string, number>;

export const UNSET = Object.fromEntries(QUOTA_TABLES.map(name => [name, null])) as Omit<Quota, 'project_id'>;

/** Thrown by a transaction that found no row to lock: `withQuotaRow` makes it and runs the transaction again. */
class NoQuotaRow extends Error {
  readonly project_id: string;
  constructor(project_id: string) {
    super(`Project ${project_id} has no row to lock`);
    this.project_id = project_id;
  }
}

/**
 * The first resource of which the project would have more than it may, or undefined. Within the transaction that will
 * insert the rows, before it does, and inside `withQuotaRow`: all who create something in a limited project wait here for
 * each other. What is on its way out counts until it is gone. Source: contract api.md 4.3.
 */
export async function findMetQuota(
  trx: Trx,
  project_id: string,
  growth: Growth,
  defaults: QuotaDefaults,
): Promise<QuotaTable | undefined> {
  const growing = QUOTA_TABLES.filter(name => (growth.get(name) ?? 0) > 0);
  if (growing.length === 0) return undefined;
  const quota = await lockRecord(trx, 'quota', project_id);
  for (const table of growing) {
    const limit = quota?.[table] ?? defaults[table];
    if (limit === UNLIMITED) continue;
    if (!quota) throw new NoQuotaRow(project_id);
    if ((await countRows(trx, table, project_id)) + growth.get(table)! > limit) return table;
  }
  return undefined;
}

/** Runs what begins a transaction and calls `findMetQuota` in it; perhaps twice. */
export async function withQuotaRow<T>(db: Db, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof NoQuotaRow)) throw error;
    await insertUnset(db, error.project_id);
    return run();
  }
}

/** Sets limits, and makes the row when the project has none. */
export async function putQuota(db: Db, project_id: string, set: Partial<Quota>): Promise<Quota> {
  if (!(await findRecord(db, 'quota', project_id))) await insertUnset(db, project_id);
  await db
    .updateTable('quota')
    .set({ project_id, ...set })
    .where('project_id', '=', project_id)
    .execute();
  return (await findRecord(db, 'quota', project_id))!;
}

async function insertUnset(db: Db, project_id: string): Promise<void> {
  try {
    await db.transaction().execute(trx => insertRecords(trx, 'quota', [{ project_id, ...UNSET }]));
  } catch (error) {
    // Somebody else has made it meanwhile.
    if (!isDuplicate(error)) throw error;
  }
}

async function countRows(trx: Trx, table: QuotaTable, project_id: string): Promise<number> {
  let query = trx
    .selectFrom(table as 'listener')
    .select(eb => eb.fn.countAll<number>().as('count'))
    .where('project_id', '=', project_id);
  const status = statusColumn(table);
  if (status) query = query.where(status as 'provisioning_status', '<>', 'DELETED');
  return Number((await query.executeTakeFirstOrThrow()).count);
}
