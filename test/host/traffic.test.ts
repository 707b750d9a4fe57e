/** How traffic is spread over members, and what switches it off: a real haproxy behind a real API. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { dualVip, ensureDualSubnets, FAMILIES, type Family, vipsOf } from './dual-vip.ts';
import { ask, refuses, tally as tallyOver } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, type SystemHere, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const NAMES = ['a', 'b', 'c'] as const;
const FIRST_WEIGHTS = [1, 2, 5];
/** Of each family; so many that their hashes lead to all members, whose places are random. */
const CLIENTS = 48;
const portOf = (index: number) => 9001 + index;

describe.skipIf(trafficObstacle)(titled('traffic [listener.protocol=HTTP, pool.protocol=HTTP]'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemHere;
  let members: MemberHost;
  let lb: Resource;
  let listener: Resource;
  let pool: Resource;
  let urls: Record<Family, string>;
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
  /** Of so many requests, every other one over IPv6. */
  const tally = (count: number, port = 80) =>
    tallyOver(
      FAMILIES.map(family => `${urls[family]}:${port}`),
      count,
    );

  beforeAll(async () => {
    system = made.use(await openSystemHere());
    const { api } = system;
    const subnets = await ensureDualSubnets(system);
    const addresses = FAMILIES.flatMap(family =>
      Array.from({ length: CLIENTS }, (_, i) => handPicked(subnets[family], i)),
    );
    members = made.use(await MemberHost.open(Object.values(subnets), addresses));
    for (const [i, name] of NAMES.entries()) await members.open({ kind: 'http', name, port: portOf(i) });
    lb = await api.create('loadbalancers', { name: 'lb', ...dualVip(subnets) });
    listener = await api.create('listeners', {
      ...{ name: 'listener', loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 80 },
    });
    pool = await api.create('pools', {
      ...{ name: 'pool', listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    });
    for (const [i, name] of NAMES.entries()) {
      rows[name] = await api.create(`pools/${pool.id}/members`, {
        ...{ name, address: addresses[i], protocol_port: portOf(i), subnet_id: subnets.IPv4.id },
        weight: FIRST_WEIGHTS[i],
      });
    }
    await api.active(lb.id);
    const vips = vipsOf(lb);
    urls = { IPv4: `http://${vips.IPv4}`, IPv6: `http://${vips.IPv6}` };
    url = urls.IPv4;
  });
  afterAll(() => made.disposeAsync());

  test('goes round by weight, exactly [pool.lb_algorithm=ROUND_ROBIN, member.weight, IPv4, IPv6]', async () => {
    expect(await tally(80)).toEqual({ a: 10, b: 20, c: 50 });
    await change(...weights(3, 3, 0));
    expect(await tally(20)).toEqual({ a: 10, b: 10 });
    await change(...weights(1, 1, 1));
    // Weights that are changed while it turns take effect within the turn.
    await tally(3);
    expect(await tally(30)).toEqual({ a: 10, b: 10, c: 10 });
  });

  test('goes to the member with the fewest connections [pool.lb_algorithm=LEAST_CONNECTIONS, IPv4, IPv6]', async () => {
    await change([`pools/${pool.id}`, { lb_algorithm: 'LEAST_CONNECTIONS' }], ...weights(1, 1, 0));
    const held = [0, 1, 2, 3].map(i => ask(`${urls[FAMILIES[i % 2]!]}/held`, { limitMs: 30_000 }));
    await until('both to have two', async () => {
      const peaks = [0, 1].map(async index => (await members.peak(portOf(index))) >= 2);
      return (await Promise.all(peaks)).every(Boolean);
    });
    await change(...weights(1, 1, 1));
    expect(await tally(10)).toEqual({ c: 10 });
    for (const index of [0, 1]) await members.release(portOf(index));
    const holders = await Promise.all(held.map(async answer => (await answer).body.split(' ')[0]));
    expect(holders.sort()).toEqual(['a', 'a', 'b', 'b']);
  });

  test('stays with the member that the source address decides [pool.lb_algorithm=SOURCE_IP, IPv4, IPv6]', async () => {
    await change([`pools/${pool.id}`, { lb_algorithm: 'SOURCE_IP' }]);
    const chosen: Record<Family, Set<string>> = { IPv4: new Set(), IPv6: new Set() };
    for (const from of members.addresses) {
      const family = from.includes(':') ? 'IPv6' : 'IPv4';
      const answers = [];
      for (let i = 0; i < 3; i++) answers.push((await members.ask(`${urls[family]}/r/0`, from)).body);
      expect(new Set(answers).size).toBe(1);
      chosen[family].add(answers[0]!);
    }
    expect([chosen.IPv4.size, chosen.IPv6.size]).toEqual([3, 3]);
    await change([`pools/${pool.id}`, { lb_algorithm: 'ROUND_ROBIN' }]);
  });

  test('carries the headers that the listener is told to insert, and no others [listener.insert_headers=X-Forwarded-For, listener.insert_headers=X-Forwarded-Port, listener.insert_headers=X-Forwarded-Proto, IPv4, IPv6]', async () => {
    const seen = async (family: Family = 'IPv4') => {
      const from = members.addresses.find(address => address.includes(':') === (family === 'IPv6'))!;
      return [from, JSON.parse((await members.ask(`${urls[family]}/headers`, from)).body).headers] as const;
    };
    expect(Object.keys((await seen())[1]).filter(name => name.startsWith('x-'))).toEqual([]);
    const insert_headers = {
      ...{ 'X-Forwarded-For': 'true', 'X-Forwarded-Port': 'true', 'X-Forwarded-Proto': 'true' },
    };
    await change([`listeners/${listener.id}`, { insert_headers }]);
    for (const family of FAMILIES) {
      const [from, headers] = await seen(family);
      expect(headers).toMatchObject({
        ...{ 'x-forwarded-for': from, 'x-forwarded-port': '80', 'x-forwarded-proto': 'http' },
      });
    }
    await change([`listeners/${listener.id}`, { insert_headers: {} }]);
  });

  test('waits when the listener has as many connections as it may have [listener.connection_limit, IPv4, IPv6]', async () => {
    await change([`listeners/${listener.id}`, { connection_limit: 2 }], ...weights(1, 0, 0));
    // The peak is of this member's whole life so far: a new one begins at nothing.
    await members.close(portOf(0));
    await members.open({ kind: 'http', name: 'a', port: portOf(0) });
    const answers = await Promise.all([0, 1, 2, 3, 4, 5].map(i => ask(`${urls[FAMILIES[i % 2]!]}/slow/100`)));
    expect(answers.map(answer => answer.status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(await members.peak(portOf(0))).toBe(2);
    await change([`listeners/${listener.id}`, { connection_limit: -1 }], ...weights(1, 1, 1));
  });

  test('comes to a backup member only when no other is there [member.backup, IPv4, IPv6]', async () => {
    await change([pathOf('c'), { backup: true }]);
    expect(await tally(10)).toEqual({ a: 5, b: 5 });
    await change([pathOf('a'), { admin_state_up: false }], [pathOf('b'), { admin_state_up: false }]);
    expect(await tally(10)).toEqual({ c: 10 });
    await change([pathOf('a'), { admin_state_up: true }], [pathOf('b'), { admin_state_up: true }]);
    expect(await tally(10)).toEqual({ a: 5, b: 5 });
    await change([pathOf('c'), { backup: false }]);
    expect(await tally(12)).toEqual({ a: 4, b: 4, c: 4 });
  });

  test('stops while a member, pool, listener or load balancer is down, and comes back [member.admin_state_up, pool.admin_state_up, listener.admin_state_up, loadbalancer.admin_state_up, IPv4, IPv6]', async () => {
    const { api } = system;
    const refused = () => Promise.all(Object.values(urls).map(refuses));

    await change([pathOf('b'), { admin_state_up: false }]);
    expect(await tally(20)).toEqual({ a: 10, c: 10 });
    await api.shows(lb.id, { a: 'NO_MONITOR', b: 'OFFLINE', c: 'NO_MONITOR' });
    await change([pathOf('b'), { admin_state_up: true }]);
    expect(await tally(30)).toEqual({ a: 10, b: 10, c: 10 });
    await api.shows(lb.id, { b: 'NO_MONITOR', pool: 'ONLINE', listener: 'ONLINE', lb: 'ONLINE' });

    await change([`pools/${pool.id}`, { admin_state_up: false }]);
    expect(await statusNow()).toBe(503);
    await api.shows(lb.id, { pool: 'OFFLINE', listener: 'ONLINE' });
    await change([`pools/${pool.id}`, { admin_state_up: true }]);
    expect(await tally(3)).toEqual({ a: 1, b: 1, c: 1 });

    await change([`listeners/${listener.id}`, { admin_state_up: false }]);
    await refused();
    await api.shows(lb.id, { listener: 'OFFLINE' });
    await change([`listeners/${listener.id}`, { admin_state_up: true }]);
    expect(await tally(3)).toEqual({ a: 1, b: 1, c: 1 });

    await change([`loadbalancers/${lb.id}`, { admin_state_up: false }]);
    await refused();
    await api.shows(lb.id, { lb: 'OFFLINE', pool: 'OFFLINE' });
    await change([`loadbalancers/${lb.id}`, { admin_state_up: true }]);
    expect(await tally(3)).toEqual({ a: 1, b: 1, c: 1 });
    await api.shows(lb.id, { lb: 'ONLINE', listener: 'ONLINE', pool: 'ONLINE', a: 'NO_MONITOR' });
  });

  test('is counted, over reloads too [statistics, IPv4, IPv6]', async () => {
    const { api } = system;
    const other = await api.create('listeners', {
      ...{ loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 81, default_pool_id: pool.id },
    });
    await api.active(lb.id);
    const counted = (total: number) =>
      until(`${total} connections to be counted`, async () => {
        const now = await api.statistics(`listeners/${other.id}`);
        // The last of them is counted from its beginning.
        return now.total_connections === total && now.active_connections === 0 && now;
      });
    await tally(50, 81);
    const first = await counted(50);
    // Each request is longer than its line, each answer than its body.
    expect(first.bytes_in).toBeGreaterThan(50 * 'GET /r/0 HTTP/1.1'.length);
    expect(first.bytes_out).toBeGreaterThan(50 * 'a /r/0'.length);
    await change([`listeners/${other.id}`, { timeout_client_data: 40_000 }]);
    await tally(10, 81);
    const second = await counted(60);
    expect(second.bytes_out! - first.bytes_out!).toBeGreaterThan(0);
    expect(second).toMatchObject({ active_connections: 0, request_errors: 0 });
    const whole = await api.statistics(`loadbalancers/${lb.id}`);
    const parts = await Promise.all([listener, other].map(({ id }) => api.statistics(`listeners/${id}`)));
    expect(whole.total_connections).toBe(parts[0]!.total_connections! + parts[1]!.total_connections!);
  });
});
