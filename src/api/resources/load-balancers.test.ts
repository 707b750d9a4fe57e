import { describe, expect, test } from 'vitest';
import { loadBalancersOwingWork } from '../../db/lease.ts';
import { DEVICE_OWNER } from '../../drivers/network/network.ts';
import { newPort } from '../../model/cloud-network.ts';
import { vipPortName } from '../../model/load-balancer.ts';
import {
  givenActiveLoadBalancer,
  givenApi,
  NETWORK,
  NOWHERE,
  OTHER_NETWORK,
  OTHER_SUBNET,
  PROJECT,
  SUBNET,
  SUBNET_V6,
} from '../testing.ts';
import { accepted, did, givenWorld, refused, type Scenario, send, type World } from '../testing-scenarios.ts';

type Rest = Omit<Scenario, 'method' | 'path' | 'body'>;
const create = (set: object, rest: Rest): Scenario => ({
  method: 'POST',
  path: '/loadbalancers',
  body: { loadbalancer: { vip_subnet_id: SUBNET, ...set } },
  ...rest,
});
const update = (set: object, rest: Rest): Scenario => ({
  method: 'PUT',
  path: '/loadbalancers/$lb',
  body: { loadbalancer: set },
  ...rest,
});
const UNKNOWN = 'ffffffff-0000-4000-8000-000000000001';

/** A port that the user made, with these addresses. */
const givenPort =
  (name: string, device_id: string, addresses: [subnet: string, address: string][]) =>
  async (world: World): Promise<void> => {
    world.ids.port = `00000000-0000-4000-8000-0000000000${name}`;
    const port = newPort({
      id: world.ids.port,
      name,
      project_id: PROJECT,
      network_id: NETWORK,
      mac_address: 'fa:16:3e:00:00:01',
      fixed_ips: addresses.map(([subnet_id, ip_address]) => ({ subnet_id, ip_address })),
      device_id,
      user_made: true,
    });
    await world.cloud.insert('port', port);
  };
const onePort = givenPort('a1', '', [[SUBNET, '10.1.0.50']]);
const twoAddresses = givenPort('a2', '', [
  [SUBNET, '10.1.0.50'],
  [SUBNET_V6, '2001:db8::50'],
]);
const withPort = (set: object, rest: Rest) =>
  create({ vip_subnet_id: undefined, vip_port_id: '$port', ...set }, rest);

describe('a load balancer is refused', () => {
  refused([
    create(
      { vip_subnet_id: undefined },
      { name: 'no VIP', status: 400, contains: 'vip_port_id, vip_network_id, vip_subnet_id' },
    ),
    create({ vip_subnet_id: '' }, { name: 'empty subnet', status: 400, contains: 'vip_subnet_id' }),
    create({ vip_subnet_id: UNKNOWN }, { name: 'unknown subnet', status: 400, contains: 'vip_subnet_id' }),
    create(
      { vip_subnet_id: null, vip_network_id: UNKNOWN },
      { name: 'unknown network', status: 400, contains: 'vip_network_id' },
    ),
    create(
      { vip_subnet_id: null, vip_port_id: NOWHERE },
      { name: 'unknown port', status: 400, contains: 'vip_port_id' },
    ),
    create(
      { vip_network_id: OTHER_NETWORK },
      { name: 'subnet of another network', status: 400, contains: 'vip_subnet_id' },
    ),
    create(
      { vip_subnet_id: null, vip_network_id: NETWORK, vip_address: '192.0.2.1' },
      { name: 'address outside the network', status: 400, contains: 'vip_address' },
    ),
    create(
      { vip_address: '192.0.2.1' },
      { name: 'address outside the subnet', status: 400, contains: '192.0.2.1' },
    ),
    create({ vip_address: 'x' }, { name: 'address that is none', status: 400, contains: 'vip_address' }),
    create(
      { vip_address: '10.1.0.9' },
      {
        name: 'address in use',
        given: did('POST', '/loadbalancers', {
          loadbalancer: { vip_subnet_id: SUBNET, vip_address: '10.1.0.9' },
        }),
        status: 409,
        contains: '10.1.0.9',
      },
    ),
    withPort(
      {},
      {
        name: 'port in use',
        given: givenPort('a3', 'server-1', [[SUBNET, '10.1.0.50']]),
        status: 400,
        contains: 'server-1',
      },
    ),
    withPort(
      {},
      { name: 'port with several addresses', given: twoAddresses, status: 400, contains: 'vip_port_id' },
    ),
    withPort(
      { vip_address: '10.1.0.51' },
      { name: 'address that the port does not have', given: onePort, status: 400, contains: 'vip_address' },
    ),
    withPort(
      { vip_subnet_id: SUBNET_V6 },
      { name: 'subnet that the port is not in', given: onePort, status: 400, contains: 'vip_subnet_id' },
    ),
    withPort(
      { additional_vips: [{ subnet_id: SUBNET_V6 }] },
      {
        name: 'additional VIP that the port does not have',
        given: onePort,
        status: 400,
        contains: 'additional_vips[0]',
      },
    ),
    create(
      { additional_vips: [{}] },
      { name: 'additional VIP without a subnet', status: 400, contains: 'additional_vips[0].subnet_id' },
    ),
    create(
      { additional_vips: [{ subnet_id: SUBNET }] },
      { name: 'additional VIP in the same subnet', status: 400, contains: 'additional_vips[0].subnet_id' },
    ),
    create(
      { additional_vips: [{ subnet_id: OTHER_SUBNET }] },
      { name: 'additional VIP in another network', status: 400, contains: 'one network' },
    ),
    create(
      { additional_vips: [{ subnet_id: UNKNOWN }] },
      { name: 'additional VIP in no subnet', status: 400 },
    ),
    create(
      { additional_vips: [{ subnet_id: SUBNET_V6, colour: 1 }] },
      { name: 'additional VIP with an unknown attribute', status: 400, contains: 'colour' },
    ),
    create({ provider: 'nope' }, { name: 'unknown provider', status: 400, contains: 'provider' }),
    create({ flavor_id: null }, { name: 'null flavor', status: 400, contains: 'flavor_id' }),
    create({ flavor_id: UNKNOWN }, { name: 'unknown flavor', status: 400, contains: 'flavor_id' }),
    create({ availability_zone: null }, { name: 'null zone', status: 400, contains: 'availability_zone' }),
    create({ availability_zone: 'z' }, { name: 'unknown zone', status: 400, contains: 'availability_zone' }),
    create(
      { vip_qos_policy_id: UNKNOWN },
      { name: 'QoS where there is none', status: 400, contains: 'vip_qos_policy_id' },
    ),
    create(
      { vip_sg_ids: [UNKNOWN] },
      { name: 'security group where there is none', status: 400, contains: 'vip_sg_ids' },
    ),
    create(
      { vip_sg_ids: [UNKNOWN, UNKNOWN] },
      { name: 'security group twice', status: 409, contains: 'vip_sg_ids' },
    ),
    create({ project_id: 'x'.repeat(37) }, { name: 'project of 37', status: 400, contains: 'project_id' }),
    create({ id: UNKNOWN }, { name: 'id', status: 400, contains: 'Unknown attribute: id' }),
    create(
      { error_reason: 'x' },
      { name: 'field that is only shown', status: 400, contains: 'error_reason' },
    ),
    create({ listeners: {} }, { name: 'listeners that are no list', status: 400, contains: 'listeners' }),
    create(
      { listeners: [{ protocol: 'HTTP' }] },
      { name: 'listener without a port', status: 400, contains: 'listeners[0].protocol_port' },
    ),
    create(
      { listeners: [{ protocol: 'HTTP', protocol_port: 80, loadbalancer_id: UNKNOWN }] },
      { name: 'listener with a parent', status: 400, contains: 'listeners[0].loadbalancer_id' },
    ),
    create(
      { listeners: [{ protocol: 'HTTP', protocol_port: 80, default_pool: { name: 'p' } }] },
      { name: 'pool that is not defined', status: 400, contains: "'p'" },
    ),
    create(
      { listeners: [{ protocol: 'HTTP', protocol_port: 80, l7policies: [{}] }] },
      { name: 'policy without an action', status: 400, contains: 'listeners[0].l7policies[0].action' },
    ),
    create(
      {
        listeners: [
          { protocol: 'HTTP', protocol_port: 80 },
          { protocol: 'TCP', protocol_port: 80 },
        ],
      },
      { name: 'two listeners on one port', status: 409 },
    ),
    create(
      { listeners: [{ protocol: 'HTTP', protocol_port: 80, default_pool_id: '$pool' }] },
      { name: 'pool of another load balancer', status: 404 },
    ),
    create(
      { pools: [{ protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' }] },
      { name: 'pool without a name', status: 400, contains: 'pools[0].name' },
    ),
    create(
      { pools: [{ name: 'p', protocol: 'HTTP' }] },
      { name: 'pool without an algorithm', status: 400, contains: 'pools[0].lb_algorithm' },
    ),
    create(
      {
        pools: [
          {
            name: 'p',
            protocol: 'HTTP',
            lb_algorithm: 'ROUND_ROBIN',
            members: [{ address: 'x', protocol_port: 1 }],
          },
        ],
      },
      { name: 'member with a bad address', status: 400, contains: 'pools[0].members[0].address' },
    ),
    create(
      { pools: ['p', 'p'].map(name => ({ name, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' })) },
      { name: 'two pools of one name', status: 400, contains: 'unique' },
    ),
    update({ vip_address: '10.1.0.7' }, { name: 'VIP', status: 400, contains: 'It cannot be changed.' }),
    update({ provider: 'amphora' }, { name: 'provider', status: 400, contains: 'provider' }),
    update({ vip_qos_policy_id: UNKNOWN }, { name: 'QoS where there is none', status: 400 }),
    update({ description: 5 }, { name: 'number as a description', status: 400, contains: 'description' }),
    update(
      { name: 'n' },
      {
        name: 'load balancer that is being deleted',
        given: did('DELETE', '/loadbalancers/$lb?cascade=true'),
        status: 409,
        contains: 'PENDING_DELETE',
      },
    ),
    {
      name: 'load balancer with children',
      method: 'DELETE',
      path: '/loadbalancers/$lb',
      status: 400,
      contains: 'cascade',
    },
    {
      name: 'load balancer with children, without cascade',
      method: 'DELETE',
      path: '/loadbalancers/$lb?cascade=False',
      status: 400,
    },
    {
      name: 'load balancer with an unknown argument',
      method: 'DELETE',
      path: '/loadbalancers/$lb?force=true',
      status: 400,
      contains: 'force',
    },
    {
      name: 'load balancer that is being deleted',
      given: did('DELETE', '/loadbalancers/$lb?cascade=true'),
      method: 'DELETE',
      path: '/loadbalancers/$lb?cascade=true',
      status: 409,
    },
    { name: 'unknown load balancer', method: 'DELETE', path: `/loadbalancers/${UNKNOWN}`, status: 404 },
    {
      name: 'unknown load balancer',
      method: 'GET',
      path: `/loadbalancers/${UNKNOWN}/status`,
      status: 404,
      contains: 'Load Balancer',
    },
    {
      name: 'statuses with an argument',
      method: 'GET',
      path: '/loadbalancers/$lb/status?fields=id',
      status: 400,
    },
  ]);
  refused(
    [
      create(
        {},
        { name: 'VIP by subnet where the operator forbids it', status: 400, contains: 'vip_subnet_id' },
      ),
    ].map(row => ({ ...row, given: forbidSubnets })),
  );
  refused(
    [create({}, { name: 'network that the operator denies', status: 400, contains: 'vip_network_id' })].map(
      row => ({ ...row, given: denyNetwork }),
    ),
  );
});

async function forbidSubnets(world: World): Promise<void> {
  world.deps.settings.allow_vip_subnet_id = false;
}
async function denyNetwork(world: World): Promise<void> {
  world.deps.settings.denylist_vip_networks = [NETWORK];
}

describe('a load balancer is', () => {
  accepted([
    create(
      {},
      {
        name: 'created in a subnet',
        status: 201,
        contains: {
          loadbalancer: {
            provisioning_status: 'PENDING_CREATE',
            operating_status: 'OFFLINE',
            provider: 'amphora',
            project_id: PROJECT,
            tenant_id: PROJECT,
            vip_network_id: NETWORK,
            vip_sg_ids: [],
            vip_vnic_type: 'normal',
            additional_vips: [],
            listeners: [],
            pools: [],
            flavor_id: null,
          },
        },
      },
    ),
    create(
      { vip_address: '10.1.0.99' },
      {
        name: 'created at an address',
        status: 201,
        contains: { loadbalancer: { vip_address: '10.1.0.99' } },
      },
    ),
    create(
      { vip_subnet_id: null, vip_network_id: NETWORK },
      {
        name: 'created in a network: its IPv4 subnet',
        status: 201,
        contains: { loadbalancer: { vip_subnet_id: SUBNET } },
      },
    ),
    create(
      { vip_subnet_id: null, vip_network_id: NETWORK, vip_address: '2001:DB8::9' },
      {
        name: 'created in a network at an address, which is kept as written',
        status: 201,
        contains: { loadbalancer: { vip_subnet_id: SUBNET_V6, vip_address: '2001:DB8::9' } },
      },
    ),
    create(
      { vip_subnet_id: SUBNET.replaceAll('-', '').toUpperCase() },
      {
        name: 'created with an id in capitals',
        status: 201,
        contains: { loadbalancer: { vip_subnet_id: SUBNET } },
      },
    ),
    withPort(
      {},
      {
        name: 'created on a port',
        given: onePort,
        status: 201,
        contains: {
          loadbalancer: {
            vip_address: '10.1.0.50',
            vip_subnet_id: SUBNET,
            vip_port_id: '00000000-0000-4000-8000-0000000000a1',
          },
        },
      },
    ),
    withPort(
      { vip_subnet_id: SUBNET_V6, vip_network_id: OTHER_NETWORK },
      {
        name: 'created on a port, by subnet',
        given: twoAddresses,
        status: 201,
        contains: { loadbalancer: { vip_address: '2001:db8::50', vip_network_id: NETWORK } },
      },
    ),
    withPort(
      { vip_address: '2001:DB8:0::50' },
      {
        name: 'created on a port, by address',
        given: twoAddresses,
        status: 201,
        contains: { loadbalancer: { vip_subnet_id: SUBNET_V6 } },
      },
    ),
    create(
      { additional_vips: [{ subnet_id: SUBNET_V6, ip_address: '2001:db8::7' }] },
      {
        name: 'created with an additional VIP',
        status: 201,
        contains: '"ip_address":"2001:db8::7","port_id":"',
      },
    ),
    create(
      { provider: 'octavia' },
      {
        name: 'created by an alias of the provider',
        status: 201,
        contains: { loadbalancer: { provider: 'amphora' } },
      },
    ),
    create(
      { provider: null },
      { name: 'created by no provider', status: 201, contains: { loadbalancer: { provider: 'amphora' } } },
    ),
    create(
      { tenant_id: 'old', admin_state_up: 0, tags: ['b', 'a'] },
      {
        name: 'created for a tenant',
        status: 201,
        contains: { loadbalancer: { project_id: 'old', admin_state_up: false, tags: ['b', 'a'] } },
      },
    ),
    update(
      {},
      {
        name: 'updated with nothing',
        status: 200,
        contains: { loadbalancer: { provisioning_status: 'PENDING_UPDATE', name: 'lb' } },
      },
    ),
    update(
      {
        name: null,
        description: 'd',
        admin_state_up: null,
        vip_qos_policy_id: null,
        vip_sg_ids: null,
        tags: [],
      },
      {
        name: 'updated',
        status: 200,
        contains: { loadbalancer: { name: '', description: 'd', admin_state_up: false, vip_sg_ids: [] } },
      },
    ),
    update(
      { name: 'again' },
      {
        name: 'updated while an update is under way',
        given: did('PUT', '/loadbalancers/$lb', { loadbalancer: {} }),
        status: 200,
      },
    ),
    { name: 'deleted with all', method: 'DELETE', path: '/loadbalancers/$lb?cascade=T', status: 204 },
    {
      name: 'deleted once its children are on their way out',
      given: async w => {
        for (const step of [
          '/listeners/$listener',
          '/listeners/$tcpListener',
          '/pools/$pool',
          '/pools/$tcpPool',
        ])
          await did('DELETE', step)(w);
      },
      method: 'DELETE',
      path: '/loadbalancers/$lb',
      status: 204,
    },
    {
      name: 'shown',
      method: 'GET',
      path: '/loadbalancers/$lb',
      status: 200,
      contains: { loadbalancer: { provisioning_status: 'ACTIVE' } },
    },
    {
      name: 'shown, some fields',
      method: 'GET',
      path: '/loadbalancers/$lb?fields=id&fields=name&fields=nope&colour=red',
      status: 200,
      contains: '{"loadbalancer":{"id":"',
    },
    {
      name: 'measured',
      method: 'GET',
      path: '/loadbalancers/$lb/stats',
      status: 200,
      contains: { stats: { bytes_in: 0 } },
    },
    {
      name: 'shown as a tree',
      method: 'GET',
      path: '/loadbalancers/$lb/statuses',
      status: 200,
      contains: { statuses: { loadbalancer: { name: 'lb', provisioning_status: 'ACTIVE' } } },
    },
  ]);

  test('not found once it is deleted, and its rows are gone', async () => {
    await using world = await givenWorld();
    await did('DELETE', '/loadbalancers/$lb?cascade=true')(world);
    const { body } = await send(world, { method: 'GET', path: '/loadbalancers/$lb' });
    expect(body.loadbalancer.provisioning_status).toBe('PENDING_DELETE');
    expect(
      (await send(world, { method: 'GET', path: '/listeners/$listener' })).body.listener.provisioning_status,
    ).toBe('ACTIVE');
    await world.settle();
    for (const path of [
      '/loadbalancers/$lb',
      '/listeners/$listener',
      '/pools/$pool',
      '/pools/$pool/members',
      '/healthmonitors/$monitor',
    ])
      expect((await send(world, { method: 'GET', path })).status).toBe(404);
    expect((await world.request('GET', '/loadbalancers')).body.loadbalancers).toHaveLength(1);
  });

  test('shown with the reason while it is in ERROR, and without the key otherwise', async () => {
    await using api = await givenApi();
    const lb = await givenActiveLoadBalancer(api);
    expect((await api.request('GET', `/loadbalancers/${lb.id}`)).body.loadbalancer).not.toHaveProperty(
      'error_reason',
    );
    await api.db
      .updateTable('load_balancer')
      .set({ provisioning_status: 'ERROR', error_reason: 'No host' })
      .execute();
    const { body } = await api.request('GET', `/loadbalancers/${lb.id}`);
    expect(body.loadbalancer).toMatchObject({ provisioning_status: 'ERROR', error_reason: 'No host' });
  });
});

describe('statistics', () => {
  test('are sums over listeners and amphorae; connections count only where the amphora still serves', async () => {
    await using world = await givenWorld();
    const amphora = (id: string, status: 'ALLOCATED' | 'DELETED') => ({
      id,
      loadbalancer_id: world.ids.lb!,
      status,
      cert_busy: 0,
      created_at: '',
    });
    await world.db
      .insertInto('amphora')
      .values([amphora('old', 'DELETED'), amphora('new', 'ALLOCATED')] as never)
      .execute();
    const row = (listener_id: string, amphora_id: string) => ({
      listener_id,
      amphora_id,
      bytes_in: 1,
      bytes_out: 2,
      active_connections: 3,
      total_connections: 4,
      request_errors: 5,
    });
    const { listener, tcpListener, otherListener } = world.ids as Record<string, string>;
    await world.db
      .insertInto('listener_statistics')
      .values([
        row(listener!, 'old'),
        row(listener!, 'new'),
        row(tcpListener!, 'new'),
        row(otherListener!, 'new'),
      ])
      .execute();
    expect((await send(world, { method: 'GET', path: '/listeners/$listener/stats' })).body.stats).toEqual({
      bytes_in: 2,
      bytes_out: 4,
      active_connections: 3,
      total_connections: 8,
      request_errors: 10,
    });
    expect((await send(world, { method: 'GET', path: '/loadbalancers/$lb/stats' })).body.stats).toEqual({
      bytes_in: 3,
      bytes_out: 6,
      active_connections: 6,
      total_connections: 12,
      request_errors: 15,
    });
  });
});

describe('the status tree', () => {
  test('has listeners, their pools, monitors and members, and no pool that no listener uses', async () => {
    await using world = await givenWorld();
    const { body } = await send(world, { method: 'GET', path: '/loadbalancers/$lb/status' });
    const { ids } = world;
    const settled = { provisioning_status: 'ACTIVE', operating_status: 'OFFLINE' };
    expect(body.statuses.loadbalancer).toEqual({
      ...settled,
      id: ids.lb,
      name: 'lb',
      listeners: [
        {
          ...settled,
          id: ids.listener,
          name: 'HTTP listener',
          pools: [
            {
              ...settled,
              id: ids.pool,
              name: 'HTTP pool',
              health_monitor: {
                id: ids.monitor,
                name: '',
                type: 'HTTP',
                provisioning_status: 'ACTIVE',
                operating_status: 'ONLINE',
              },
              members: [
                { ...settled, id: ids.member, name: '10.1.0.5', address: '10.1.0.5', protocol_port: 80 },
              ],
            },
          ],
        },
        { ...settled, id: ids.tcpListener, name: 'TCP listener', pools: [] },
      ],
    });
  });
});

describe('the VIP', () => {
  test('gets a port of its own, named after the load balancer', async () => {
    await using api = await givenApi();
    const lb = await api.create('/loadbalancers', {
      loadbalancer: { vip_subnet_id: SUBNET, additional_vips: [{ subnet_id: SUBNET_V6 }] },
    });
    const port = api.cloud.ports.get(vipPortName(lb.id))!;
    expect(port).toMatchObject({ id: lb.vip_port_id, device_id: `lb-${lb.id}`, device_owner: DEVICE_OWNER });
    expect(port.fixed_ips).toEqual([
      { subnet_id: SUBNET, ip_address: lb.vip_address },
      { subnet_id: SUBNET_V6, ip_address: lb.additional_vips[0].ip_address },
    ]);
    expect(lb.additional_vips[0].port_id).toBe(lb.vip_port_id);
    expect(await loadBalancersOwingWork(api.db, Date.UTC(2026, 0, 2), 10)).toEqual([lb.id]);
    expect(await loadBalancersOwingWork(api.db, 0, 10)).toEqual([lb.id]);
  });

  test('that cannot be had leaves neither row nor port', async () => {
    await using api = await givenApi();
    const body = {
      loadbalancer: {
        vip_subnet_id: SUBNET,
        vip_address: '10.1.0.9',
        pools: [
          {
            name: 'p',
            protocol: 'HTTP',
            lb_algorithm: 'ROUND_ROBIN',
            members: [{ address: '10.1.0.1', protocol_port: 1 }],
          },
        ],
      },
    };
    await api.create('/loadbalancers', body);
    const ports = [...api.cloud.ports.keys()];
    expect((await api.request('POST', '/loadbalancers', body)).status).toBe(409);
    for (const table of ['load_balancer', 'lease', 'pool', 'member'] as const)
      expect(
        await api.db
          .selectFrom(table as 'lease')
          .selectAll()
          .execute(),
        table,
      ).toHaveLength(1);
    expect([...api.cloud.ports.keys()]).toEqual(ports);
    expect(api.failures).toEqual([]);
  });

  test('is taken back with 503 when the network fails, and left to a worker when it cannot be taken back', async () => {
    await using api = await givenApi();
    const { network } = api.deps.providers.get('amphora')!;
    network.ensurePort = async () => {
      throw new Error('No route to Neutron');
    };
    const answer = await api.request('POST', '/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } });
    expect(answer).toMatchObject({ status: 503, body: { faultcode: 'Server' } });
    expect(answer.body.faultstring).not.toContain('Neutron');
    expect(api.failures[0]).toContain('No route to Neutron');
    expect((await api.request('GET', '/loadbalancers')).body.loadbalancers).toEqual([]);

    network.deletePort = network.ensurePort as never;
    expect(
      (await api.request('POST', '/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } })).status,
    ).toBe(503);
    const [left] = (await api.request('GET', '/loadbalancers')).body.loadbalancers;
    expect(left.provisioning_status).toBe('PENDING_DELETE');
    expect(api.nudges).toEqual([left.id]);
    expect(await loadBalancersOwingWork(api.db, 0, 10)).toEqual([left.id]);
  });

  test('that is being obtained is held by the API until its time is over, and then anybody finishes it', async () => {
    await using api = await givenApi();
    const { network } = api.deps.providers.get('amphora')!;
    const ensurePort = network.ensurePort.bind(network);
    let owing: string[][] = [];
    network.ensurePort = async spec => {
      const nowMs = api.deps.clock.now();
      owing = [
        await loadBalancersOwingWork(api.db, nowMs, 10),
        await loadBalancersOwingWork(api.db, nowMs + 61_000, 10),
      ];
      return ensurePort(spec);
    };
    const lb = await api.create('/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } });
    expect(owing).toEqual([[], [lb.id]]);
  });
});

describe('a whole load balancer in one call', () => {
  const TREE = {
    vip_subnet_id: SUBNET,
    pools: [
      {
        name: 'shared',
        protocol: 'HTTP',
        lb_algorithm: 'LEAST_CONNECTIONS',
        members: [
          { address: '10.1.0.1', protocol_port: 80 },
          { address: '10.1.0.2', protocol_port: '80', weight: 0 },
        ],
        healthmonitor: { type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 },
      },
    ],
    listeners: [
      {
        protocol: 'HTTP',
        protocol_port: 80,
        default_pool: { name: 'shared' },
        allowed_cidrs: ['10.0.0.0/8'],
        l7policies: [
          { action: 'REJECT', rules: [{ type: 'PATH', compare_type: 'EQUAL_TO', value: '/' }] },
          { action: 'REDIRECT_TO_POOL', redirect_pool: { name: 'shared' }, position: 1 },
          {
            action: 'REDIRECT_TO_POOL',
            redirect_pool: { name: 'far', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
          },
        ],
      },
      {
        protocol: 'TCP',
        protocol_port: 22,
        default_pool: {
          name: 'own',
          protocol: 'TCP',
          lb_algorithm: 'SOURCE_IP',
          members: [{ address: '10.1.0.3', protocol_port: 22 }],
        },
      },
      { protocol: 'HTTP', protocol_port: 81 },
    ],
  };

  test('answers with all of it nested, pending, and becomes ACTIVE together', async () => {
    await using api = await givenApi();
    const lb = await api.create('/loadbalancers', { loadbalancer: TREE });
    const [shared, far, own] = lb.pools;
    expect(lb.listeners[0].l7policies).toMatchObject([
      { position: 1, redirect_pool_id: shared.id, rules: [] },
      { position: 2, action: 'REJECT', rules: [{ value: '/', provisioning_status: 'PENDING_CREATE' }] },
      { position: 3, redirect_pool_id: far.id },
    ]);
    expect(lb.listeners.map((l: { default_pool_id: string }) => l.default_pool_id)).toEqual([
      shared.id,
      own.id,
      null,
    ]);
    expect(shared).toMatchObject({
      name: 'shared',
      listeners: [{ id: lb.listeners[0].id }],
      healthmonitor: { type: 'HTTP', url_path: '/' },
    });
    expect(shared.members.map((m: object) => m)).toMatchObject([
      { address: '10.1.0.1', operating_status: 'OFFLINE' },
      { protocol_port: 80, weight: 0 },
    ]);
    expect(own).toMatchObject({
      name: 'own',
      healthmonitor: null,
      members: [{ operating_status: 'NO_MONITOR' }],
    });
    for (const nested of [...lb.listeners, ...lb.pools]) {
      expect(nested.provisioning_status).toBe('PENDING_CREATE');
      expect(nested).not.toHaveProperty('loadbalancers');
    }
    expect(shared.healthmonitor).not.toHaveProperty('pools');
    expect(api.nudges).toEqual([lb.id]);
    await api.settle();
    const { body } = await api.request('GET', `/loadbalancers/${lb.id}/status`);
    expect(JSON.stringify(body)).not.toContain('PENDING');
  });
});
