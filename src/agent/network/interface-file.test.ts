import { describe, expect, test } from 'vitest';
import type { FixedIpInfo } from '../../wire/agent-api.ts';
import { exploded } from './address.ts';
import { buildPortFile, buildVipFile, type InterfaceFile } from './interface-file.ts';

const request = {
  subnet_cidr: '10.0.0.0/24',
  gateway: '10.0.0.1',
  mac_address: '02:00:00:00:00:01',
  vrrp_ip: '10.0.0.10',
  mtu: 1450,
  host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.2' }],
};
const SCRIPT = '/usr/local/bin/lvs-masquerade.sh';

describe('the file of a VIP', () => {
  test('of a single amphora: the VIP is its own', () => {
    expect(buildVipFile({ name: 'eth1', topology: 'SINGLE', vip: '10.0.0.5', request })).toEqual({
      name: 'eth1',
      if_type: 'vip',
      mtu: 1450,
      addresses: [
        { address: '10.0.0.10', prefixlen: 24 },
        { address: '10.0.0.5', prefixlen: 32, octavia_owned: true },
      ],
      routes: [
        { dst: '0.0.0.0/0', gateway: '10.0.0.1', flags: ['onlink'] },
        { dst: '0.0.0.0/0', gateway: '10.0.0.1', flags: ['onlink'], table: 1 },
        { dst: '10.0.0.0/24', scope: 'link' },
        { dst: '10.0.0.0/24', prefsrc: '10.0.0.5', scope: 'link', table: 1 },
        { dst: '10.9.0.0/16', gateway: '10.0.0.2', flags: ['onlink'] },
        { dst: '10.9.0.0/16', gateway: '10.0.0.2', flags: ['onlink'], table: 1 },
      ],
      rules: [{ src: '10.0.0.5', src_len: 32, table: 1 }],
      scripts: {
        up: [{ command: `${SCRIPT} add ipv4 eth1` }],
        down: [{ command: `${SCRIPT} delete ipv4 eth1` }],
      },
      is_sriov: false,
    });
  });

  test('of one of a pair: the VIP, its table and its rule are left to keepalived, host routes are not', () => {
    const file = buildVipFile({ name: 'eth1', topology: 'ACTIVE_STANDBY', vip: '10.0.0.5', request });
    expect(file.addresses[1]).toEqual({ address: '10.0.0.5', prefixlen: 32, octavia_owned: false });
    expect(file.rules).toEqual([]);
    expect(file.routes).toEqual([
      { dst: '0.0.0.0/0', gateway: '10.0.0.1', flags: ['onlink'] },
      { dst: '10.0.0.0/24', scope: 'link' },
      { dst: '10.9.0.0/16', gateway: '10.0.0.2', flags: ['onlink'] },
      { dst: '10.9.0.0/16', gateway: '10.0.0.2', flags: ['onlink'], table: 1 },
    ]);
  });

  test('of two families: each in full, each with its table', () => {
    const additional_vips = [
      { ip_address: '2001:db8::5', subnet_cidr: '2001:db8::/64', gateway: '2001:db8::1', host_routes: [] },
    ];
    const file = buildVipFile({
      name: 'eth1',
      topology: 'SINGLE',
      vip: '10.0.0.5',
      request: { ...request, additional_vips },
    });
    const five = '2001:0db8:0000:0000:0000:0000:0000:0005';
    expect(file.addresses).toContainEqual({ address: five, prefixlen: 128, octavia_owned: true });
    expect(file.routes).toContainEqual({
      ...{ dst: '::/0', gateway: '2001:0db8:0000:0000:0000:0000:0000:0001', flags: ['onlink'], table: 1 },
    });
    expect(file.rules).toContainEqual({ src: five, src_len: 128, table: 1 });
    expect(file.scripts.up.map(each => each.command)).toEqual([
      `${SCRIPT} add ipv4 eth1`,
      `${SCRIPT} add ipv6 eth1`,
    ]);
  });

  test('plugged anew with another address of the same port', () => {
    const fixedIps = [
      { ip_address: '10.1.0.10', subnet_cidr: '10.1.0.0/24', host_routes: [], gateway: null },
    ];
    const file = buildVipFile({ name: 'eth1', topology: 'SINGLE', vip: '10.0.0.5', request, fixedIps });
    expect(file.addresses.at(-1)).toEqual({ address: '10.1.0.10', prefixlen: 24 });
  });

  test('plugged anew: an address that is there twice, and a second gateway, change nothing', () => {
    const build = (...fixedIps: FixedIpInfo[]) =>
      buildVipFile({ name: 'eth1', topology: 'SINGLE', vip: '10.0.0.5', request, fixedIps });
    const own = { ip_address: request.vrrp_ip, ...request };
    expect(build(own)).toEqual(build());
    const routes = (file: InterfaceFile) => file.routes.filter(route => route.dst === '0.0.0.0/0');
    const other = {
      ip_address: '10.1.0.10',
      subnet_cidr: '10.1.0.0/24',
      gateway: '10.1.0.1',
      host_routes: [],
    };
    expect(routes(build(other))).toEqual(routes(build()));
  });

  test.each([
    ['SINGLE', 'fd00::5', 'fd00::10'],
    ['ACTIVE_STANDBY', 'fd00::5', 'fd00::10'],
    ['SINGLE', '10.0.0.5', 'fd00::5'],
    ['ACTIVE_STANDBY', '10.0.0.5', undefined],
  ] as const)(
    'plugged anew: IPv6 to elsewhere is sent from the subnet of the gateway, %s, VIP %s',
    (topology, vip, source) => {
      const six = { subnet_cidr: 'fd00::/64', gateway: 'fd00::1', host_routes: [] };
      const isSix = vip === 'fd00::5';
      const plug = isSix
        ? { ...six, mac_address: '', vrrp_ip: 'fd00::10' }
        : { ...request, additional_vips: [{ ip_address: 'fd00::5', ...six }] };
      const extra = { ip_address: 'fd00:1::9', subnet_cidr: 'fd00:1::/64', host_routes: [] };
      const file = buildVipFile({ name: 'eth1', topology, vip, request: plug, fixedIps: [extra] });
      const main = file.routes.find(route => route.dst === '::/0' && route.table === undefined);
      expect(main?.prefsrc).toBe(source && exploded(source));
    },
  );

  test.each([
    ['10.0.0.5', '10.0.0.0/24', { dhcp: true }],
    ['2001:db8::5', '2001:db8::/64', { ipv6auto: true }],
  ])('without an address of its own it asks the network: %s', (vip, subnet_cidr, first) => {
    const plain = { subnet_cidr, gateway: null, mac_address: request.mac_address };
    const file = buildVipFile({ name: 'eth1', topology: 'SINGLE', vip, request: plain });
    expect(file.addresses[0]).toEqual(first);
    expect(file.routes.some(route => route.gateway !== undefined)).toBe(false);
    expect('mtu' in file).toBe(false);
  });
});

describe('the file of a member network', () => {
  test('has addresses and host routes, and no default route', () => {
    const fixed_ips = [
      {
        ...{ ip_address: '10.1.0.10', subnet_cidr: '10.1.0.0/24', gateway: '10.1.0.1' },
        host_routes: [{ destination: '10.8.0.0/16', nexthop: '10.1.0.2' }],
      },
    ];
    expect(
      buildPortFile('eth2', { mac_address: request.mac_address, fixed_ips, is_sriov: true }),
    ).toMatchObject({
      if_type: 'backend',
      addresses: [{ address: '10.1.0.10', prefixlen: 24 }],
      routes: [{ dst: '10.8.0.0/16', gateway: '10.1.0.2', flags: ['onlink'] }],
      rules: [],
      scripts: { up: [{ command: `${SCRIPT} add ipv4 eth2 sriov` }] },
    });
  });

  test('without addresses asks the network', () => {
    const file = buildPortFile('eth2', { mac_address: request.mac_address, fixed_ips: null });
    expect(file.addresses).toEqual([{ dhcp: true, ipv6auto: true }]);
  });
});
