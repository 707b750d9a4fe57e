/** What a VIP can carry besides plain HTTP on IPv4: bytes, TLS, source addresses, IPv6, members in other networks. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { memberPortName } from '../../src/model/amphora.ts';
import { ask, tally } from './http-client.ts';
import { issueMemberCertificate } from './member-certificate.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, type SystemHere, titled, trafficObstacle } from './real-system.ts';

const PORTS = { http: 9001, tcp: 9002, https: 9003, proxy: 9004 };
const MEGABYTE = 1_000_000;

describe.skipIf(trafficObstacle)(titled('a VIP'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemHere;
  let members: MemberHost;
  let lb: Resource;

  /** A listener with a pool and one member, on the load balancer. */
  const serve = async (
    spec: { protocol: string; port: number; pool: string; memberPort: number },
    more: { lb?: Resource; address?: string | undefined; subnet_id?: string } = {},
  ) => {
    const { api, subnet } = system;
    const { lb: of = lb, address = members.addresses[0], subnet_id = subnet.id } = more;
    const listener = await api.create('listeners', {
      ...{ loadbalancer_id: of.id, protocol: spec.protocol, protocol_port: spec.port },
    });
    const pool = await api.create('pools', {
      ...{ listener_id: listener.id, protocol: spec.pool, lb_algorithm: 'ROUND_ROBIN' },
    });
    const member = await api.create(`pools/${pool.id}/members`, {
      ...{ address, protocol_port: spec.memberPort, subnet_id },
    });
    return { listener, pool, member };
  };

  beforeAll(async () => {
    system = made.use(await openSystemHere());
    const { api, subnet } = system;
    members = made.use(await MemberHost.open([subnet], [handPicked(subnet, 0), handPicked(subnet, 1)]));
    const pem = await issueMemberCertificate('member-of-tls');
    for (const kind of ['http', 'tcp', 'https', 'proxy'] as const)
      await members.open({ kind, name: kind, port: PORTS[kind], pem });
    lb = await api.create('loadbalancers', { name: 'lb', vip_subnet_id: subnet.id });
    await serve({ protocol: 'HTTP', port: 80, pool: 'HTTP', memberPort: PORTS.http });
    await serve({ protocol: 'TCP', port: 81, pool: 'TCP', memberPort: PORTS.tcp });
    await serve({ protocol: 'HTTP', port: 82, pool: 'PROXY', memberPort: PORTS.proxy });
    await serve({ protocol: 'TCP', port: 83, pool: 'PROXYV2', memberPort: PORTS.proxy });
    await serve({ protocol: 'HTTPS', port: 443, pool: 'HTTPS', memberPort: PORTS.https });
    await api.active(lb.id);
  });
  afterAll(() => made.disposeAsync());

  test('has several listeners of several protocols side by side [listener.protocol=HTTP, listener.protocol=TCP, listener.protocol=HTTPS, listener.protocol_port, pool.protocol=HTTP, pool.protocol=TCP, pool.protocol=HTTPS, member.address, member.protocol_port, IPv4]', async () => {
    const answers = await Promise.all([
      tally(`http://${lb.vip_address}`, 5),
      tally(`https://${lb.vip_address}`, 5),
      echo(String(lb.vip_address), 81, 'ping'),
    ]);
    expect(answers).toEqual([{ http: 5 }, { https: 5 }, 'tcp\nping']);
  });

  test('carries bytes as they are, and as many as come [listener.protocol=TCP, pool.protocol=TCP, IPv4]', async () => {
    const bytes = '0123456789'.repeat(MEGABYTE / 2);
    expect((await echo(String(lb.vip_address), 81, bytes)) === `tcp\n${bytes}`).toBe(true);
  });

  test('leaves TLS to the member [listener.protocol=HTTPS, pool.protocol=HTTPS, IPv4]', async () => {
    expect(await members.certificateOf(String(lb.vip_address), 443)).toBe('member-of-tls');
  });

  test.each([
    ['PROXY', 'PROXY', 82, 1],
    ['PROXYV2', 'PROXYV2', 83, 2],
  ])(
    'tells the member of a %s pool where a request came from [pool.protocol=%s, proxy-protocol, IPv4]',
    async (_pool, _tag, port, version) => {
      const from = members.addresses[1]!;
      const { body } = await members.ask(`http://${lb.vip_address}:${port}/r/0`, from);
      expect(JSON.parse(body)).toMatchObject({ name: 'proxy', version, family: 'TCP4', source: from });
    },
  );

  test('reaches members in a network of their own, and leaves it with the last of them [member.subnet_id, member.address, IPv4]', async () => {
    const { api, networks } = system;
    const { bridge } = networks;
    const network = await bridge.ensureNetwork({ name: 'members' });
    const other = await bridge.ensureSubnet({ name: 'v4', network_id: network.id, cidr: '198.18.201.0/24' });
    await using far = await MemberHost.open([other], [handPicked(other, 0)]);
    await far.open({ kind: 'http', name: 'far', port: PORTS.http });
    const spec = { protocol: 'HTTP', port: 90, pool: 'HTTP', memberPort: PORTS.http };
    const { pool, member } = await serve(spec, { address: far.addresses[0], subnet_id: other.id });
    await api.active(lb.id);
    expect(await tally(`http://${lb.vip_address}:90`, 5)).toEqual({ far: 5 });

    const portsThere = async () => (await bridge.listPortNames()).filter(name => name.includes(network.id));
    const [name] = await portsThere();
    expect(name).toMatch(new RegExp(`^${memberPortName('.*', network.id)}$`));
    await api.remove(`pools/${pool.id}/members/${member.id}`);
    await api.active(lb.id);
    expect(await portsThere()).toEqual([]);
    expect((await ask(`http://${lb.vip_address}:90/r/0`)).status).toBe(503);
    expect(await tally(`http://${lb.vip_address}`, 5)).toEqual({ http: 5 });
  });

  test('may be an IPv6 address, in any spelling [loadbalancer.vip_subnet_id, loadbalancer.vip_address, healthmonitor.type=PING, member.address, IPv6]', async () => {
    const { api, networks } = system;
    const network = await networks.bridge.ensureNetwork({ name: 'six' });
    const six = await networks.bridge.ensureSubnet({
      ...{ name: 'v6', network_id: network.id, cidr: 'fd00:6b:6b::/64' },
    });
    await using members6 = await MemberHost.open([six], [handPicked(six, 0)]);
    await members6.open({ kind: 'http', name: 'six', port: PORTS.http });
    const vip_address = 'FD00:6B:6b::0:AAAA';
    const lb6 = await api.create('loadbalancers', { name: 'six', vip_subnet_id: six.id, vip_address });
    const spec = { protocol: 'HTTP', port: 80, pool: 'HTTP', memberPort: PORTS.http };
    const { pool } = await serve(spec, { lb: lb6, address: members6.addresses[0], subnet_id: six.id });
    await api.create('healthmonitors', {
      ...{ pool_id: pool.id, name: 'monitor', type: 'PING' },
      ...{ delay: 1, timeout: 5, max_retries: 1, max_retries_down: 3 },
    });
    await api.active(lb6.id);
    // It stays as it was written.
    expect(await api.show(`loadbalancers/${lb6.id}`)).toMatchObject({ vip_address });
    expect(await tally(`http://[${lb6.vip_address}]`, 5)).toEqual({ six: 5 });
    await api.shows(lb6.id, { six: 'ONLINE' });
    await api.remove(`loadbalancers/${lb6.id}?cascade=true`);
    await api.gone(lb6.id);
  });
});

/** All that comes back when the text is sent and the connection is closed behind it. */
function echo(host: string, port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host, port });
    socket.setTimeout(30_000, () => socket.destroy(new Error('timeout')));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    socket.end(text);
  });
}
