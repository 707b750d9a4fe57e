import { describe, expect, test } from 'vitest';
import { accepted, did, givenWorld, refused, type Scenario, send, type World } from '../testing-scenarios.ts';

type Rest = Omit<Scenario, 'method' | 'path' | 'body'>;
const create = (set: object, rest: Rest): Scenario => ({
  method: 'POST',
  path: '/l7policies',
  body: { l7policy: { listener_id: '$listener', action: 'REJECT', ...set } },
  ...rest,
});
const update = (set: object, rest: Rest): Scenario => ({
  method: 'PUT',
  path: '/l7policies/$policy',
  body: { l7policy: set },
  ...rest,
});
const toUrl = { action: 'REDIRECT_TO_URL', redirect_url: 'https://a.example/x' };
const toPool = { action: 'REDIRECT_TO_POOL', redirect_pool_id: '$pool' };
const bad = (set: object, name: string, contains: string) => create(set, { name, status: 400, contains });

describe('a policy is refused', () => {
  refused([
    create(
      { listener_id: 'ffffffff-0000-4000-8000-000000000000' },
      { name: 'unknown listener', status: 404 },
    ),
    bad({ listener_id: undefined }, 'no listener', 'listener_id'),
    create({ listener_id: '$tcpListener' }, { name: 'TCP listener', status: 501, contains: 'TCP' }),
    bad({ action: undefined }, 'no action', 'action'),
    bad({ action: 'DROP' }, 'unknown action', 'Value should be one of:'),
    bad({ action: 'REDIRECT_TO_URL' }, 'no URL', 'redirect_url'),
    bad({ action: 'REDIRECT_TO_POOL' }, 'no pool', 'redirect_pool_id'),
    bad({ action: 'REDIRECT_PREFIX' }, 'no prefix', 'redirect_prefix'),
    ...[
      'ftp://a/',
      'a.example',
      '/x',
      'http://',
      'http:///x',
      'http://a/b c',
      'http://a/\n',
      'http://[a/',
    ].map(redirect_url =>
      bad({ ...toUrl, redirect_url }, `URL ${JSON.stringify(redirect_url)}`, 'redirect_url'),
    ),
    bad({ ...toUrl, redirect_http_code: 304 }, 'code 304', '301, 302, 303, 307, 308'),
    bad({ ...toPool, redirect_prefix: 'http://a' }, 'pool and prefix', 'together'),
    bad({ ...toPool, redirect_pool_id: '$tcpPool' }, 'TCP pool', 'its protocol is TCP'),
    create(
      { ...toPool, redirect_pool_id: '$otherPool' },
      { name: "another load balancer's pool", status: 404 },
    ),
    bad({ position: 0 }, 'position 0', 'position'),
    bad({ rules: [{}] }, 'rules', 'rules'),
    create(
      {},
      { name: 'listener that is being deleted', given: did('DELETE', '/listeners/$listener'), status: 409 },
    ),
    update({}, { name: 'nothing', status: 400 }),
    update({ action: null }, { name: 'null action', status: 400, contains: 'action' }),
    update(
      { listener_id: '$listener' },
      { name: 'listener', status: 400, contains: 'It cannot be changed.' },
    ),
    update(
      { redirect_url: null },
      {
        name: 'without the URL it needs',
        given: did('PUT', '/l7policies/$policy', { l7policy: toUrl }),
        status: 400,
      },
    ),
    {
      name: 'a pool that a policy redirects to',
      given: did('PUT', '/l7policies/$policy', { l7policy: toPool }),
      method: 'DELETE',
      path: '/pools/$pool',
      status: 409,
      contains: 'is in use by L7 Policy',
    },
  ]);
});

describe('a policy is', () => {
  const holds = (l7policy: object, status = 201) => ({ status, contains: { l7policy } });
  accepted([
    create(
      { description: null },
      {
        name: 'created',
        ...holds({
          ...{ action: 'REJECT', redirect_pool_id: null, redirect_url: null, redirect_prefix: null },
          ...{ redirect_http_code: null, position: 2, rules: [], description: '' },
          ...{ provisioning_status: 'PENDING_CREATE', operating_status: 'OFFLINE' },
        }),
      },
    ),
    create(
      { redirect_http_code: '301' },
      { name: 'REJECT with a code', ...holds({ redirect_http_code: 301 }) },
    ),
    create(
      { ...toUrl, ...toPool, action: 'REDIRECT_TO_URL' },
      { name: 'to a URL', ...holds({ ...toUrl, redirect_http_code: 302, redirect_pool_id: null }) },
    ),
    create(
      { ...toUrl, ...toPool, redirect_http_code: 301 },
      {
        name: 'to a pool',
        ...holds({ action: 'REDIRECT_TO_POOL', redirect_url: null, redirect_http_code: null }),
      },
    ),
    create(
      { redirect_prefix: 'http://a' },
      {
        name: 'REJECT with a prefix',
        ...holds({ action: 'REDIRECT_PREFIX', redirect_prefix: 'http://a', redirect_http_code: 302 }),
      },
    ),
    create(
      { ...toUrl, redirect_prefix: 'http://a' },
      { name: 'URL before prefix', ...holds({ ...toUrl, redirect_prefix: null }) },
    ),
    create({ position: 1 }, { name: 'first', ...holds({ position: 1 }) }),
    create({ position: 2_147_483_647 }, { name: 'last', ...holds({ position: 2 }) }),
    update(
      { redirect_url: 'HTTP://a' },
      { name: 'switched by its URL', ...holds({ action: 'REDIRECT_TO_URL', redirect_http_code: 302 }, 200) },
    ),
    update(
      { redirect_http_code: null, position: null },
      { name: 'kept in its place', ...holds({ position: 1 }, 200) },
    ),
    update(
      { name: null, admin_state_up: false },
      { name: 'renamed', ...holds({ name: '', admin_state_up: false }, 200) },
    ),
    {
      name: 'shown on its listener',
      method: 'GET',
      path: '/listeners/$listener?fields=l7policies',
      status: 200,
      contains: '{"listener":{"l7policies":[{"id":"',
    },
    {
      name: 'listed by its action and position',
      method: 'GET',
      path: '/l7policies?action=REJECT&position=1&fields=name',
      status: 200,
      contains: { l7policies: [{ name: 'policy' }], l7policies_links: [] },
    },
    { name: 'deleted', method: 'DELETE', path: '/l7policies/$policy', status: 204 },
  ]);
});

describe('positions', () => {
  const order = async (world: World) => {
    const { body } = await send(world, { method: 'GET', path: '/l7policies?sort=position' });
    const policies: { name: string; position: number }[] = body.l7policies;
    expect(policies.map(policy => policy.position)).toEqual(policies.map((_, i) => i + 1));
    return policies.map(policy => policy.name).join('');
  };
  const add = (world: World, name: string, position?: number) =>
    send(world, create({ name, position }, { name: '', status: 201 }));
  const setPosition = (id: string, position: number) =>
    did('PUT', `/l7policies/${id}`, { l7policy: { position } });

  test('stay 1 to n while policies come, move and go', async () => {
    await using world = await givenWorld();
    await did('PUT', '/l7policies/$policy', { l7policy: { name: 'a' } })(world);
    await add(world, 'b');
    await add(world, 'c');
    expect(await order(world)).toBe('abc');
    const first = (await add(world, 'd', 1)).body.l7policy.id;
    await add(world, 'e', 3);
    expect(await order(world)).toBe('daebc');
    await setPosition(first, 4)(world);
    expect(await order(world)).toBe('aebdc');
    await setPosition(first, 2)(world);
    expect(await order(world)).toBe('adebc');
    await setPosition(first, 99)(world);
    expect(await order(world)).toBe('aebcd');
    await world.settle();
    await setPosition(first, 1)(world);
    const { body } = await send(world, { method: 'GET', path: '/l7policies/$policy' });
    // Only the one that was moved is written.
    expect(body.l7policy).toMatchObject({ position: 2, provisioning_status: 'ACTIVE' });
  });

  test('are closed up when a deletion is done, not before', async () => {
    await using world = await givenWorld();
    await did('PUT', '/l7policies/$policy', { l7policy: { name: 'a' } })(world);
    for (const name of ['b', 'c']) await add(world, name);
    await did('DELETE', '/l7policies/$policy')(world);
    expect(await order(world)).toBe('abc');
    await add(world, 'd');
    await world.settle();
    expect(await order(world)).toBe('bcd');
  });
});

describe('what a policy is part of', () => {
  const statusOf = async (world: World, path: string) =>
    (Object.values((await send(world, { method: 'GET', path })).body)[0] as { provisioning_status: string })
      .provisioning_status;
  const poolsShown = async (world: World) => {
    const { body } = await send(world, { method: 'GET', path: '/loadbalancers/$lb/status' });
    return body.statuses.loadbalancer.listeners[0].pools.map((pool: { name: string }) => pool.name);
  };

  test('a change of the pool that it redirects to touches its listener, if the policy is enabled and has a rule', async () => {
    await using world = await givenWorld();
    const far = await world.create('/pools', {
      pool: { loadbalancer_id: world.ids.lb, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', name: 'far' },
    });
    const change = did('PUT', `/pools/${far.id}`, { pool: { name: 'far' } });
    await did('PUT', '/l7policies/$policy', { l7policy: { ...toPool, redirect_pool_id: far.id } })(world);
    await world.settle();
    await change(world);
    expect(await statusOf(world, '/listeners/$listener')).toBe('PENDING_UPDATE');
    expect(await poolsShown(world)).toEqual(['HTTP pool', 'far']);
    await did('DELETE', '/l7policies/$policy/rules/$rule')(world);
    await world.settle();
    await change(world);
    expect(await statusOf(world, '/listeners/$listener')).toBe('ACTIVE');
    expect(await poolsShown(world)).toEqual(['HTTP pool']);
  });

  test('it becomes ACTIVE, and ONLINE or OFFLINE by its switch, and goes with its listener and its rules', async () => {
    await using world = await givenWorld();
    await add(world);
    await world.settle();
    const { body } = await send(world, { method: 'GET', path: '/l7policies?sort=position' });
    expect(body.l7policies).toMatchObject([
      { provisioning_status: 'ACTIVE', operating_status: 'ONLINE' },
      { provisioning_status: 'ACTIVE', operating_status: 'OFFLINE' },
    ]);
    await did('DELETE', '/listeners/$listener')(world);
    expect(await statusOf(world, '/l7policies/$policy')).toBe('PENDING_DELETE');
    expect(await statusOf(world, '/l7policies/$policy/rules/$rule')).toBe('PENDING_DELETE');
    await world.settle();
    for (const path of ['/l7policies/$policy', '/l7policies/$policy/rules', '/listeners/$listener'])
      expect(await send(world, { method: 'GET', path })).toMatchObject({ status: 404 });
    expect(await world.db.selectFrom('l7rule').selectAll().execute()).toEqual([]);
  });
  const add = (world: World) => send(world, create({ admin_state_up: false }, { name: '', status: 201 }));
});
