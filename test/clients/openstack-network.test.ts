/** `openstack network|subnet|port|security group|floating ip` of Debian's client, each command at least once. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientObstacle, PythonClient } from './python-client.ts';
import { type StandaloneCloud, startCloud } from './standalone-cloud.ts';

const obstacle = clientObstacle('openstackclient');
if (obstacle) console.log(`openstack-network.test.ts is skipped: it ${obstacle}`);

describe.skipIf(obstacle)('the openstack client and the network API', () => {
  let cloud: StandaloneCloud;
  let openstack: PythonClient;
  beforeAll(async () => {
    cloud = await startCloud();
    openstack = new PythonClient('openstack', cloud.environment);
  });
  afterAll(async () => {
    await openstack?.close();
    await cloud?.stop();
  });

  /** A command line as somebody types it; no word of these has a blank. */
  const run = (line: string) => openstack.run(...line.split(' '));
  const json = <T = Record<string, unknown>>(line: string) => openstack.json<T>(...line.split(' '));
  const names = async (line: string) => (await json<{ Name: string }[]>(line)).map(row => row.Name);
  async function fails(line: string, words: string): Promise<void> {
    const { code, stdout, stderr } = await openstack.try(...line.split(' '));
    expect(code, line).not.toBe(0);
    expect(stdout + stderr).toContain(words);
  }

  test('networks', async () => {
    expect(await names('network list')).toEqual(['lb-mgmt-net', 'private', 'public']);
    expect(await names('network list --external')).toEqual(['public']);
    expect(await names('network list --share')).toEqual(['private']);
    expect(await json('network create n --description d --mtu 1400 --project admin')).toMatchObject({
      ...{
        name: 'n',
        description: 'd',
        mtu: 1400,
        shared: false,
        'router:external': false,
        status: 'ACTIVE',
      },
    });
    await run('network set n --name m --share --disable');
    expect(await json('network show m')).toMatchObject({
      shared: true,
      admin_state_up: false,
      status: 'DOWN',
    });
    await run('network unset m --all-tag');
    await run('network delete m');
    await fails('network show m', 'm');
    await fails('network delete lb-mgmt-net', 'amphorae');
  });

  test('subnets', async () => {
    await run('network create n');
    const line = 'subnet create s --network n --subnet-range 10.6.0.0/24 --gateway 10.6.0.254';
    expect(await json(`${line} --allocation-pool start=10.6.0.10,end=10.6.0.20 --no-dhcp`)).toMatchObject({
      ...{ cidr: '10.6.0.0/24', gateway_ip: '10.6.0.254', enable_dhcp: false },
      allocation_pools: [{ start: '10.6.0.10', end: '10.6.0.20' }],
    });
    await run('subnet set s --name t --gateway none --dns-nameserver 192.0.2.53');
    await run('subnet set t --host-route destination=10.9.0.0/16,gateway=10.6.0.7');
    expect(await json('subnet show t')).toMatchObject({
      ...{ gateway_ip: null, dns_nameservers: ['192.0.2.53'] },
      host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.6.0.7' }],
    });
    await run('subnet unset t --dns-nameserver 192.0.2.53');
    expect(await names('subnet list --network n --ip-version 4')).toEqual(['t']);
    await fails('subnet create u --network n --subnet-range 10.6.0.0/25', 'overlaps');
    await run('subnet delete t');
    await run('network delete n');
  });

  test('ports and security groups', async () => {
    await run('network create n');
    await run('subnet create s --network n --subnet-range 10.6.0.0/24');
    expect(await json('security group create web')).toMatchObject({ name: 'web', description: 'web' });
    const ruleLine = 'security group rule create web --protocol tcp --dst-port 80:90 --remote-ip 10.0.0.0/8';
    const rule = await json<{ id: string }>(ruleLine);
    expect(rule).toMatchObject({ direction: 'ingress', port_range_min: 80, port_range_max: 90 });
    await run('security group rule create web --egress --protocol icmp --icmp-type 8 --ethertype IPv4');
    expect(await json('security group rule list web')).toHaveLength(4);
    expect(await json(`security group rule show ${rule.id}`)).toMatchObject({ protocol: 'tcp' });
    await fails(ruleLine, 'already exists');
    await run('security group set web --name www --description d');
    expect((await names('security group list')).sort()).toEqual(['default', 'www']);

    const port = 'port create p --network n --security-group www';
    expect(await json(`${port} --fixed-ip subnet=s,ip-address=10.6.0.9`)).toMatchObject({
      ...{ name: 'p', fixed_ips: [{ ip_address: '10.6.0.9' }], security_group_ids: [expect.any(String)] },
    });
    await fails('security group delete www', 'in use');
    await run('port set p --name q --fixed-ip subnet=s --allowed-address ip-address=10.6.0.99 --device d');
    expect(await json('port show q')).toMatchObject({
      ...{ fixed_ips: [{ ip_address: '10.6.0.9' }, { ip_address: '10.6.0.2' }], device_id: 'd' },
      allowed_address_pairs: [{ ip_address: '10.6.0.99' }],
    });
    await run('port unset q --security-group www --fixed-ip subnet=s,ip-address=10.6.0.2');
    expect(await json('port show q')).toMatchObject({
      fixed_ips: [{ ip_address: '10.6.0.9' }],
      security_group_ids: [],
    });
    expect(await names('port list --network n --fixed-ip ip-address=10.6.0.9')).toEqual(['q']);
    await fails('network delete n', 'in use');
    await run('port delete q');
    await run(`security group rule delete ${rule.id}`);
    await run('security group delete www');
    await run('network delete n');
  });

  test('floating IPs', async () => {
    await run('network create n');
    await run('subnet create s --network n --subnet-range 10.6.0.0/24');
    await run('port create p --network n');
    const floating = await json<{ floating_ip_address: string }>('floating ip create public --description d');
    expect(floating).toMatchObject({ status: 'DOWN', description: 'd' });
    const { floating_ip_address: address } = floating;
    await run(`floating ip set ${address} --port p`);
    expect(await json(`floating ip show ${address}`)).toMatchObject({
      status: 'ACTIVE',
      fixed_ip_address: '10.6.0.2',
    });
    expect(await json('floating ip list')).toMatchObject([
      { 'Floating IP Address': address, 'Fixed IP Address': '10.6.0.2' },
    ]);
    await run(`floating ip unset ${address} --port`);
    expect(await json(`floating ip show ${address}`)).toMatchObject({ status: 'DOWN', port_id: null });
    await run(`floating ip delete ${address}`);
    expect(await json('floating ip list')).toEqual([]);
    await run('port delete p');
    await run('network delete n');
  });

  test('what there is besides', async () => {
    const aliases = await json<{ Alias: string }[]>('extension list --network');
    expect(aliases.map(row => row.Alias)).toContain('security-group');
    expect(await json('network agent list')).toEqual([]);
    expect(await json('network qos policy list')).toEqual([]);
    expect(await json('router list')).toEqual([]);
  });
});
