import { describe, expect, test } from 'vitest';
import { addressAt } from '../lib/addresses.ts';
import { amphoraContract } from './amphora/amphora.contract.ts';
import { NoopAmphora } from './amphora/noop.ts';
import { computeContract } from './compute/compute.contract.ts';
import { NoopCompute } from './compute/noop.ts';
import { networkContract } from './network/network.contract.ts';
import type { Subnet } from './network/network.ts';
import { NoopNetwork } from './network/noop.ts';
import { NoopCloud, uuidFrom } from './noop-cloud.ts';

const NETWORK = uuidFrom('a network of the test');

function subnet(name: string, ip_version: 4 | 6, cidr: string): Subnet {
  return {
    ...{ id: uuidFrom(name), name, project_id: null, network_id: NETWORK, ip_version, cidr, host_routes: [] },
    gateway_ip: addressAt(cidr, 1n),
  };
}

networkContract('NoopNetwork', async () => {
  const cloud = new NoopCloud();
  const ipv4 = subnet('v4', 4, '10.9.0.0/24');
  const ipv6 = subnet('v6', 6, '2001:db8:9::/64');
  cloud.addNetwork({ id: NETWORK, name: 'net', project_id: null, mtu: 1500, subnets: [ipv4.id, ipv6.id] }, [
    ipv4,
    ipv6,
  ]);
  const groupId = uuidFrom('group');
  await cloud.insert('security_group', { id: groupId, name: '', project_id: null, description: '' });
  return {
    groupId,
    network: new NoopNetwork(cloud),
    reopen: () => new NoopNetwork(cloud),
    ipv4,
    ipv6,
    tearDown: async () => {},
  };
});

computeContract('NoopCompute', async () => {
  const cloud = new NoopCloud();
  return {
    compute: new NoopCompute(cloud),
    network: new NoopNetwork(cloud),
    reopen: () => new NoopCompute(cloud),
    managementNetworkId: uuidFrom('management'),
    userNetworkId: uuidFrom('users'),
    look: async () => cloud.snapshot(),
    tearDown: async () => {},
  };
});

amphoraContract('NoopAmphora', async () => {
  const cloud = new NoopCloud();
  return {
    driver: new NoopAmphora(cloud),
    reopen: () => new NoopAmphora(cloud),
    compute: new NoopCompute(cloud),
    network: new NoopNetwork(cloud),
    managementNetworkId: uuidFrom('management'),
    userNetworkId: uuidFrom('users'),
    filesFor: async () => [],
    checksConfiguration: false,
    tearDown: async () => {},
  };
});

describe('NoopNetwork', () => {
  test('has any network and subnet that is asked for, and each knows the other', async () => {
    const network = new NoopNetwork(new NoopCloud());
    const asked = uuidFrom('any subnet');
    const found = await network.findSubnet(asked);
    expect((await network.findNetwork(found!.network_id))!.subnets).toEqual([asked]);
    expect(await network.subnetsOf(found!.network_id)).toEqual([found]);
  });

  test('takes any address in a subnet that nobody registered', async () => {
    const network = new NoopNetwork(new NoopCloud());
    const fixed_ips = [{ subnet_id: uuidFrom('any subnet'), ip_address: '2001:db8:33:33::33' }];
    const port = await network.ensurePort({ name: 'vip', network_id: NETWORK, project_id: null, fixed_ips });
    expect(port.fixed_ips).toEqual(fixed_ips);
  });

  test('builds the same world whatever the order', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const build = async (order: string[]) => {
      const cloud = new NoopCloud();
      const network = new NoopNetwork(cloud);
      for (const name of order) {
        await network.ensurePort({ name, network_id: NETWORK, project_id: null, fixed_ips: [] });
      }
      return cloud.snapshot();
    };
    expect(await build(names)).toEqual(await build([...names].reverse()));
  });
});
