/** Tests of the API as rows: what is sent to a small world, which status comes back, and what the answer holds. */
import { afterAll, expect, test } from 'vitest';
import { loadGraph } from '../db/graph.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import type { ApiSettings } from './server.ts';
import { type GivenApi, givenActiveLoadBalancer, givenApi, SUBNET } from './testing.ts';

/** Ids by the names that rows use: `$listener` in a path or a body. */
export type World = GivenApi & { ids: Record<string, string> };

export interface Scenario {
  name: string;
  /** Brings the world into the state that the row is about, which is then settled no further. */
  given?: (world: World) => Promise<unknown>;
  method: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  status: number;
  /** What the answer's body, as text or as an object, must hold. */
  contains?: string | Record<string, unknown>;
}

/**
 * Two load balancers, all ACTIVE. `$lb` has the HTTP listener `$listener` on 80 with `$pool`, its `$member`
 * (10.1.0.5:80), its HTTP `$monitor` and the REJECT `$policy` with one PATH `$rule`; the TCP listener `$tcpListener` on 22 without a pool; and the TCP pool
 * `$tcpPool` with `$tcpMember` (10.1.0.6:22) and no monitor. `$other` has `$otherListener` and `$otherPool`.
 */
export async function givenWorld(settings: Partial<ApiSettings> = {}): Promise<World> {
  const api = await givenApi();
  const lb = await givenActiveLoadBalancer(api);
  const other = await givenActiveLoadBalancer(api, { name: 'other' });
  const listener = (loadbalancer_id: string, protocol: string, protocol_port: number) =>
    api.create('/listeners', {
      listener: { loadbalancer_id, protocol, protocol_port, name: `${protocol} listener` },
    });
  const pool = (set: object, protocol: string) =>
    api.create('/pools', {
      pool: { protocol, lb_algorithm: 'ROUND_ROBIN', name: `${protocol} pool`, ...set },
    });
  const http = await listener(lb.id, 'HTTP', 80);
  const httpPool = await pool({ listener_id: http.id }, 'HTTP');
  const tcpListener = await listener(lb.id, 'TCP', 22);
  const tcpPool = await pool({ loadbalancer_id: lb.id }, 'TCP');
  const monitor = await api.create('/healthmonitors', {
    healthmonitor: { pool_id: httpPool.id, type: 'HTTP', delay: 5, timeout: 3, max_retries: 2 },
  });
  const member = (id: string, address: string, protocol_port: number) =>
    api.create(`/pools/${id}/members`, {
      member: { address, protocol_port, subnet_id: SUBNET, name: address },
    });
  const httpMember = await member(httpPool.id, '10.1.0.5', 80);
  const tcpMember = await member(tcpPool.id, '10.1.0.6', 22);
  const policy = await api.create('/l7policies', {
    l7policy: { listener_id: http.id, action: 'REJECT', name: 'policy' },
  });
  const rule = await api.create(`/l7policies/${policy.id}/rules`, {
    rule: { type: 'PATH', compare_type: 'STARTS_WITH', value: '/admin' },
  });
  const otherListener = await listener(other.id, 'HTTP', 80);
  const otherPool = await pool({ loadbalancer_id: other.id }, 'HTTP');
  await api.settle();
  api.nudges.length = 0;
  Object.assign(api.deps.settings, settings);
  const ids = {
    lb: lb.id,
    listener: http.id,
    pool: httpPool.id,
    member: httpMember.id,
    monitor: monitor.id,
    policy: policy.id,
    rule: rule.id,
    tcpListener: tcpListener.id,
    tcpPool: tcpPool.id,
    tcpMember: tcpMember.id,
    other: other.id,
    otherListener: otherListener.id,
    otherPool: otherPool.id,
    subnet: SUBNET,
  };
  return Object.assign(api, { ids });
}

export async function send(world: World, row: Pick<Scenario, 'method' | 'path' | 'body' | 'headers'>) {
  const fill = (text: string) => text.replace(/\$(\w+)/g, (whole, name: string) => world.ids[name] ?? whole);
  const body =
    row.body === undefined
      ? undefined
      : typeof row.body === 'string'
        ? row.body
        : JSON.parse(fill(JSON.stringify(row.body)));
  return world.request(row.method, fill(row.path), body, row.headers);
}

export async function graphsOf(world: World): Promise<(LoadBalancerGraph | undefined)[]> {
  return Promise.all([world.ids.lb!, world.ids.other!].map(id => loadGraph(world.db, id)));
}

function expectContains(actual: { status: number; body: unknown }, row: Scenario): void {
  expect(actual, JSON.stringify(actual.body)).toMatchObject({ status: row.status });
  if (typeof row.contains === 'string') expect(JSON.stringify(actual.body)).toContain(row.contains);
  else if (row.contains) expect(actual.body).toMatchObject(row.contains);
}

/**
 * Rows that fail: besides their answer, nothing may have changed, and nobody may have been nudged. That is why those
 * that need nothing given can share a world.
 */
export function refused(rows: readonly Scenario[], settings: Partial<ApiSettings> = {}): void {
  let shared: Promise<World> | undefined;
  afterAll(async () => {
    await (await shared)?.[Symbol.asyncDispose]();
    shared = undefined;
  });
  for (const row of rows) {
    test(`${row.method} ${row.name}: ${row.status}`, async () => {
      await using own = row.given ? await givenWorld(settings) : undefined;
      await row.given?.(own!);
      shared ??= row.given ? shared : givenWorld(settings);
      await expectRefused(own ?? (await shared!), row);
    });
  }
}

async function expectRefused(world: World, row: Scenario): Promise<void> {
  world.nudges.length = 0;
  const before = await graphsOf(world);
  const answer = await send(world, row);
  expectContains(answer, row);
  expect(answer.body.faultstring).toMatch(/\w+ \w+/);
  expect(answer.body).toMatchObject({ faultcode: row.status < 500 ? 'Client' : 'Server', debuginfo: null });
  expect(await graphsOf(world)).toEqual(before);
  expect(world.nudges).toEqual([]);
  expect(world.failures).toEqual([]);
}

/** Rows that succeed; a write nudges the load balancer it is about. */
export function accepted(rows: readonly Scenario[], settings: Partial<ApiSettings> = {}): void {
  for (const row of rows) {
    test(`${row.method} ${row.name}: ${row.status}`, async () => {
      await using world = await givenWorld(settings);
      await row.given?.(world);
      world.nudges.length = 0;
      expectContains(await send(world, row), row);
      if (row.method !== 'GET') expect(world.nudges).toHaveLength(1);
      expect(world.failures).toEqual([]);
    });
  }
}

/** A step of `given`: sends it and expects success. */
export const did =
  (method: string, path: string, body?: unknown) =>
  async (world: World): Promise<void> => {
    const { status, body: answer } = await send(world, { method, path, body });
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${JSON.stringify(answer)}`);
  };
