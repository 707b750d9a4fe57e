import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NetworkTables } from '../db/networks.ts';
import { openDatabase } from '../db/open.ts';
import { MemoryNetworkStore } from '../drivers/network/memory-store.ts';
import { ensurePortRow } from '../drivers/network/port-rows.ts';
import type { NetworkStore } from '../drivers/network/store.ts';
import { timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { Authenticate } from '../model/caller.ts';
import { newNetwork, type SubnetRecord } from '../model/cloud-network.ts';
import { networkApi } from './network-api.ts';

const MANAGEMENT = '11111111-1111-4111-8111-111111111111';
const SHARED = '22222222-2222-4222-8222-222222222222';
const PUBLIC = '33333333-3333-4333-8333-333333333333';
const NOWHERE = 'ffffffff-ffff-4fff-8fff-ffffffffffff';
const STORES: [string, () => Promise<{ store: NetworkStore; close(): Promise<void> }>][] = [
  ['in memory', async () => ({ store: new MemoryNetworkStore(), close: async () => {} })],
  [
    'in SQLite',
    async () => {
      const db = await openDatabase('sqlite://');
      let ms = 0;
      return { store: new NetworkTables(db, () => timestamp(ms++)), close: () => db.destroy() };
    },
  ],
];

/** A token names its holder, who has a project of that name. */
const authenticate: Authenticate = ({ headers }) => {
  const token = headers['x-auth-token'];
  if (typeof token !== 'string') throw new Fault('unauthorized', 'No token.');
  const roles = token === 'reader' ? ['reader'] : ['member', 'reader'];
  const scope = { domain_id: null, system_scope: null, user_id: token, project_id: token };
  return { ...scope, roles, is_admin: token === 'admin' };
};

const subnetOf = (network_id: string, name: string, start: string): SubnetRecord => ({
  ...{ id: network_id.replaceAll('-', 'a').slice(0, 8), name, description: '', project_id: null, network_id },
  ...{ ip_version: 4, cidr: `${start}.0/24`, gateway_ip: `${start}.1`, host_routes: [] },
  ...{
    allocation_pools: [{ start: `${start}.2`, end: `${start}.9` }],
    dns_nameservers: [],
    enable_dhcp: true,
  },
});

// biome-ignore lint/suspicious/noExplicitAny: bodies are read as a client reads them
type Json = any;

describe.each(STORES)('the network API on rows %s', (_, open) => {
  let app: FastifyInstance;
  let store: NetworkStore;
  let close: () => Promise<void>;
  let applied = 0;
  beforeAll(async () => {
    ({ store, close } = await open());
    await store.insert('network', newNetwork({ id: MANAGEMENT, name: 'lb-mgmt-net' }));
    await store.insert('network', newNetwork({ id: SHARED, name: 'private', shared: true }));
    await store.insert('network', newNetwork({ id: PUBLIC, name: 'public', router_external: true }));
    await store.insert('subnet', subnetOf(MANAGEMENT, 'lb-mgmt-subnet', '198.18.1'));
    await store.insert('subnet', subnetOf(SHARED, 'private-subnet', '198.18.2'));
    await store.insert('subnet', subnetOf(PUBLIC, 'public-subnet', '198.18.3'));
    app = fastify();
    const cloud = {
      ...{ store, managementNetworkId: MANAGEMENT, listReservedCidrs: async () => ['192.0.2.0/24'] },
      apply: async () => void applied++,
    };
    await app.register(networkApi({ cloud, baseUri: 'http://api', authenticate }), { prefix: '/network' });
  });
  afterAll(async () => {
    await app.close();
    await close();
  });

  async function send(token: string, method: string, path: string, body?: object) {
    const headers = token === '' ? {} : { 'x-auth-token': token };
    const answer = await app.inject({
      ...{ method: method as 'GET', url: `/network/v2.0/${path}`, headers },
      ...(body && { payload: body }),
    });
    return { status: answer.statusCode, body: (answer.body === '' ? null : answer.json()) as Json };
  }
  const names = async (token: string, path: string): Promise<string[]> => {
    const { body } = await send(token, 'GET', path);
    const [rows] = Object.values(body) as [{ name: string }[]];
    return rows.map(row => row.name);
  };
  /** Sends it and expects success; returns what is inside the root. */
  async function create(token: string, path: string, root: string, body: object): Promise<Json> {
    const answer = await send(token, 'POST', path, { [root]: body });
    expect(answer).toMatchObject({ status: 201 });
    return answer.body[root];
  }
  async function remove(token: string, path: string): Promise<void> {
    expect(await send(token, 'DELETE', path)).toEqual({ status: 204, body: null });
  }
  async function refused(token: string, request: [string, string, object?], status: number, type: string) {
    const answer = await send(token, ...request);
    expect(answer.body).toMatchObject({ NeutronError: { type, message: expect.any(String), detail: '' } });
    expect(answer.status).toBe(status);
  }
  /** A network with a subnet of its own. */
  async function givenNetwork(token: string, name: string, cidr: string, set: object = {}) {
    const network = await create(token, 'networks', 'network', { name });
    const body = { name: `${name}-subnet`, network_id: network.id, cidr, ip_version: 4, ...set };
    const subnet = await create(token, 'subnets', 'subnet', body);
    return { network, subnet, remove: () => remove(token, `networks/${network.id}`) };
  }

  test('the version document is for all, everything else for callers with a token', async () => {
    const versions = await app.inject({ url: '/network/' });
    expect(versions.json().versions[0]).toMatchObject({ id: 'v2.0' });
    for (const path of ['networks', `networks/${SHARED}`, 'nothing']) {
      expect((await send('', 'GET', path)).status, path).toBe(401);
    }
    await refused('admin', ['GET', 'nothing'], 404, 'HTTPNotFound');
  });

  test('a project sees its own, the shared and the external networks; only admins the management network', async () => {
    const { network, subnet, remove } = await givenNetwork('alice', 'hers', '10.1.0.0/24');
    expect(await names('admin', 'networks')).toEqual(['lb-mgmt-net', 'private', 'public', 'hers']);
    expect(await names('alice', 'networks')).toEqual(['private', 'public', 'hers']);
    expect(await names('bob', 'networks')).toEqual(['private', 'public']);
    expect(await names('bob', 'subnets')).toEqual(['private-subnet']);
    await refused('bob', ['GET', `networks/${network.id}`], 404, 'NetworkNotFound');
    await refused(
      'bob',
      ['PUT', `networks/${network.id}`, { network: { name: 'x' } }],
      404,
      'NetworkNotFound',
    );
    await refused('bob', ['DELETE', `subnets/${subnet.id}`], 404, 'SubnetNotFound');
    await refused('bob', ['POST', 'ports', { port: { network_id: network.id } }], 404, 'NetworkNotFound');
    await refused(
      'bob',
      ['PUT', `networks/${SHARED}`, { network: { name: 'x' } }],
      403,
      'PolicyNotAuthorized',
    );
    await refused('bob', ['DELETE', `networks/${SHARED}`], 403, 'PolicyNotAuthorized');
    const foreign = { subnet: { network_id: SHARED, cidr: '10.2.0.0/24' } };
    await refused('bob', ['POST', 'subnets', foreign], 403, 'PolicyNotAuthorized');
    await refused('reader', ['POST', 'networks', { network: {} }], 403, 'PolicyNotAuthorized');
    for (const set of [{ shared: true }, { 'router:external': true }, { project_id: 'alice' }]) {
      await refused('bob', ['POST', 'networks', { network: set }], 403, 'PolicyNotAuthorized');
    }
    await remove();
  });

  test('nobody changes the network that amphorae are reached on', async () => {
    const subnet = (await store.list('subnet')).find(each => each.network_id === MANAGEMENT)!;
    await refused('admin', ['DELETE', `networks/${MANAGEMENT}`], 409, 'NetworkInUse');
    await refused(
      'admin',
      ['PUT', `networks/${MANAGEMENT}`, { network: { name: 'x' } }],
      409,
      'NetworkInUse',
    );
    await refused('admin', ['DELETE', `subnets/${subnet.id}`], 409, 'NetworkInUse');
    await refused('bob', ['DELETE', `networks/${MANAGEMENT}`], 404, 'NetworkNotFound');
  });

  test('a network is made, shown, changed and deleted, with the subnets that nobody uses', async () => {
    const before = applied;
    const made = await create('admin', 'networks', 'network', {
      name: 'n',
      tenant_id: 'alice',
      shared: 'True',
    });
    expect(made).toMatchObject({
      ...{ name: 'n', description: '', project_id: 'alice', tenant_id: 'alice', shared: true, mtu: 1500 },
      ...{
        'router:external': false,
        admin_state_up: true,
        status: 'ACTIVE',
        port_security_enabled: true,
        subnets: [],
      },
    });
    expect(applied).toBe(before + 1);
    const path = `networks/${made.id}`;
    const changed = await send('alice', 'PUT', path, {
      network: { description: 'd', admin_state_up: false },
    });
    expect(changed).toMatchObject({
      status: 200,
      body: { network: { description: 'd', status: 'DOWN', name: 'n' } },
    });
    const subnet = await create('alice', 'subnets', 'subnet', { network_id: made.id, cidr: '10.3.0.5/24' });
    expect((await send('bob', 'GET', path)).body.network.subnets).toEqual([subnet.id]);
    const port = await create('bob', 'ports', 'port', { network_id: made.id });
    await refused('alice', ['DELETE', path], 409, 'NetworkInUse');
    await refused('alice', ['DELETE', `subnets/${subnet.id}`], 409, 'SubnetInUse');
    await remove('bob', `ports/${port.id}`);
    await remove('alice', path);
    await refused('alice', ['GET', `subnets/${subnet.id}`], 404, 'SubnetNotFound');
  });

  test('several are made at once', async () => {
    const answer = await send('alice', 'POST', 'networks', { networks: [{ name: 'one' }, { name: 'two' }] });
    expect(answer.status).toBe(201);
    expect(answer.body.networks.map((each: Json) => each.name)).toEqual(['one', 'two']);
    for (const { id } of answer.body.networks) await remove('alice', `networks/${id}`);
  });

  test('bodies that are wrong are refused in words', async () => {
    await refused('alice', ['POST', 'networks', {}], 400, 'HTTPBadRequest');
    await refused('alice', ['POST', 'networks', { network: { colour: 'red' } }], 400, 'HTTPBadRequest');
    await refused('alice', ['POST', 'networks', { network: { name: 7 } }], 400, 'HTTPBadRequest');
    await refused('alice', ['POST', 'networks', { network: { admin_state_up: 'x' } }], 400, 'HTTPBadRequest');
    await refused('alice', ['POST', 'subnets', { subnet: { network_id: SHARED } }], 400, 'HTTPBadRequest');
    await refused('alice', ['POST', 'subnets', { subnet: 'x' }], 400, 'HTTPBadRequest');
    await refused('alice', ['POST', 'ports', { port: { network_id: 'x' } }], 400, 'HTTPBadRequest');
    const { network, subnet, remove } = await givenNetwork('alice', 'n', '10.4.0.0/24');
    await refused(
      'alice',
      ['PUT', `networks/${network.id}`, { network: { mtu: 9000 } }],
      400,
      'HTTPBadRequest',
    );
    await refused(
      'alice',
      ['PUT', `subnets/${subnet.id}`, { subnet: { cidr: '10.5.0.0/24' } }],
      400,
      'HTTPBadRequest',
    );
    await remove();
  });

  test('a subnet has the first address as its gateway, none or another, and pools around it', async () => {
    const { network, subnet, remove } = await givenNetwork('alice', 'n', '10.6.0.0/24');
    expect(subnet).toMatchObject({
      ...{ cidr: '10.6.0.0/24', ip_version: 4, gateway_ip: '10.6.0.1', enable_dhcp: true, host_routes: [] },
      allocation_pools: [{ start: '10.6.0.2', end: '10.6.0.254' }],
    });
    const post = (set: object) => create('alice', 'subnets', 'subnet', { network_id: network.id, ...set });
    expect((await post({ cidr: '10.7.0.0/24', gateway_ip: null })).allocation_pools).toEqual([
      { start: '10.7.0.1', end: '10.7.0.254' },
    ]);
    expect((await post({ cidr: '10.8.0.0/29', gateway_ip: '10.8.0.3' })).allocation_pools).toEqual([
      { start: '10.8.0.1', end: '10.8.0.2' },
      { start: '10.8.0.4', end: '10.8.0.6' },
    ]);
    expect(await post({ cidr: '2001:db8::/64', ip_version: 6 })).toMatchObject({ gateway_ip: '2001:db8::1' });
    const body = { gateway_ip: null, host_routes: [{ destination: '10.99.0.0/16', nexthop: '10.6.0.7' }] };
    const changed = await send('alice', 'PUT', `subnets/${subnet.id}`, { subnet: body });
    expect(changed.body.subnet).toMatchObject(body);
    await remove();
  });

  test.each([
    ['overlap', { cidr: '10.6.0.128/25' }, 400, 'InvalidInput'],
    ['a range of the host', { cidr: '192.0.2.0/25' }, 400, 'InvalidInput'],
    ['the other IP version', { ip_version: 6 }, 400, 'InvalidInput'],
    ['no room', { cidr: '10.9.0.0/32' }, 400, 'InvalidInput'],
    ['no CIDR', { cidr: 'here' }, 400, 'HTTPBadRequest'],
    ['a gateway outside', { gateway_ip: '10.10.0.1' }, 400, 'InvalidInput'],
    [
      'a pool outside',
      { allocation_pools: [{ start: '10.9.0.2', end: '10.9.1.9' }] },
      400,
      'OutOfBoundsAllocationPool',
    ],
    [
      'a pool backwards',
      { allocation_pools: [{ start: '10.9.0.9', end: '10.9.0.2' }] },
      400,
      'InvalidAllocationPool',
    ],
    [
      'a pool over the gateway',
      { allocation_pools: [{ start: '10.9.0.1', end: '10.9.0.9' }] },
      409,
      'GatewayConflictWithAllocationPools',
    ],
    [
      'pools that overlap',
      {
        allocation_pools: [
          { start: '10.9.0.2', end: '10.9.0.9' },
          { start: '10.9.0.9', end: '10.9.0.20' },
        ],
      },
      409,
      'OverlappingAllocationPools',
    ],
  ])('a subnet is refused for %s', async (_what, set, status, type) => {
    const { network, remove } = await givenNetwork('alice', 'n', '10.6.0.0/24');
    const body = { network_id: network.id, cidr: '10.9.0.0/24', ip_version: 4, ...set };
    await refused('alice', ['POST', 'subnets', { subnet: body }], status, type);
    await remove();
  });

  test('a port gets addresses by subnet, by address, by chance or not at all, and none twice', async () => {
    const { network, subnet, remove: removeNetwork } = await givenNetwork('alice', 'n', '10.6.0.0/24');
    const post = (set: object) => create('alice', 'ports', 'port', { network_id: network.id, ...set });
    const any = await post({ name: 'any' });
    expect(any).toMatchObject({
      ...{
        name: 'any',
        device_id: '',
        device_owner: '',
        status: 'DOWN',
        admin_state_up: true,
        security_groups: [],
      },
      ...{ fixed_ips: [{ subnet_id: subnet.id, ip_address: '10.6.0.2' }], allowed_address_pairs: [] },
    });
    expect(any.mac_address).toMatch(/^fa:16:3e/);
    const address = { fixed_ips: [{ ip_address: '10.6.0.77' }], mac_address: 'FA:16:3E:00:00:99' };
    const chosen = await post(address);
    expect(chosen).toMatchObject({
      fixed_ips: [{ ip_address: '10.6.0.77' }],
      mac_address: 'fa:16:3e:00:00:99',
    });
    expect((await post({ fixed_ips: [] })).fixed_ips).toEqual([]);
    const again = (set: object): [string, string, object] => [
      'POST',
      'ports',
      { port: { network_id: network.id, ...set } },
    ];
    await refused('alice', again({ fixed_ips: address.fixed_ips }), 409, 'IpAddressAlreadyAllocated');
    await refused('alice', again({ mac_address: address.mac_address }), 409, 'MacAddressInUse');
    await refused('alice', again({ fixed_ips: [{ ip_address: '10.7.0.1' }] }), 400, 'InvalidIpForNetwork');
    const outside = { subnet_id: subnet.id, ip_address: '10.7.0.1' };
    await refused('alice', again({ fixed_ips: [outside] }), 400, 'InvalidIpForSubnet');
    await refused('alice', again({ fixed_ips: [{ subnet_id: NOWHERE }] }), 404, 'SubnetNotFound');
    await refused('alice', again({ security_groups: [NOWHERE] }), 404, 'SecurityGroupNotFound');

    const change = {
      ...{ name: 'x', device_id: 'd', device_owner: 'compute:x', admin_state_up: false },
      fixed_ips: [{ subnet_id: subnet.id }, { ip_address: '10.6.0.99' }],
      allowed_address_pairs: [{ ip_address: '10.6.0.200' }],
    };
    const { body } = await send('alice', 'PUT', `ports/${any.id}`, { port: change });
    expect(body.port).toMatchObject({
      ...{ name: 'x', device_id: 'd', device_owner: 'compute:x', admin_state_up: false, status: 'ACTIVE' },
      fixed_ips: [{ ip_address: '10.6.0.2' }, { ip_address: '10.6.0.99' }],
      allowed_address_pairs: [{ ip_address: '10.6.0.200', mac_address: any.mac_address }],
    });
    const taken = { port: { fixed_ips: [{ ip_address: '10.6.0.77' }] } };
    await refused('alice', ['PUT', `ports/${any.id}`, taken], 409, 'IpAddressAlreadyAllocated');
    for (const { id } of (await send('alice', 'GET', `ports?network_id=${network.id}`)).body.ports) {
      await remove('alice', `ports/${id}`);
    }
    await removeNetwork();
  });

  test('on a shared network, only its owner says which address, and a project sees its own ports', async () => {
    const port = await create('bob', 'ports', 'port', { network_id: SHARED, name: 'his' });
    const wishes = [
      { fixed_ips: [{ ip_address: '198.18.2.9' }] },
      { mac_address: 'fa:16:3e:00:00:98' },
      { allowed_address_pairs: [{ ip_address: '198.18.2.9' }] },
      { device_owner: 'network:router_interface' },
    ];
    for (const wish of wishes) {
      const body = { port: { network_id: SHARED, ...wish } };
      await refused('bob', ['POST', 'ports', body], 403, 'PolicyNotAuthorized');
      await refused('bob', ['PUT', `ports/${port.id}`, { port: wish }], 403, 'PolicyNotAuthorized');
    }
    expect(await names('alice', 'ports')).toEqual([]);
    await refused('alice', ['GET', `ports/${port.id}`], 404, 'PortNotFound');
    await remove('bob', `ports/${port.id}`);
  });

  test('a port of load balancing is seen and put in groups, but not deleted or changed', async () => {
    const own = await ensurePortRow(store, {
      ...{ name: 'octavia-lb-1', network_id: SHARED, project_id: 'bob', device_id: 'lb-1', fixed_ips: [] },
    });
    const group = await create('bob', 'security-groups', 'security_group', { name: 'web' });
    const path = `ports/${own.id}`;
    await refused('bob', ['DELETE', path], 409, 'ServicePortInUse');
    await refused('admin', ['PUT', path, { port: { device_id: '' } }], 409, 'ServicePortInUse');
    await refused('bob', ['PUT', path, { port: { name: 'x' } }], 409, 'ServicePortInUse');
    const { body } = await send('bob', 'PUT', path, { port: { security_groups: [group.id] } });
    expect(body.port).toMatchObject({
      security_groups: [group.id],
      device_owner: 'Octavia',
      status: 'ACTIVE',
    });
    await refused('bob', ['DELETE', `security-groups/${group.id}`], 409, 'SecurityGroupInUse');
    // A user's port of the same name is another one.
    const double = await create('bob', 'ports', 'port', { network_id: SHARED, name: 'octavia-lb-1' });
    expect((await store.findPortByName('octavia-lb-1'))?.id).toBe(own.id);
    await remove('bob', `ports/${double.id}`);
    await store.delete('port', own.id);
    await remove('bob', `security-groups/${group.id}`);
  });

  test('each project has a default group, and groups have rules', async () => {
    expect(await names('alice', 'security-groups')).toEqual(['default']);
    const [mine] = (await send('bob', 'GET', 'security-groups?name=default')).body.security_groups;
    const directions = mine.security_group_rules.map((rule: Json) => `${rule.direction} ${rule.ethertype}`);
    expect(directions).toEqual(['egress IPv4', 'egress IPv6', 'ingress IPv4', 'ingress IPv6']);
    expect(mine.security_group_rules[2].remote_group_id).toBe(mine.id);
    await refused('bob', ['DELETE', `security-groups/${mine.id}`], 409, 'SecurityGroupCannotRemoveDefault');
    await refused(
      'bob',
      ['POST', 'security-groups', { security_group: { name: 'default' } }],
      409,
      'SecurityGroupDefaultAlreadyExists',
    );

    const group = await create('bob', 'security-groups', 'security_group', { name: 'web' });
    expect(group.security_group_rules).toHaveLength(2);
    const body = {
      security_group_id: group.id,
      direction: 'ingress',
      protocol: 'tcp',
      port_range_min: 80,
      port_range_max: '90',
      remote_ip_prefix: '10.0.0.7',
    };
    const rule = await create('bob', 'security-group-rules', 'security_group_rule', body);
    expect(rule).toMatchObject({
      ...body,
      port_range_max: 90,
      ethertype: 'IPv4',
      remote_ip_prefix: '10.0.0.7/32',
      project_id: 'bob',
    });
    await refused(
      'bob',
      ['POST', 'security-group-rules', { security_group_rule: { ...body, protocol: 6 } }],
      409,
      'SecurityGroupRuleExists',
    );
    await refused(
      'alice',
      ['POST', 'security-group-rules', { security_group_rule: body }],
      404,
      'SecurityGroupNotFound',
    );
    await refused('alice', ['DELETE', `security-group-rules/${rule.id}`], 404, 'SecurityGroupRuleNotFound');
    expect(
      (await send('bob', 'GET', `security-groups/${group.id}`)).body.security_group.security_group_rules,
    ).toHaveLength(3);
    const wrong: [object, string][] = [
      [{ port_range_min: 91 }, 'SecurityGroupInvalidPortRange'],
      [{ protocol: null }, 'SecurityGroupProtocolRequiredWithPorts'],
      [{ protocol: 'gre' }, 'SecurityGroupInvalidProtocolForPort'],
      [{ protocol: 'icmp', port_range_min: null }, 'SecurityGroupMissingIcmpType'],
      [{ protocol: 'icmp', port_range_min: 300 }, 'SecurityGroupInvalidIcmpValue'],
      [{ ethertype: 'IPv6' }, 'SecurityGroupRuleParameterConflict'],
      [{ remote_group_id: group.id }, 'SecurityGroupRemoteGroupAndRemoteIpPrefix'],
      [{ protocol: 'tcp; flush' }, 'HTTPBadRequest'],
      [{ remote_ip_prefix: '10.0.0.0/8; flush' }, 'HTTPBadRequest'],
      [{ direction: 'in' }, 'HTTPBadRequest'],
    ];
    for (const [set, type] of wrong) {
      await refused(
        'bob',
        ['POST', 'security-group-rules', { security_group_rule: { ...body, ...set } }],
        400,
        type,
      );
    }
    await remove('bob', `security-group-rules/${rule.id}`);
    await remove('bob', `security-groups/${group.id}`);
  });

  test('a floating IP leads to an address of a port, elsewhere or nowhere', async () => {
    const { network, remove: removeNetwork } = await givenNetwork('bob', 'n', '10.6.0.0/24');
    const port = (name: string) => create('bob', 'ports', 'port', { network_id: network.id, name });
    const [one, two] = [await port('one'), await port('two')];
    const floating = await create('bob', 'floatingips', 'floatingip', {
      floating_network_id: PUBLIC,
      port_id: one.id,
    });
    expect(floating).toMatchObject({
      ...{
        floating_ip_address: '198.18.3.2',
        fixed_ip_address: '10.6.0.2',
        port_id: one.id,
        status: 'ACTIVE',
      },
      ...{ project_id: 'bob', router_id: null, port_details: { name: 'one' } },
    });
    const path = `floatingips/${floating.id}`;
    const put = async (set: object) => (await send('bob', 'PUT', path, { floatingip: set })).body.floatingip;
    expect(await put({ port_id: two.id })).toMatchObject({ fixed_ip_address: '10.6.0.3', status: 'ACTIVE' });
    expect(await put({ description: 'd' })).toMatchObject({ port_id: two.id, description: 'd' });
    const again = { floatingip: { floating_network_id: PUBLIC, port_id: two.id } };
    await refused('bob', ['POST', 'floatingips', again], 409, 'FloatingIPPortAlreadyAssociated');
    await refused('alice', ['PUT', path, { floatingip: { port_id: null } }], 404, 'FloatingIPNotFound');
    const theirs = { floatingip: { floating_network_id: PUBLIC, port_id: one.id } };
    await refused('alice', ['POST', 'floatingips', theirs], 404, 'PortNotFound');
    await refused(
      'bob',
      ['POST', 'floatingips', { floatingip: { floating_network_id: SHARED } }],
      400,
      'BadRequest',
    );
    const chosen = { floating_network_id: PUBLIC, floating_ip_address: '198.18.3.200' };
    await refused('bob', ['POST', 'floatingips', { floatingip: chosen }], 403, 'PolicyNotAuthorized');
    const byAdmin = await create('admin', 'floatingips', 'floatingip', chosen);
    expect(byAdmin).toMatchObject({ floating_ip_address: '198.18.3.200', status: 'DOWN', port_id: null });

    // The address is held by a port that goes with it.
    const holders = (await send('admin', 'GET', `ports?network_id=${PUBLIC}&device_owner=network:floatingip`))
      .body.ports;
    expect(holders.map((each: Json) => each.device_id)).toEqual([floating.id, byAdmin.id]);
    await refused('admin', ['DELETE', `ports/${holders[0].id}`], 409, 'ServicePortInUse');
    await refused('admin', ['DELETE', `networks/${PUBLIC}`], 409, 'NetworkInUse');
    await refused(
      'admin',
      ['PUT', `networks/${PUBLIC}`, { network: { 'router:external': false } }],
      409,
      'ExternalNetworkInUse',
    );

    await remove('bob', `ports/${two.id}`);
    expect((await send('bob', 'GET', path)).body.floatingip).toMatchObject({ port_id: null, status: 'DOWN' });
    await remove('bob', path);
    await remove('admin', `floatingips/${byAdmin.id}`);
    expect((await send('admin', 'GET', `ports?network_id=${PUBLIC}`)).body.ports).toEqual([]);
    await remove('bob', `ports/${one.id}`);
    await removeNetwork();
  });

  test('lists are filtered, sorted, cut to fields and turned page by page', async () => {
    const { network, subnet, remove: removeNetwork } = await givenNetwork('alice', 'n', '10.6.0.0/24');
    for (const name of ['a', 'b', 'c', 'd']) {
      const device_id = name === 'b' ? 'x' : '';
      await create('alice', 'ports', 'port', { network_id: network.id, name, device_id });
    }
    for (const [query, found] of [
      ['name=a', ['a']],
      ['name=a&name=b', ['a', 'b']],
      ['name=a&device_id=x', []],
      ['device_id=', ['a', 'c', 'd']],
      ['status=ACTIVE', ['b']],
      ['admin_state_up=True&name=d', ['d']],
      [`tenant_id=alice&network_id=${network.id}`, ['a', 'b', 'c', 'd']],
      ['project_id=bob', []],
      ['fixed_ips=ip_address%3D10.6.0.3', ['b']],
      [
        `fixed_ips=subnet_id%3D${subnet.id}&fixed_ips=ip_address%3D10.6.0.2&fixed_ips=ip_address%3D10.6.0.5`,
        ['a', 'd'],
      ],
      [`fixed_ips=subnet_id%3D${NOWHERE}`, []],
      ['sort_key=status&sort_key=name&sort_dir=asc&sort_dir=desc', ['b', 'd', 'c', 'a']],
      ['no_such_field=1&name=c', ['c']],
    ] as const) {
      expect(await names('alice', `ports?${query}`), query).toEqual(found);
    }
    expect(await names('alice', 'networks?router:external=True')).toEqual(['public']);
    expect(await names('alice', 'subnets?ip_version=4&cidr=10.6.0.0/24')).toEqual(['n-subnet']);
    const fields = await send('alice', 'GET', 'ports?fields=name&fields=device_id&name=b');
    expect(fields.body).toEqual({ ports: [{ name: 'b', device_id: 'x' }] });

    const seen: string[] = [];
    let url = 'http://api/network/v2.0/ports?limit=3&sort_key=name';
    const pages: Json[] = [];
    while (url) {
      const { body } = await send('alice', 'GET', url.slice('http://api/network/v2.0/'.length));
      pages.push(body);
      seen.push(...body.ports.map((each: Json) => each.name));
      url = (body.ports_links ?? []).find((link: Json) => link.rel === 'next')?.href;
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd']);
    const back = pages[1].ports_links.find((link: Json) => link.rel === 'previous').href;
    expect(await names('alice', back.slice('http://api/network/v2.0/'.length))).toEqual(['a', 'b', 'c']);
    expect(await names('alice', 'ports?limit=2&page_reverse=True&sort_key=name')).toEqual(['c', 'd']);
    await refused('alice', ['GET', 'ports?limit=x'], 400, 'HTTPBadRequest');
    await refused('alice', ['GET', `ports?marker=${NOWHERE}`], 400, 'HTTPBadRequest');
    for (const { id } of (await send('alice', 'GET', 'ports')).body.ports)
      await remove('alice', `ports/${id}`);
    await removeNetwork();
  });

  test('what there is none of is an empty list, and extensions are told', async () => {
    for (const [path, key] of [
      ['agents', 'agents'],
      ['availability_zones', 'availability_zones'],
      ['qos/policies', 'policies'],
      ['routers', 'routers'],
    ]) {
      expect((await send('bob', 'GET', path!)).body).toEqual({ [key!]: [] });
    }
    const aliases = (await send('bob', 'GET', 'extensions')).body.extensions.map((each: Json) => each.alias);
    expect(aliases).toEqual(expect.arrayContaining(['security-group', 'external-net', 'project-id']));
    expect(aliases).not.toContain('qos');
    expect((await send('bob', 'GET', 'extensions/sorting')).body.extension.alias).toBe('sorting');
    await refused('bob', ['GET', 'extensions/qos'], 404, 'ExtensionNotFound');
    expect((await send('bob', 'GET', 'quotas/bob')).body.quota).toMatchObject({
      network: -1,
      floatingip: -1,
    });
  });
});
