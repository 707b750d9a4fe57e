/** The account that a standalone system begins with. */
import { randomBytes } from 'node:crypto';
import { findIdentity, listIdentity } from '../db/identity.ts';
import type { Db } from '../db/schema.ts';
import { ensureSystemFact } from '../db/system.ts';
import { Secret } from '../lib/secret.ts';
import { ensureAdmin, newId } from '../standalone/first-start.ts';
import { findPassword, type Login } from './client-files.ts';

/**
 * What the client files say. The password of the admin is known to them alone: without them, a new one is made; one that
 * was changed through the API is for its owner to write there.
 */
export async function ensureLogin(db: Db, directory: string): Promise<Login> {
  const ids = {
    user: await ensureSystemFact(db, 'admin_user_id', newId),
    project: await ensureSystemFact(db, 'admin_project_id', newId),
  };
  const written = findPassword(directory);
  const password = written ?? new Secret(randomBytes(18).toString('base64url'));
  // A directory of the version before has the password, and no users yet.
  if (!written || (await listIdentity(db, 'user')).length === 0) await ensureAdmin(db, ids, password);
  const [user, project] = await Promise.all([
    findIdentity(db, 'user', { id: ids.user }),
    findIdentity(db, 'project', { id: ids.project }),
  ]);
  return { user: user?.name ?? 'admin', project: project?.name ?? 'admin', password };
}
