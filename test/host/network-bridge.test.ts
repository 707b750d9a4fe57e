/** BridgeNetwork on the real kernel: contract, links, reachability, repair, purge. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NetworkTables } from '../../src/db/networks.ts';
import { openDatabase } from '../../src/db/open.ts';
import { BridgeNetwork } from '../../src/drivers/network/bridge.ts';
import { ensureDefaultNetworks } from '../../src/drivers/network/default-networks.ts';
import { bridgeName, hostLinkName, peerLinkName } from '../../src/drivers/network/link-names.ts';
import { MemoryNetworkStore } from '../../src/drivers/network/memory-store.ts';
import { networkContract } from '../../src/drivers/network/network.contract.ts';
import type { NetworkStore } from '../../src/drivers/network/store.ts';
import { timestamp } from '../../src/lib/clock.ts';
import { listAddresses, listLinks } from '../../src/lib/ip.ts';
import { hostTestsObstacle, readHostState } from './host-state.ts';

const newSystemId = (): string => randomBytes(3).toString('hex').slice(0, 5);
const sh = (program: string, ...args: string[]): string => execFileSync(program, args).toString();
const EMPTY = { links: [], namespaces: [], mounts: [], processes: [], files: [] };

const STORES: [string, () => Promise<{ store: NetworkStore; close(): Promise<void> }>][] = [
  ['rows in memory', async () => ({ store: new MemoryNetworkStore(), close: async () => {} })],
  [
    'rows in SQLite',
    async () => {
      const db = await openDatabase('sqlite://');
      return { store: new NetworkTables(db, () => timestamp(Date.now())), close: () => db.destroy() };
    },
  ],
];

if (hostTestsObstacle !== undefined) {
  test.skip(`BridgeNetwork: ${hostTestsObstacle}`, () => {});
} else {
  for (const [storeName, openStore] of STORES) {
    networkContract(`BridgeNetwork with ${storeName}`, async () => {
      const systemId = newSystemId();
      const { store, close } = await openStore();
      const network = new BridgeNetwork({ store, systemId });
      const { id: network_id } = await network.ensureNetwork({ name: 'net' });
      const ipv4 = await network.ensureSubnet({ name: 'v4', network_id, cidr: '198.18.77.0/24' });
      const ipv6 = await network.ensureSubnet({ name: 'v6', network_id, cidr: 'fd00:77::/64' });
      const groupId = 'the-group';
      await store.insert('security_group', { id: groupId, name: '', project_id: null, description: '' });
      return {
        network,
        groupId,
        reopen: () => new BridgeNetwork({ store, systemId }),
        ipv4,
        ipv6,
        tearDown: async () => {
          await network.purge();
          await close();
          expect(readHostState(systemId)).toEqual(EMPTY);
        },
      };
    });
  }

  describe('BridgeNetwork on the host', () => {
    const systemId = newSystemId();
    const namespaces = [`ottavia-${systemId}-test-a`, `ottavia-${systemId}-test-b`] as const;
    const store = new MemoryNetworkStore();
    const network = new BridgeNetwork({ store, systemId });
    let networkId: string;

    beforeAll(async () => {
      for (const namespace of namespaces) sh('ip', 'netns', 'add', namespace);
      networkId = (await network.ensureNetwork({ name: 'net' })).id;
      await network.ensureSubnet({ name: 'v4', network_id: networkId, cidr: '198.18.78.0/24' });
      await network.ensureSubnet({ name: 'v6', network_id: networkId, cidr: 'fd00:78::/64' });
    });
    afterAll(async () => {
      await network.purge();
      for (const namespace of namespaces) sh('ip', 'netns', 'delete', namespace);
      expect(readHostState(systemId)).toEqual(EMPTY);
    });

    async function pluggedPort(name: string, namespace: string) {
      const subnets = await network.subnetsOf(networkId);
      const fixed_ips = subnets.map(subnet => ({ subnet_id: subnet.id }));
      const port = await network.ensurePort({ name, network_id: networkId, project_id: null, fixed_ips });
      await network.plugPort(port.id, namespace);
      await network.configurePort(port, namespace);
      return port;
    }
    const linksIn = async (namespace: string) =>
      (await listLinks({ namespace })).filter(link => link.ifname !== 'lo').map(link => link.ifname);

    test('the host has the gateway addresses, and packets cross the bridge in both families', async () => {
      const port = await pluggedPort('cross', namespaces[0]);
      const bridge = bridgeName(systemId, networkId);
      const own = (await listAddresses())
        .find(link => link.ifname === bridge)!
        .addr_info.map(info => info.local);
      expect(own).toEqual(expect.arrayContaining(['198.18.78.1', 'fd00:78::1']));
      for (const { ip_address } of port.fixed_ips) sh('ping', '-c1', '-W2', ip_address);
      for (const gateway of ['198.18.78.1', 'fd00:78::1']) {
        sh('ip', 'netns', 'exec', namespaces[0], 'ping', '-c1', '-W2', gateway);
      }
      await network.deletePort('cross');
    });

    test('forwards between two of its networks and leaves the switch of the host alone', async () => {
      const readSwitch = () => sh('sysctl', '-n', 'net.ipv4.ip_forward');
      const before = readSwitch();
      const other = new BridgeNetwork({ store, systemId });
      const { id } = await other.ensureNetwork({ name: 'other' });
      await other.ensureSubnet({ name: 'v4', network_id: id, cidr: '198.18.79.0/24' });
      const there = await other.ensurePort({
        name: 'there',
        network_id: id,
        project_id: null,
        fixed_ips: [],
      });
      await other.plugPort(there.id, namespaces[1]);
      await other.configurePort(there, namespaces[1]);
      await pluggedPort('here', namespaces[0]);
      const target = there.fixed_ips[0]!.ip_address;
      sh('ip', 'netns', 'exec', namespaces[0], 'ping', '-c1', '-W2', target);
      expect(readSwitch()).toBe(before);
      await network.deletePort('here');
      await network.deletePort('there');
    });

    test('a port has a link only while it is plugged, once however often, with its MAC address', async () => {
      const before = readHostState(systemId);
      const port = await pluggedPort('once', namespaces[0]);
      await network.plugPort(port.id, namespaces[0]);
      await new BridgeNetwork({ store, systemId }).plugPort(port.id, namespaces[0]);
      const [link] = (await listLinks({ namespace: namespaces[0] })).filter(each => each.ifname !== 'lo');
      expect(link).toMatchObject({ ifname: peerLinkName(port.id), address: port.mac_address, mtu: 1500 });
      expect(readHostState(systemId).links).toContainEqual({
        name: hostLinkName(systemId, port.id),
        master: bridgeName(systemId, networkId),
      });
      await network.unplugPort(port.id, namespaces[0]);
      await network.unplugPort(port.id, namespaces[0]);
      expect(readHostState(systemId)).toEqual(before);
      await network.deletePort('once');
    });

    test('moves a port to another namespace', async () => {
      const port = await pluggedPort('move', namespaces[0]);
      await network.plugPort(port.id, namespaces[1]);
      expect(await linksIn(namespaces[0])).toEqual([]);
      expect(await linksIn(namespaces[1])).toEqual([peerLinkName(port.id)]);
      // Whoever had it before does not take it away from the new one.
      await network.unplugPort(port.id, namespaces[0]);
      expect(await linksIn(namespaces[1])).toEqual([peerLinkName(port.id)]);
      await network.deletePort('move');
      expect(await linksIn(namespaces[1])).toEqual([]);
    });

    test('repairs a half-made link, a missing one and a missing bridge', async () => {
      const port = await pluggedPort('repair', namespaces[0]);
      const link = hostLinkName(systemId, port.id);
      for (const damage of [
        ['set', link, 'nomaster'],
        ['set', link, 'down'],
        ['delete', link],
      ]) {
        sh('ip', 'link', ...damage);
        await pluggedPort('repair', namespaces[0]);
        sh('ping', '-c1', '-W2', port.fixed_ips[0]!.ip_address);
      }
      await network.purge();
      await new BridgeNetwork({ store, systemId }).restore();
      await pluggedPort('repair', namespaces[0]);
      for (const { ip_address } of port.fixed_ips) sh('ping', '-c1', '-W2', ip_address);
      await network.deletePort('repair');
    });

    test('reaches an address at once that had another MAC address a moment ago', async () => {
      const first = await pluggedPort('heir', namespaces[0]);
      const { ip_address } = first.fixed_ips[0]!;
      sh('ping', '-c1', '-W2', ip_address);
      await network.deletePort('heir');
      const second = await pluggedPort('heir', namespaces[1]);
      expect(second.fixed_ips[0]!.ip_address).toBe(ip_address);
      expect(second.mac_address).not.toBe(first.mac_address);
      sh('ping', '-c1', '-W1', ip_address);
      await network.deletePort('heir');
    });

    test('purges its own and nothing of another system', async () => {
      const otherId = newSystemId();
      const other = new BridgeNetwork({ store: new MemoryNetworkStore(), systemId: otherId });
      await other.ensureNetwork({ name: 'net' });
      await network.restore();
      await other.purge();
      expect(readHostState(otherId)).toEqual(EMPTY);
      expect(readHostState(systemId).links.map(link => link.name)).toContain(bridgeName(systemId, networkId));
    });

    test('the networks of a standalone system overlap nothing, and are found again', async () => {
      const ids = [newSystemId(), newSystemId()];
      const stores = [new MemoryNetworkStore(), new MemoryNetworkStore()];
      const systems = ids.map((id, i) => new BridgeNetwork({ store: stores[i]!, systemId: id }));
      try {
        // The same seed twice: the second must step aside for what the first has put on the host.
        const one = await ensureDefaultNetworks(systems[0]!, ids[0]!);
        const two = await ensureDefaultNetworks(systems[1]!, ids[0]!);
        const cidrs = [one, two]
          .flatMap(each => [each.management, each.private, each.public])
          .map(each => each.subnet.cidr);
        expect(new Set(cidrs).size).toBe(6);
        expect(await ensureDefaultNetworks(systems[0]!, ids[0]!)).toEqual(one);
        expect(one.private.network.subnets).toEqual([one.private.subnet.id]);
      } finally {
        for (const system of systems) await system.purge();
      }
    });
  });
}
