/** Quotas: shown and set, and kept also when many ask at once. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openDatabase } from '../../db/open.ts';
import { createDatabase, TEST_SERVER } from '../../db/testing.ts';
import { DEFAULT_API_SETTINGS, noauth } from '../server.ts';
import { type GivenApi, givenActiveLoadBalancer, givenApi, PROJECT, SUBNET } from '../testing.ts';

const UNLIMITED = {
  ...{ loadbalancer: -1, load_balancer: -1, listener: -1, member: -1, pool: -1 },
  ...{ healthmonitor: -1, health_monitor: -1, l7policy: -1, l7rule: -1 },
};
const OF = { project_id: PROJECT, tenant_id: PROJECT };
const defaults = DEFAULT_API_SETTINGS.quotas;

const setQuota = (api: GivenApi, quota: object) => api.request('PUT', `/quotas/${PROJECT}`, { quota });
const lbBody = (set: object = {}) => ({ loadbalancer: { vip_subnet_id: SUBNET, ...set } });

test('limits are shown, set in both spellings, unset and reset', async () => {
  await using api = await givenApi({ settings: { quotas: { ...defaults, pool: 7 } } });
  const path = `/quotas/${PROJECT}`;
  expect(await api.request('GET', path)).toMatchObject({
    status: 200,
    body: { quota: { ...UNLIMITED, pool: 7, ...OF } },
  });
  expect((await api.request('GET', '/quotas')).body).toEqual({ quotas: [], quotas_links: [] });
  expect((await api.request('DELETE', path)).status).toBe(404);
  const put = await setQuota(api, { load_balancer: 3, health_monitor: '4', member: 0 });
  const set = { loadbalancer: 3, load_balancer: 3, healthmonitor: 4, health_monitor: 4, member: 0 };
  expect(put).toMatchObject({ status: 202, body: { quota: { ...UNLIMITED, pool: 7, ...set, ...OF } } });
  const stored = Object.fromEntries(Object.keys(UNLIMITED).map(name => [name, null]));
  expect((await api.request('GET', '/quotas?load_balancer=3')).body.quotas).toEqual([
    { ...stored, ...set, ...OF },
  ]);
  await setQuota(api, { loadbalancer: null, healthmonitor: 5, health_monitor: 6 });
  const { quota } = (await api.request('GET', `/v2.0${path}`)).body;
  expect(quota).toMatchObject({ loadbalancer: -1, healthmonitor: 5, health_monitor: 5, member: 0 });
  for (const other of ['/quotas/defaults', `${path}/default`]) {
    const { body } = await api.request('GET', other);
    expect(body.quota).toMatchObject({ ...UNLIMITED, pool: 7 });
  }
  expect(await api.request('DELETE', path)).toMatchObject({ status: 202, body: '' });
  expect((await api.request('DELETE', path)).status).toBe(202);
  expect((await api.request('GET', path)).body.quota).toMatchObject({ ...UNLIMITED, pool: 7 });
  for (const body of [{ pool: -2 }, { pool: 2_000_000_001 }, { pool: 'x' }, { colour: 1 }])
    expect((await setQuota(api, body)).status).toBe(400);
  expect((await api.request('GET', `${path}?fields=pool`)).status).toBe(400);
  expect((await api.request('POST', '/quotas', { quota: {} })).status).toBe(405);
  expect((await api.request('PUT', `/quotas/${'x'.repeat(37)}`, { quota: {} })).status).toBe(400);
});

test('each kind is refused at its limit, and there is room again when a deleted one is gone', async () => {
  await using api = await givenApi();
  const lb = await givenActiveLoadBalancer(api);
  const pool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', loadbalancer_id: lb.id };
  const { id: pool_id } = await api.create('/pools', { pool });
  const listener = { protocol: 'HTTP', protocol_port: 80, loadbalancer_id: lb.id };
  const { id: listener_id } = await api.create('/listeners', { listener });
  const l7policy = { listener_id, action: 'REJECT' };
  const { id: policy } = await api.create('/l7policies', { l7policy });
  const kinds: [name: string, title: string, path: string, body: Record<string, unknown>][] = [
    ['loadbalancer', 'Load Balancer', '/loadbalancers', lbBody()],
    ['listener', 'Listener', '/listeners', { listener: { ...listener, protocol_port: 81 } }],
    ['pool', 'Pool', '/pools', { pool }],
    ['member', 'Member', `/pools/${pool_id}/members`, { member: { address: '10.1.0.5', protocol_port: 80 } }],
    [
      'healthmonitor',
      'Health Monitor',
      '/healthmonitors',
      { healthmonitor: { pool_id, type: 'TCP', delay: 5, timeout: 3, max_retries: 2 } },
    ],
    ['l7policy', 'L7 Policy', '/l7policies', { l7policy }],
    [
      'l7rule',
      'L7 Rule',
      `/l7policies/${policy}/rules`,
      { rule: { type: 'PATH', compare_type: 'EQUAL_TO', value: '/x' } },
    ],
  ];
  for (const [name, title, path, body] of kinds) {
    const present = Object.values((await api.request('GET', path)).body)[0] as unknown[];
    await setQuota(api, { [name]: present.length });
    expect(await api.request('POST', path, body)).toMatchObject({
      status: 403,
      body: { faultstring: `Quota has been met for resources: ${title}`, faultcode: 'Client' },
    });
    await setQuota(api, { [name]: present.length + 1 });
    const made = await api.create(path, body);
    await api.settle();
    await api.request('DELETE', `${path}/${made.id}`);
    expect((await api.request('POST', path, body)).status).toBe(403);
    await api.settle();
    await api.create(path, body);
    await api.settle();
  }
  expect(api.failures).toEqual([]);
});

test('a whole load balancer is refused when any part of it is too much', async () => {
  await using api = await givenApi();
  const member = (i: number) => ({ address: `10.1.0.${i}`, protocol_port: 80 });
  const pool = {
    ...{ name: 'p', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', members: [member(5), member(6)] },
    healthmonitor: { type: 'TCP', delay: 5, timeout: 3, max_retries: 2 },
  };
  const l7policies = [{ action: 'REJECT', rules: [{ type: 'PATH', compare_type: 'EQUAL_TO', value: '/x' }] }];
  const listeners = [{ protocol: 'HTTP', protocol_port: 80, default_pool: { name: 'p' }, l7policies }];
  const tree = lbBody({ pools: [pool], listeners });
  for (const [name, enough] of Object.entries({
    ...{ loadbalancer: 1, listener: 1, pool: 1, member: 2, healthmonitor: 1, l7policy: 1, l7rule: 1 },
  })) {
    await setQuota(api, { [name]: enough - 1 });
    expect((await api.request('POST', '/loadbalancers', tree)).status).toBe(403);
    expect((await api.request('GET', '/loadbalancers')).body.loadbalancers).toEqual([]);
    expect([...api.cloud.ports]).toEqual([]);
    await setQuota(api, { [name]: enough });
  }
  await api.create('/loadbalancers', tree);
});

test('a batch of members counts the new without those that go', async () => {
  await using api = await givenApi();
  const lb = await givenActiveLoadBalancer(api);
  const { id } = await api.create('/pools', {
    pool: { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', loadbalancer_id: lb.id },
  });
  const put = async (ports: number[], query = '') => {
    const members = ports.map(protocol_port => ({ address: '10.1.0.5', protocol_port }));
    const { status } = await api.request('PUT', `/pools/${id}/members${query}`, { members });
    await api.settle();
    return status;
  };
  await setQuota(api, { member: 3 });
  expect(await put([1, 2, 3])).toBe(202);
  expect(await put([4, 5, 6])).toBe(202);
  expect(await put([4, 5, 6, 7])).toBe(403);
  expect(await put([7], '?additive_only=true')).toBe(403);
  expect(await put([7])).toBe(202);
  await setQuota(api, { member: 0 });
  expect(await put([])).toBe(202);
});

test('noauth: nobody is limited', async () => {
  await using api = await givenApi({
    authenticate: noauth,
    settings: { quotas: { ...defaults, load_balancer: 0 } },
  });
  const headers = { 'x-project-id': PROJECT };
  expect((await api.request('POST', '/loadbalancers', lbBody(), headers)).status).toBe(201);
});

/** A database that several processes can open. */
async function givenSharedDatabase(): Promise<{ url: string; drop(): void | Promise<void> }> {
  const server = process.env[TEST_SERVER];
  if (server) return createDatabase(server);
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-quotas-'));
  return {
    url: `sqlite:///${join(directory, 'db')}`,
    drop: () => rmSync(directory, { recursive: true }),
  };
}

/** Several processes with an API each, over one database. */
async function givenProcesses(settings: object) {
  const { url, drop } = await givenSharedDatabase();
  await (await openDatabase(url)).destroy();
  const script = fileURLToPath(new URL('../api-process.fixture.ts', import.meta.url));
  const args = [script, url, JSON.stringify(settings)];
  const processes = [1, 2, 3].map(() =>
    spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  const close = async () => {
    const ended = processes.map(each => new Promise(resolve => each.once('exit', resolve)));
    for (const each of processes) each.stdin.end();
    await Promise.all(ended);
    await drop();
  };
  const firstLine = async ({ stdout }: (typeof processes)[number]) => {
    for await (const line of createInterface(stdout)) return line;
    throw new Error('The process has ended');
  };
  return { urls: await Promise.all(processes.map(firstLine)), [Symbol.asyncDispose]: close };
}

async function post(url: string, path: string, body: object): Promise<{ status: number; id: string }> {
  const answer = await fetch(`${url}/v2${path}`, {
    method: path.startsWith('/quotas') ? 'PUT' : 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  const text = (await answer.json()) as Record<string, { id: string }>;
  return { status: answer.status, id: Object.values(text)[0]?.id ?? '' };
}

const counted = (answers: { status: number }[]) =>
  Object.fromEntries(
    [...Map.groupBy(answers, answer => answer.status)].map(([status, all]) => [status, all.length]),
  );

test('many processes ask at once: as many succeed as the limit allows', { timeout: 120_000 }, async () => {
  await using shared = await givenProcesses({ quotas: { ...defaults, load_balancer: 7 } });
  const { urls } = shared;
  // Nobody has made the project's row yet: all try to.
  const asked = Array.from({ length: 30 }, (_, i) => post(urls[i % 3]!, '/loadbalancers', lbBody()));
  const answers = await Promise.all(asked);
  expect(counted(answers)).toEqual({ 201: 7, 403: 23 });

  // Pools under different load balancers: no lock of a load balancer keeps their creators apart.
  await post(urls[0]!, `/quotas/${PROJECT}`, { quota: { pool: 11 } });
  const ids = answers.flatMap(({ status, id }) => (status === 201 ? [id] : []));
  const pool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const pools = Array.from({ length: 42 }, (_, i) =>
    post(urls[i % 3]!, '/pools', { pool: { ...pool, loadbalancer_id: ids[i % 7] } }),
  );
  expect(counted(await Promise.all(pools))).toEqual({ 201: 11, 403: 31 });
});
