/** The edge: versions, paths, methods, media types, sizes, tokens, and what is said when something breaks. */
import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { type ApiDeps, apiPlugin, DEFAULT_API_SETTINGS, noauth } from './server.ts';
import { givenApi, SUBNET } from './testing.ts';
import { givenWorld, send } from './testing-scenarios.ts';

test('GET / lists the versions in order, the last one CURRENT', async () => {
  await using api = await givenApi();
  for (const method of ['GET', 'POST']) {
    const { status, body } = await api.request(method, '/');
    expect(status).toBe(200);
    const versions: { id: string; status: string }[] = body.versions;
    expect(versions.map(v => v.id)).toEqual(Array.from({ length: 31 }, (_, i) => `v2.${i}`));
    expect(versions.filter(v => v.status === 'CURRENT').map(v => v.id)).toEqual(['v2.30']);
    expect(versions[7]).toEqual({
      id: 'v2.7',
      status: 'SUPPORTED',
      updated: '2018-01-25T12:00:00Z',
      links: [{ href: 'http://localhost:80/v2', rel: 'self' }],
    });
    expect(versions[30]).toMatchObject({ updated: '2025-02-26T00:00:00Z' });
  }
});

test.each(['/v2', '/v2/', '/v2.0', '/v2.0/', '/v2/lbaas', '/v2.0/lbaas/', '/v2/octavia', '/v2.0/octavia/'])(
  'GET %s is the version',
  async path => {
    await using api = await givenApi();
    const { status, body } = await api.request('GET', path);
    expect([status, body]).toEqual([200, 'v2']);
  },
);

test.each(['/v2', '/v2.0', '/v2/lbaas', '/v2.0/lbaas'])(
  'all resources are below %s, with a slash or .json at the end',
  async version => {
    await using world = await givenWorld();
    for (const path of [
      '/loadbalancers',
      '/loadbalancers/$lb',
      '/loadbalancers/$lb/stats',
      '/pools/$pool/members',
      '/pools/$pool/members/$member',
      '/healthmonitors',
    ]) {
      for (const end of ['', '/', '.json']) {
        const { status } = await send(world, { method: 'GET', path: version + path + end });
        expect([path + end, status]).toEqual([path + end, 200]);
      }
    }
  },
);

describe('a request', () => {
  const member = { member: { address: '10.1.0.9', protocol_port: 9 } };
  const ROWS: [string, number, string, string, { body?: unknown; headers?: Record<string, string> }?][] = [
    ['unknown path', 404, 'GET', '/nope'],
    ['unknown path below an item', 404, 'GET', '/loadbalancers/$lb/nope'],
    ['unknown version', 404, 'GET', '/v2.1/loadbalancers'],
    ['PATCH', 405, 'PATCH', '/loadbalancers/$lb'],
    ['HEAD', 405, 'HEAD', '/loadbalancers'],
    ['POST on an item', 405, 'POST', '/pools/$pool'],
    ['DELETE of a collection', 400, 'DELETE', '/pools'],
    ['PUT of a collection', 400, 'PUT', '/listeners'],
    ['DELETE of the members', 400, 'DELETE', '/pools/$pool/members'],
    ['path that cannot be decoded', 400, 'GET', '/pools/%zz'],
    ['path with a NUL', 400, 'GET', '/pools/%00'],
    ['very long id', 404, 'GET', `/pools/${'x'.repeat(5000)}`],
    ['OPTIONS', 200, 'OPTIONS', '/pools'],
    ['Accept of all', 200, 'GET', '/pools', { headers: { accept: 'text/html, */*;q=0.1' } }],
    ['Accept of JSON', 200, 'GET', '/pools', { headers: { accept: 'Application/JSON' } }],
    ['Accept without JSON', 406, 'GET', '/pools', { headers: { accept: 'text/html' } }],
    ['Accept that forbids JSON', 406, 'GET', '/pools', { headers: { accept: 'application/json;q=0' } }],
    [
      'body in text/javascript',
      201,
      'POST',
      '/pools/$pool/members',
      { body: member, headers: { 'content-type': 'text/javascript' } },
    ],
    [
      'body with a charset',
      201,
      'POST',
      '/pools/$pool/members',
      { body: member, headers: { 'content-type': 'application/json; charset=UTF-8' } },
    ],
    [
      'body as a form',
      400,
      'POST',
      '/pools/$pool/members',
      { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    ],
    [
      'body as XML',
      415,
      'POST',
      '/pools/$pool/members',
      { body: '<a/>', headers: { 'content-type': 'text/xml' } },
    ],
    ['body that is no JSON', 400, 'POST', '/pools/$pool/members', { body: '{"member": ' }],
    ['body cut short', 400, 'PUT', '/pools/$pool', { body: '{' }],
    ['empty body', 400, 'POST', '/pools/$pool/members', { body: '' }],
    ['no body', 400, 'POST', '/pools/$pool/members'],
    ['body that is a list', 400, 'POST', '/pools/$pool/members', { body: [] }],
    ['body that is null', 400, 'POST', '/pools/$pool/members', { body: null }],
    ['body that is empty', 400, 'POST', '/pools/$pool/members', { body: {} }],
    ['root that is null', 400, 'POST', '/pools/$pool/members', { body: { member: null } }],
    ['root that is a list', 400, 'PUT', '/pools/$pool', { body: { pool: [] } }],
    ['two roots', 400, 'POST', '/pools/$pool/members', { body: { ...member, pool: {} } }],
    ['another root', 400, 'POST', '/pools/$pool/members', { body: { pool: {} } }],
    ['argument on POST', 400, 'POST', '/pools/$pool/members?fields=id', { body: member }],
    ['body at the limit', 400, 'POST', '/pools/$pool/members', { body: ' '.repeat(114_688) }],
    ['body above the limit', 413, 'POST', '/pools/$pool/members', { body: ' '.repeat(114_689) }],
    [
      'DELETE that says it has JSON',
      204,
      'DELETE',
      '/pools/$pool',
      { headers: { 'content-type': 'application/json' } },
    ],
  ];
  test.each(ROWS)('%s: %i', async (_name, status, method, path, rest = {}) => {
    await using world = await givenWorld();
    const answer = await send(world, { method, path, ...rest });
    expect(answer).toMatchObject({ status });
    expect(answer.headers['x-openstack-request-id']).toMatch(/^req-[0-9a-f-]{36}$/);
    if (status >= 400 && method !== 'HEAD')
      expect(answer.body).toEqual({
        faultcode: 'Client',
        faultstring: expect.stringMatching(/\w+ \w+/),
        debuginfo: null,
      });
    expect(world.failures).toEqual([]);
  });
});

describe('a token', () => {
  const closed: ApiDeps['authenticate'] = request => {
    if (request.headers['x-auth-token'] !== 'good')
      throw new Fault('unauthorized', 'The request you have made requires authentication.');
    return {
      user_id: 'u',
      project_id: 'p',
      roles: ['reader'],
      domain_id: null,
      system_scope: null,
      is_admin: false,
    };
  };

  test('is needed for everything but the versions, before anything else is looked at', async () => {
    await using api = await givenApi({ authenticate: closed });
    expect((await api.request('GET', '/')).status).toBe(200);
    for (const [method, path, body] of [
      ['GET', '/v2'],
      ['GET', '/pools'],
      ['GET', '/nope'],
      ['POST', '/pools', '{'],
      ['PATCH', '/pools'],
    ] as const) {
      const answer = await api.request(method, path, body);
      expect(answer).toMatchObject({ status: 401, body: { error: { code: 401, title: 'Unauthorized' } } });
      expect(answer.headers['www-authenticate']).toBe('Keystone uri="http://127.0.0.1:5000"');
    }
    expect((await api.request('GET', '/pools', undefined, { 'x-auth-token': 'good' })).status).toBe(200);
  });

  test('is not looked at with noauth: the headers are believed', async () => {
    await using api = await givenApi({ authenticate: noauth });
    const loadbalancer = { vip_subnet_id: SUBNET };
    expect((await api.request('POST', '/loadbalancers', { loadbalancer })).status).toBe(400);
    const { body } = await api.request(
      'POST',
      '/loadbalancers',
      { loadbalancer },
      { 'x-project-id': 'mine' },
    );
    expect(body.loadbalancer.project_id).toBe('mine');
  });
});

test('a failure of ours is 500 without its insides, and the log has all of it', async () => {
  await using api = await givenApi();
  await api.db.schema.dropTable('pass').execute();
  await api.db.schema.dropTable('health_monitor').execute();
  const { status, body } = await api.request('GET', '/healthmonitors');
  expect(status).toBe(500);
  expect(body).toMatchObject({ faultcode: 'Server', debuginfo: null });
  expect(JSON.stringify(body)).not.toContain('health_monitor');
  expect(api.failures.join()).toContain('no such table: health_monitor');
});

test('a refused method is told which ones there are', async () => {
  await using api = await givenApi({ settings: { healthcheck_enabled: true } });
  for (const [method, path, allow] of [
    ['PATCH', '/loadbalancers', 'POST, GET'],
    ['TRACE', '/pools', 'GET, POST'],
    ['POST', '/v2', 'GET'],
    ['PUT', '/', 'GET, POST'],
  ] as const) {
    const { status, headers } = await api.request(method, path);
    expect([path, status, headers.allow]).toEqual([path, 405, allow]);
  }
});

describe('a browser', () => {
  const site = { origin: 'https://dashboard.example' };
  const cors = { ...DEFAULT_API_SETTINGS.cors, allowed_origin: [site.origin] };
  const nobody = () => {
    throw new Fault('unauthorized', 'The request you have made requires authentication.');
  };
  const corsHeaders = (headers: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')));
  const preflight = { ...site, 'access-control-request-method': 'PUT' };

  test('of an allowed site may read every answer, refusals too', async () => {
    await using api = await givenApi({ settings: { cors }, authenticate: nobody });
    for (const path of ['/', '/pools', '/nope', '/pools/%zz']) {
      const { headers } = await api.request('GET', path, undefined, site);
      expect(corsHeaders(headers)).toEqual({
        'access-control-allow-origin': site.origin,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'X-Auth-Token,X-Openstack-Request-Id',
      });
      expect(headers.vary).toBe('Origin');
    }
  });

  test('asks without a token whether it may', async () => {
    await using api = await givenApi({ settings: { cors }, authenticate: nobody });
    const asked = { ...preflight, 'access-control-request-headers': 'x-auth-token, content-type' };
    for (const path of ['/pools', '/v2', '/', '/nope']) {
      const { status, body, headers } = await api.request('OPTIONS', path, undefined, asked);
      expect([path, status, body]).toEqual([path, 200, '']);
      expect(corsHeaders(headers)).toEqual({
        'access-control-allow-origin': site.origin,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'PUT',
        'access-control-allow-headers': 'x-auth-token,content-type',
        'access-control-max-age': '3600',
      });
    }
  });

  test.each<[string, Record<string, string>]>([
    ['of another site', { ...preflight, origin: 'https://evil.example' }],
    ['without a site', { 'access-control-request-method': 'PUT' }],
    ['with another method', { ...preflight, 'access-control-request-method': 'PATCH' }],
    ['with another header', { ...preflight, 'access-control-request-headers': 'x-other' }],
    ['that announces nothing', site],
  ])('%s gets 200 and no leave', async (_what, headers) => {
    await using api = await givenApi({ settings: { cors } });
    const answer = await api.request('OPTIONS', '/pools', undefined, headers);
    expect([answer.status, corsHeaders(answer.headers)]).toEqual([200, {}]);
  });

  test('of another site reads nothing, and without the setting nobody does', async () => {
    await using api = await givenApi({ settings: { cors } });
    const evil = { origin: 'https://evil.example' };
    expect(corsHeaders((await api.request('GET', '/pools', undefined, evil)).headers)).toEqual({});
    await using closed = await givenApi();
    expect(corsHeaders((await closed.request('GET', '/pools', undefined, site)).headers)).toEqual({});
  });

  test('of any site may, where all are allowed', async () => {
    await using api = await givenApi({
      settings: { cors: { ...cors, allowed_origin: ['*'], allow_credentials: false, max_age: 0 } },
    });
    const { headers } = await api.request('OPTIONS', '/pools', undefined, preflight);
    expect(corsHeaders(headers)).toEqual({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'PUT',
    });
  });
});

test('the health check answers as it is asked, and looks at the database once in an interval', async () => {
  await using api = await givenApi({
    settings: { healthcheck_enabled: true, healthcheck_refresh_interval: 5 },
    authenticate: () => {
      throw new Fault('unauthorized', 'Nobody may come in.');
    },
  });
  let nowMs = 0;
  api.deps.clock.now = () => nowMs;
  const get = async (accept?: string, method = 'GET') => {
    const { status, body, headers } = await api.request(
      method,
      '/healthcheck',
      undefined,
      accept ? { accept } : {},
    );
    return [status, String(headers['content-type']).split(';')[0], body];
  };
  const json = { detailed: false, reasons: ['OK'] };
  const html = expect.stringMatching(/^<html>.*OK/);
  for (const [accept, type, body] of [
    [undefined, 'text/plain', 'OK'],
    ['*/*', 'text/plain', 'OK'],
    ['image/png', 'text/plain', 'OK'],
    ['application/json', 'application/json', json],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text/html', html],
    ['text/html;q=0.5, application/json;q=0.9', 'application/json', json],
    ['text/plain;q=0, application/*', 'application/json', json],
  ] as const)
    expect([accept, ...(await get(accept))]).toEqual([accept, 200, type, body]);
  expect((await get(undefined, 'HEAD'))[0]).toBe(204);

  await api.db.destroy();
  nowMs = 4999;
  expect((await get())[0]).toBe(200);
  nowMs = 5000;
  expect(await get('application/json')).toEqual([
    503,
    'application/json',
    { detailed: false, reasons: ['The Octavia database is unavailable.'] },
  ]);
  expect((await get(undefined, 'HEAD'))[0]).toBe(503);
  expect(api.failures).toEqual([expect.stringContaining('health check failed')]);
});

test('the health check is there when the operator wants it', async () => {
  await using without = await givenApi();
  expect((await without.request('GET', '/v2/../healthcheck')).status).toBe(404);
  await using api = await givenApi({ settings: { healthcheck_enabled: true } });
  const app = Fastify();
  await app.register(apiPlugin, { deps: api.deps });
  expect((await app.inject('/healthcheck')).statusCode).toBe(200);
  expect((await app.inject({ method: 'PUT', url: '/healthcheck' })).statusCode).toBe(405);
  await app.close();
});

test('as a guest it leaves other paths to others, and its links begin where it is mounted', async () => {
  await using api = await givenApi();
  const app = Fastify();
  app.get('/identity/v3', async () => ({ identity: true }));
  await app.register(apiPlugin, { deps: api.deps, prefix: '/load-balancer' });
  expect((await app.inject('/identity/v3')).json()).toEqual({ identity: true });
  expect((await app.inject('/identity/v4')).headers).not.toHaveProperty('x-openstack-request-id');
  const { versions } = (await app.inject('/load-balancer/')).json();
  expect(versions[0].links[0].href).toBe('http://localhost:80/load-balancer/v2');
  await api.create('/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } });
  const list = (await app.inject('/load-balancer/v2/lbaas/loadbalancers?limit=1')).json();
  expect(list.loadbalancers_links[0].href).toMatch(
    /^http:\/\/localhost:80\/load-balancer\/v2\/lbaas\/loadbalancers\?limit=1&marker=/,
  );
  await app.close();
});

test('links begin with api_base_uri where one is set', async () => {
  await using api = await givenApi({ settings: { api_base_uri: 'https://lb.example/' } });
  expect((await api.request('GET', '/')).body.versions[0].links[0].href).toBe('https://lb.example/v2');
});
