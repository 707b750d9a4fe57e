/** What the identity of a standalone system begins with: the roles, and an admin in his project. */

import { randomUUID } from 'node:crypto';
import { insertRecords, updateRecords } from '../db/children.ts';
import { ensureAssignment, findIdentity, listIdentity } from '../db/identity.ts';
import type { Db, Trx } from '../db/schema.ts';
import { deleteTokensOf } from '../db/tokens.ts';
import type { Secret } from '../lib/secret.ts';
import { DEFAULT_ROLES, DOMAIN } from '../model/identity.ts';
import { hashPassword } from './password.ts';

/** 32 hexadecimal digits, as the ids of Keystone are. */
export const newId = (): string => randomUUID().replaceAll('-', '');

export interface AdminIds {
  user: string;
  project: string;
}

/**
 * Makes the admin with this password, in a project of the same name, with the role admin there and on the system, as far
 * as any of it is missing. For the first start, and for whoever has lost the password.
 */
export async function ensureAdmin(db: Db, ids: AdminIds, password: Secret): Promise<void> {
  const password_hash = await hashPassword(password);
  await db.transaction().execute(async trx => {
    await ensureRoles(trx);
    const common = { enabled: true, extra: {} };
    if (await findIdentity(trx, 'user', { id: ids.user })) {
      await updateRecords(trx, 'user', [ids.user], { enabled: true, password_hash });
      await deleteTokensOf(trx, { user_id: ids.user });
    } else {
      const name = await freeName(trx, 'user');
      const user = { ...common, id: ids.user, name, default_project_id: ids.project, password_hash };
      await insertRecords(trx, 'user', [user]);
    }
    if (await findIdentity(trx, 'project', { id: ids.project })) {
      await updateRecords(trx, 'project', [ids.project], { enabled: true });
    } else {
      const name = await freeName(trx, 'project');
      const project = { ...common, id: ids.project, name, description: '', parent_id: DOMAIN.id, tags: [] };
      await insertRecords(trx, 'project', [project]);
    }
    const admin = (await findIdentity(trx, 'role', { name: 'admin' }))!;
    for (const [scope_kind, scope_id] of [
      ['project', ids.project],
      ['system', 'all'],
    ] as const)
      await ensureAssignment(trx, { user_id: ids.user, scope_kind, scope_id, role_id: admin.id });
  });
}

async function ensureRoles(trx: Trx): Promise<void> {
  const known = new Set((await listIdentity(trx, 'role')).map(role => role.name));
  const missing = DEFAULT_ROLES.filter(name => !known.has(name));
  const roles = missing.map(name => ({ id: newId(), name, description: null, extra: {} }));
  if (roles.length > 0) await insertRecords(trx, 'role', roles);
}

/** Somebody may have taken the name after the admin was deleted. */
async function freeName(trx: Trx, table: 'user' | 'project'): Promise<string> {
  const taken = await findIdentity(trx, table, { name: 'admin' });
  return taken ? `admin-${newId().slice(0, 8)}` : 'admin';
}
