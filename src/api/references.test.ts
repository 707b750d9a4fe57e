/** References into the key manager, as listeners and pools hold them: followed with the rights of whoever sends them. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SecretTables } from '../db/secrets.ts';
import { givenDatabase } from '../db/testing.ts';
import { Certificates } from '../drivers/certificates/certificates.fixture.ts';
import { LocalSecrets } from '../drivers/certificates/local-secrets.ts';
import { timestamp } from '../lib/clock.ts';
import { SealingKey } from '../lib/sealing-key.ts';
import { Secret } from '../lib/secret.ts';
import { LISTENER_PROTOCOLS } from '../model/listener.ts';
import { type GivenApi, givenActiveLoadBalancer, givenApi, PROJECT, SUBNET } from './testing.ts';

let made: Certificates;
let bundle: Buffer;
let api: GivenApi;
let db: Awaited<ReturnType<typeof givenDatabase>>;
let lbId: string;
/** By name, what the key manager holds; `foreign` belongs to another project. */
const ref: Record<string, string> = {};

beforeAll(() => {
  made = new Certificates();
  bundle = made.pkcs12();
});
afterAll(() => made[Symbol.dispose]());

beforeEach(async () => {
  db = await givenDatabase();
  const now = () => timestamp(Date.now());
  const rows = new SecretTables(db, new SealingKey(new Secret(Buffer.alloc(32, 7))), now);
  api = await givenApi({
    database: db,
    secrets: new LocalSecrets(rows),
    supports: { listener_protocols: LISTENER_PROTOCOLS, pool_tls: true },
  });
  lbId = (await givenActiveLoadBalancer(api)).id;
  const insert = async (name: string, payload: Buffer, project_id = PROJECT) => {
    const id = randomUUID();
    const item = { id, project_id, creator_id: 'u', name, acl: null, created_at: now(), updated_at: now() };
    const fields = { algorithm: null, bit_length: null, mode: null, expiration: null, metadata: {} };
    const type = { secret_type: 'opaque' as const, content_type: 'application/octet-stream' };
    await rows.insertSecret({ ...item, ...fields, ...type }, new Secret(payload));
    ref[name] = `http://key-manager.example/v1/secrets/${id}`;
  };
  await insert('bundle', bundle);
  await insert('second', bundle);
  await insert('foreign', bundle, 'elsewhere');
  await insert('text', Buffer.from('hello'));
  for (const name of ['root.pem', 'root.crl', 'stranger.pem', 'stranger.crl'])
    await insert(name, made.bytes(name));
  ref.absent = `http://key-manager.example/v1/containers/${randomUUID()}`;
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});

/** Every field with the name of what it refers to replaced by the reference. */
const referring = (fields: Record<string, string | string[] | null>) =>
  Object.fromEntries(
    Object.entries(fields).map(([field, name]) => [
      field,
      Array.isArray(name) ? name.map(each => ref[each]!) : name && ref[name],
    ]),
  );

const TERMINATED = { protocol: 'TERMINATED_HTTPS', protocol_port: 443 };
const CA = 'client_ca_tls_container_ref';
const CRL = 'client_crl_container_ref';

describe('a listener', () => {
  const post = (fields: object, refs: Record<string, string | string[] | null>) =>
    api.request('POST', '/listeners', {
      listener: { loadbalancer_id: lbId, ...TERMINATED, ...fields, ...referring(refs) },
    });

  test('takes what the key manager has and its owner may read', async () => {
    const refs = {
      ...{ default_tls_container_ref: 'bundle', sni_container_refs: ['second', 'bundle'] },
      ...{ [CA]: 'root.pem', [CRL]: 'root.crl' },
    };
    const { status, body } = await post({ client_authentication: 'MANDATORY' }, refs);
    expect(status, body.faultstring).toBe(201);
    expect(body.listener).toMatchObject({
      ...{ default_tls_container_ref: ref.bundle, client_authentication: 'MANDATORY' },
      sni_container_refs: [ref.bundle, ref.second].sort(),
      ...{ client_ca_tls_container_ref: ref['root.pem'], client_crl_container_ref: ref['root.crl'] },
      ...{ tls_versions: ['TLSv1.2', 'TLSv1.3'], alpn_protocols: ['h2', 'http/1.1', 'http/1.0'] },
    });
  });

  test.each([
    ['default_tls_container_ref', { default_tls_container_ref: 'absent' }, 'no such secret or container'],
    ['default_tls_container_ref', { default_tls_container_ref: 'foreign' }, 'You may not read it'],
    ['default_tls_container_ref', { default_tls_container_ref: 'text' }, 'not a PKCS#12 bundle'],
    ['sni_container_refs', { sni_container_refs: ['bundle', 'text'] }, 'not a PKCS#12 bundle'],
    [CA, { default_tls_container_ref: 'bundle', [CA]: 'bundle' }, 'no CA certificate in PEM form'],
    [
      CRL,
      { default_tls_container_ref: 'bundle', [CA]: 'root.pem', [CRL]: 'stranger.crl' },
      'not signed by the CA',
    ],
    [
      CRL,
      { default_tls_container_ref: 'bundle', [CA]: 'root.pem', [CRL]: 'root.pem' },
      'no certificate revocation list',
    ],
    [
      CRL,
      { default_tls_container_ref: 'bundle', [CRL]: 'root.crl' },
      'It needs a client_ca_tls_container_ref',
    ],
  ])('is refused for %s when it is %j', async (field, refs, sentence) => {
    const { status, body } = await post({}, refs);
    expect(status).toBe(400);
    expect(body.faultstring).toMatch(`Invalid input for field/attribute ${field}.`);
    expect(body.faultstring).toContain(sentence);
    const { loadbalancer } = (await api.request('GET', `/loadbalancers/${lbId}`)).body;
    expect(loadbalancer.provisioning_status).toBe('ACTIVE');
  });

  test('that is changed has new references followed, and a revocation list held against the CA it has', async () => {
    const made = await post({}, { default_tls_container_ref: 'bundle', [CA]: 'root.pem' });
    const path = `/listeners/${made.body.listener.id}`;
    const put = async (refs: Record<string, string | string[] | null>) => {
      const { status, body } = await api.request('PUT', path, { listener: referring(refs) });
      return [status, body.faultstring];
    };
    expect(await put({ [CRL]: 'stranger.crl' })).toEqual([400, expect.stringContaining(`attribute ${CRL}.`)]);
    expect(await put({ [CRL]: 'root.crl' })).toEqual([200, undefined]);
    expect(await put({ [CA]: 'stranger.pem' })).toEqual([400, expect.stringContaining(`attribute ${CRL}.`)]);
    expect(await put({ [CA]: 'stranger.pem', [CRL]: null })).toEqual([200, undefined]);
    expect(await put({ default_tls_container_ref: 'text' })).toEqual([400, expect.anything()]);
    expect(await put({ sni_container_refs: ['absent'] })).toEqual([400, expect.anything()]);
    // What stands there already is not followed again: it may have gone since.
    await db.deleteFrom('secret').execute();
    expect(await put({})).toEqual([200, undefined]);
  });

  test('of PROMETHEUS gets the defaults of TLS as soon as it has a certificate', async () => {
    const plain = await post({ protocol: 'PROMETHEUS', protocol_port: 8088 }, {});
    expect(plain.body.listener).toMatchObject({
      tls_ciphers: null,
      tls_versions: null,
      alpn_protocols: null,
    });
    const tls = {
      tls_ciphers: expect.stringContaining('TLS_AES_128_GCM_SHA256'),
      tls_versions: ['TLSv1.2', 'TLSv1.3'],
      alpn_protocols: ['h2', 'http/1.1', 'http/1.0'],
    };
    const refs = { default_tls_container_ref: 'bundle' };
    const path = `/listeners/${plain.body.listener.id}`;
    expect((await api.request('PUT', path, { listener: referring(refs) })).body.listener).toMatchObject(tls);
    const made = await post({ protocol: 'PROMETHEUS', protocol_port: 8089 }, refs);
    expect(made.body.listener).toMatchObject(tls);
  });
});

test.each([
  ['tls_container_ref', { tls_container_ref: 'text' }, 'not a PKCS#12 bundle'],
  ['ca_tls_container_ref', { ca_tls_container_ref: 'foreign' }, 'You may not read it'],
  [
    'crl_container_ref',
    { ca_tls_container_ref: 'root.pem', crl_container_ref: 'stranger.crl' },
    'not signed',
  ],
  ['crl_container_ref', { crl_container_ref: 'root.crl' }, 'It needs a ca_tls_container_ref'],
])('a pool is refused for %s when it is %j', async (field, refs, sentence) => {
  const fields = { loadbalancer_id: lbId, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', tls_enabled: true };
  const { status, body } = await api.request('POST', '/pools', { pool: { ...fields, ...referring(refs) } });
  expect([status, body.faultstring]).toEqual([400, expect.stringContaining(`attribute ${field}.`)]);
  expect(body.faultstring).toContain(sentence);
});

test('a pool takes a certificate, a CA and its revocation list', async () => {
  const refs = {
    tls_container_ref: 'bundle',
    ca_tls_container_ref: 'root.pem',
    crl_container_ref: 'root.crl',
  };
  const fields = { loadbalancer_id: lbId, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', tls_enabled: true };
  const pool = await api.create('/pools', { pool: { ...fields, ...referring(refs) } });
  expect(pool).toMatchObject(referring(refs));
  await api.settle();
  const put = { pool: referring({ crl_container_ref: 'stranger.crl' }) };
  expect((await api.request('PUT', `/pools/${pool.id}`, put)).status).toBe(400);
});

test('a whole load balancer is refused for a reference in it, and leaves nothing behind', async () => {
  const listener = { ...TERMINATED, ...referring({ default_tls_container_ref: 'absent' }) };
  const pool = { name: 'p', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const bad = { ...pool, tls_enabled: true, ...referring({ tls_container_ref: 'text' }) };
  for (const tree of [{ listeners: [listener] }, { pools: [bad] }]) {
    const loadbalancer = { name: 'tree', vip_subnet_id: SUBNET, ...tree };
    expect((await api.request('POST', '/loadbalancers', { loadbalancer })).status).toBe(400);
  }
  expect((await api.request('GET', '/loadbalancers')).body.loadbalancers).toHaveLength(1);
  const good = { ...TERMINATED, ...referring({ default_tls_container_ref: 'bundle' }) };
  const loadbalancer = { name: 'tree', vip_subnet_id: SUBNET, listeners: [good] };
  expect((await api.request('POST', '/loadbalancers', { loadbalancer })).status).toBe(201);
});
