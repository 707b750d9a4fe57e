/** Rows of the standalone identity: projects, users, roles, who has which role where, application credentials. */
import type { RoleAssignment } from '../model/identity.ts';
import { decodeRow, encodeRow, type RecordOf } from './rows.ts';
import type { Db, Trx } from './schema.ts';

export type IdentityTable = 'project' | 'user' | 'role' | 'application_credential';

/** All records whose fields have these values, in the order of their names. */
export async function listIdentity<T extends IdentityTable>(
  db: Db | Trx,
  table: T,
  by: Partial<RecordOf<T>> = {},
): Promise<RecordOf<T>[]> {
  let query = db.selectFrom(table as 'user').selectAll();
  for (const [name, value] of Object.entries(encodeRow(table, by)))
    query = query.where(name as 'id', '=', value as string);
  const rows = await query.orderBy('name').execute();
  return rows.map(row => decodeRow(table, row as never));
}

export async function findIdentity<T extends IdentityTable>(
  db: Db | Trx,
  table: T,
  by: Partial<RecordOf<T>>,
): Promise<RecordOf<T> | undefined> {
  return (await listIdentity(db, table, by))[0];
}

/** With all that cannot be without it; success when it is absent. */
export async function deleteIdentity(trx: Trx, table: IdentityTable, id: string): Promise<void> {
  if (table === 'project') {
    await deleteAssignments(trx, { scope_id: id });
    await trx.deleteFrom('token').where('scope_id', '=', id).execute();
    await trx.deleteFrom('application_credential').where('project_id', '=', id).execute();
  }
  await trx
    .deleteFrom(table as 'user')
    .where('id', '=', id)
    .execute();
}

export async function listAssignments(
  db: Db | Trx,
  by: Partial<RoleAssignment> = {},
): Promise<RoleAssignment[]> {
  let query = db.selectFrom('role_assignment').selectAll();
  for (const [name, value] of Object.entries(by)) query = query.where(name as 'user_id', '=', value);
  return query.orderBy('user_id').orderBy('scope_id').execute();
}

/** Success when it is there already. */
export async function ensureAssignment(trx: Trx, assignment: RoleAssignment): Promise<void> {
  if ((await listAssignments(trx, assignment)).length === 0)
    await trx.insertInto('role_assignment').values(assignment).execute();
}

export async function deleteAssignments(trx: Trx, by: Partial<RoleAssignment>): Promise<void> {
  let query = trx.deleteFrom('role_assignment');
  for (const [name, value] of Object.entries(by)) query = query.where(name as 'user_id', '=', value);
  await query.execute();
}
