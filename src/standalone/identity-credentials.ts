/** Application credentials: what a program logs in with instead of its user's password, for one project and some roles. */

import { randomBytes } from 'node:crypto';
import { insertRecords } from '../db/children.ts';
import { deleteIdentity, findIdentity, listIdentity } from '../db/identity.ts';
import { timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { ApplicationCredential, Role } from '../model/identity.ts';
import { newId } from './first-start.ts';
import type { Identity } from './identity.ts';
import {
  type Call,
  field,
  himselfOrReaders,
  linksOf,
  listBody,
  notFound,
  type Route,
  rootOf,
  type View,
} from './identity-routes.ts';
import { hashPassword } from './password.ts';

const PATH = '/users/:user_id/application_credentials';

export function credentialRoutes(identity: Identity): Route[] {
  const { db } = identity;
  const get = async ({ params: { user_id, id } }: Call): Promise<ApplicationCredential> => {
    const found = await findIdentity(db, 'application_credential', { user_id: user_id!, id: id! });
    if (!found) throw notFound('application credential', id!);
    return found;
  };
  return [
    {
      ...{ method: 'GET', path: PATH, may: himselfOrReaders },
      run: async call => {
        const { user_id } = call.params;
        const roles = await listIdentity(db, 'role');
        const all = await listIdentity(db, 'application_credential', { user_id: user_id! });
        const views = all.map(each => credentialView(each, roles, call.base));
        return listBody(call, 'application_credentials', views);
      },
    },
    {
      ...{ method: 'GET', path: `${PATH}/:id`, may: himselfOrReaders },
      run: async call => {
        const roles = await listIdentity(db, 'role');
        return { application_credential: credentialView(await get(call), roles, call.base) };
      },
    },
    {
      ...{ method: 'POST', path: PATH, may: himself },
      run: async call => {
        const secret = new Secret(givenSecret(call.body) ?? randomBytes(64).toString('base64url'));
        const record = readCredential(call, await hashPassword(secret));
        const taken = await findIdentity(db, 'application_credential', {
          ...{ user_id: record.user_id, name: record.name },
        });
        if (taken)
          throw new Fault(
            'conflict',
            `There is an application credential with the name ${record.name} already.`,
          );
        await identity.write(trx => insertRecords(trx, 'application_credential', [record]));
        const view = credentialView(record, await listIdentity(db, 'role'), call.base);
        return { application_credential: { ...view, secret: secret.reveal() } };
      },
    },
    {
      ...{ method: 'DELETE', path: `${PATH}/:id` },
      may: call => himself(call) || call.token.caller.is_admin,
      run: async call => {
        const { id } = await get(call);
        await identity.write(trx => deleteIdentity(trx, 'application_credential', id));
        return undefined;
      },
    },
  ];
}

/** Not with a credential that is not for this: who has stolen one shall not make himself more of them. */
const himself = ({ params, token }: Call): boolean =>
  params.user_id === token.user.id && token.credential?.unrestricted !== false;

const invalid = (name: string, wanted: string): Fault =>
  new Fault('invalid', `Invalid input for field application_credential.${name}: it must be ${wanted}.`);

function givenSecret(body: unknown): string | undefined {
  const { secret } = rootOf(body, 'application_credential');
  if (secret === undefined || secret === null) return undefined;
  if (typeof secret !== 'string' || secret === '') throw invalid('secret', 'a string');
  return secret;
}

function readCredential({ body, token }: Call, secret_hash: string): ApplicationCredential {
  const wish = rootOf(body, 'application_credential');
  const { name, description = null, unrestricted = false, roles, expires_at } = wish;
  if (!token.project)
    throw new Fault('forbidden', 'An application credential is made with a token for its project.');
  if (typeof name !== 'string' || name.trim() === '' || name.length > 255)
    throw invalid('name', 'a string of 1 to 255 characters');
  if (description !== null && typeof description !== 'string') throw invalid('description', 'a string');
  if (typeof unrestricted !== 'boolean') throw invalid('unrestricted', 'true or false');
  const expires_at_ms = expires_at === undefined || expires_at === null ? null : readTime(expires_at);
  if (wish.access_rules !== undefined && wish.access_rules !== null)
    throw new Fault('invalid', 'Access rules of application credentials are not known here.');
  return {
    ...{ id: newId(), name, description, unrestricted, secret_hash, expires_at_ms },
    ...{ user_id: token.user.id, project_id: token.project.id },
    roles: readRoles(roles, token.roles),
  };
}

/** Some of those that the caller has now; all of them when he names none. */
function readRoles(wanted: unknown, held: readonly Role[]): string[] {
  if (wanted === undefined || wanted === null) return held.map(role => role.id);
  if (!Array.isArray(wanted)) throw invalid('roles', 'a list of roles');
  return wanted.map(each => {
    const [id, name] = [field(each, 'id'), field(each, 'name')];
    const role = held.find(candidate => (id === undefined ? candidate.name === name : candidate.id === id));
    if (!role) throw new Fault('invalid', `Role ${String(id ?? name)} is not among those of the token.`);
    return role.id;
  });
}

function readTime(value: unknown): number {
  // Without a zone it is UTC. Source: Keystone API v3, "application credentials".
  const text = typeof value === 'string' ? value.replace(/(\d)$/, '$1Z') : '';
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw invalid('expires_at', 'a time such as 2026-01-31T12:00:00.000000');
  return ms;
}

function credentialView(credential: ApplicationCredential, roles: readonly Role[], base: string): View {
  const { secret_hash: _, expires_at_ms, user_id, ...shown } = credential;
  const held = roles.filter(role => credential.roles.includes(role.id));
  return {
    ...shown,
    user_id,
    expires_at: expires_at_ms === null ? null : timestamp(Number(expires_at_ms)),
    system: null,
    roles: held.map(({ id, name }) => ({ id, name, domain_id: null })),
    links: linksOf(base, `users/${user_id}/application_credentials`, credential.id),
  };
}
