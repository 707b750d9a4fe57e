import fastify from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NoopNetwork } from '../drivers/network/noop.ts';
import { NoopCloud } from '../drivers/noop-cloud.ts';
import { Fault } from '../lib/errors.ts';
import type { Authenticate } from '../model/caller.ts';
import { networkApi } from './network-api.ts';

const NET = '11111111-1111-4111-8111-111111111111';
const SUBNET = '22222222-2222-4222-8222-222222222222';
const app = fastify();

beforeAll(async () => {
  const cloud = new NoopCloud();
  const network = { id: NET, name: 'private', project_id: null, mtu: 1500, subnets: [SUBNET] };
  cloud.addNetwork(network, [
    {
      ...{ id: SUBNET, name: 'private-subnet', project_id: null, network_id: NET, ip_version: 4 },
      ...{ cidr: '10.0.0.0/24', gateway_ip: '10.0.0.1', host_routes: [] },
    },
  ]);
  const driver = new NoopNetwork(cloud);
  await driver.ensurePort({ name: 'a', network_id: NET, project_id: null, fixed_ips: [] });
  await driver.ensurePort({ name: 'b', network_id: NET, project_id: null, fixed_ips: [], device_id: 'x' });
  const authenticate: Authenticate = ({ headers }) => {
    if (!('x-auth-token' in headers)) throw new Fault('unauthorized', 'No token.');
    const scope = { project_id: null, domain_id: null, system_scope: null };
    return { ...scope, user_id: null, roles: [], is_admin: true };
  };
  await app.register(networkApi({ network: driver, baseUri: null, authenticate, isShared: () => true }), {
    prefix: '/network',
  });
});
afterAll(() => app.close());

const ask = (url: string, headers: Record<string, string> = { 'x-auth-token': 't' }) =>
  app.inject({ url: `/network${url}`, headers });

test.each([
  ['/v2.0/networks?name=private', 'networks', [NET]],
  ['/v2.0/networks?name=other', 'networks', []],
  [`/v2.0/networks?id=${NET}&fields=id`, 'networks', [NET]],
  ['/v2.0/subnets?name=private-subnet', 'subnets', [SUBNET]],
  [`/v2.0/subnets?network_id=${NET}&ip_version=4`, 'subnets', [SUBNET]],
  ['/v2.0/subnets?ip_version=6', 'subnets', []],
  ['/v2.0/security-groups?name=x', 'security_groups', []],
  ['/v2.0/qos/policies?name=x', 'policies', []],
])('GET %s', async (url, key, ids) => {
  const rows: { id: string }[] = (await ask(url)).json()[key];
  expect(rows.map(row => row.id)).toEqual(ids);
});

test('ports are found by name and by several names', async () => {
  const names = async (query: string) =>
    (await ask(`/v2.0/ports?${query}`)).json().ports.map((port: { name: string }) => port.name);
  expect(await names('name=a')).toEqual(['a']);
  expect(await names('name=a&name=b')).toEqual(['a', 'b']);
  expect(await names('device_id=x')).toEqual(['b']);
});

test('one object is shown, and an unknown one is a 404', async () => {
  expect((await ask(`/v2.0/subnets/${SUBNET}`)).json().subnet.cidr).toBe('10.0.0.0/24');
  const absent = await ask(`/v2.0/subnets/${NET}`);
  expect(absent.statusCode).toBe(404);
  expect(absent.json().error.message).toContain(NET);
});

test('the version document is for all, everything else for callers with a token', async () => {
  expect((await ask('/', {})).json().versions[0].id).toBe('v2.0');
  for (const url of ['/v2.0/networks', `/v2.0/networks/${NET}`, '/v2.0/nothing']) {
    expect((await ask(url, {})).statusCode, url).toBe(401);
  }
});
