/** What old clients do: changes, lists, many at once, whole graphs; each on a world of its own. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Fault } from '../../lib/errors.ts';
import { NETWORK, NOWHERE, PROJECT, SUBNET } from '../testing.ts';
import { fill, givenOldWorld, type OldWorld } from './testing.ts';

let world: OldWorld;
beforeEach(async () => {
  world = await givenOldWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

const put = async (path: string, body: object) => {
  const { status, body: answer } = await world.send('PUT', path, body);
  expect(status, JSON.stringify(answer)).toBe(200);
  return Object.values(answer)[0];
};
const list = async (path: string) => (await world.send('GET', path)).body;
const givenLb = (set: object = {}) =>
  world.create('loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET, ...set } });

test('the words of old clients are understood, and nothing that is zero, empty or null is lost', async () => {
  const { lb, listener, pool, member, monitor, rule, policy } = await fill(world);
  expect(
    await put(`loadbalancers/${lb.id}`, { loadbalancer: { admin_state_up: 'False', name: '' } }),
  ).toMatchObject({
    ...{ admin_state_up: false, name: '', provisioning_status: 'PENDING_UPDATE' },
  });
  const memberPath = `pools/${pool.id}/members/${member.id}`;
  expect(await put(memberPath, { member: { weight: 7 } })).toMatchObject({ weight: 7 });
  expect(await put(memberPath, { member: { weight: '0' } })).toMatchObject({ weight: 0 });
  expect(await put(`pools/${pool.id}`, { pool: { session_persistence: {} } })).toMatchObject({
    session_persistence: null,
  });
  expect(await put(`listeners/${listener.id}`, { listener: { default_pool_id: null } })).toMatchObject({
    default_pool_id: null,
  });
  expect(
    await put(`l7policies/${policy.id}/rules/${rule.id}`, { rule: { invert: false, value: '/b' } }),
  ).toMatchObject({ invert: false, value: '/b' });
  expect(await put(`healthmonitors/${monitor.id}`, { healthmonitor: { delay: '0' } })).toMatchObject({
    delay: 0,
  });
});

test('a monitor without HTTP takes the attributes of HTTP and does not show them', async () => {
  const lb = await givenLb();
  const pool = await world.create('pools', {
    pool: { loadbalancer_id: lb.id, protocol: 'TCP', lb_algorithm: 'SOURCE_IP' },
  });
  const monitor = await world.create('healthmonitors', {
    healthmonitor: { pool_id: pool.id, type: 'TCP', delay: 1, timeout: 1, max_retries: 1, url_path: '/x' },
  });
  expect(monitor).not.toHaveProperty('url_path');
  const changed = await put(`healthmonitors/${monitor.id}`, {
    healthmonitor: { url_path: '/y', timeout: 2 },
  });
  expect(changed).toMatchObject({ type: 'TCP', timeout: 2 });
  expect(changed).not.toHaveProperty('url_path');
});

test('a listener finds its load balancer by its default pool, and a VIP its subnet by its network', async () => {
  const lb = await givenLb({ vip_subnet_id: undefined, vip_network_id: NETWORK, provider: 'haproxy' });
  expect(lb).toMatchObject({ vip_subnet_id: SUBNET, provider: 'amphora' });
  expect(lb).not.toHaveProperty('vip_network_id');
  const pool = await world.create('pools', {
    pool: { loadbalancer_id: lb.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
  });
  const listener = await world.create('listeners', {
    listener: { default_pool_id: pool.id, protocol: 'HTTP', protocol_port: 80 },
  });
  expect(listener).toMatchObject({ loadbalancers: [{ id: lb.id }], default_pool_id: pool.id });
});

test('a load balancer in ERROR may be changed', async () => {
  const { lb, listener } = await fill(world);
  await world.api.db.updateTable('load_balancer').set({ provisioning_status: 'ERROR' }).execute();
  await put(`listeners/${listener.id}`, { listener: { name: 'new' } });
  expect(await list(`loadbalancers/${lb.id}`)).toMatchObject({
    loadbalancer: { provisioning_status: 'PENDING_UPDATE' },
  });
});

test("Octavia's strict rule refuses while work is pending, and one of a bulk that fails takes the others with it", async () => {
  const lb = await givenLb();
  const listener = (protocol_port: unknown) => ({ loadbalancer_id: lb.id, protocol: 'TCP', protocol_port });
  const { status } = await world.send('POST', 'listeners', { listeners: [listener(1), listener('x')] });
  expect(status).toBe(400);
  await world.api.settle();
  expect(await list('listeners')).toEqual({ listeners: [] });
  const made = await world.send('POST', 'listeners', { listeners: [listener(1), listener(2)] });
  expect(made).toMatchObject({
    status: 201,
    body: { listeners: [{ protocol_port: 1 }, { protocol_port: 2 }] },
  });

  await using strict = await givenOldWorld({ settings: { strict_immutability: true } });
  const pending = await strict.create('loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } });
  expect(await strict.send('DELETE', `loadbalancers/${pending.id}`)).toMatchObject({
    ...{ status: 409, body: { NeutronError: { type: 'StateInvalid' } } },
  });
});

test('quotas hold, and flavors can be named', async () => {
  const { api, send } = world;
  const created = (path: string, body: Record<string, unknown>) => api.create(path, body);
  const profile = { name: 'p', provider_name: 'amphora', flavor_data: '{"loadbalancer_topology": "SINGLE"}' };
  const { id: flavor_profile_id } = await created('/flavorprofiles', { flavorprofile: profile });
  const flavor = await created('/flavors', { flavor: { name: 'small', flavor_profile_id, enabled: true } });
  expect((await send('GET', '/flavors?name=small&fields=id')).body).toEqual({ flavors: [{ id: flavor.id }] });
  expect((await send('GET', `/flavors/${flavor.id}`)).body.flavor).toMatchObject({
    service_type: 'LOADBALANCERV2',
  });
  expect(await givenLb({ flavor_id: flavor.id })).toMatchObject({
    flavor_id: flavor.id,
    provider: 'amphora',
  });
  expect(await givenLb({ flavor_id: null })).not.toHaveProperty('flavor_id');
  await api.request('PUT', `/quotas/${PROJECT}`, { quota: { loadbalancer: 2 } });
  expect(await send('POST', 'loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } })).toMatchObject({
    ...{ status: 409, body: { NeutronError: { type: 'OverQuota' } } },
  });
});

test('a pool that policies use goes, and they reject instead', async () => {
  const { listener, pool, monitor, policy } = await fill(world);
  expect(await world.send('DELETE', `healthmonitors/${monitor.id}`)).toMatchObject({
    status: 204,
    body: undefined,
  });
  expect(await world.send('DELETE', `pools/${pool.id}`)).toMatchObject({ status: 204 });
  await world.api.settle();
  expect(await list('pools')).toEqual({ pools: [] });
  expect(await list(`l7policies/${policy.id}`)).toMatchObject({
    l7policy: { action: 'REJECT', redirect_pool_id: null, redirect_url: null },
  });
  expect(await list(`listeners/${listener.id}`)).toMatchObject({ listener: { default_pool_id: null } });
});

test('lists are filtered, sorted, cut into pages and reduced to fields as Neutron did it', async () => {
  const lbs = [];
  for (const name of ['a', 'b', 'c']) lbs.push(await givenLb({ name, tenant_id: `tenant-${name}` }));
  const names = async (query: string) => {
    const { loadbalancers, loadbalancers_links } = await list(`loadbalancers${query}`);
    return [loadbalancers.map((lb: { name: string }) => lb.name).join(''), loadbalancers_links];
  };
  expect(await names('')).toEqual(['abc', undefined]);
  expect(await names('.json?color=red&name=a&name=c')).toEqual(['ac', undefined]);
  expect(await names('?tenant_id=tenant-b')).toEqual(['b', undefined]);
  expect(await names('?tenant_id=tenant-b&project_id=tenant-c')).toEqual(['bc', undefined]);
  expect(await names('?admin_state_up=False')).toEqual(['', undefined]);
  expect(await names('?sort_key=tenant_id&sort_dir=desc')).toEqual(['cba', undefined]);
  expect(await list(`loadbalancers?id=${lbs[1].id}&fields=id&fields=tenant_id`)).toEqual({
    loadbalancers: [{ id: lbs[1].id, tenant_id: 'tenant-b' }],
  });
  const [page, links] = await names('?limit=2');
  expect(page).toBe('ab');
  expect(links).toMatchObject([
    { rel: 'next', href: expect.stringContaining('/network/v2.0/lbaas/loadbalancers?') },
  ]);
  expect(await names(`?limit=2&marker=${lbs[1].id}`)).toMatchObject(['c', [{ rel: 'previous' }]]);
  expect(await names(`?limit=1&marker=${lbs[2].id}&page_reverse=true`)).toMatchObject(['b', [{}, {}]]);
});

test('members and rules are listed with what the path says already as a filter', async () => {
  const { pool, member, policy, rule } = await fill(world);
  expect(await list(`pools/${pool.id}/members?pool_id=${pool.id}&fields=id`)).toEqual({
    members: [{ id: member.id }],
  });
  expect(
    await list(`l7policies/${policy.id}/rules?l7policy_id=${policy.id}&id=${rule.id}&fields=id`),
  ).toEqual({
    rules: [{ id: rule.id }],
  });
});

test('a graph is created in one call and shown whole, its parts inside each other', async () => {
  const pool = { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', tenant_id: 'x' };
  const member = { address: '10.1.0.5', protocol_port: '80', subnet_id: SUBNET, weight: 0 };
  const healthmonitor = { type: 'PING', delay: 1, timeout: 1, max_retries: 1, url_path: '/' };
  const rule = { type: 'PATH', compare_type: 'EQUAL_TO', value: '/a' };
  const policy = { action: 'REDIRECT_TO_POOL', redirect_pool: { ...pool, name: 'other' }, rules: [rule] };
  const listener = {
    ...{ protocol: 'HTTP', protocol_port: 80, admin_state_up: 'False' },
    ...{ default_pool: { ...pool, members: [member], healthmonitor }, l7policies: [policy] },
  };
  const loadbalancer = { name: 'whole', vip_subnet_id: SUBNET, listeners: [listener] };
  const { loadbalancer: shown } = await world.create('graphs', { graph: { loadbalancer } });
  expect(shown).toMatchObject({
    name: 'whole',
    listeners: [
      {
        ...{ protocol_port: 80, admin_state_up: false },
        default_pool: { members: [{ weight: 0 }], healthmonitor: { type: 'PING' } },
        l7policies: [{ redirect_pool: { name: 'other', healthmonitor: {} }, rules: [{ value: '/a' }] }],
      },
    ],
    pools: [{}, {}],
  });
  expect(shown.listeners[0]).not.toHaveProperty('timeout_client_data');
  expect(shown.listeners[0].default_pool.healthmonitor).not.toHaveProperty('url_path');
  expect((await list('pools')).pools).toHaveLength(2);

  const unfit = { ...listener, default_pool: { ...pool, protocol: 'TCP' } };
  const refused = await world.send('POST', 'graphs', {
    graph: { loadbalancer: { ...loadbalancer, listeners: [unfit] } },
  });
  expect(refused).toMatchObject({
    status: 409,
    body: { NeutronError: { type: 'ListenerPoolProtocolMismatch' } },
  });
});

test('others see nothing of it, and who has no token is told so as everywhere', async () => {
  let roles = ['admin'];
  let project_id = 'owner';
  const who = { user_id: 'u', domain_id: null, system_scope: null, is_admin: false };
  await using ruled = await givenOldWorld({
    authenticate: () => {
      if (roles.length === 0) throw new Fault('unauthorized', 'Who are you?');
      return { ...who, roles, project_id };
    },
  });
  const { lb } = await fill(ruled);
  [roles, project_id] = [['member', 'load-balancer_member'], 'stranger'];
  expect(await ruled.send('GET', 'loadbalancers')).toMatchObject({
    status: 200,
    body: { loadbalancers: [] },
  });
  expect(await ruled.send('GET', 'loadbalancers?tenant_id=owner')).toMatchObject({
    body: { loadbalancers: [] },
  });
  expect(await ruled.send('GET', `loadbalancers/${lb.id}/statuses`)).toMatchObject({
    ...{ status: 403, body: { NeutronError: { type: 'PolicyNotAuthorized' } } },
  });
  expect(await ruled.send('GET', `/agents/${NOWHERE}/agent-loadbalancers`)).toMatchObject({ status: 403 });
  roles = [];
  expect(await ruled.send('GET', 'loadbalancers')).toMatchObject({
    status: 401,
    body: { error: { code: 401 } },
  });
});
