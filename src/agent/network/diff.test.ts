import { expect, test } from 'vitest';
import { diffInterface, type Present } from './diff.ts';
import { buildVipFile, type InterfaceFile } from './interface-file.ts';

const nothing: Present = { addresses: [], routes: [], rules: [] };
const vip = (topology: 'SINGLE' | 'ACTIVE_STANDBY'): InterfaceFile =>
  buildVipFile({
    ...{ name: 'eth1', topology, vip: '10.0.0.5' },
    request: { subnet_cidr: '10.0.0.0/24', gateway: '10.0.0.1', mac_address: '', vrrp_ip: '10.0.0.10' },
  });
const settled: Present = {
  addresses: [
    { local: '10.0.0.10', prefixlen: 24, permanent: true },
    { local: '10.0.0.5', prefixlen: 32, permanent: true },
  ],
  routes: vip('SINGLE').routes,
  rules: vip('SINGLE').rules,
};

test('an interface that was just brought in gets all, gateways last', () => {
  expect(diffInterface(vip('SINGLE'), nothing)).toEqual({
    addresses: ['address add 10.0.0.10/24 dev eth1', 'address add 10.0.0.5/32 dev eth1'],
    routes: [
      'route add 10.0.0.0/24 dev eth1 proto static scope link',
      'route add 10.0.0.0/24 dev eth1 proto static scope link src 10.0.0.5 table 1',
      'route add 0.0.0.0/0 via 10.0.0.1 dev eth1 proto static onlink',
      'route add 0.0.0.0/0 via 10.0.0.1 dev eth1 proto static onlink table 1',
    ],
    rules: ['rule add from 10.0.0.5/32 table 1 priority 100 protocol static'],
  });
});

test('an interface that is as it should be is left alone', () => {
  expect(diffInterface(vip('SINGLE'), settled)).toEqual({ addresses: [], routes: [], rules: [] });
});

test('what nobody wishes any more goes; what a lease gave stays', () => {
  const present: Present = {
    addresses: [
      ...settled.addresses,
      { local: '10.0.0.77', prefixlen: 24, permanent: true },
      { local: '10.0.0.78', prefixlen: 24, permanent: false },
    ],
    routes: [...settled.routes, { dst: '10.7.0.0/16', gateway: '10.0.0.1' }],
    rules: [...settled.rules, { src: '10.0.0.77', src_len: 32, table: 1 }],
  };
  expect(diffInterface(vip('SINGLE'), present)).toEqual({
    addresses: ['address delete 10.0.0.77/24 dev eth1'],
    routes: ['route delete 10.7.0.0/16 via 10.0.0.1 dev eth1 proto static'],
    rules: ['rule delete from 10.0.0.77/32 table 1 priority 100 protocol static'],
  });
});

test('a route that takes the place of another one has replaced it, and is not deleted with it', () => {
  const routes = settled.routes.map(route =>
    route.dst === '0.0.0.0/0' && route.table === undefined ? { ...route, gateway: '10.0.0.254' } : route,
  );
  expect(diffInterface(vip('SINGLE'), { ...settled, routes }).routes).toEqual([
    'route add 0.0.0.0/0 via 10.0.0.1 dev eth1 proto static onlink',
  ]);
});

test('an IPv6 VIP of its own is nothing to connect to members from', () => {
  const request = { subnet_cidr: 'fd00::/64', gateway: null, mac_address: '', vrrp_ip: 'fd00::10' };
  const build = (topology: 'SINGLE' | 'ACTIVE_STANDBY') =>
    diffInterface(buildVipFile({ name: 'eth1', topology, vip: 'fd00::5', request }), nothing).addresses;
  const own = 'address add fd00:0000:0000:0000:0000:0000:0000:0010/64 dev eth1 nodad';
  const vips = 'address add fd00:0000:0000:0000:0000:0000:0000:0005/128 dev eth1 preferred_lft 0 nodad';
  expect(build('SINGLE')).toEqual([own, vips]);
  expect(build('ACTIVE_STANDBY')).toEqual([own]);
});

test('the VIP of a pair is neither added nor taken from keepalived', () => {
  expect(diffInterface(vip('ACTIVE_STANDBY'), nothing).addresses).toEqual([
    'address add 10.0.0.10/24 dev eth1',
  ]);
  expect(diffInterface(vip('ACTIVE_STANDBY'), settled).addresses).toEqual([]);
});

test('one address in two spellings is one address', () => {
  const file: InterfaceFile = {
    ...vip('SINGLE'),
    addresses: [{ address: '2001:0db8:0000:0000:0000:0000:0000:0005', prefixlen: 64 }],
    routes: [
      {
        dst: '2001:0db8:0001:0000:0000:0000:0000:0000/48',
        gateway: '2001:0db8:0000:0000:0000:0000:0000:0001',
      },
    ],
    rules: [],
  };
  expect(diffInterface(file, nothing).addresses[0]).toMatch(/nodad$/);
  const present: Present = {
    addresses: [{ local: '2001:db8::5', prefixlen: 64, permanent: true }],
    routes: [{ dst: '2001:db8:1::/48', gateway: '2001:db8::1' }],
    rules: [],
  };
  expect(diffInterface(file, present)).toEqual({ addresses: [], routes: [], rules: [] });
});
