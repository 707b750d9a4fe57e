/** Networks, groups and floating IPs that a user makes with the openstack client carry a load balancer's traffic, and go. */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientObstacle, PythonClient } from '../clients/python-client.ts';
import { ask } from './http-client.ts';
import { SystemProcess, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const obstacle = trafficObstacle ?? clientObstacle('openstackclient');
if (obstacle) console.log(`network-life.test.ts is skipped: it ${obstacle}`);

/** A range for tests that overlaps nothing of this machine's. */
const CIDR = '198.18.93.0/24';
const GATEWAY = '198.18.93.1';

describe.skipIf(obstacle)('a network made by the openstack client', () => {
  const made = new AsyncDisposableStack();
  let system: SystemProcess;
  let openstack: PythonClient;
  let empty: ReturnType<SystemProcess['hostState']>;

  const login = () => {
    const environment = { OS_CLIENT_CONFIG_FILE: join(system.dataDir, 'clouds.yaml'), OS_CLOUD: 'ottavia' };
    return new PythonClient('openstack', environment);
  };
  const value = async (...args: string[]) => (await openstack.run(...args, '-f', 'value')).trim();
  const answers = (address: string) =>
    ask(`http://${address}/`, { limitMs: 500 }).then(answer => answer.body);
  const opens = (address: string) =>
    until(`an answer from ${address}`, async () => (await answers(address)) === 'member');
  const closes = (address: string) =>
    until(`no answer from ${address}`, () =>
      answers(address).then(
        () => false,
        () => true,
      ),
    );

  beforeAll(async () => {
    system = made.use(await SystemProcess.open());
    openstack = login();
    made.defer(() => openstack.close());
    empty = system.hostState();
  });
  afterAll(() => made.disposeAsync());

  test('carries traffic through groups and a floating IP, over a kill of the program, and leaves nothing', async () => {
    await openstack.run('network', 'create', 'web');
    await openstack.run('subnet', 'create', 'web-subnet', '--network', 'web', '--subnet-range', CIDR);
    const [networkId, subnetId] = await Promise.all([
      value('network', 'show', 'web', '-c', 'id'),
      value('subnet', 'show', 'web-subnet', '-c', 'id'),
    ]);
    const server = createServer((_request, response) => response.end('member'));
    await new Promise<void>(done => server.listen(0, GATEWAY, done));
    made.defer(async () => void server.close());
    const { port: protocol_port } = server.address() as { port: number };

    // A port that the user made holds the VIP.
    const address = '198.18.93.77';
    await openstack.run(
      'port',
      'create',
      'vip',
      '--network',
      'web',
      '--fixed-ip',
      `subnet=web-subnet,ip-address=${address}`,
    );
    const vip_port_id = await value('port', 'show', 'vip', '-c', 'id');
    await openstack.run('security', 'group', 'create', 'closed');
    const closed = await value('security', 'group', 'show', 'closed', '-c', 'id');
    const { api } = system;
    const lb = await api.create('loadbalancers', { vip_port_id, vip_sg_ids: [closed] });
    const listener = await api.create('listeners', {
      loadbalancer_id: lb.id,
      protocol: 'HTTP',
      protocol_port: 80,
    });
    const pool = await api.create('pools', {
      listener_id: listener.id,
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
    });
    await api.create(`pools/${pool.id}/members`, { address: GATEWAY, protocol_port, subnet_id: subnetId });
    expect(await api.active(lb.id)).toMatchObject({ vip_address: address, vip_network_id: networkId });

    expect(await value('port', 'show', 'vip', '-c', 'security_group_ids')).toContain(closed);
    await closes(address);
    await openstack.run(
      'security',
      'group',
      'rule',
      'create',
      'closed',
      '--protocol',
      'tcp',
      '--dst-port',
      '80',
    );
    await opens(address);

    const floating = await value(
      'floating',
      'ip',
      'create',
      'public',
      '--port',
      'vip',
      '-c',
      'floating_ip_address',
    );
    await opens(floating);

    await openstack.close();
    await system.end('SIGKILL');
    expect((await ask(`http://${floating}/`)).body).toBe('member');
    await system.start();
    openstack = login();
    await opens(floating);
    const [rule] = await openstack.json<{ ID: string }[]>(
      'security',
      'group',
      'rule',
      'list',
      'closed',
      '--protocol',
      'tcp',
    );
    await openstack.run('security', 'group', 'rule', 'delete', rule!.ID);
    await closes(floating);
    await api.set(`loadbalancers/${lb.id}`, { vip_sg_ids: [] });
    await opens(floating);
    expect(await value('port', 'show', 'vip', '-c', 'security_group_ids')).toBe('[]');

    // What is in use stays.
    for (const command of ['network delete web', 'subnet delete web-subnet']) {
      expect((await openstack.try(...command.split(' '))).code, command).toBe(1);
    }
    const [own] = await openstack.json<{ ID: string }[]>(
      'port',
      'list',
      '--network',
      'web',
      '--device-owner',
      'Octavia',
    );
    expect((await openstack.try('port', 'delete', own!.ID)).code).toBe(1);

    await openstack.run('floating', 'ip', 'delete', floating);
    await closes(floating);
    await opens(address);
    await api.remove(`loadbalancers/${lb.id}?cascade=true`);
    await api.gone(lb.id);
    await openstack.run('port', 'delete', 'vip');
    await openstack.run('subnet', 'delete', 'web-subnet');
    await openstack.run('network', 'delete', 'web');
    await openstack.run('security', 'group', 'delete', 'closed');
    expect(system.hostState()).toEqual(empty);
    const { floating_ip, port, network } = system.countRows();
    expect({ floating_ip, port, network }).toEqual({ floating_ip: undefined, port: undefined, network: 3 });
  });
});
