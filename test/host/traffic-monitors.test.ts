/** Every type of health monitor finds the dead and the living, and traffic follows what it found. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { dualVip, ensureDualSubnets, FAMILIES, vipsOf } from './dual-vip.ts';
import { Load, tally } from './http-client.ts';
import { issueMemberCertificate } from './member-certificate.ts';
import { handPicked, MemberHost, type ServerKind } from './member-host.ts';
import { openSystemHere, type SystemHere, titled, trafficObstacle } from './real-system.ts';

/** One listener for each type, on a port of its own. */
const MONITORS = [
  { type: 'HTTP', protocol: 'HTTP', port: 80, kind: 'http', memberPort: 9001 },
  { type: 'TCP', protocol: 'HTTP', port: 81, kind: 'http', memberPort: 9002 },
  { type: 'PING', protocol: 'HTTP', port: 82, kind: 'http', memberPort: 9003 },
  { type: 'HTTPS', protocol: 'HTTPS', port: 443, kind: 'https', memberPort: 9004 },
  { type: 'TLS-HELLO', protocol: 'HTTPS', port: 444, kind: 'https', memberPort: 9005 },
] as const satisfies { kind: ServerKind; [key: string]: unknown }[];

const TYPES = MONITORS.map(({ type }) => `healthmonitor.type=${type}`).join(', ');

describe.skipIf(trafficObstacle)(titled('a health monitor'), () => {
  const made = new AsyncDisposableStack();
  const hosts = {} as Record<'a' | 'b', MemberHost>;
  let system: SystemHere;
  let lb: Resource;

  const urlsOf = ({ protocol, port }: (typeof MONITORS)[number]) => {
    const vips = vipsOf(lb);
    return FAMILIES.map(family => `${protocol.toLowerCase()}://${vips[family]}:${port}`);
  };
  const shows = (statuses: Record<string, string>) => system.api.shows(lb.id, statuses);
  /** The same status for one host's member under each of these types. */
  const membersOf = (host: string, status: string, types = MONITORS.map(({ type }) => type as string)) =>
    Object.fromEntries(types.map(type => [`${type}-${host}`, status]));
  const pools = (status: string) => Object.fromEntries(MONITORS.map(({ type }) => [type, status]));
  const answers = async (count: number) =>
    Object.fromEntries(await Promise.all(MONITORS.map(async m => [m.type, await tally(urlsOf(m), count)])));
  const all = (counts: Record<string, number>) =>
    Object.fromEntries(MONITORS.map(({ type }) => [type, counts]));

  beforeAll(async () => {
    system = made.use(await openSystemHere());
    const { api } = system;
    const subnets = await ensureDualSubnets(system);
    for (const [name, subnet] of [['a', subnets.IPv4] as const, ['b', subnets.IPv6] as const]) {
      const host = made.use(await MemberHost.open([subnet], [handPicked(subnet, 0)]));
      const pem = await issueMemberCertificate(name);
      for (const { kind, memberPort } of MONITORS) await host.open({ kind, name, port: memberPort, pem });
      hosts[name] = host;
    }
    // All of it in one request.
    lb = await api.create('loadbalancers', {
      name: 'lb',
      ...dualVip(subnets),
      listeners: MONITORS.map(({ type, protocol, port, memberPort }) => ({
        ...{ name: `listener-${type}`, protocol, protocol_port: port },
        default_pool: {
          ...{ name: type, protocol, lb_algorithm: 'ROUND_ROBIN' },
          healthmonitor: {
            // A member that is merely slow once is not taken for dead.
            ...{ type, delay: 1, timeout: 5, max_retries: 1, max_retries_down: 2 },
            ...(type.startsWith('HTTP') ? { url_path: '/health', expected_codes: '200' } : {}),
          },
          members: Object.entries(hosts).map(([name, { addresses }]) => ({
            name: `${type}-${name}`,
            ...{ address: addresses[0], protocol_port: memberPort },
          })),
        },
      })),
    });
    await api.active(lb.id);
  });
  afterAll(() => made.disposeAsync());

  test(`finds members that live [${TYPES}, IPv4, IPv6]`, async () => {
    await shows({
      ...membersOf('a', 'ONLINE'),
      ...membersOf('b', 'ONLINE'),
      ...pools('ONLINE'),
      lb: 'ONLINE',
    });
    expect(await answers(10)).toEqual(all({ a: 5, b: 5 }));
  });

  test(`finds a member whose program is killed, and one whose machine is gone [${TYPES}, IPv6]`, async () => {
    await hosts.b.kill();
    const others = ['HTTP', 'TCP', 'HTTPS', 'TLS-HELLO'];
    await shows({ ...membersOf('b', 'ERROR', others), ...membersOf('a', 'ONLINE'), lb: 'DEGRADED' });
    await shows(Object.fromEntries(others.map(type => [type, 'DEGRADED'])));
    // The machine still answers: that its program does not is what the other types are for.
    await shows({ 'PING-b': 'ONLINE', PING: 'ONLINE' });
    hosts.b.removeAddress(hosts.b.addresses[0]!);
    await shows({ 'PING-b': 'ERROR', PING: 'DEGRADED' });
    expect(await answers(10)).toEqual(all({ a: 10 }));
  });

  test(`finds them when they are back [${TYPES}, IPv6]`, async () => {
    hosts.b.addAddress(hosts.b.addresses[0]!);
    await hosts.b.start();
    await shows({ ...membersOf('b', 'ONLINE'), ...pools('ONLINE'), lb: 'ONLINE' });
    expect(await answers(10)).toEqual(all({ a: 5, b: 5 }));
  });

  test('of type HTTP or HTTPS looks at what the answer says [healthmonitor.type=HTTP, healthmonitor.type=HTTPS, healthmonitor.url_path, IPv4]', async () => {
    for (const port of [9001, 9004]) await hosts.a.setHealth(port, 503);
    await shows({ 'HTTP-a': 'ERROR', 'HTTPS-a': 'ERROR', 'TLS-HELLO-a': 'ONLINE', 'TCP-a': 'ONLINE' });
    expect(await answers(4)).toEqual({ ...all({ a: 2, b: 2 }), HTTP: { b: 4 }, HTTPS: { b: 4 } });
    for (const port of [9001, 9004]) await hosts.a.setHealth(port, 200);
    await shows({ 'HTTP-a': 'ONLINE', 'HTTPS-a': 'ONLINE' });
  });

  test('of type TLS-HELLO tells a port that speaks TLS from one that merely accepts connections [healthmonitor.type=TLS-HELLO, IPv4]', async () => {
    await hosts.a.close(9005);
    await hosts.a.open({ kind: 'tcp', name: 'a', port: 9005 });
    await shows({ 'TLS-HELLO-a': 'ERROR', 'HTTPS-a': 'ONLINE' });
    const tlsHello = MONITORS.find(({ type }) => type === 'TLS-HELLO')!;
    expect(await tally(urlsOf(tlsHello), 4)).toEqual({ b: 4 });
  });

  test('of type PING checks many members while requests run [healthmonitor.type=PING, IPv4, IPv6]', async () => {
    const ping = MONITORS.find(({ type }) => type === 'PING')!;
    const loads = urlsOf(ping).map(url => new Load(url, { keepAlive: true }));
    try {
      const pool = (await system.api.list('pools')).find(({ name }) => name === 'PING')!;
      for (const { addresses } of Object.values(hosts)) {
        for (let i = 0; i < 8; i++) {
          const body = { name: `${addresses[0]}-${i}`, address: addresses[0], protocol_port: 9101 + i };
          await system.api.create(`pools/${pool.id}/members`, { ...body, backup: true });
        }
      }
      await system.api.active(lb.id);
      const all = Object.values(hosts).flatMap(({ addresses }) =>
        Array.from({ length: 8 }, (_, i) => [`${addresses[0]}-${i}`, 'ONLINE']),
      );
      await shows(Object.fromEntries(all));
    } finally {
      await Promise.all(loads.map(load => load.stop()));
    }
    expect(loads.flatMap(({ failures }) => failures)).toEqual([]);
    expect(loads.every(({ counts }) => counts.size === 2)).toBe(true);
  });

  test('shows a pool without a living member as ERROR, and the load balancer with it [healthmonitor.type=HTTP, healthmonitor.type=TCP, IPv4, IPv6]', async () => {
    await hosts.a.kill();
    await hosts.b.kill();
    await shows({ HTTP: 'ERROR', TCP: 'ERROR', PING: 'ONLINE', lb: 'ERROR', 'listener-HTTP': 'ONLINE' });
    await expect(tally(urlsOf(MONITORS[0]), 1)).rejects.toThrow('503');
    await hosts.a.start();
    await shows({ HTTP: 'DEGRADED', TCP: 'DEGRADED', 'HTTP-a': 'ONLINE' });
    expect(await tally(urlsOf(MONITORS[0]), 2)).toEqual({ a: 2 });
  });
});
