/** The key manager of a standalone system: as much of Barbican v1 as clients and load balancers need to keep certificates. */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ITEM_TABLES, type Item, type ItemTable, type Part, type SecretTables } from '../db/secrets.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { parseJson } from '../lib/json.ts';
import type { Authenticate, Caller } from '../model/caller.ts';
import {
  type Consumer,
  type KeptItem,
  type KeptSecret,
  type KeyDeed,
  mayUse,
  type SecretContainer,
} from '../model/secret.ts';
import { baseUrl } from './catalog.ts';
import {
  type AclBody,
  aclView,
  BODIES,
  CONTENT_TYPES,
  type ContainerBody,
  checkParts,
  containerView,
  decodePayload,
  nextAcl,
  type PartBody,
  pageView,
  plainType,
  readExpiration,
  readPage,
  readPayload,
  type SecretBody,
  secretView,
} from './key-manager-body.ts';
import { created, minorOf, sendFault, versionView } from './key-manager-http.ts';
import { openstackErrors } from './openstack-errors.ts';

export interface KeyManagerApiDeps {
  secrets: SecretTables;
  clock: Clock;
  baseUri: string | null;
  authenticate: Authenticate;
}

type Collection = keyof typeof ITEM_TABLES;
type Query = Record<string, string | string[] | undefined>;

/** What a handler is given; `id` is that of the path. */
interface Call {
  request: FastifyRequest;
  reply: FastifyReply;
  caller: Caller;
  /** Such as `http://127.0.0.1:9876/key-manager/v1`: what references begin with. */
  base: string;
  id: string;
  query: Query;
  body: unknown;
}

/** To be mounted at `/key-manager`. */
export function keyManagerApi({ secrets, clock, baseUri, authenticate }: KeyManagerApiDeps) {
  const rows = secrets;
  const now = () => timestamp(clock.now());
  return async (app: FastifyInstance): Promise<void> => {
    openstackErrors(app, baseUri, sendFault);
    app.removeAllContentTypeParsers();
    app.addContentTypeParser(
      [...CONTENT_TYPES],
      { parseAs: 'buffer' },
      async (_: unknown, body: Buffer) => body,
    );
    app.addContentTypeParser('*', { parseAs: 'string' }, async (_: unknown, body: string) => parseJson(body));

    const open = (
      url: string,
      handler: (base: string, request: FastifyRequest, reply: FastifyReply) => unknown,
    ) => app.get(url, async (request, reply) => handler(baseOf(request), request, reply));
    for (const url of ['/v1', '/v1/'])
      open(url, (base, request) => ({ version: versionView(base, minorOf(request)) }));
    open('/', (base, request, reply) => {
      const minor = minorOf(request);
      const values = [versionView(base, minor)];
      void reply.code(300);
      return { versions: minor === 0 ? { values } : values };
    });

    function add(method: string, path: string, run: (call: Call) => unknown, body?: object): void {
      for (const url of [`/v1${path}`, `/v1${path}/`]) {
        app.route<{ Params: { id: string }; Querystring: Query }>({
          method,
          url,
          ...(body && { schema: { body } }),
          onRequest: async request => void callers.set(request, await authenticate(request)),
          handler: async (request, reply) => {
            const { params, query, body } = request;
            void reply.header('openstack-api-version', `key-manager 1.${minorOf(request)}`);
            const caller = callers.get(request)!;
            const answer = await run({
              request,
              reply,
              caller,
              base: baseOf(request),
              id: params.id,
              query,
              body,
            });
            return answer === undefined ? reply.send() : answer;
          },
        });
      }
    }
    const callers = new WeakMap<FastifyRequest, Caller>();

    add('POST', '/secrets', createSecret, BODIES.secret);
    add('PUT', '/secrets/:id', storePayload);
    add('GET', '/secrets/:id', showSecret);
    add('GET', '/secrets/:id/payload', sendPayload);
    add('GET', '/secrets/:id/metadata', async call => {
      const { metadata } = await get('secrets', call, 'list');
      return { metadata };
    });
    add('PUT', '/secrets/:id/metadata', storeMetadata, BODIES.metadata);
    add('POST', '/containers', createContainer, BODIES.container);
    add('GET', '/containers/:id', async call => containerOf(call, await get('containers', call, 'list')));
    add('POST', '/containers/:id/secrets', addPart, BODIES.part);
    add('DELETE', '/containers/:id/secrets', removePart, BODIES.part);
    for (const kind of ['secrets', 'containers'] as const) {
      add('GET', `/${kind}`, call => list(kind, call));
      add('DELETE', `/${kind}/:id`, call => remove(kind, call));
      add('GET', `/${kind}/:id/acl`, async call => aclView((await get(kind, call, 'list')).acl));
      add('PUT', `/${kind}/:id/acl`, call => storeAcl(kind, call, false), BODIES.acl);
      add('PATCH', `/${kind}/:id/acl`, call => storeAcl(kind, call, true), BODIES.acl);
      add('DELETE', `/${kind}/:id/acl`, async call => {
        await rows.update(ITEM_TABLES[kind], (await get(kind, call, 'write')).id, { acl: null });
      });
      add('GET', `/${kind}/:id/consumers`, call => listConsumers(kind, call));
      add('POST', `/${kind}/:id/consumers`, call => changeConsumer(kind, call, true), BODIES[kind]);
      add('DELETE', `/${kind}/:id/consumers`, call => changeConsumer(kind, call, false), BODIES[kind]);
    }
    for (const kind of ['orders', 'cas']) {
      add('GET', `/${kind}`, () => ({ [kind]: [], total: 0 }));
      add('POST', `/${kind}`, () => {
        throw new Fault('unsupported', 'This key manager keeps secrets, and makes none.');
      });
    }
  };

  function baseOf(request: FastifyRequest): string {
    return `${baseUri ?? baseUrl(request)}/key-manager/v1`;
  }

  function newItem(caller: Caller, name: string | null | undefined): KeptItem {
    if (caller.project_id === null) throw new Fault('forbidden', 'Your token is not scoped to a project.');
    const item = { id: randomUUID(), project_id: caller.project_id, creator_id: caller.user_id, acl: null };
    checkRights(caller, 'write', item, 'make anything in this project');
    return { ...item, name: name?.trim() || null, created_at: now(), updated_at: now() };
  }

  /** The item of the path. Throws `not-found` before `forbidden`. */
  async function get<K extends Collection>(
    kind: K,
    { id, caller }: Call,
    deed: KeyDeed,
  ): Promise<Item<(typeof ITEM_TABLES)[K]>> {
    const item = await rows.find(ITEM_TABLES[kind], id.toLowerCase());
    const what = `${kind.slice(0, -1)} ${id.slice(0, 80).toWellFormed()}`;
    if (!item) throw new Fault('not-found', `There is no ${what}.`);
    checkRights(caller, deed, item, `${deed} ${what}`);
    return item as Item<(typeof ITEM_TABLES)[K]>;
  }

  async function createSecret({ caller, base, body, reply }: Call) {
    const sent = body as SecretBody;
    const item = newItem(caller, sent.name);
    const content = readPayload(sent);
    const secret: KeptSecret = {
      ...item,
      secret_type: sent.secret_type ?? 'opaque',
      algorithm: sent.algorithm ?? null,
      bit_length: sent.bit_length ?? null,
      mode: sent.mode ?? null,
      expiration: readExpiration(sent.expiration, clock.now()),
      content_type: content?.contentType ?? null,
      metadata: {},
    };
    await rows.insertSecret(secret, content?.payload ?? null);
    return created(reply, 'secret_ref', `${base}/secrets/${secret.id}`);
  }

  async function storePayload(call: Call) {
    const { request, reply, body } = call;
    const { id } = await get('secrets', call, 'write');
    const contentType = plainType(request.headers['content-type'] ?? '', 'unsupported-media');
    const isBase64 = request.headers['content-encoding'] === 'base64';
    if (!(await rows.storePayload(id, contentType, decodePayload(body as Buffer, isBase64))))
      throw new Fault('conflict', `Secret ${id} has a payload already, which cannot be changed.`);
    reply.code(204);
  }

  /** The payload too, for old clients, which ask for it by the type that they accept. */
  async function showSecret(call: Call) {
    const { accept = '*/*' } = call.request.headers;
    if (!/json|\*\/\*/.test(accept)) return sendPayload(call);
    const secret = await get('secrets', call, 'list');
    return secretOf(call, secret);
  }

  async function sendPayload(call: Call) {
    const { id, content_type } = await get('secrets', call, 'read');
    const payload = (await rows.listPayloads([id])).get(id);
    if (!payload || content_type === null) throw new Fault('not-found', `Secret ${id} has no payload.`);
    const { accept = '*/*' } = call.request.headers;
    const accepted = accept.split(',').map(range => range.split(';', 1)[0]!.trim());
    if (!accepted.includes('*/*') && !accepted.includes(content_type))
      throw new Fault('not-acceptable', `The payload of secret ${id} is ${content_type}.`);
    // Without it clients take text for Latin-1.
    call.reply.type(content_type === 'text/plain' ? `${content_type}; charset=utf-8` : content_type);
    return payload.reveal();
  }

  async function storeMetadata(call: Call) {
    const { id } = await get('secrets', call, 'write');
    const { metadata } = call.body as { metadata: Record<string, string> };
    const entries = Object.entries(metadata).map(([key, value]) => [key.toLowerCase(), value]);
    await rows.update('secret', id, { metadata: Object.fromEntries(entries) });
    return created(call.reply, 'metadata_ref', `${call.base}/secrets/${id}/metadata`);
  }

  async function createContainer({ caller, base, body, reply }: Call) {
    const { name, type, secret_refs } = body as ContainerBody;
    const container: SecretContainer = { ...newItem(caller, name), type };
    const parts = secret_refs.map(readPart);
    checkParts(type, parts);
    await checkSecrets(parts, caller);
    await rows.insertContainer(container, parts);
    return created(reply, 'container_ref', `${base}/containers/${container.id}`);
  }

  async function addPart(call: Call) {
    const { id, type } = await get('containers', call, 'write');
    if (type !== 'generic') throw new Fault('invalid', 'Only generic containers can be changed.');
    const part = readPart(call.body as PartBody);
    await checkSecrets([part], call.caller);
    await rows.addPart(id, part);
    return created(call.reply, 'container_ref', `${call.base}/containers/${id}`);
  }

  async function removePart(call: Call) {
    const { id } = await get('containers', call, 'write');
    await rows.removePart(id, readPart(call.body as PartBody));
    call.reply.code(204);
  }

  /** Throws `not-found` for a secret that is absent or of another project. */
  async function checkSecrets(parts: readonly Part[], caller: Caller): Promise<void> {
    const ids = parts.map(part => part.secret_id);
    const found = await rows.listByIds('secret', ids);
    const own = found.filter(secret => secret.project_id === caller.project_id).map(secret => secret.id);
    const missing = parts.find(part => !own.includes(part.secret_id));
    if (missing) throw new Fault('not-found', `There is no secret ${missing.secret_id} for ${missing.name}.`);
  }

  async function list(kind: Collection, call: Call) {
    const { caller, base, query } = call;
    const project_id = caller.project_id ?? '';
    checkRights(caller, 'list', { project_id, creator_id: null, acl: null }, `list ${kind}`);
    const page = readPage(ITEM_TABLES[kind], query, project_id);
    const { items, total } = await rows.listPage(ITEM_TABLES[kind] as ItemTable, page);
    const consumers = await consumersOf(items);
    const parts = kind === 'containers' ? await rows.listParts(items.map(item => item.id)) : undefined;
    const views = items.map(item =>
      'type' in item
        ? containerView(item, base, parts?.get(item.id) ?? [], consumers(item.id))
        : secretView(item, base, minorOf(call.request) > 0 ? consumers(item.id) : undefined),
    );
    return { [kind]: views, ...pageView(`${base}/${kind}`, query, page, total) };
  }

  async function remove(kind: Collection, call: Call) {
    const item = await get(kind, call, 'write');
    // Source: Barbican's microversion 1.2.
    if (kind === 'secrets' && minorOf(call.request) >= 2 && !/^(true|1)$/i.test(`${call.query.force}`)) {
      const used = (await consumersOf([item]))(item.id).length;
      if (used > 0)
        throw new Fault('conflict', `Secret ${item.id} has ${used} consumers; force its deletion.`);
    }
    await rows.delete(ITEM_TABLES[kind], item.id);
    call.reply.code(204);
  }

  async function storeAcl(kind: Collection, call: Call, merge: boolean) {
    const { id, acl } = await get(kind, call, 'write');
    await rows.update(ITEM_TABLES[kind], id, { acl: nextAcl(call.body as AclBody, acl, merge, now()) });
    return { acl_ref: `${call.base}/${kind}/${id}/acl` };
  }

  async function listConsumers(kind: Collection, call: Call) {
    const { id } = await get(kind, call, 'list');
    const all = (await rows.listConsumers([id])).get(id) ?? [];
    const page = readPage(ITEM_TABLES.containers, { limit: call.query.limit, offset: call.query.offset }, '');
    const consumers = all.slice(page.offset, page.offset + page.limit).map(({ consumer, created_at }) => ({
      ...{ status: 'ACTIVE', created: created_at, updated: created_at },
      ...consumer,
    }));
    return { consumers, ...pageView(`${call.base}/${kind}/${id}/consumers`, call.query, page, all.length) };
  }

  async function changeConsumer(kind: Collection, call: Call, ensure: boolean) {
    const item = await get(kind, call, 'read');
    const sent = call.body as Consumer;
    // In one order, however it was sent: it is found again by its text.
    const consumer = Object.fromEntries(BODIES[kind].required.map(key => [key, sent[key]!]));
    if (ensure) await rows.ensureConsumer(item.id, consumer);
    else if (!(await rows.releaseConsumer(item.id, consumer)))
      throw new Fault('not-found', `There is no such consumer of ${item.id}.`);
    return 'type' in item ? containerOf(call, item) : secretOf(call, item);
  }

  async function consumersOf(items: readonly KeptItem[]): Promise<(id: string) => Consumer[]> {
    const all = await rows.listConsumers(items.map(item => item.id));
    return id => (all.get(id) ?? []).map(({ consumer }) => consumer);
  }

  async function secretOf({ base, request }: Call, secret: KeptSecret) {
    const consumers = minorOf(request) > 0 ? (await consumersOf([secret]))(secret.id) : undefined;
    return secretView(secret, base, consumers);
  }

  async function containerOf({ base }: Call, container: SecretContainer) {
    const parts = (await rows.listParts([container.id])).get(container.id) ?? [];
    return containerView(container, base, parts, (await consumersOf([container]))(container.id));
  }
}

function checkRights(
  caller: Caller,
  deed: KeyDeed,
  item: Pick<KeptItem, 'project_id' | 'creator_id' | 'acl'>,
  what: string,
): void {
  if (!mayUse(caller, deed, item)) throw new Fault('forbidden', `You are not allowed to ${what}.`);
}

/** The last part of a reference is what counts. */
function readPart({ name, secret_ref }: PartBody): Part {
  return { name: name ?? '', secret_id: secret_ref.replace(/\/$/, '').split('/').at(-1)!.toLowerCase() };
}
