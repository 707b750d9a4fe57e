import { randomUUID } from 'node:crypto';
import fastify from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SecretTables } from '../db/secrets.ts';
import { givenDatabase } from '../db/testing.ts';
import { systemClock, timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { SealingKey } from '../lib/sealing-key.ts';
import { Secret } from '../lib/secret.ts';
import type { Caller } from '../model/caller.ts';
import { keyManagerApi } from './key-manager-api.ts';

const BASE = 'http://lb.example:9876/key-manager/v1';
const START_MS = Date.UTC(2026, 0, 1);

const person = (user_id: string, project_id: string, ...roles: string[]): Caller => ({
  ...{ user_id, project_id, roles, is_admin: roles.includes('admin') },
  ...{ domain_id: null, system_scope: null },
});
/** By token. */
const PEOPLE: Record<string, Caller> = {
  ann: person('ann', 'shop', 'member'),
  ben: person('ben', 'shop', 'member'),
  boss: person('boss', 'shop', 'admin'),
  reader: person('reader', 'shop', 'reader'),
  nobody: person('nobody', 'shop'),
  eve: person('eve', 'elsewhere', 'member'),
  chief: person('chief', 'elsewhere', 'admin'),
};

async function givenKeyManager() {
  const db = await givenDatabase();
  let nowMs = START_MS;
  const clock = { ...systemClock, now: () => nowMs };
  const key = new SealingKey(new Secret(Buffer.alloc(32, 7)));
  const secrets = new SecretTables(db, key, () => timestamp(nowMs));
  const authenticate = (request: { headers: Record<string, unknown> }) => {
    const caller = PEOPLE[String(request.headers['x-auth-token'])];
    if (!caller) throw new Fault('unauthorized', 'The request you have made requires authentication.');
    return caller;
  };
  const app = fastify();
  await app.register(keyManagerApi({ secrets, clock, baseUri: null, authenticate }), {
    prefix: '/key-manager',
  });

  async function request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const answer = await app.inject({
      method: method as 'GET',
      url: path.startsWith('http') ? path.replace('http://lb.example:9876', '') : `/key-manager${path}`,
      headers: {
        ...{ host: 'lb.example:9876', 'x-auth-token': 'ann' },
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const isJson = `${answer.headers['content-type']}`.includes('json') && answer.body !== '';
    // biome-ignore lint/suspicious/noExplicitAny: bodies are read as a client reads them
    const read: any = isJson ? answer.json() : answer.body;
    return { status: answer.statusCode, body: read, headers: answer.headers };
  }
  return {
    db,
    request,
    pass: (ms: number) => {
      nowMs += ms;
    },
    async secret(fields: object = {}, token = 'ann'): Promise<string> {
      nowMs += 1;
      const text = { payload: 'hello', payload_content_type: 'text/plain' };
      const { status, body } = await request(
        'POST',
        '/v1/secrets',
        { ...text, ...fields },
        { 'x-auth-token': token },
      );
      expect(status, JSON.stringify(body)).toBe(201);
      return body.secret_ref;
    },
    async close() {
      await app.close();
      await db.destroy();
    },
  };
}

let given: Awaited<ReturnType<typeof givenKeyManager>>;
beforeAll(async () => {
  given = await givenKeyManager();
});
afterAll(() => given.close());
beforeEach(async () => {
  for (const table of ['container_secret', 'secret_container', 'secret_consumer', 'secret'] as const)
    await given.db.deleteFrom(table).execute();
});
const as = (token: string) => ({ 'x-auth-token': token });

describe('versions', () => {
  test('are read without a token, in the old form and in the new one', async () => {
    const old = await given.request('GET', '/', undefined, as(''));
    expect(old).toMatchObject({
      status: 300,
      body: { versions: { values: [{ id: 'v1', status: 'stable' }] } },
    });
    const headers = { 'openstack-api-version': 'key-manager 1.1' };
    const { body } = await given.request('GET', '/', undefined, headers);
    expect(body.versions).toEqual([
      {
        ...{ id: 'v1', status: 'CURRENT', min_version: '1.0', max_version: '1.2' },
        links: [{ rel: 'self', href: `${BASE}/` }],
      },
    ]);
    expect((await given.request('GET', '/v1/')).body.version.links[0].href).toBe(`${BASE}/`);
    const later = await given.request('GET', '/v1', undefined, {
      'openstack-api-version': 'key-manager 1.9',
    });
    expect(later.status).toBe(406);
  });

  test('everything else needs a token', async () => {
    const answer = await given.request('GET', '/v1/secrets', undefined, as('wrong'));
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Keystone uri="http://lb.example:9876/identity"');
    expect(answer.body).toMatchObject({ code: 401, title: 'Unauthorized', description: expect.any(String) });
  });
});

describe('secrets', () => {
  test('show what was sent and what became of it', async () => {
    const reference = await given.secret({
      ...{ name: ' key ', algorithm: 'aes', bit_length: 256, mode: 'cbc', secret_type: 'symmetric' },
      expiration: '2026-02-01T01:00:00+01:00',
    });
    expect(reference).toMatch(new RegExp(`^${BASE}/secrets/[0-9a-f-]{36}$`));
    const { status, body, headers } = await given.request('GET', reference);
    expect(status).toBe(200);
    expect(headers['openstack-api-version']).toBe('key-manager 1.0');
    expect(body).toEqual({
      ...{ secret_ref: reference, name: 'key', status: 'ACTIVE', creator_id: 'ann' },
      ...{ algorithm: 'aes', bit_length: 256, mode: 'cbc', secret_type: 'symmetric' },
      ...{ created: expect.stringMatching(/^2026-01-01T/), updated: expect.stringMatching(/^2026-01-01T/) },
      ...{ expiration: '2026-02-01T00:00:00.000000', content_types: { default: 'text/plain' } },
    });
    const newer = await given.request('GET', reference, undefined, {
      'openstack-api-version': 'key-manager latest',
    });
    expect(newer.body.consumers).toEqual([]);
  });

  test.each([
    ['text/plain', undefined, 'grüße', 'grüße'],
    ['text/plain; charset=utf-8', undefined, 'x', 'x'],
    ['application/octet-stream', 'base64', 'AP8Q', '\x00\xff\x10'],
    ['application/pkcs8', 'base64', 'AP8Q', '\x00\xff\x10'],
    ['application/pkix-cert', 'base64', 'A P8\nQ', '\x00\xff\x10'],
  ])('give %s back as it was', async (payload_content_type, payload_content_encoding, payload, sent) => {
    const reference = await given.secret({ payload, payload_content_type, payload_content_encoding });
    const type = payload_content_type.split(';')[0]!;
    for (const [path, accept] of [
      [`${reference}/payload`, type],
      [`${reference}/payload/`, '*/*'],
      [reference, `${type};q=1`],
    ] as const) {
      const answer = await given.request('GET', path, undefined, { accept });
      expect(answer).toMatchObject({ status: 200, body: type === 'text/plain' ? sent : expect.any(String) });
      expect(answer.headers['content-type']).toBe(type === 'text/plain' ? `${type}; charset=utf-8` : type);
      if (type !== 'text/plain') expect(answer.headers['content-length']).toBe('3');
    }
    const wrong = await given.request('GET', `${reference}/payload`, undefined, { accept: 'image/png' });
    expect(wrong).toMatchObject({ status: 406, body: { description: expect.stringContaining(type) } });
  });

  test('can get their payload later, once', async () => {
    const { body } = await given.request('POST', '/v1/secrets/', { name: 'later' });
    const reference = body.secret_ref;
    expect((await given.request('GET', reference)).body).not.toHaveProperty('content_types');
    expect((await given.request('GET', `${reference}/payload`)).status).toBe(404);
    const put = (text: string, headers: Record<string, string>) =>
      given.request('PUT', reference, text, headers);
    expect(await put('{}', { 'content-type': 'application/json' })).toMatchObject({ status: 415 });
    expect(await put('', { 'content-type': 'text/plain' })).toMatchObject({ status: 400 });
    const binary = { 'content-type': 'application/octet-stream', 'content-encoding': 'base64' };
    expect(await put('aGVsbG8=', binary)).toMatchObject({ status: 204, body: '' });
    expect(await put('again', { 'content-type': 'text/plain' })).toMatchObject({ status: 409 });
    expect((await given.request('GET', `${reference}/payload`)).body).toBe('hello');
  });

  test.each([
    [{ payload: 'x' }, 'payload_content_type'],
    [{ payload_content_type: 'text/plain' }, 'payload must be provided'],
    [{ payload: 'x', payload_content_type: 'image/png' }, 'one of text/plain'],
    [{ payload: 'eA==', payload_content_type: 'application/octet-stream' }, 'must be base64'],
    [{ payload: 'eA==', payload_content_type: 'text/plain', payload_content_encoding: 'base64' }, 'left out'],
    [
      { payload: 'ä!', payload_content_type: 'application/pkcs8', payload_content_encoding: 'base64' },
      'not valid base64',
    ],
    [{ payload: '  ', payload_content_type: 'text/plain' }, 'must not be empty'],
    [{ secret_type: 'wish' }, 'secret_type'],
    [{ bit_length: -1 }, 'bit_length'],
    [{ name: 'n'.repeat(256) }, 'name'],
    [{ expiration: 'tomorrow' }, 'no time in ISO 8601'],
    [{ expiration: '2025-12-31' }, 'in the past'],
    ['{', 'not valid JSON'],
    ['[]', 'object'],
  ])('refuse %j', async (sent, sentence) => {
    const { status, body } = await given.request('POST', '/v1/secrets', sent);
    expect(status).toBe(400);
    expect(body).toMatchObject({
      code: 400,
      title: 'Bad Request',
      description: expect.stringContaining(sentence),
    });
  });

  test('have payloads of a limited size', async () => {
    const sent = { payload_content_type: 'text/plain', payload: 'x'.repeat(40_001) };
    expect((await given.request('POST', '/v1/secrets', sent)).status).toBe(413);
    await given.secret({ payload: 'x'.repeat(40_000) });
  });

  test('are gone when they were deleted or have expired', async () => {
    const [one, two] = [await given.secret(), await given.secret({ expiration: '2026-01-01T00:01:00' })];
    expect(await given.request('DELETE', one)).toMatchObject({ status: 204, body: '' });
    expect((await given.request('GET', two)).status).toBe(200);
    given.pass(61_000);
    for (const reference of [one, two]) {
      for (const [method, path] of [
        ['GET', ''],
        ['GET', '/payload'],
        ['GET', '/acl'],
        ['DELETE', ''],
      ] as const)
        expect((await given.request(method, `${reference}${path}`)).status).toBe(404);
    }
    expect((await given.request('GET', '/v1/secrets')).body).toEqual({ secrets: [], total: 0 });
  });

  test('carry metadata of their owner', async () => {
    const reference = await given.secret();
    expect((await given.request('GET', `${reference}/metadata`)).body).toEqual({ metadata: {} });
    const sent = { metadata: { Colour: 'red' } };
    expect(await given.request('PUT', `${reference}/metadata`, sent)).toMatchObject({
      ...{ status: 201, body: { metadata_ref: `${reference}/metadata` } },
    });
    expect((await given.request('GET', `${reference}/metadata`)).body).toEqual({
      metadata: { colour: 'red' },
    });
  });
});

describe('lists', () => {
  const names = async (query: string) => {
    const { status, body } = await given.request('GET', `/v1/secrets${query}`);
    expect(status, JSON.stringify(body)).toBe(200);
    return body.secrets.map((secret: { name: string }) => secret.name);
  };

  test('come in pages that lead to each other, with the filters kept', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await given.secret({ name, mode: 'cbc' });
    await given.secret({ name: 'x' });
    const first = (await given.request('GET', '/v1/secrets?limit=2&mode=cbc')).body;
    expect(first.total).toBe(5);
    expect(first).not.toHaveProperty('previous');
    expect(first.next).toBe(`${BASE}/secrets?limit=2&offset=2&mode=cbc`);
    const second = (await given.request('GET', first.next)).body;
    expect(second.secrets.map((s: { name: string }) => s.name)).toEqual(['c', 'd']);
    expect(second.previous).toBe(`${BASE}/secrets?limit=2&offset=0&mode=cbc`);
    const last = (await given.request('GET', second.next)).body;
    expect(last.secrets.map((s: { name: string }) => s.name)).toEqual(['e']);
    expect(last).not.toHaveProperty('next');
    expect((await given.request('GET', '/v1/secrets?limit=0&offset=0')).body).toMatchObject({
      secrets: [],
      total: 6,
    });
  });

  test('can be filtered and sorted', async () => {
    await given.secret({ name: 'a', algorithm: 'rsa', bit_length: 2048, secret_type: 'private' });
    await given.secret({ name: 'b', algorithm: 'aes', bit_length: 256, expiration: '2027-01-01' });
    await given.secret({ name: 'c' }, 'eve');
    expect(await names('')).toEqual(['a', 'b']);
    expect(await names('?name=b')).toEqual(['b']);
    expect(await names('?alg=rsa&bits=2048')).toEqual(['a']);
    expect(await names('?secret_type=private')).toEqual(['a']);
    expect(await names('?bits=junk&limit=junk')).toEqual(['a', 'b']);
    expect(await names('?sort=name:desc')).toEqual(['b', 'a']);
    expect(await names('?expiration=gt:2026-12-31T00:00:00,lt:2027-01-02')).toEqual(['b']);
    expect(await names('?created=gte:2030-01-01')).toEqual([]);
    for (const query of ['?sort=colour', '?sort=name:up', '?created=gt:soon'])
      expect((await given.request('GET', `/v1/secrets${query}`)).status, query).toBe(400);
  });
});

describe('containers', () => {
  const container = (type: string, refs: Record<string, string>, name?: string) => {
    const secret_refs = Object.entries(refs).map(([name, secret_ref]) => ({ name, secret_ref }));
    return given.request('POST', '/v1/containers', { name, type, secret_refs });
  };

  test('hold secrets by name, which leave with the secret', async () => {
    const [a, b] = [await given.secret(), await given.secret()];
    const { body } = await container('certificate', { certificate: a, private_key: b }, 'mine');
    expect(body.container_ref).toMatch(`${BASE}/containers/`);
    const shown = await given.request('GET', body.container_ref);
    expect(shown.body).toMatchObject({
      ...{
        container_ref: body.container_ref,
        name: 'mine',
        type: 'certificate',
        status: 'ACTIVE',
        consumers: [],
      },
      secret_refs: [
        { name: 'certificate', secret_ref: a },
        { name: 'private_key', secret_ref: b },
      ],
    });
    const listed = await given.request('GET', '/v1/containers?type=certificate&name=mine');
    expect(listed.body).toEqual({ containers: [shown.body], total: 1 });
    expect((await given.request('GET', '/v1/containers?type=rsa')).body.total).toBe(0);
    await given.request('DELETE', b);
    expect((await given.request('GET', body.container_ref)).body.secret_refs).toHaveLength(1);
    expect((await given.request('DELETE', body.container_ref)).status).toBe(204);
    expect((await given.request('GET', body.container_ref)).status).toBe(404);
    expect((await given.request('GET', a)).status).toBe(200);
  });

  test('that are generic can be changed', async () => {
    const [a, b] = [await given.secret(), await given.secret()];
    const { container_ref } = (await container('generic', { a })).body;
    const change = (method: string, secret_ref: string) =>
      given.request(method, `${container_ref}/secrets`, { name: 'part', secret_ref });
    expect(await change('POST', b)).toMatchObject({ status: 201, body: { container_ref } });
    expect((await given.request('GET', container_ref)).body.secret_refs).toHaveLength(2);
    expect((await change('DELETE', b)).status).toBe(204);
    expect((await given.request('GET', container_ref)).body.secret_refs).toEqual([
      { name: 'a', secret_ref: a },
    ]);
    const fixed = (await container('rsa', { public_key: a, private_key: b })).body.container_ref;
    const refused = await given.request('POST', `${fixed}/secrets`, { name: 'x', secret_ref: a });
    expect(refused).toMatchObject({ status: 400, body: { description: expect.stringContaining('generic') } });
  });

  test('are refused when they cannot hold that', async () => {
    const [a, b, foreign] = [await given.secret(), await given.secret(), await given.secret({}, 'eve')];
    const absent = `${BASE}/secrets/${randomUUID()}`;
    const cases: [string, Record<string, string>, number, string][] = [
      ['certificate', { private_key: a }, 400, 'needs certificate'],
      ['rsa', { private_key: a }, 400, 'needs public_key'],
      ['rsa', { private_key: a, public_key: b, colour: b }, 400, 'twice'],
      ['certificate', { certificate: a, colour: b }, 400, 'cannot hold colour'],
      ['generic', { a, b: a }, 400, 'twice'],
      ['generic', { a: absent }, 404, 'no secret'],
      ['generic', { a: foreign }, 404, 'no secret'],
      ['box', {}, 400, 'type'],
    ];
    for (const [type, refs, status, sentence] of cases) {
      const answer = await container(type, refs);
      expect(answer).toMatchObject({ status, body: { description: expect.stringContaining(sentence) } });
    }
    expect((await given.request('GET', '/v1/containers')).body.total).toBe(0);
  });
});

test('consumers are noted once each, and can be removed', async () => {
  const secret = await given.secret();
  const headers = { 'openstack-api-version': 'key-manager 1.2' };
  const { container_ref } = (await given.request('POST', '/v1/containers', { type: 'generic' })).body;
  for (const [reference, consumer, other] of [
    [
      secret,
      { service: 's', resource_type: 't', resource_id: '1' },
      { resource_id: '1', service: 's', resource_type: 't' },
    ],
    [container_ref, { name: 'n', URL: 'u' }, { URL: 'u', name: 'n' }],
  ]) {
    for (const sent of [consumer, other]) {
      const answer = await given.request('POST', `${reference}/consumers`, sent, headers);
      expect(answer).toMatchObject({ status: 200, body: { consumers: [consumer] } });
    }
    const { body } = await given.request('GET', `${reference}/consumers`);
    expect(body).toMatchObject({ total: 1, consumers: [{ ...consumer, status: 'ACTIVE' }] });
    expect((await given.request('POST', `${reference}/consumers`, { name: 'n' }, headers)).status).toBe(400);
    if (reference === secret)
      expect((await given.request('DELETE', secret, undefined, headers)).status).toBe(409);
    expect((await given.request('DELETE', `${reference}/consumers`, other, headers)).body.consumers).toEqual(
      [],
    );
    expect((await given.request('DELETE', `${reference}/consumers`, other, headers)).status).toBe(404);
  }
});

describe('rights', () => {
  const can = async (token: string, method: string, path: string, body?: unknown) =>
    (await given.request(method, path, body, as(token))).status;

  test.each([
    // see it, read its payload, see the list, delete it
    ['ben', [200, 200, 200, 204]],
    ['boss', [200, 200, 200, 204]],
    ['reader', [200, 403, 200, 403]],
    ['nobody', [403, 403, 403, 403]],
    ['eve', [403, 403, 200, 403]],
    ['chief', [403, 403, 200, 403]],
  ])('%s', async (token, expected) => {
    const secret = await given.secret();
    const answers = [
      await can(token, 'GET', secret),
      await can(token, 'GET', `${secret}/payload`),
      await can(token, 'GET', '/v1/secrets'),
      await can(token, 'DELETE', secret),
    ];
    expect(answers).toEqual(expected);
  });

  test('only writers make secrets and containers', async () => {
    for (const [token, status] of [
      ['ann', 201],
      ['boss', 201],
      ['reader', 403],
      ['nobody', 403],
    ] as const) {
      expect(await can(token, 'POST', '/v1/secrets', {})).toBe(status);
      expect(await can(token, 'POST', '/v1/containers', { type: 'generic' })).toBe(status);
    }
  });

  test('an ACL lets others read, and shuts the project out', async () => {
    const secret = await given.secret();
    const acl = `${secret}/acl`;
    expect((await given.request('GET', acl)).body).toEqual({ read: { 'project-access': true } });
    expect((await given.request('PUT', acl, { read: { users: ['eve'] } })).body).toEqual({ acl_ref: acl });
    expect(await can('eve', 'GET', `${secret}/payload`)).toBe(200);
    expect(await can('eve', 'GET', secret)).toBe(200);
    expect(await can('eve', 'DELETE', secret)).toBe(403);
    expect(await can('eve', 'PUT', acl, { read: { users: [] } })).toBe(403);
    await given.request('PATCH', acl, { read: { 'project-access': false } });
    const shown = (await given.request('GET', acl)).body.read;
    expect(shown).toMatchObject({ users: ['eve'], 'project-access': false, created: expect.any(String) });
    for (const [token, status] of [
      ['ann', 200],
      ['boss', 200],
      ['eve', 200],
      ['ben', 403],
      ['reader', 403],
    ] as const)
      expect(await can(token, 'GET', `${secret}/payload`), token).toBe(status);
    await given.request('PUT', acl, { read: {} });
    expect((await given.request('GET', acl)).body.read).toMatchObject({ users: [], 'project-access': true });
    expect(await can('ben', 'DELETE', acl)).toBe(200);
    expect((await given.request('GET', acl)).body).toEqual({ read: { 'project-access': true } });
  });
});

test('orders are not served, and say so', async () => {
  expect((await given.request('GET', '/v1/orders')).body).toEqual({ orders: [], total: 0 });
  expect(await given.request('POST', '/v1/orders', { type: 'key' })).toMatchObject({
    ...{ status: 501, body: { title: 'Not Implemented' } },
  });
  expect(await given.request('GET', '/v1/nothing')).toMatchObject({ status: 404, body: { code: 404 } });
});
