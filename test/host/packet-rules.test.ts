/** Security groups and floating IPs on the real kernel: what passes a port's link, and what is left afterwards. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { BridgeNetwork } from '../../src/drivers/network/bridge.ts';
import { bridgeName } from '../../src/drivers/network/link-names.ts';
import { MemoryNetworkStore } from '../../src/drivers/network/memory-store.ts';
import type { Port } from '../../src/drivers/network/network.ts';
import { listAddresses } from '../../src/lib/ip.ts';
import type { SecurityGroupRuleRecord } from '../../src/model/cloud-network.ts';
import { hostTestsObstacle, readHostState } from './host-state.ts';
import { until } from './until.ts';

const sh = (program: string, ...args: string[]): string => execFileSync(program, args).toString();
const EMPTY = { links: [], namespaces: [], mounts: [], processes: [], files: [] };

/** Says on which UDP or TCP port it was asked. */
const SERVER = `
import socket, socketserver, threading
class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(100): self.request.sendall(b"tcp\\n")
class Udp(socketserver.BaseRequestHandler):
    def handle(self): self.request[1].sendto(b"udp\\n", self.client_address)
class Tcp6(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
class Udp6(socketserver.ThreadingUDPServer):
    address_family = socket.AF_INET6
for server in [Tcp6(("::", 80), Tcp), Tcp6(("::", 81), Tcp), Udp6(("::", 53), Udp)]:
    threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
`;

describe.skipIf(hostTestsObstacle)('security groups and floating IPs on the host', () => {
  const systemId = randomBytes(3).toString('hex').slice(0, 5);
  const store = new MemoryNetworkStore();
  const network = new BridgeNetwork({ store, systemId });
  const namespaces = [`ottavia-${systemId}-test-a`, `ottavia-${systemId}-test-b`] as const;
  const stops: (() => Promise<unknown>)[] = [];
  const net = { id: '', v4: '', v6: '' };
  let a: Port;
  let b: Port;

  const tables = () =>
    sh('nft', 'list', 'tables')
      .split('\n')
      .filter(line => line.includes(systemId));

  beforeAll(async () => {
    net.id = (await network.ensureNetwork({ name: 'net' })).id;
    net.v4 = (await network.ensureSubnet({ name: 'v4', network_id: net.id, cidr: '198.18.84.0/24' })).id;
    net.v6 = (await network.ensureSubnet({ name: 'v6', network_id: net.id, cidr: 'fd00:84::/64' })).id;
    for (const id of ['open', 'closed']) {
      await store.insert('security_group', { id, name: id, project_id: null, description: '' });
    }
    [a, b] = [await plugged('a', namespaces[0]), await plugged('b', namespaces[1])];
    for (const namespace of namespaces) {
      const server = spawn('ip', ['netns', 'exec', namespace, 'python3', '-c', SERVER]);
      stops.push(async () => {
        const ended = once(server, 'exit');
        server.kill('SIGKILL');
        await ended;
      });
      await once(server.stdout, 'data');
    }
  });
  afterAll(async () => {
    for (const stop of stops) await stop();
    await network.purge();
    for (const namespace of namespaces) sh('ip', 'netns', 'delete', namespace);
    expect(readHostState(systemId)).toEqual(EMPTY);
    expect(tables()).toEqual([]);
  });

  // A test that fails leaves the next one what it found.
  afterEach(async () => {
    await setGroups(a, []);
    await setGroups(b, []);
  });

  async function plugged(name: string, namespace: string): Promise<Port> {
    const fixed_ips = [{ subnet_id: net.v4 }, { subnet_id: net.v6 }];
    const port = await network.ensurePort({ name, network_id: net.id, project_id: null, fixed_ips });
    await network.plugPort(port.id, namespace, { createNamespace: true });
    await network.configurePort(port, namespace);
    return port;
  }
  async function setRules(...rules: Partial<SecurityGroupRuleRecord>[]): Promise<void> {
    for (const { id } of await store.list('security_group_rule'))
      await store.delete('security_group_rule', id);
    for (const [i, rule] of rules.entries()) {
      await store.insert('security_group_rule', {
        ...{
          id: `rule-${i}`,
          project_id: null,
          description: '',
          security_group_id: 'open',
          direction: 'ingress',
        },
        ...{ ethertype: 'IPv4', protocol: null, port_range_min: null, port_range_max: null },
        ...{ remote_ip_prefix: null, remote_group_id: null },
        ...rule,
      });
    }
    await network.apply();
  }
  const setGroups = async (port: Port, groups: string[]) => {
    await store.update('port', port.id, { security_groups: groups });
    await network.apply();
  };
  type Question = [protocol: 'tcp' | 'udp', address: string, port: number, from?: string];
  /** What the server there answers within some seconds; asked from the host, or from a namespace. */
  function exchange(seconds: number, [protocol, address, port, from]: Question): string | undefined {
    const script = `exec 3<>/dev/${protocol}/${address}/${port} && echo x >&3 && timeout ${seconds} head -n1 <&3`;
    const command = ['timeout', String(seconds + 0.3), 'bash', '-c', script];
    const prefix = from === undefined ? [] : ['ip', 'netns', 'exec', from];
    const [program, ...args] = [...prefix, ...command];
    return spawnSync(program!, args).stdout.toString().trim() || undefined;
  }
  /** Silence is believed soon; where there is to be an answer, a busy machine has time for it. */
  const ask = (...question: Question) => exchange(0.5, question);
  const answer = (...question: Question) => exchange(10, question);
  const addressOf = (port: Port, six = false) => port.fixed_ips[six ? 1 : 0]!.ip_address;
  const pings = (address: string) => spawnSync('ping', ['-c1', '-W1', address]).status === 0;

  test('a port without groups is open, one in a group lets in what its rules say, from host and neighbours', async () => {
    expect(answer('tcp', addressOf(a), 80)).toBe('tcp');
    expect(tables()).toEqual([]);
    await setRules(
      { protocol: 'tcp', port_range_min: 80, port_range_max: 80 },
      {
        protocol: 'tcp',
        port_range_min: 80,
        port_range_max: 80,
        ethertype: 'IPv6',
        remote_ip_prefix: 'fd00:84::1/128',
      },
    );
    await setGroups(a, ['open']);
    for (const from of [undefined, namespaces[1]]) {
      expect(answer('tcp', addressOf(a), 80, from)).toBe('tcp');
      expect(ask('tcp', addressOf(a), 81, from)).toBeUndefined();
      expect(ask('udp', addressOf(a), 53, from)).toBeUndefined();
    }
    expect(answer('tcp', addressOf(a, true), 80)).toBe('tcp');
    expect(ask('tcp', addressOf(a, true), 80, namespaces[1])).toBeUndefined();
    expect(pings(addressOf(a))).toBe(false);
    expect(answer('tcp', addressOf(b), 81)).toBe('tcp');
    await setRules(
      { protocol: 'icmp', port_range_min: 8 },
      { protocol: '17', port_range_min: 50, port_range_max: 60 },
    );
    expect(pings(addressOf(a))).toBe(true);
    expect(answer('udp', addressOf(a), 53)).toBe('udp');
    expect(ask('tcp', addressOf(a), 80)).toBeUndefined();
    await setGroups(a, []);
    expect(answer('tcp', addressOf(a), 81)).toBe('tcp');
    expect(tables()).toEqual([]);
  });

  test('answers to what was let out come in, and nothing goes out that no rule lets out', async () => {
    await setGroups(a, ['closed']);
    expect(ask('udp', addressOf(b), 53, namespaces[0])).toBeUndefined();
    expect(ask('tcp', addressOf(b), 80, namespaces[0])).toBeUndefined();
    await setRules({ direction: 'egress' }, { direction: 'egress', ethertype: 'IPv6' });
    await setGroups(a, ['open']);
    for (const [protocol, port] of [
      ['udp', 53],
      ['tcp', 80],
    ] as const) {
      expect(answer(protocol, addressOf(b), port, namespaces[0])).toBe(protocol);
      expect(answer(protocol, addressOf(b, true), port, namespaces[0])).toBe(protocol);
      expect(ask(protocol, addressOf(a), port, namespaces[1])).toBeUndefined();
    }
    await setGroups(a, []);
  });

  test('a connection outlives the rule that let it in', async () => {
    await setRules({ protocol: 'tcp', port_range_min: 80, port_range_max: 80 });
    await setGroups(a, ['open']);
    const script = `exec 3<>/dev/tcp/${addressOf(a)}/80; while read line; do echo x >&3; head -n1 <&3; done`;
    const client = spawn('bash', ['-c', script]);
    const asked = async () => {
      client.stdin.write('go\n');
      return String((await once(client.stdout, 'data'))[0]).trim();
    };
    expect(await asked()).toBe('tcp');
    await setRules();
    expect(ask('tcp', addressOf(a), 80)).toBeUndefined();
    expect(await asked()).toBe('tcp');
    client.stdin.end();
    await once(client, 'exit');
    await setGroups(a, []);
  });

  test('a group is who is in it now', async () => {
    await setRules({ remote_group_id: 'closed', protocol: 'tcp' });
    await setGroups(a, ['open']);
    expect(ask('tcp', addressOf(a), 80, namespaces[1])).toBeUndefined();
    await setRules(
      { remote_group_id: 'closed', protocol: 'tcp' },
      { direction: 'egress', security_group_id: 'closed' },
    );
    await setGroups(b, ['closed']);
    expect(answer('tcp', addressOf(a), 80, namespaces[1])).toBe('tcp');
    expect(ask('tcp', addressOf(a), 80)).toBeUndefined();
    await setGroups(b, []);
    await setGroups(a, []);
  });

  test('the groups of a VIP hold for its address on the ports that may use it, and for nothing else', async () => {
    await setRules({ protocol: 'tcp', port_range_min: 80, port_range_max: 80 });
    const vip = await network.ensurePort({
      name: 'vip',
      network_id: net.id,
      project_id: null,
      fixed_ips: [{ subnet_id: net.v4 }],
    });
    const address = addressOf(vip);
    await network.ensureSecurityGroups(vip.id, ['open']);
    // The port that may use it comes later, as after a failover.
    await network.ensurePort({
      name: 'b',
      network_id: net.id,
      project_id: null,
      fixed_ips: [],
      allowed_addresses: [address],
    });
    const [link] = sh('ip', '-n', namespaces[1], '-o', 'link', 'show').match(/tap\w+/)!;
    sh('ip', '-n', namespaces[1], 'address', 'add', `${address}/24`, 'dev', link);
    expect(answer('tcp', address, 80)).toBe('tcp');
    expect(ask('tcp', address, 81)).toBeUndefined();
    expect(answer('tcp', addressOf(b), 81)).toBe('tcp');
    await store.update('port', vip.id, { admin_state_up: false });
    await network.apply();
    expect(ask('tcp', address, 80)).toBeUndefined();
    // Another process finds the rules, and takes them away with the port.
    await new BridgeNetwork({ store, systemId }).deletePort('vip');
    await network.apply();
    expect(answer('tcp', address, 81)).toBe('tcp');
    sh('ip', '-n', namespaces[1], 'address', 'delete', `${address}/24`, 'dev', link);
  });

  test('a protocol port of a VIP that is limited is reached from its networks only, beside what groups say', async () => {
    const vip = await network.ensurePort({
      ...{ name: 'limited', network_id: net.id, project_id: null },
      fixed_ips: [{ subnet_id: net.v4 }, { subnet_id: net.v6 }],
    });
    const vips = vip.fixed_ips.map(ip => ip.ip_address).sort();
    const [link] = sh('ip', '-n', namespaces[1], '-o', 'link', 'show').match(/tap\w+/)!;
    for (const address of vips) {
      const words = address.includes(':') ? [`${address}/64`, 'nodad'] : [`${address}/24`];
      sh('ip', '-n', namespaces[1], 'address', 'add', ...words, 'dev', link);
    }
    const asked = (from?: string) => [
      ...vips.map(address => ask('tcp', address, 80, from)),
      // Over IPv4 this server answers from its first address.
      ask('udp', vips.find(address => address.includes(':'))!, 53, from),
    ];
    const everybody = ['tcp', 'tcp', 'udp'];
    const nobody = [undefined, undefined, undefined];
    const expectAnswers = (...expected: [host: unknown, neighbour: unknown]) =>
      vi.waitFor(() => expect([asked(), asked(namespaces[0])]).toEqual(expected), { timeout: 30_000 });
    await expectAnswers(everybody, everybody);
    const neighbour = [`${addressOf(a)}/32`, `${addressOf(a, true)}/128`];
    const limit = (cidrs: string[]) =>
      network.ensureAccess(vip.id, [
        { protocol: 'tcp', port: 80, cidrs },
        { protocol: 'udp', port: 53, cidrs },
      ]);
    await limit(neighbour);
    // The port that may use it comes later, as with a new amphora.
    await network.ensurePort({
      ...{ name: 'b', network_id: net.id, project_id: null, fixed_ips: [] },
      allowed_addresses: vips,
    });
    await expectAnswers(nobody, everybody);
    // Other protocol ports, and other addresses of the amphora, are not meant.
    expect(answer('tcp', vips[0]!, 81)).toBe('tcp');
    expect(answer('tcp', addressOf(b), 80)).toBe('tcp');
    // A datagram in fragments, of which only the first one has a protocol port.
    const heard = () => {
      const counters = sh('ip', 'netns', 'exec', namespaces[1], 'cat', '/proc/net/snmp');
      return Number(/^Udp: (\d+)/m.exec(counters)![1]);
    };
    const before = heard();
    const send = `echo ${'x'.repeat(3000)} > /dev/udp/${vips.find(each => !each.includes(':'))}/53`;
    sh('bash', '-c', send);
    sh('ip', 'netns', 'exec', namespaces[0], 'bash', '-c', send);
    // The kernel counts what the server has read: all that came before a question that it answers.
    await until('the fragments to be heard', () => heard() > before, heard);
    expect(answer('udp', vips.find(each => each.includes(':'))!, 53, namespaces[0])).toBe('udp');
    expect(heard()).toBe(before + 1);
    // Thousands of networks, some of them in others.
    await limit([
      ...neighbour,
      ...Array.from({ length: 5000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/${24 + (i % 5)}`),
    ]);
    await expectAnswers(nobody, everybody);
    // Where a group lets nothing in, neither do limits.
    await network.ensureSecurityGroups(vip.id, ['closed']);
    expect(asked(namespaces[0])).toEqual(nobody);
    await network.deletePort('limited');
    expect(tables()).toEqual([]);
    for (const address of vips) {
      sh(
        'ip',
        '-n',
        namespaces[1],
        'address',
        'delete',
        `${address}/${address.includes(':') ? 64 : 24}`,
        'dev',
        link,
      );
    }
  });

  test('a floating IP leads to its port from the host and from neighbours, also after a restart, until it goes', async () => {
    const outside = (await network.ensureNetwork({ name: 'public', router_external: true })).id;
    await network.ensureSubnet({ name: 'v4', network_id: outside, cidr: '198.18.85.0/24' });
    const floating = '198.18.85.9';
    await store.insert('floating_ip', {
      ...{
        id: 'f',
        project_id: null,
        description: '',
        floating_network_id: outside,
        floating_ip_address: floating,
      },
      ...{ floating_port_id: 'none', port_id: a.id, fixed_ip_address: addressOf(a) },
    });
    await network.apply();
    for (const from of [undefined, namespaces[1]])
      expect(answer('tcp', floating, 80, from), from).toBe('tcp');
    await network.purge();
    await new BridgeNetwork({ store, systemId }).restore();
    a = await plugged('a', namespaces[0]);
    expect(answer('tcp', floating, 80)).toBe('tcp');
    await store.update('floating_ip', 'f', { port_id: null, fixed_ip_address: null });
    await network.apply();
    expect(ask('tcp', floating, 80)).toBeUndefined();
    const held = (await listAddresses()).find(link => link.ifname === bridgeName(systemId, outside))!;
    expect(held.addr_info.map(info => info.local)).not.toContain(floating);
    await store.delete('floating_ip', 'f');
    for (const subnet of await network.subnetsOf(outside)) await store.delete('subnet', subnet.id);
    await store.delete('network', outside);
    await network.apply();
    expect(readHostState(systemId).links.map(link => link.name)).not.toContain(bridgeName(systemId, outside));
  });

  test('a bridge has the addresses of its subnets as they are now, and is down when its network is', async () => {
    const other = (await network.ensureNetwork({ name: 'other' })).id;
    const subnet = await network.ensureSubnet({ name: 'v4', network_id: other, cidr: '198.18.86.0/24' });
    const look = async () => {
      const link = (await listAddresses()).find(each => each.ifname === bridgeName(systemId, other))!;
      return link.addr_info
        .filter(info => info.scope !== 'link')
        .map(info => `${info.local}/${info.prefixlen}`);
    };
    await store.update('subnet', subnet.id, { gateway_ip: '198.18.86.254' });
    await new BridgeNetwork({ store, systemId }).apply();
    expect(await look()).toEqual(['198.18.86.254/24']);
    await store.update('network', other, { admin_state_up: false });
    await network.apply();
    expect(sh('ip', '-o', 'link', 'show', bridgeName(systemId, other))).not.toMatch(/[<,]UP[,>]/);
    await store.delete('subnet', subnet.id);
    await network.apply();
    expect(await look()).toEqual([]);
    await store.delete('network', other);
    await network.apply();
  });
});
