/** Who has which role where: grants on projects, on the domain and on the system, and the list of all of them. */
import {
  deleteAssignments,
  ensureAssignment,
  findIdentity,
  listAssignments,
  listIdentity,
} from '../db/identity.ts';
import { deleteTokensOf } from '../db/tokens.ts';
import { Fault } from '../lib/errors.ts';
import {
  DOMAIN,
  IMPLIED_ROLES,
  type Role,
  type RoleAssignment,
  type Scope,
  withImpliedRoles,
} from '../model/identity.ts';
import type { Identity } from './identity.ts';
import {
  admins,
  anybody,
  type Call,
  himselfOrReaders,
  isTrue,
  linksOf,
  listBody,
  notFound,
  type Route,
  readers,
  type View,
} from './identity-routes.ts';

const SCOPES = [
  ['project', '/projects/:scope_id'],
  ['domain', '/domains/:scope_id'],
  ['system', '/system'],
] as const;

export function grantRoutes(identity: Identity): Route[] {
  return [
    ...SCOPES.flatMap(([kind, prefix]) => routesOf(identity, kind, `${prefix}/users/:user_id/roles`)),
    {
      ...{ method: 'GET', path: '/role_assignments' },
      may: call => call.query['user.id'] === call.token.user.id || readers(call),
      run: async call => listBody(call, 'role_assignments', await listViews(identity, call)),
    },
    {
      ...{ method: 'GET', path: '/role_inferences', may: anybody },
      run: async call => {
        const roles = byName(await listIdentity(identity.db, 'role'));
        const short = ({ id, name }: Role) => ({ id, name, links: linksOf(call.base, 'roles', id) });
        const inferences = [...IMPLIED_ROLES].flatMap(([prior, implied]) => {
          const [first, second] = [roles.get(prior), roles.get(implied)];
          return first && second ? [{ prior_role: short(first), implies: [short(second)] }] : [];
        });
        return listBody(call, 'role_inferences', inferences);
      },
    },
  ];
}

function routesOf(identity: Identity, kind: Scope['kind'], path: string): Route[] {
  const { db } = identity;
  /** The assignment that the path names; what it is made of exists. */
  const get = async ({ params }: Call): Promise<RoleAssignment> => {
    const { user_id, role_id, scope_id = 'all' } = params as Record<string, string>;
    const found = {
      user: await findIdentity(db, 'user', { id: user_id! }),
      role: await findIdentity(db, 'role', { id: role_id! }),
    };
    if (!found.user) throw notFound('user', user_id!);
    if (!found.role) throw notFound('role', role_id!);
    await checkScope(identity, { kind, id: scope_id });
    return { user_id: user_id!, scope_kind: kind, scope_id, role_id: role_id! };
  };
  const getExisting = async (call: Call): Promise<RoleAssignment> => {
    const assignment = await get(call);
    if ((await listAssignments(db, assignment)).length > 0) return assignment;
    const { role_id, user_id } = assignment;
    throw new Fault('not-found', `Could not find role assignment with role: ${role_id}, user: ${user_id}.`);
  };
  return [
    {
      ...{ method: 'GET', path, may: himselfOrReaders },
      run: async call => {
        const { user_id, scope_id = 'all' } = call.params as Record<string, string>;
        await checkScope(identity, { kind, id: scope_id });
        const held = await listAssignments(db, { user_id: user_id!, scope_kind: kind, scope_id });
        const ids = held.map(assignment => assignment.role_id);
        const roles = (await listIdentity(db, 'role')).filter(role => ids.includes(role.id));
        const view = ({ id, name }: Role) => ({
          id,
          name,
          domain_id: null,
          links: linksOf(call.base, 'roles', id),
        });
        return listBody(call, 'roles', roles.map(view));
      },
    },
    {
      ...{ method: 'PUT', path: `${path}/:role_id`, may: admins },
      run: async call => {
        const assignment = await get(call);
        await identity.write(trx => ensureAssignment(trx, assignment));
        return undefined;
      },
    },
    {
      ...{ method: 'GET', path: `${path}/:role_id`, may: himselfOrReaders },
      run: async call => void (await getExisting(call)),
    },
    {
      ...{ method: 'DELETE', path: `${path}/:role_id`, may: admins },
      run: async call => {
        const assignment = await getExisting(call);
        await identity.write(async trx => {
          await deleteAssignments(trx, assignment);
          const scope = { kind, id: assignment.scope_id };
          await deleteTokensOf(trx, { user_id: assignment.user_id, scope });
        });
        return undefined;
      },
    },
  ];
}

async function checkScope({ db }: Identity, { kind, id }: Scope): Promise<void> {
  if (kind === 'domain' && id !== DOMAIN.id) throw notFound('domain', id);
  if (kind === 'project' && !(await findIdentity(db, 'project', { id }))) throw notFound('project', id);
}

/** Filters with a dot, as Keystone has them. Nothing is inherited here, and groups have no roles. */
async function listViews({ db }: Identity, call: Call): Promise<View[]> {
  const { query, base } = call;
  if (query['group.id'] !== undefined || query['scope.OS-INHERIT:inherited_to'] !== undefined) return [];
  const text = (name: string) => (query[name] === undefined ? undefined : String(query[name]));
  const [direct, roles, users, projects] = await Promise.all([
    listAssignments(db, text('user.id') === undefined ? {} : { user_id: text('user.id')! }),
    listIdentity(db, 'role'),
    listIdentity(db, 'user'),
    listIdentity(db, 'project'),
  ]);
  const all = isTrue(query.effective) ? withImplied(direct, roles) : direct;
  const scopes = [
    ['project', text('scope.project.id')],
    ['domain', text('scope.domain.id')],
    ['system', query['scope.system'] === undefined ? undefined : 'all'],
  ] as const;
  const kept = all.filter(
    held =>
      (text('role.id') ?? held.role_id) === held.role_id &&
      scopes.every(([kind, id]) => id === undefined || (held.scope_kind === kind && held.scope_id === id)),
  );
  const names = new Map([...roles, ...users, ...projects].map(({ id, name }) => [id, name]));
  const includeNames = isTrue(query.include_names);
  return kept.map(held => assignmentView(held, base, includeNames ? names : undefined));
}

function withImplied(direct: readonly RoleAssignment[], roles: readonly Role[]): RoleAssignment[] {
  const names = new Map(roles.map(({ id, name }) => [id, name]));
  const known = byName(roles);
  const all = new Map<string, RoleAssignment>();
  for (const held of direct) {
    for (const name of withImpliedRoles([names.get(held.role_id)!])) {
      const role = known.get(name);
      const key = [held.user_id, held.scope_kind, held.scope_id, name].join();
      if (role) all.set(key, { ...held, role_id: role.id });
    }
  }
  return [...all.values()];
}

function assignmentView(held: RoleAssignment, base: string, names: Map<string, string> | undefined): View {
  const { user_id, role_id, scope_kind, scope_id } = held;
  const named = (id: string) => (names ? { id, name: names.get(id) } : { id });
  const owned = (id: string) => (names ? { ...named(id), domain: { ...DOMAIN } } : { id });
  const scope = {
    project: { project: owned(scope_id) },
    domain: { domain: names ? { ...DOMAIN } : { id: scope_id } },
    system: { system: { all: true } },
  }[scope_kind];
  const where = scope_kind === 'system' ? 'system' : `${scope_kind}s/${scope_id}`;
  return {
    user: owned(user_id),
    role: named(role_id),
    scope,
    links: { assignment: `${base}/${where}/users/${user_id}/roles/${role_id}` },
  };
}

const byName = (roles: readonly Role[]): Map<string, Role> => new Map(roles.map(role => [role.name, role]));
