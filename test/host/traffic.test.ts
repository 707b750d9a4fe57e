/** How traffic is spread over members, and what switches it off: a real haproxy behind a real API. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { ask, tally } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, type SystemHere, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const NAMES = ['a', 'b', 'c'] as const;
const FIRST_WEIGHTS = [1, 2, 5];
const portOf = (index: number) => 9001 + index;

describe.skipIf(trafficObstacle)(titled('traffic'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemHere;
  let members: MemberHost;
  let lb: Resource;
  let listener: Resource;
  let pool: Resource;
  let url: string;
  const rows: Record<string, Resource> = {};

  const pathOf = (name: string) => `pools/${pool.id}/members/${rows[name]!.id}`;
  /** Writes without a wait between them, then waits for all. */
  const change = async (...writes: [path: string, body: object][]) => {
    for (const [path, body] of writes) await system.api.set(path, body);
    await system.api.active(lb.id);
  };
  const weights = (...values: number[]) =>
    values.map((weight, i) => [pathOf(NAMES[i]!), { weight }] as [string, object]);
  const statusNow = async () => (await ask(`${url}/r/0`)).status;

  beforeAll(async () => {
    system = made.use(await openSystemHere());
    const { api, subnet } = system;
    const addresses = Array.from({ length: 24 }, (_, i) => handPicked(subnet, i));
    members = made.use(await MemberHost.open([subnet], addresses));
    for (const [i, name] of NAMES.entries()) await members.open({ kind: 'http', name, port: portOf(i) });
    lb = await api.create('loadbalancers', { name: 'lb', vip_subnet_id: subnet.id });
    listener = await api.create('listeners', {
      ...{ name: 'listener', loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 80 },
    });
    pool = await api.create('pools', {
      ...{ name: 'pool', listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    });
    for (const [i, name] of NAMES.entries()) {
      rows[name] = await api.create(`pools/${pool.id}/members`, {
        ...{ name, address: addresses[i], protocol_port: portOf(i), subnet_id: subnet.id },
        weight: FIRST_WEIGHTS[i],
      });
    }
    await api.active(lb.id);
    url = `http://${lb.vip_address}`;
  });
  afterAll(() => made.disposeAsync());

  test('goes round by weight, exactly', async () => {
    expect(await tally(url, 80)).toEqual({ a: 10, b: 20, c: 50 });
    await change(...weights(3, 3, 0));
    expect(await tally(url, 20)).toEqual({ a: 10, b: 10 });
    await change(...weights(1, 1, 1));
    // Weights that are changed while it turns take effect within the turn.
    await tally(url, 3);
    expect(await tally(url, 30)).toEqual({ a: 10, b: 10, c: 10 });
  });

  test('goes to the member with the fewest connections', async () => {
    await change([`pools/${pool.id}`, { lb_algorithm: 'LEAST_CONNECTIONS' }], ...weights(1, 1, 0));
    const held = Array.from({ length: 4 }, () => ask(`${url}/slow/1500`));
    await until('both to have two', async () => {
      const peaks = [0, 1].map(async index => (await members.peak(portOf(index))) >= 2);
      return (await Promise.all(peaks)).every(Boolean);
    });
    await change(...weights(1, 1, 1));
    expect(await tally(url, 10)).toEqual({ c: 10 });
    const holders = await Promise.all(held.map(async answer => (await answer).body.split(' ')[0]));
    expect(holders.sort()).toEqual(['a', 'a', 'b', 'b']);
  });

  test('stays with the member that the source address decides', async () => {
    await change([`pools/${pool.id}`, { lb_algorithm: 'SOURCE_IP' }]);
    const chosen = new Set<string>();
    for (const from of members.addresses) {
      const answers = [];
      for (let i = 0; i < 3; i++) answers.push((await members.ask(`${url}/r/0`, from)).body);
      expect(new Set(answers).size).toBe(1);
      chosen.add(answers[0]!);
    }
    expect(chosen.size).toBe(3);
    await change([`pools/${pool.id}`, { lb_algorithm: 'ROUND_ROBIN' }]);
  });

  test('carries the headers that the listener is told to insert, and no others', async () => {
    const from = members.addresses[5]!;
    const seen = async () => JSON.parse((await members.ask(`${url}/headers`, from)).body).headers;
    expect(Object.keys(await seen()).filter(name => name.startsWith('x-'))).toEqual([]);
    const insert_headers = {
      ...{ 'X-Forwarded-For': 'true', 'X-Forwarded-Port': 'true', 'X-Forwarded-Proto': 'true' },
    };
    await change([`listeners/${listener.id}`, { insert_headers }]);
    expect(await seen()).toMatchObject({
      ...{ 'x-forwarded-for': from, 'x-forwarded-port': '80', 'x-forwarded-proto': 'http' },
    });
    await change([`listeners/${listener.id}`, { insert_headers: {} }]);
  });

  test('waits when the listener has as many connections as it may have', async () => {
    await change([`listeners/${listener.id}`, { connection_limit: 2 }], ...weights(1, 0, 0));
    // The peak is of this member's whole life so far: a new one begins at nothing.
    await members.close(portOf(0));
    await members.open({ kind: 'http', name: 'a', port: portOf(0) });
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(`${url}/slow/100`)));
    expect(answers.map(answer => answer.status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(await members.peak(portOf(0))).toBe(2);
    await change([`listeners/${listener.id}`, { connection_limit: -1 }], ...weights(1, 1, 1));
  });

  test('comes to a backup member only when no other is there', async () => {
    await change([pathOf('c'), { backup: true }]);
    expect(await tally(url, 10)).toEqual({ a: 5, b: 5 });
    await change([pathOf('a'), { admin_state_up: false }], [pathOf('b'), { admin_state_up: false }]);
    expect(await tally(url, 10)).toEqual({ c: 10 });
    await change([pathOf('a'), { admin_state_up: true }], [pathOf('b'), { admin_state_up: true }]);
    expect(await tally(url, 10)).toEqual({ a: 5, b: 5 });
    await change([pathOf('c'), { backup: false }]);
    expect(await tally(url, 12)).toEqual({ a: 4, b: 4, c: 4 });
  });

  test('stops while a member, pool, listener or load balancer is down, and comes back', async () => {
    const { api } = system;
    const refused = () => expect(ask(`${url}/r/0`)).rejects.toThrow('ECONNREFUSED');

    await change([pathOf('b'), { admin_state_up: false }]);
    expect(await tally(url, 20)).toEqual({ a: 10, c: 10 });
    await api.shows(lb.id, { a: 'NO_MONITOR', b: 'OFFLINE', c: 'NO_MONITOR' });
    await change([pathOf('b'), { admin_state_up: true }]);
    expect(await tally(url, 30)).toEqual({ a: 10, b: 10, c: 10 });
    await api.shows(lb.id, { b: 'NO_MONITOR', pool: 'ONLINE', listener: 'ONLINE', lb: 'ONLINE' });

    await change([`pools/${pool.id}`, { admin_state_up: false }]);
    expect(await statusNow()).toBe(503);
    await api.shows(lb.id, { pool: 'OFFLINE', listener: 'ONLINE' });
    await change([`pools/${pool.id}`, { admin_state_up: true }]);
    expect(await tally(url, 3)).toEqual({ a: 1, b: 1, c: 1 });

    await change([`listeners/${listener.id}`, { admin_state_up: false }]);
    await refused();
    await api.shows(lb.id, { listener: 'OFFLINE' });
    await change([`listeners/${listener.id}`, { admin_state_up: true }]);
    expect(await tally(url, 3)).toEqual({ a: 1, b: 1, c: 1 });

    await change([`loadbalancers/${lb.id}`, { admin_state_up: false }]);
    await refused();
    await api.shows(lb.id, { lb: 'OFFLINE', pool: 'OFFLINE' });
    await change([`loadbalancers/${lb.id}`, { admin_state_up: true }]);
    expect(await tally(url, 3)).toEqual({ a: 1, b: 1, c: 1 });
    await api.shows(lb.id, { lb: 'ONLINE', listener: 'ONLINE', pool: 'ONLINE', a: 'NO_MONITOR' });
  });

  test('is counted, over reloads too', async () => {
    const { api } = system;
    const other = await api.create('listeners', {
      ...{ loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 81, default_pool_id: pool.id },
    });
    await api.active(lb.id);
    const counted = (total: number) =>
      until(`${total} connections to be counted`, async () => {
        const now = await api.statistics(`listeners/${other.id}`);
        return now.total_connections === total && now;
      });
    await tally(`${url}:81`, 50);
    const first = await counted(50);
    // Each request is longer than its line, each answer than its body.
    expect(first.bytes_in).toBeGreaterThan(50 * 'GET /r/0 HTTP/1.1'.length);
    expect(first.bytes_out).toBeGreaterThan(50 * 'a /r/0'.length);
    await change([`listeners/${other.id}`, { timeout_client_data: 40_000 }]);
    await tally(`${url}:81`, 10);
    const second = await counted(60);
    expect(second.bytes_out! - first.bytes_out!).toBeGreaterThan(0);
    expect(second).toMatchObject({ active_connections: 0, request_errors: 0 });
    const whole = await api.statistics(`loadbalancers/${lb.id}`);
    const parts = await Promise.all([listener, other].map(({ id }) => api.statistics(`listeners/${id}`)));
    expect(whole.total_connections).toBe(parts[0]!.total_connections! + parts[1]!.total_connections!);
  });
});
