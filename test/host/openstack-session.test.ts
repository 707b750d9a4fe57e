/** A session as Octavia's users have typed it for years, with the unmodified `openstack` client, until the load balancer answers. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { clientObstacle, PythonClient } from '../clients/python-client.ts';
import { tally } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const obstacle = clientObstacle('openstackclient', 'octaviaclient') ?? trafficObstacle;

describe.skipIf(obstacle)(`openstack loadbalancer with traffic${obstacle ? ` (${obstacle})` : ''}`, () => {
  test('what is typed as it stands serves, with the written clouds.yaml alone', async () => {
    await using system = await openSystemHere();
    const [address] = [handPicked(system.subnet, 0)];
    await using members = await MemberHost.open([system.subnet], [address]);
    for (const [name, port] of [['a', 9001] as const, ['b', 9002] as const])
      await members.open({ kind: 'http', name, port });
    const file = join(system.dataDir, 'clouds.yaml');
    const client = new PythonClient('openstack', { OS_CLIENT_CONFIG_FILE: file, OS_CLOUD: 'ottavia' });
    const type = (line: string) => client.run(...line.split(' ').slice(1));
    try {
      const subnet = (await type('openstack subnet show private-subnet -f value -c id')).trim();
      await type(`openstack loadbalancer create --name test_1 --vip-subnet-id ${subnet} --wait`);
      await type(
        'openstack loadbalancer listener create --name test_1 --protocol HTTP --protocol-port 80 test_1',
      );
      await type(
        'openstack loadbalancer pool create --name test_pool_1 --protocol HTTP --listener test_1 --lb-algorithm ROUND_ROBIN',
      );
      for (const port of [9001, 9002])
        await type(
          `openstack loadbalancer member create --address ${address} --subnet-id ${subnet} --protocol-port ${port} test_pool_1`,
        );
      const lb = JSON.parse(await type('openstack loadbalancer show test_1 -f json'));
      await system.api.active(lb.id);
      expect(await tally(`http://${lb.vip_address}`, 10)).toEqual({ a: 5, b: 5 });
      await until('the load balancer to be shown ONLINE', async () =>
        (await type('openstack loadbalancer show test_1 -f value -c operating_status')).startsWith('ONLINE'),
      );
      await type('openstack loadbalancer delete --cascade --wait test_1');
    } finally {
      await client.close();
    }
  });
});
