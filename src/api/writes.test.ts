/** What a write leaves in the rows: statuses, generations, nudges, and what Octavia's own rule of immutability refuses. */
import { describe, expect, test } from 'vitest';
import { loadGraph } from '../db/graph.ts';
import { did, givenWorld, refused, send, type World } from './testing-scenarios.ts';

/** `name: status` of everything under `$lb` whose generation is the load balancer's, i.e. that the last write touched. */
async function touched(world: World): Promise<Record<string, string>> {
  const graph = (await loadGraph(world.db, world.ids.lb!))!;
  const names = new Map(Object.entries(world.ids).map(([name, id]) => [id, name]));
  const rows = [...graph.listeners, ...graph.pools, ...graph.members, ...graph.health_monitors];
  const { generation } = graph.load_balancer;
  return Object.fromEntries(
    rows
      .filter(row => row.generation === generation)
      .map(row => [names.get(row.id) ?? 'new', row.provisioning_status]),
  );
}

const CREATE = {
  listener: { listener: { loadbalancer_id: '$lb', protocol: 'TCP', protocol_port: 99 } },
  pool: { pool: { loadbalancer_id: '$lb', protocol: 'TCP', lb_algorithm: 'ROUND_ROBIN' } },
  member: { member: { address: '10.1.0.77', protocol_port: 80 } },
};
const UP = 'PENDING_UPDATE';

/** Source: contract api.md 4.1. */
const ROWS: [name: string, method: string, path: string, body: unknown, touched: Record<string, string>][] = [
  ['load balancer', 'PUT', '/loadbalancers/$lb', { loadbalancer: { name: 'n' } }, {}],
  ['listener', 'POST', '/listeners', CREATE.listener, { new: 'PENDING_CREATE' }],
  ['listener', 'PUT', '/listeners/$listener', { listener: { name: 'n' } }, { listener: UP }],
  [
    'listener and its new pool',
    'PUT',
    '/listeners/$listener',
    { listener: { default_pool_id: null } },
    { listener: UP },
  ],
  ['listener', 'DELETE', '/listeners/$listener', undefined, { listener: 'PENDING_DELETE' }],
  ['pool', 'POST', '/pools', CREATE.pool, { new: 'PENDING_CREATE' }],
  [
    'pool of a listener',
    'POST',
    '/pools',
    { pool: { ...CREATE.pool.pool, listener_id: '$tcpListener' } },
    { new: 'PENDING_CREATE', tcpListener: UP },
  ],
  ['pool', 'PUT', '/pools/$pool', { pool: { name: 'n' } }, { pool: UP, listener: UP }],
  [
    'pool',
    'DELETE',
    '/pools/$pool',
    undefined,
    { pool: 'PENDING_DELETE', member: 'PENDING_DELETE', monitor: 'PENDING_DELETE', listener: UP },
  ],
  [
    'member',
    'POST',
    '/pools/$pool/members',
    CREATE.member,
    { new: 'PENDING_CREATE', pool: UP, listener: UP },
  ],
  [
    'member',
    'PUT',
    '/pools/$pool/members/$member',
    { member: { weight: 2 } },
    { member: UP, pool: UP, listener: UP },
  ],
  [
    'member',
    'DELETE',
    '/pools/$pool/members/$member',
    undefined,
    { member: 'PENDING_DELETE', pool: UP, listener: UP },
  ],
  [
    'members',
    'PUT',
    '/pools/$pool/members',
    { members: [CREATE.member.member] },
    { new: 'PENDING_CREATE', member: 'PENDING_DELETE', pool: UP, listener: UP },
  ],
  [
    'monitor',
    'POST',
    '/healthmonitors',
    { healthmonitor: { pool_id: '$tcpPool', type: 'TCP', delay: 1, timeout: 1, max_retries: 1 } },
    { new: 'PENDING_CREATE', tcpPool: UP },
  ],
  [
    'monitor',
    'PUT',
    '/healthmonitors/$monitor',
    { healthmonitor: { delay: 9 } },
    { monitor: UP, pool: UP, listener: UP },
  ],
  [
    'monitor',
    'DELETE',
    '/healthmonitors/$monitor',
    undefined,
    { monitor: 'PENDING_DELETE', pool: UP, listener: UP },
  ],
  ['everything', 'DELETE', '/loadbalancers/$lb?cascade=true', undefined, {}],
];

describe('a write stamps what it touches, and nothing else', () => {
  test.each(ROWS)('%s: %s %s', async (_name, method, path, body, expected) => {
    await using world = await givenWorld();
    const before = (await loadGraph(world.db, world.ids.lb!))!.load_balancer;
    await did(method, path, body)(world);
    const { load_balancer } = (await loadGraph(world.db, world.ids.lb!))!;
    expect(await touched(world)).toEqual(expected);
    expect(load_balancer).toMatchObject({
      generation: before.generation + 1,
      settled_generation: before.generation,
      provisioning_status: path.includes('cascade') ? 'PENDING_DELETE' : UP,
    });
    expect(world.nudges).toEqual([world.ids.lb]);
    await world.settle();
    const after = await loadGraph(world.db, world.ids.lb!);
    if (path.includes('cascade')) expect(after).toBeUndefined();
    else expect(JSON.stringify(after)).not.toContain('PENDING_');
  });
});

test('a row that is not created yet stays PENDING_CREATE when it is updated', async () => {
  await using world = await givenWorld();
  const { body } = await send(world, { method: 'POST', path: '/listeners', body: CREATE.listener });
  world.ids.new = body.listener.id;
  const updated = await send(world, {
    method: 'PUT',
    path: '/listeners/$new',
    body: { listener: { name: 'n' } },
  });
  expect(updated.body.listener).toMatchObject({
    name: 'n',
    provisioning_status: 'PENDING_CREATE',
    updated_at: null,
  });
});

test('writes are accepted while the load balancer is pending or in ERROR', async () => {
  for (const provisioning_status of ['PENDING_CREATE', 'PENDING_UPDATE', 'ERROR'] as const) {
    await using world = await givenWorld();
    await world.db.updateTable('load_balancer').set({ provisioning_status }).execute();
    await world.db.updateTable('pool').set({ provisioning_status }).execute();
    await did('POST', '/pools/$pool/members', CREATE.member)(world);
    await did('PUT', '/listeners/$listener', { listener: {} })(world);
    await did('DELETE', '/healthmonitors/$monitor')(world);
    await did('DELETE', '/loadbalancers/$lb?cascade=true')(world);
  }
});

test('deleting a pool takes it from its listeners', async () => {
  await using world = await givenWorld();
  await did('DELETE', '/pools/$pool')(world);
  const { body } = await send(world, { method: 'GET', path: '/listeners/$listener' });
  expect(body.listener.default_pool_id).toBeNull();
  await world.settle();
  expect((await send(world, { method: 'GET', path: '/pools/$pool' })).status).toBe(404);
  expect((await send(world, { method: 'GET', path: '/healthmonitors/$monitor' })).status).toBe(404);
});

test('deleting a monitor leaves the members without one', async () => {
  await using world = await givenWorld();
  await did('DELETE', '/healthmonitors/$monitor')(world);
  await world.settle();
  const { body } = await send(world, { method: 'GET', path: '/pools/$pool/members/$member' });
  expect(body.member.operating_status).toBe('NO_MONITOR');
});

test('what heartbeats write meanwhile is not overwritten', async () => {
  await using world = await givenWorld();
  await world.db.updateTable('member').set({ operating_status: 'ERROR' }).execute();
  await did('PUT', '/pools/$pool/members/$member', { member: { weight: 3 } })(world);
  const { body } = await send(world, { method: 'GET', path: '/pools/$pool/members/$member' });
  expect(body.member).toMatchObject({ weight: 3, operating_status: 'ERROR' });
});

test('many writes at once lose nothing', async () => {
  await using world = await givenWorld();
  const before = (await loadGraph(world.db, world.ids.lb!))!.load_balancer.generation;
  const writes = Array.from({ length: 40 }, (_, i) =>
    send(world, {
      method: 'POST',
      path: '/pools/$pool/members',
      body: { member: { address: '10.1.1.1', protocol_port: 1 + (i % 20) } },
    }),
  );
  const statuses = (await Promise.all(writes)).map(answer => answer.status).sort();
  expect(statuses).toEqual([...Array(20).fill(201), ...Array(20).fill(409)]);
  const { load_balancer, members } = (await loadGraph(world.db, world.ids.lb!))!;
  expect(load_balancer.generation).toBe(before + 20);
  expect(members).toHaveLength(22);
});

describe('with strict_immutability, refused:', () => {
  const pending = did('PUT', '/loadbalancers/$lb', { loadbalancer: {} });
  const failed = async (world: World) => {
    await world.db.updateTable('load_balancer').set({ provisioning_status: 'ERROR' }).execute();
  };
  const failedPool = async (world: World) => {
    await world.db.updateTable('pool').set({ provisioning_status: 'ERROR' }).execute();
  };
  refused(
    [
      {
        name: 'a listener while pending',
        given: pending,
        method: 'POST',
        path: '/listeners',
        body: CREATE.listener,
        status: 409,
        contains: 'immutable',
      },
      {
        name: 'the load balancer while pending',
        given: pending,
        method: 'PUT',
        path: '/loadbalancers/$lb',
        body: { loadbalancer: {} },
        status: 409,
      },
      {
        name: 'the load balancer while pending',
        given: pending,
        method: 'DELETE',
        path: '/loadbalancers/$lb?cascade=1',
        status: 409,
      },
      {
        name: 'a member in ERROR',
        given: failed,
        method: 'DELETE',
        path: '/pools/$pool/members/$member',
        status: 409,
      },
      {
        name: 'a member of a pool in ERROR',
        given: failedPool,
        method: 'POST',
        path: '/pools/$pool/members',
        body: CREATE.member,
        status: 409,
      },
      {
        name: 'an update that is wrong anyway, with what is wrong',
        given: pending,
        method: 'PUT',
        path: '/listeners/$listener',
        body: { listener: { hsts_max_age: 1 } },
        status: 400,
      },
      {
        name: 'children in the way before the lock',
        given: pending,
        method: 'DELETE',
        path: '/loadbalancers/$lb',
        status: 400,
      },
    ],
    { strict_immutability: true },
  );

  test('but a load balancer in ERROR can be deleted, and a pool in ERROR be updated', async () => {
    await using world = await givenWorld({ strict_immutability: true });
    await failedPool(world);
    await did('PUT', '/pools/$pool', { pool: { name: 'n' } })(world);
    await failed(world);
    await did('DELETE', '/loadbalancers/$lb?cascade=true')(world);
  });
});
