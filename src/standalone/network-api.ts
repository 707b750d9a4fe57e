/** The network API of a standalone system: of Neutron v2.0 what load balancing needs, to read and to write. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { readCloudRows } from '../drivers/network/cloud-rows.ts';
import type { NetworkCloud } from '../drivers/network/store.ts';
import { Fault } from '../lib/errors.ts';
import type { Authenticate, Caller } from '../model/caller.ts';
import type { CloudKind } from '../model/cloud-network.ts';
import { baseUrl } from './catalog.ts';
import { absent, forbidden, invalid, neutronErrors } from './network-api-errors.ts';
import { type Body, readBody } from './network-api-fields.ts';
import { floatingIps } from './network-api-floating-ips.ts';
import { pageOf, project, type Query } from './network-api-list.ts';
import { networks } from './network-api-networks.ts';
import { ports } from './network-api-ports.ts';
import { isOwner, type Resource, type Write } from './network-api-resource.ts';
import { securityGroupRules, securityGroups } from './network-api-security-groups.ts';
import { EMPTY_LISTS, EXTENSIONS, UNLIMITED } from './network-api-static.ts';
import { subnets } from './network-api-subnets.ts';
import { sendError } from './openstack-errors.ts';

export interface NetworkApiDeps {
  cloud: NetworkCloud;
  /** The start of all links; without it, the address that the request was sent to. */
  baseUri: string | null;
  authenticate: Authenticate;
}

const RESOURCES = [networks, subnets, ports, securityGroups, securityGroupRules, floatingIps];

/** To be mounted at `/network`. */
export function networkApi(deps: NetworkApiDeps) {
  return async (app: FastifyInstance): Promise<void> => {
    const callers = new WeakMap<FastifyRequest, Caller>();
    const callerOf = (request: FastifyRequest): Caller => callers.get(request)!;
    neutronErrors(app);
    app.addHook('preHandler', async (request, reply) => {
      // The version document is open to all, as in Neutron: clients read it before they have a token.
      if (/\/network\/?$/.test(request.url)) return;
      try {
        callers.set(request, await deps.authenticate(request));
      } catch (error) {
        if (!(error instanceof Fault) || error.kind !== 'unauthorized') throw error;
        reply.header('www-authenticate', `Keystone uri="${base(request)}/identity"`);
        return sendError(reply, 401, error.message);
      }
    });
    const base = (request: FastifyRequest): string => deps.baseUri ?? baseUrl(request);
    app.get('/', async request => {
      const href = `${base(request)}/network/v2.0/`;
      return { versions: [{ id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href }] }] };
    });
    const collections = [...RESOURCES.map(resource => resource.path), ...Object.keys(EMPTY_LISTS)];
    for (const path of ['/v2.0', '/v2.0/']) {
      app.get(path, async () => ({
        resources: collections.map(collection => ({ collection, name: collection })),
      }));
    }

    const oneAtATime = inTurn();
    for (const resource of RESOURCES) {
      const { path, plural } = resource;
      const begin = (request: FastifyRequest) => beginWrite(deps.cloud, callerOf(request), resource);
      app.get<{ Querystring: Query }>(`/v2.0/${path}`, async request => {
        const write = resource.prepare ? await oneAtATime(() => begin(request)) : await begin(request);
        const url = `${base(request)}/network/v2.0/${path}`;
        return pageOf(plural, listViews(resource, write), request.query, url);
      });
      app.get<{ Params: { id: string }; Querystring: Query }>(`/v2.0/${path}/:id`, async request => {
        const view = listViews(resource, await begin(request)).find(each => each.id === request.params.id);
        if (!view) throw absent(resource.title, request.params.id);
        return { [resource.singular]: project(view, request.query) };
      });
      app.post(`/v2.0/${path}`, async (request, reply) => {
        reply.code(201);
        return oneAtATime(async () => create(resource, request.body, await begin(request)));
      });
      app.put<{ Params: { id: string } }>(`/v2.0/${path}/:id`, async request =>
        oneAtATime(async () => update(resource, request.params.id, request.body, await begin(request))),
      );
      app.delete<{ Params: { id: string } }>(`/v2.0/${path}/:id`, async (request, reply) => {
        reply.code(204);
        await oneAtATime(async () => remove(resource, request.params.id, await begin(request)));
      });
    }

    for (const [path, key] of Object.entries(EMPTY_LISTS)) {
      app.get(`/v2.0/${path}`, async () => ({ [key]: [] }));
      app.get<{ Params: { id: string } }>(`/v2.0/${path}/:id`, async request => {
        throw absent(key, request.params.id);
      });
    }
    app.get('/v2.0/extensions', async () => ({ extensions: EXTENSIONS }));
    app.get<{ Params: { alias: string } }>('/v2.0/extensions/:alias', async request => {
      const extension = EXTENSIONS.find(each => each.alias === request.params.alias);
      if (!extension) throw absent('Extension', request.params.alias);
      return { extension };
    });
    app.get('/v2.0/quotas', async () => ({ quotas: [] }));
    for (const path of ['/v2.0/quotas/:project', '/v2.0/quotas/:project/default']) {
      app.get(path, async () => ({ quota: UNLIMITED }));
    }
  };
}

/** Rows are read once for a request: no query for each of them. */
async function beginWrite<K extends CloudKind>(
  cloud: NetworkCloud,
  caller: Caller,
  resource: Resource<K>,
): Promise<Write> {
  const write = { cloud, caller, rows: await readCloudRows(cloud.store) };
  await resource.prepare?.(write);
  return write;
}

/** Runs what it is given one after the other, whatever comes of it. */
function inTurn() {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(run: () => Promise<T>): Promise<T> => {
    const mine = last.then(run, run);
    last = mine;
    return mine;
  };
}

function listViews<K extends CloudKind>(resource: Resource<K>, { rows, caller }: Write) {
  const visible = rows[resource.kind].filter(
    record => isOwner(record, caller) || resource.isVisible?.(record, caller, rows),
  );
  return visible.map(record => resource.view(record, rows));
}

/** One object, or a list of them under the plural's name. */
async function create<K extends CloudKind>(resource: Resource<K>, body: unknown, write: Write) {
  const { singular, plural } = resource;
  const root = (body ?? {}) as Record<string, unknown>;
  const many = Array.isArray(root[plural]) ? root[plural] : undefined;
  if (!many && !Object.hasOwn(root, singular)) throw invalid(`Unable to find '${singular}' in request body`);
  checkMayWrite(write.caller, `create_${singular}`);
  const bodies = (many ?? [root[singular]]).map(each => readPost(resource, each, write.caller));
  const ids: string[] = [];
  try {
    for (const each of bodies) {
      ids.push(await resource.create(each, { ...write, rows: await readCloudRows(write.cloud.store) }));
    }
  } finally {
    await write.cloud.apply();
  }
  const after = await readCloudRows(write.cloud.store);
  const views = ids.map(id => resource.view(after[resource.kind].find(each => each.id === id)!, after));
  return many ? { [plural]: views } : { [singular]: views[0] };
}

function readPost<K extends CloudKind>(
  { fields, singular }: Resource<K>,
  given: unknown,
  caller: Caller,
): Body {
  const { project_id, tenant_id, ...body } = (given ?? {}) as Record<string, unknown>;
  const owner = project_id ?? tenant_id ?? caller.project_id;
  if (typeof owner !== 'string' || owner === '')
    throw invalid('Running without keystone AuthN requires that tenant_id is specified');
  if (owner !== caller.project_id && !caller.is_admin) throw forbidden(`create_${singular}:project_id`);
  return { ...readBody('POST', fields, body, caller, `create_${singular}`), project_id: owner };
}

async function update<K extends CloudKind>(resource: Resource<K>, id: string, body: unknown, write: Write) {
  const { singular, kind } = resource;
  const record = getOwned(resource, id, write, `update_${singular}`);
  const root = (body ?? {}) as Record<string, unknown>;
  if (!Object.hasOwn(root, singular)) throw invalid(`Unable to find '${singular}' in request body`);
  const change = readBody('PUT', resource.fields, root[singular], write.caller, `update_${singular}`);
  await resource.update(record, change, write);
  await write.cloud.apply();
  const after = await readCloudRows(write.cloud.store);
  const written = after[kind].find(each => each.id === id);
  if (!written) throw absent(resource.title, id);
  return { [singular]: resource.view(written, after) };
}

async function remove<K extends CloudKind>(resource: Resource<K>, id: string, write: Write): Promise<void> {
  await resource.remove(getOwned(resource, id, write, `delete_${resource.singular}`), write);
  await write.cloud.apply();
}

/** Throws 404 for what the caller does not see, 403 for what he may not change. */
function getOwned<K extends CloudKind>(resource: Resource<K>, id: string, write: Write, rule: string) {
  const { rows, caller } = write;
  const record = rows[resource.kind].find(each => each.id === id);
  if (!record || !(isOwner(record, caller) || resource.isVisible?.(record, caller, rows)))
    throw absent(resource.title, id);
  if (!isOwner(record, caller)) throw forbidden(rule);
  checkMayWrite(caller, rule);
  return record;
}

/** Readers look. */
function checkMayWrite(caller: Caller, rule: string): void {
  if (!caller.is_admin && !caller.roles.includes('member')) throw forbidden(rule);
}
