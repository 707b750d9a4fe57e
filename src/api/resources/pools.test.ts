import { describe, expect, test } from 'vitest';
import { accepted, did, givenWorld, refused, type Scenario, send } from '../testing-scenarios.ts';

type Rest = Omit<Scenario, 'method' | 'path' | 'body'>;
const create = (set: object, rest: Rest): Scenario => ({
  method: 'POST',
  path: '/pools',
  body: { pool: { loadbalancer_id: '$lb', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', ...set } },
  ...rest,
});
const update = (set: object, rest: Rest, of = '$pool'): Scenario => ({
  method: 'PUT',
  path: `/pools/${of}`,
  body: { pool: set },
  ...rest,
});
const persistence = (session_persistence: unknown, rest: Rest) => create({ session_persistence }, rest);
const APP = { type: 'APP_COOKIE', cookie_name: 'sid' };

describe('a pool is refused', () => {
  refused([
    create(
      { loadbalancer_id: undefined },
      { name: 'without a parent', status: 400, contains: 'loadbalancer_id or listener_id' },
    ),
    create(
      { loadbalancer_id: 'ffffffff-0000-4000-8000-000000000000' },
      { name: 'unknown load balancer', status: 404 },
    ),
    create(
      { loadbalancer_id: null, listener_id: 'ffffffff-0000-4000-8000-000000000000' },
      { name: 'unknown listener', status: 404 },
    ),
    create({ listener_id: '$otherListener' }, { name: 'listener of another load balancer', status: 404 }),
    create(
      { listener_id: '$listener' },
      { name: 'listener that has a pool', status: 409, contains: 'default pool' },
    ),
    create(
      { listener_id: '$tcpListener', loadbalancer_id: null, protocol: 'UDP' },
      { name: 'listener of another protocol', status: 400, contains: 'protocol' },
    ),
    create({ protocol: null }, { name: 'null protocol', status: 400, contains: 'protocol' }),
    create(
      { protocol: 'TERMINATED_HTTPS' },
      { name: 'protocol of listeners', status: 400, contains: 'Value should be one of:' },
    ),
    create({ lb_algorithm: 'RANDOM' }, { name: 'unknown algorithm', status: 400, contains: 'lb_algorithm' }),
    create(
      { lb_algorithm: undefined },
      { name: 'no algorithm', status: 400, contains: 'Mandatory field missing.' },
    ),
    create(
      { lb_algorithm: 'SOURCE_IP_PORT' },
      { name: 'algorithm that haproxy does not have', status: 501, contains: 'SOURCE_IP_PORT' },
    ),
    create({ protocol: 'SCTP' }, { name: 'a protocol that the provider does not serve', status: 501 }),
    create(
      { tls_enabled: true },
      { name: 'TLS to members, not served yet', status: 501, contains: 'tls_enabled' },
    ),
    create(
      { crl_container_ref: 'crl' },
      { name: 'CRL without a CA', status: 400, contains: 'crl_container_ref' },
    ),
    create({ members: [{}] }, { name: 'members inside', status: 400, contains: 'members' }),
    create({ healthmonitor: {} }, { name: 'a monitor inside', status: 400, contains: 'healthmonitor' }),
    persistence(
      {},
      { name: 'persistence without a type', status: 400, contains: 'session_persistence.type' },
    ),
    persistence('SOURCE_IP', {
      name: 'persistence as a string',
      status: 400,
      contains: 'session_persistence',
    }),
    persistence(
      { type: 'APP_COOKIE' },
      { name: 'APP_COOKIE without a name', status: 400, contains: 'cookie_name' },
    ),
    persistence({ type: 'SOURCE_IP', cookie_name: 'x' }, { name: 'cookie of SOURCE_IP', status: 400 }),
    persistence(
      { type: 'APP_COOKIE', cookie_name: 'a b' },
      { name: 'cookie name with a space', status: 400, contains: 'session_persistence.cookie_name' },
    ),
    persistence(
      { type: 'SOURCE_IP', persistence_timeout: '5' },
      { name: 'persistence timeout on HTTP', status: 400, contains: 'persistence_timeout' },
    ),
    persistence(
      { type: 'SOURCE_IP', colour: 'red' },
      { name: 'unknown attribute inside', status: 400, contains: 'session_persistence.colour' },
    ),
    create(
      { protocol: 'UDP', session_persistence: { type: 'HTTP_COOKIE' } },
      { name: 'cookies on UDP', status: 400 },
    ),
    create(
      { protocol: 'UDP', session_persistence: { type: 'SOURCE_IP', persistence_granularity: '255.0.255.0' } },
      { name: 'granularity that is no mask', status: 400, contains: 'persistence_granularity' },
    ),
    update({ lb_algorithm: null }, { name: 'null algorithm', status: 400, contains: 'lb_algorithm' }),
    update({ lb_algorithm: 'SOURCE_IP_PORT' }, { name: 'algorithm that haproxy does not have', status: 501 }),
    update({ protocol: 'HTTP' }, { name: 'protocol', status: 400, contains: 'It cannot be changed.' }),
    update({ session_persistence: {} }, { name: 'empty persistence without a stored one', status: 400 }),
    update(
      { session_persistence: { type: 'APP_COOKIE' } },
      { name: 'APP_COOKIE without a name', status: 400 },
    ),
    update({ crl_container_ref: 'crl' }, { name: 'CRL without a CA', status: 400 }),
    update({ tls_versions: [] }, { name: 'no TLS version', status: 400 }),
    update(
      { name: 'n' },
      { name: 'pool that is being deleted', given: did('DELETE', '/pools/$pool'), status: 409 },
    ),
    {
      name: 'pool that is being deleted',
      given: did('DELETE', '/pools/$pool'),
      method: 'DELETE',
      path: '/pools/$pool',
      status: 409,
    },
    { name: 'unknown pool', method: 'DELETE', path: '/pools/nope', status: 404 },
  ]);
});

describe('a pool is', () => {
  accepted([
    create(
      {},
      {
        name: 'created',
        status: 201,
        contains: {
          pool: {
            provisioning_status: 'PENDING_CREATE',
            session_persistence: null,
            listeners: [],
            members: [],
            tls_enabled: false,
            tls_versions: null,
          },
        },
      },
    ),
    create(
      { session_persistence: { ...APP, persistence_timeout: null } },
      {
        name: 'created with a cookie',
        status: 201,
        contains: {
          pool: { session_persistence: { ...APP, persistence_timeout: null, persistence_granularity: null } },
        },
      },
    ),
    create(
      { listener_id: '$tcpListener', protocol: 'TCP' },
      { name: 'created as the default of a listener', status: 201, contains: '"listeners":[{"id"' },
    ),
    create(
      { listener_id: '$listener' },
      {
        name: 'created for a listener whose pool is being deleted',
        given: did('DELETE', '/pools/$pool'),
        status: 201,
      },
    ),
    update(
      { session_persistence: { type: 'HTTP_COOKIE' }, name: null, tls_enabled: null },
      {
        name: 'updated',
        status: 200,
        contains: {
          pool: {
            provisioning_status: 'PENDING_UPDATE',
            name: '',
            session_persistence: { type: 'HTTP_COOKIE' },
            tls_enabled: false,
          },
        },
      },
    ),
    update(
      { session_persistence: { cookie_name: 'b' } },
      {
        name: 'updated, type inherited',
        given: did('PUT', '/pools/$pool', { pool: { session_persistence: APP } }),
        status: 200,
        contains: { pool: { session_persistence: { type: 'APP_COOKIE', cookie_name: 'b' } } },
      },
    ),
    update(
      { session_persistence: {} },
      {
        name: 'updated, empty persistence keeps it',
        given: did('PUT', '/pools/$pool', { pool: { session_persistence: APP } }),
        status: 200,
        contains: { pool: { session_persistence: APP } },
      },
    ),
    update(
      { session_persistence: null },
      {
        name: 'updated, null persistence removes it',
        given: did('PUT', '/pools/$pool', { pool: { session_persistence: APP } }),
        status: 200,
        contains: { pool: { session_persistence: null } },
      },
    ),
    update(
      { alpn_protocols: null, tls_ciphers: null },
      { name: 'updated, ALPN stays null', status: 200, contains: { pool: { alpn_protocols: null } } },
    ),
    { name: 'shown', method: 'GET', path: '/pools/$pool', status: 200, contains: '"healthmonitor_id":"' },
    { name: 'deleted', method: 'DELETE', path: '/pools/$pool', status: 204 },
  ]);

  test('shown without the key healthmonitor_id when it has no monitor', async () => {
    await using world = await givenWorld();
    const { body } = await send(world, { method: 'GET', path: '/pools/$tcpPool' });
    expect(body.pool).not.toHaveProperty('healthmonitor_id');
    expect(body.pool.members).toEqual([{ id: world.ids.tcpMember }]);
  });
});
