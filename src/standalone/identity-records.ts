/** Projects, users and roles of the identity API: made, shown, changed and deleted by one set of rules for all three. */
import { insertRecords, updateRecords } from '../db/children.ts';
import { deleteIdentity, findIdentity, listAssignments, listIdentity } from '../db/identity.ts';
import type { RecordOf } from '../db/rows.ts';
import type { Trx } from '../db/schema.ts';
import { deleteTokensOf } from '../db/tokens.ts';
import { Fault } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { DEFAULT_ROLES, DOMAIN, type Project, type Role, type User } from '../model/identity.ts';
import { newId } from './first-start.ts';
import { type Identity, UNAUTHORIZED } from './identity.ts';
import {
  admins,
  anybody,
  type Call,
  himselfOrReaders,
  linksOf,
  listBody,
  notFound,
  type Route,
  readers,
  rootOf,
  type View,
} from './identity-routes.ts';
import { hashPassword } from './password.ts';

type Table = 'project' | 'user' | 'role';

/** Reads one field of a body; throws what the user must know. */
type Read = (value: unknown, name: string) => unknown;

interface Kind<T extends Table> {
  table: T;
  plural: string;
  fields: Record<string, Read>;
  /** What a record is where its maker says nothing. */
  defaults: Omit<RecordOf<T>, 'id' | 'name' | 'extra'>;
  view(record: RecordOf<T>): object;
  mayList(call: Call): boolean;
  mayShow(call: Call): boolean;
  /** Throws when it may not be made, changed or deleted so. */
  check?(identity: Identity, wish: Wish<T>): Promise<void> | void;
  /** What must end with a change. */
  afterChange?(trx: Trx, before: RecordOf<T>, set: Partial<RecordOf<T>>): Promise<void>;
}

interface Wish<T extends Table> {
  body: Record<string, unknown>;
  /** undefined when it is made. */
  before?: RecordOf<T>;
  isDeletion?: boolean;
}

const text: Read = (value, name) => {
  if (typeof value === 'string') return value;
  throw invalid(name, 'a string');
};
const textOrNull: Read = (value, name) => (value === null ? null : text(value, name));
const flag: Read = (value, name) => {
  if (typeof value === 'boolean') return value;
  throw invalid(name, 'true or false');
};
const nameOf =
  (most: number): Read =>
  (value, name) => {
    if (typeof value === 'string' && value.trim() !== '' && value.length <= most) return value;
    throw invalid(name, `a string of 1 to ${most} characters`);
  };
const tags: Read = (value, name) => {
  if (Array.isArray(value) && value.every(tag => typeof tag === 'string')) return [...new Set(value)];
  throw invalid(name, 'a list of strings');
};

const invalid = (name: string, wanted: string): Fault =>
  new Fault('invalid', `Invalid input for field ${name}: it must be ${wanted}.`);

/** Fields that we know and do not store; what clients send in them is checked elsewhere or has no effect. */
const UNSTORED = new Set(['id', 'links', 'options', 'domain_id', 'domain', 'is_domain', 'password']);

const PROJECT: Kind<'project'> = {
  table: 'project',
  plural: 'projects',
  fields: {
    name: nameOf(64),
    description: (value, name) => textOrNull(value, name) ?? '',
    enabled: flag,
    parent_id: (value, name) => textOrNull(value, name) ?? DOMAIN.id,
    tags,
  },
  defaults: { description: '', enabled: true, parent_id: DOMAIN.id, tags: [] },
  view: ({ extra, ...record }) => ({
    ...extra,
    ...record,
    domain_id: DOMAIN.id,
    is_domain: false,
    options: {},
  }),
  mayList: readers,
  mayShow: call => call.params.id === call.token.project?.id || readers(call),
  async check({ db }, { body, before, isDeletion }) {
    if (body.is_domain) throw new Fault('forbidden', `There is one domain only: ${DOMAIN.name}.`);
    const parent = body.parent_id;
    if (before && typeof parent === 'string' && parent !== before.parent_id)
      throw new Fault('forbidden', `Project ${before.id} cannot move to another parent.`);
    if (
      typeof parent === 'string' &&
      parent !== DOMAIN.id &&
      !(await findIdentity(db, 'project', { id: parent }))
    )
      throw notFound('project', parent);
    if (isDeletion && (await findIdentity(db, 'project', { parent_id: before!.id })))
      throw new Fault('forbidden', `Project ${before!.id} cannot be deleted while it has projects below it.`);
  },
  async afterChange(trx, { id }, { enabled }) {
    if (enabled === false) await deleteTokensOf(trx, { scope: { kind: 'project', id } });
  },
};

const USER: Kind<'user'> = {
  table: 'user',
  plural: 'users',
  fields: { name: nameOf(255), enabled: flag, default_project_id: textOrNull },
  defaults: { enabled: true, default_project_id: null, password_hash: null },
  view: ({ extra, password_hash: _, default_project_id, ...record }) => ({
    ...extra,
    ...record,
    ...(default_project_id === null ? {} : { default_project_id }),
    ...{ domain_id: DOMAIN.id, options: {}, password_expires_at: null },
  }),
  mayList: readers,
  mayShow: call => call.params.id === call.token.user.id || readers(call),
  async afterChange(trx, { id }, { enabled, password_hash }) {
    if (enabled === false || password_hash !== undefined) await deleteTokensOf(trx, { user_id: id });
  },
};

const ROLE: Kind<'role'> = {
  table: 'role',
  plural: 'roles',
  fields: { name: nameOf(255), description: textOrNull },
  defaults: { description: null },
  view: ({ extra, ...record }) => {
    const options = DEFAULT_ROLES.includes(record.name) ? { immutable: true } : {};
    return { ...extra, ...record, domain_id: null, options };
  },
  mayList: anybody,
  mayShow: anybody,
  check(_, { body, before }) {
    if (body.domain_id) throw new Fault('invalid', 'Roles belong to no domain here.');
    if (before && DEFAULT_ROLES.includes(before.name))
      throw new Fault('forbidden', `Role ${before.name} cannot be changed or deleted: it is immutable.`);
  },
};

export function recordRoutes(identity: Identity): Route[] {
  return [
    ...routesOf(identity, PROJECT),
    ...routesOf(identity, USER),
    ...routesOf(identity, ROLE),
    {
      ...{ method: 'GET', path: '/users/:user_id/projects', may: himselfOrReaders },
      run: async call => {
        const projects = await listProjectsOf(identity, call.params.user_id!);
        return listBody(
          call,
          'projects',
          projects.map(project => projectView(call.base, project)),
        );
      },
    },
  ];
}

export const projectView = (base: string, project: Project): View => viewOf(PROJECT, base, project);

/** Those where the user has a role. */
export async function listProjectsOf({ db }: Identity, userId: string): Promise<Project[]> {
  const held = await listAssignments(db, { user_id: userId, scope_kind: 'project' });
  const ids = new Set(held.map(assignment => assignment.scope_id));
  return (await listIdentity(db, 'project')).filter(project => ids.has(project.id));
}

/** `POST /users/{id}/password`: by whoever knows the present one, with a token or without. */
export async function changePassword(identity: Identity, userId: string, body: unknown): Promise<void> {
  const wish = rootOf(body, 'user');
  const [original, password] = ['original_password', 'password'].map(
    name => text(wish[name], name) as string,
  );
  const user = await identity.findUserByPassword({ id: userId }, new Secret(original!));
  if (!user?.enabled) throw new Fault('unauthorized', UNAUTHORIZED);
  const password_hash = await hashPassword(newPassword(password));
  await update(identity, USER, user, { password_hash });
}

function newPassword(value: unknown): Secret {
  const password = text(value, 'password') as string;
  if (password === '') throw invalid('password', 'a string of at least one character');
  return new Secret(password);
}

function viewOf<T extends Table>(kind: Kind<T>, base: string, record: RecordOf<T>): View {
  return { ...kind.view(record), id: record.id, links: linksOf(base, kind.plural, record.id) };
}

function routesOf<T extends Table>(identity: Identity, kind: Kind<T>): Route[] {
  const { table, plural } = kind;
  const get = async (id: string): Promise<RecordOf<T>> => {
    const record = await findIdentity(identity.db, table, { id } as Partial<RecordOf<T>>);
    if (!record) throw notFound(table, id);
    return record;
  };
  const show = ({ base }: Call, record: RecordOf<T>) => ({ [table]: viewOf(kind, base, record) });
  return [
    {
      ...{ method: 'GET', path: `/${plural}`, may: kind.mayList },
      run: async call => {
        const { name } = call.query;
        const by = (typeof name === 'string' ? { name } : {}) as Partial<RecordOf<T>>;
        const records = await listIdentity(identity.db, table, by);
        return listBody(
          call,
          plural,
          records.map(record => viewOf(kind, call.base, record)),
        );
      },
    },
    {
      ...{ method: 'GET', path: `/${plural}/:id`, may: kind.mayShow },
      run: async call => show(call, await get(call.params.id!)),
    },
    {
      ...{ method: 'POST', path: `/${plural}`, may: admins },
      run: async call => {
        const body = rootOf(call.body, table);
        if (!Object.hasOwn(body, 'name')) throw invalid('name', 'given');
        await check(identity, kind, { body });
        const set = await read(kind, body);
        const record = { ...kind.defaults, extra: {}, ...set, id: newId() } as RecordOf<T>;
        await refusingTwins(identity, kind, record, () =>
          identity.write(trx => insertRecords(trx, table, [record])),
        );
        return show(call, record);
      },
    },
    {
      ...{ method: 'PATCH', path: `/${plural}/:id`, may: admins },
      run: async call => {
        const before = await get(call.params.id!);
        const body = rootOf(call.body, table);
        await check(identity, kind, { body, before });
        const set = await read(kind, body, before.extra);
        await refusingTwins(identity, kind, { ...before, ...set }, () => update(identity, kind, before, set));
        return show(call, { ...before, ...set });
      },
    },
    {
      ...{ method: 'DELETE', path: `/${plural}/:id`, may: admins },
      run: async call => {
        const before = await get(call.params.id!);
        await check(identity, kind, { body: {}, before, isDeletion: true });
        await identity.write(trx => deleteIdentity(trx, table, before.id));
        return undefined;
      },
    },
  ];
}

async function check<T extends Table>(identity: Identity, kind: Kind<T>, wish: Wish<T>): Promise<void> {
  await kind.check?.(identity, wish);
  const domain = wish.body.domain_id;
  if (domain !== undefined && domain !== null && domain !== DOMAIN.id)
    throw notFound('domain', String(domain));
}

async function read<T extends Table>(
  { table, fields }: Kind<T>,
  body: Record<string, unknown>,
  extraBefore: Record<string, unknown> = {},
): Promise<Partial<RecordOf<T>>> {
  const set: Record<string, unknown> = {};
  const extra = { ...extraBefore };
  for (const [name, value] of Object.entries(body)) {
    const reading = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (reading) set[name] = reading(value, name);
    else if (!UNSTORED.has(name)) extra[name] = value;
  }
  if (table === 'user' && body.password !== undefined && body.password !== null)
    set.password_hash = await hashPassword(newPassword(body.password));
  return { ...set, extra } as Partial<RecordOf<T>>;
}

async function update<T extends Table>(
  identity: Identity,
  kind: Kind<T>,
  before: RecordOf<T>,
  set: Partial<RecordOf<T>>,
): Promise<void> {
  await identity.write(async trx => {
    await updateRecords(trx, kind.table, [before.id], set);
    await kind.afterChange?.(trx, before, set);
  });
}

/** Names are unique; the database decides, so that of two at once one is refused. */
async function refusingTwins<T extends Table>(
  { db }: Identity,
  { table }: Kind<T>,
  record: Project | User | Role,
  write: () => Promise<void>,
): Promise<void> {
  try {
    await write();
  } catch (cause) {
    const twin = await findIdentity(db, table, { name: record.name } as Partial<RecordOf<T>>);
    if (!twin || twin.id === record.id) throw cause;
    throw new Fault('conflict', `There is a ${table} with the name ${record.name} already.`, { cause });
  }
}
