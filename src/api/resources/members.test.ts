import { describe, expect, test } from 'vitest';
import { loadGraph } from '../../db/graph.ts';
import { accepted, did, givenWorld, refused, type Scenario, send, type World } from '../testing-scenarios.ts';

type Rest = Omit<Scenario, 'method' | 'path' | 'body'>;
const MEMBERS = '/pools/$pool/members';
const create = (set: object, rest: Rest, path = MEMBERS): Scenario => ({
  method: 'POST',
  path,
  body: { member: { address: '10.1.0.9', protocol_port: 80, ...set } },
  ...rest,
});
const update = (set: object, rest: Rest, path = `${MEMBERS}/$member`): Scenario => ({
  method: 'PUT',
  path,
  body: { member: set },
  ...rest,
});
const batch = (members: unknown, rest: Rest, query = ''): Scenario => ({
  method: 'PUT',
  path: `${MEMBERS}${query}`,
  body: { members },
  ...rest,
});
const A = { address: '10.1.0.5', protocol_port: 80 };
const B = { address: '10.1.0.7', protocol_port: 80 };

describe('a member is refused', () => {
  refused([
    create(
      { address: 'host' },
      { name: 'address that is none', status: 400, contains: 'Invalid input for field/attribute address.' },
    ),
    create({ address: '10.1.0.256' }, { name: 'octet too large', status: 400, contains: 'address' }),
    create({ address: undefined }, { name: 'no address', status: 400, contains: 'Mandatory field missing.' }),
    create({ address: '169.254.169.254' }, { name: 'reserved address', status: 400, contains: 'reserved' }),
    create({ protocol_port: 70_000 }, { name: 'port too large', status: 400, contains: 'protocol_port' }),
    create({ weight: 257 }, { name: 'weight too large', status: 400, contains: 'weight' }),
    create({ weight: -1 }, { name: 'negative weight', status: 400, contains: 'weight' }),
    create({ subnet_id: '' }, { name: 'empty subnet', status: 400, contains: 'subnet_id' }),
    create(
      { subnet_id: 'ffffffff-0000-4000-8000-000000000001' },
      { name: 'unknown subnet', status: 400, contains: 'subnet_id' },
    ),
    create(
      { request_sriov: true },
      { name: 'SR-IOV without a flavor for it', status: 400, contains: 'request_sriov' },
    ),
    create({ description: 'x' }, { name: 'description', status: 400, contains: 'description' }),
    create(A, { name: 'address and port of another', status: 409, contains: '10.1.0.5' }),
    create(
      { address: '2001:DB8:0:0::1' },
      {
        name: 'the same address in another spelling',
        given: did('POST', MEMBERS, { member: { address: '2001:db8::1', protocol_port: 80 } }),
        status: 409,
      },
    ),
    create(
      { address: '2001:db8::1' },
      {
        name: 'of another IP version in a UDP pool that is in use',
        given: async world => {
          const listener = { loadbalancer_id: world.ids.lb, protocol: 'UDP', protocol_port: 53 };
          const { id: listener_id } = await world.create('/listeners', { listener });
          const pool = { listener_id, protocol: 'UDP', lb_algorithm: 'ROUND_ROBIN' };
          world.ids.udpPool = (await world.create('/pools', { pool })).id;
        },
        status: 501,
        contains: 'IP version',
      },
      '/pools/$udpPool/members',
    ),
    create({}, { name: 'unknown pool', status: 404 }, '/pools/nope/members'),
    create({}, { name: 'pool that is being deleted', given: did('DELETE', '/pools/$pool'), status: 409 }),
    update({ address: '10.1.0.5' }, { name: 'address', status: 400, contains: 'It cannot be changed.' }),
    update({ weight: 300 }, { name: 'weight too large', status: 400, contains: 'weight' }),
    update(
      { monitor_address: 'x' },
      { name: 'monitor address that is none', status: 400, contains: 'monitor_address' },
    ),
    update({ weight: 5 }, { name: 'member of another pool', status: 404 }, `${MEMBERS}/$tcpMember`),
    update(
      { weight: 5 },
      { name: 'member that is being deleted', given: did('DELETE', `${MEMBERS}/$member`), status: 409 },
    ),
    { name: 'member of another pool', method: 'GET', path: `${MEMBERS}/$tcpMember`, status: 404 },
    {
      name: 'member that is being deleted',
      given: did('DELETE', `${MEMBERS}/$member`),
      method: 'DELETE',
      path: `${MEMBERS}/$member`,
      status: 409,
    },
    { name: 'members of an unknown pool', method: 'GET', path: '/pools/nope/members', status: 404 },
    batch(null, { name: 'null batch', status: 400, contains: 'members' }),
    batch({}, { name: 'batch that is no list', status: 400 }),
    batch([5], { name: 'batch of a number', status: 400, contains: 'members[0]' }),
    batch([A, { ...B, id: 'x' }], { name: 'batch with an id', status: 400, contains: 'members[1].id' }),
    batch([B, { ...B }], { name: 'batch with a new one twice', status: 409 }),
    batch([A, { ...A }], { name: 'batch with an existing one twice', status: 400 }),
    batch([{ ...B, address: 'x' }], {
      name: 'batch with a bad address',
      status: 400,
      contains: 'members[0].address',
    }),
    batch([{ ...B, subnet_id: 'ffffffff-0000-4000-8000-000000000001' }], {
      name: 'batch with an unknown subnet',
      status: 400,
    }),
    batch([B], { name: 'batch with an unknown argument', status: 400, contains: 'colour' }, '?colour=red'),
    batch(
      [B],
      { name: 'batch with an argument that is no boolean', status: 400, contains: 'additive_only' },
      '?additive_only=maybe',
    ),
  ]);
});

describe('a member is', () => {
  accepted([
    create(
      {},
      {
        name: 'created',
        status: 201,
        contains: {
          member: {
            weight: 1,
            backup: false,
            operating_status: 'OFFLINE',
            provisioning_status: 'PENDING_CREATE',
            vnic_type: 'normal',
            subnet_id: null,
            monitor_port: null,
          },
        },
      },
    ),
    create(
      { weight: null, backup: null },
      { name: 'created with nulls', status: 201, contains: { member: { weight: 1, backup: false } } },
    ),
    create({ weight: 0 }, { name: 'created drained', status: 201, contains: { member: { weight: 0 } } }),
    create(
      {},
      {
        name: 'created in a pool without a monitor',
        status: 201,
        contains: { member: { operating_status: 'NO_MONITOR' } },
      },
      '/pools/$tcpPool/members',
    ),
    create(A, {
      name: 'created in place of one that is being deleted',
      given: did('DELETE', `${MEMBERS}/$member`),
      status: 201,
    }),
    create(
      { address: '2001:DB8::9' },
      {
        name: 'created with the address as it was written',
        status: 201,
        contains: { member: { address: '2001:DB8::9' } },
      },
    ),
    update(
      { weight: null, monitor_port: null, backup: null, name: null },
      {
        name: 'updated with nulls',
        given: did('PUT', `${MEMBERS}/$member`, { member: { weight: 9, monitor_port: 1 } }),
        status: 200,
        contains: { member: { weight: 1, monitor_port: null, backup: false, name: '' } },
      },
    ),
    { name: 'deleted', method: 'DELETE', path: `${MEMBERS}/$member`, status: 204 },
    batch([A, B], { name: 'kept and joined by another', status: 202 }),
    batch([], { name: 'deleted by an empty batch', status: 202 }),
    batch([B], { name: 'kept by an additive batch', status: 202 }, '?additive_only=True'),
  ]);
});

describe('a batch', () => {
  const membersOf = async (world: World) =>
    (await loadGraph(world.db, world.ids.lb!))!.members
      .filter(member => member.pool_id === world.ids.pool)
      .map(m => [m.address, m.provisioning_status, m.weight, m.name, m.tags]);

  test('creates, updates and deletes at once; what is not named goes back to its default, name and tags stay', async () => {
    await using world = await givenWorld();
    await did('PUT', `${MEMBERS}/$member`, { member: { weight: 9, tags: ['t'] } })(world);
    await did('POST', MEMBERS, { member: { ...B, name: 'b' } })(world);
    await world.settle();
    await did('PUT', MEMBERS, { members: [A, { address: '10.1.0.8', protocol_port: 80 }] })(world);
    expect(await membersOf(world)).toEqual([
      ['10.1.0.5', 'PENDING_UPDATE', 1, '10.1.0.5', ['t']],
      ['10.1.0.7', 'PENDING_DELETE', 1, 'b', []],
      ['10.1.0.8', 'PENDING_CREATE', 1, '', []],
    ]);
  });

  test('with nothing to do leaves the load balancer as settled as it was', async () => {
    await using world = await givenWorld();
    const before = await loadGraph(world.db, world.ids.lb!);
    const { status } = await send(world, {
      method: 'PUT',
      path: `${MEMBERS}?additive_only=true`,
      body: { members: [] },
    });
    expect(status).toBe(202);
    expect(await loadGraph(world.db, world.ids.lb!)).toEqual(before);
    expect(world.nudges).toEqual([]);
  });
});
