/** What old clients see of the objects, and how they are refused: one world for all of it. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeRow } from '../../db/rows.ts';
import type { Amphora } from '../../model/amphora.ts';
import { buildGraph } from '../../model/graph.fixture.ts';
import { NOWHERE, PROJECT, SUBNET } from '../testing.ts';
import { fill, givenOldWorld, type OldWorld } from './testing.ts';

const id = expect.any(String);
const owner = { tenant_id: PROJECT, project_id: PROJECT };

describe('one of everything', () => {
  let world: OldWorld;
  let all: Awaited<ReturnType<typeof fill>>;
  beforeAll(async () => {
    world = await givenOldWorld();
    all = await fill(world);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const show = async (path: string) => Object.values((await world.send('GET', path)).body)[0];

  test('is shown with the attributes that Neutron showed, and no others', async () => {
    const { lb, listener, pool, member, monitor, policy, rule } = all;
    expect(await show(`loadbalancers/${lb.id}`)).toEqual({
      ...{ id: lb.id, name: 'lb', description: '', admin_state_up: true, ...owner },
      ...{ vip_subnet_id: SUBNET, vip_address: id, vip_port_id: id, provider: 'amphora' },
      ...{ provisioning_status: 'ACTIVE', operating_status: 'OFFLINE' },
      ...{ listeners: [{ id: listener.id }], pools: [{ id: pool.id }] },
    });
    expect(await show(`listeners/${listener.id}`)).toEqual({
      ...{ id: listener.id, name: '', description: '', admin_state_up: true, ...owner },
      ...{ loadbalancers: [{ id: lb.id }], protocol: 'HTTP', protocol_port: 80 },
      ...{ default_pool_id: pool.id, connection_limit: -1 },
      ...{ default_tls_container_ref: null, sni_container_refs: [] },
    });
    expect(await show(`pools/${pool.id}`)).toEqual({
      ...{ id: pool.id, name: '', description: '', admin_state_up: true, ...owner },
      ...{ protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
      session_persistence: { type: 'HTTP_COOKIE', cookie_name: null },
      ...{ members: [{ id: member.id }], healthmonitor_id: monitor.id },
      ...{ listeners: [{ id: listener.id }], loadbalancers: [{ id: lb.id }] },
    });
    expect(await show(`pools/${pool.id}/members/${member.id}`)).toEqual({
      ...{ id: member.id, name: 'm', admin_state_up: true, ...owner },
      ...{ address: '10.1.0.5', protocol_port: 8080, subnet_id: SUBNET, weight: 0 },
    });
    expect(await show(`healthmonitors/${monitor.id}`)).toEqual({
      ...{ id: monitor.id, name: '', admin_state_up: true, ...owner, pools: [{ id: pool.id }] },
      ...{ type: 'HTTP', delay: 5, timeout: 3, max_retries: 2, max_retries_down: 3 },
      ...{ http_method: 'GET', url_path: '/', expected_codes: '200' },
    });
    expect(await show(`l7policies/${policy.id}`)).toEqual({
      ...{ id: policy.id, name: '', description: '', admin_state_up: true, ...owner },
      ...{ listener_id: listener.id, action: 'REDIRECT_TO_POOL', redirect_pool_id: pool.id },
      ...{ position: 1, rules: [{ id: rule.id }] },
    });
    expect(await show(`l7policies/${policy.id}/rules/${rule.id}`)).toEqual({
      ...{ id: rule.id, admin_state_up: true, ...owner, invert: false },
      ...{ type: 'PATH', compare_type: 'STARTS_WITH', key: null, value: '/a' },
    });
  });

  test('has statistics, providers, and an agent only while an amphora serves it', async () => {
    const { lb } = all;
    expect(await show(`loadbalancers/${lb.id}/stats`)).toEqual({
      ...{ bytes_in: 0, bytes_out: 0, active_connections: 0, total_connections: 0 },
    });
    const { body } = await world.send('GET', '/service-providers?default=True&fields=name');
    expect(body).toEqual({ service_providers: [{ name: 'amphora' }] });
    const path = `loadbalancers/${lb.id}/loadbalancer-hosting-agent`;
    expect(await world.send('GET', path)).toMatchObject({
      ...{ status: 404, body: { NeutronError: { message: expect.stringContaining('no amphora') } } },
    });
    expect(await show(`/agents/${randomUUID()}/agent-loadbalancers`)).toEqual([]);
    const [amphora] = buildGraph({ amphorae: [{ loadbalancer_id: lb.id }] }).amphorae as [Amphora];
    await world.api.db.insertInto('amphora').values(encodeRow('amphora', amphora)).execute();
    expect(await show(path)).toMatchObject({ id: amphora.id, host: `amphora-${amphora.id}`, alive: true });
    expect(await show(`/agents/${amphora.id}/agent-loadbalancers`)).toMatchObject([{ id: lb.id }]);
  });

  test.each<
    [what: string, method: string, path: string, body: object | undefined, status: number, type: string]
  >([
    ['unknown attribute', 'POST', 'pools', { pool: { color: 1 } }, 400, 'HTTPBadRequest'],
    [
      "Octavia's attribute",
      'PUT',
      'listeners/$listener',
      { listener: { timeout_client_data: 1 } },
      400,
      'HTTPBadRequest',
    ],
    [
      'read-only attribute',
      'PUT',
      'listeners/$listener',
      { listener: { protocol: 'TCP' } },
      400,
      'HTTPBadRequest',
    ],
    ['absent attribute', 'POST', 'pools', { pool: { loadbalancer_id: '$lb' } }, 400, 'HTTPBadRequest'],
    ['no body', 'POST', 'pools', undefined, 400, 'HTTPBadRequest'],
    ['no object', 'POST', 'pools', { pool: 3 }, 400, 'HTTPBadRequest'],
    ["Octavia's word", 'POST', 'pools', { pool: { protocol: 'UDP' } }, 400, 'HTTPBadRequest'],
    [
      'no place for the VIP',
      'POST',
      'loadbalancers',
      { loadbalancer: {} },
      400,
      'RequiredAttributeNotSpecified',
    ],
    [
      'unknown provider',
      'POST',
      'loadbalancers',
      { loadbalancer: { vip_subnet_id: SUBNET, provider: 'f5' } },
      400,
      'ServiceProviderNotFound',
    ],
    [
      'flavor and provider',
      'POST',
      'loadbalancers',
      { loadbalancer: { vip_subnet_id: SUBNET, provider: 'amphora', flavor_id: SUBNET } },
      409,
      'ProviderFlavorConflict',
    ],
    ['load balancer with children', 'DELETE', 'loadbalancers/$lb', undefined, 409, 'EntityInUse'],
    ['unknown load balancer', 'GET', `loadbalancers/${NOWHERE}`, undefined, 404, 'EntityNotFound'],
    [
      'listener of nobody',
      'POST',
      'listeners',
      { listener: { protocol: 'HTTP', protocol_port: 81 } },
      400,
      'ListenerMustHaveLoadbalancer',
    ],
    [
      'port in use',
      'POST',
      'listeners',
      { listener: { loadbalancer_id: '$lb', protocol: 'TCP', protocol_port: 80 } },
      409,
      'LoadBalancerListenerProtocolPortExists',
    ],
    [
      'unfit pool',
      'POST',
      'listeners',
      { listener: { default_pool_id: '$pool', protocol: 'TCP', protocol_port: 81 } },
      409,
      'ListenerPoolProtocolMismatch',
    ],
    [
      "another's pool",
      'POST',
      'listeners',
      {
        listener: { loadbalancer_id: NOWHERE, default_pool_id: '$pool', protocol: 'HTTP', protocol_port: 81 },
      },
      400,
      'ListenerAndPoolMustBeOnSameLoadbalancer',
    ],
    [
      'unknown pool',
      'PUT',
      'listeners/$listener',
      { listener: { default_pool_id: NOWHERE } },
      404,
      'EntityNotFound',
    ],
    [
      'no certificate',
      'POST',
      'listeners',
      {
        listener: {
          loadbalancer_id: '$lb',
          protocol: 'TERMINATED_HTTPS',
          protocol_port: 443,
          sni_container_refs: ['x'],
        },
      },
      400,
      'TLSDefaultContainerNotSpecified',
    ],
    ['listener with policies', 'DELETE', 'listeners/$listener', undefined, 409, 'EntityInUse'],
    [
      'pool of nobody',
      'POST',
      'pools',
      { pool: { protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' } },
      400,
      'PoolMustHaveLoadbalancer',
    ],
    [
      'second default pool',
      'POST',
      'pools',
      { pool: { listener_id: '$listener', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' } },
      409,
      'ListenerDefaultPoolAlreadySet',
    ],
    [
      'unfit listener',
      'POST',
      'pools',
      { pool: { listener_id: '$listener', protocol: 'TCP', lb_algorithm: 'ROUND_ROBIN' } },
      409,
      'ListenerPoolProtocolMismatch',
    ],
    [
      'cookie without a name',
      'PUT',
      'pools/$pool',
      { pool: { session_persistence: { type: 'APP_COOKIE' } } },
      400,
      'SessionPersistenceConfigurationInvalid',
    ],
    ['pool with a monitor', 'DELETE', 'pools/$pool', undefined, 409, 'EntityInUse'],
    [
      'second monitor',
      'POST',
      'healthmonitors',
      { healthmonitor: { pool_id: '$pool', type: 'TCP', delay: 1, timeout: 1, max_retries: 1 } },
      409,
      'OneHealthMonitorPerPool',
    ],
    [
      'member without a subnet',
      'POST',
      'pools/$pool/members',
      { member: { address: '10.1.0.9', protocol_port: 1, subnet_id: null } },
      400,
      'HTTPBadRequest',
    ],
    [
      'unknown subnet',
      'POST',
      'pools/$pool/members',
      { member: { address: '10.1.0.9', protocol_port: 1, subnet_id: NOWHERE } },
      404,
      'EntityNotFound',
    ],
    [
      'member twice',
      'POST',
      'pools/$pool/members',
      { member: { address: '10.1.0.5', protocol_port: 8080, subnet_id: SUBNET } },
      409,
      'MemberExists',
    ],
    [
      'unknown member',
      'PUT',
      `pools/$pool/members/${NOWHERE}`,
      { member: { weight: 1 } },
      404,
      'MemberNotFoundForPool',
    ],
    [
      'member of an unknown pool',
      'GET',
      `pools/${NOWHERE}/members/$member`,
      undefined,
      404,
      'EntityNotFound',
    ],
    [
      'no pool to redirect to',
      'POST',
      'l7policies',
      { l7policy: { listener_id: '$listener', action: 'REDIRECT_TO_POOL' } },
      409,
      'L7PolicyRedirectPoolIdMissing',
    ],
    [
      'no URL to redirect to',
      'POST',
      'l7policies',
      { l7policy: { listener_id: '$listener', action: 'REDIRECT_TO_URL' } },
      409,
      'L7PolicyRedirectUrlMissing',
    ],
    [
      'rule without a key',
      'POST',
      'l7policies/$policy/rules',
      { rule: { type: 'HEADER', compare_type: 'EQUAL_TO', value: 'x' } },
      404,
      'L7RuleKeyMissing',
    ],
    [
      'key with a space',
      'POST',
      'l7policies/$policy/rules',
      { rule: { type: 'HEADER', compare_type: 'EQUAL_TO', key: 'a b', value: 'x' } },
      400,
      'L7RuleInvalidKey',
    ],
    [
      'value of no header',
      'POST',
      'l7policies/$policy/rules',
      { rule: { type: 'HEADER', compare_type: 'EQUAL_TO', key: 'a', value: 'x y' } },
      400,
      'L7RuleInvalidHeaderValue',
    ],
    [
      'value of no cookie',
      'POST',
      'l7policies/$policy/rules',
      { rule: { type: 'COOKIE', compare_type: 'EQUAL_TO', key: 'a', value: 'x;y' } },
      400,
      'L7RuleInvalidCookieValue',
    ],
    [
      'broken expression',
      'POST',
      'l7policies/$policy/rules',
      { rule: { type: 'PATH', compare_type: 'REGEX', value: '(' } },
      400,
      'L7RuleInvalidRegex',
    ],
    [
      'comparison of file types',
      'POST',
      'l7policies/$policy/rules',
      { rule: { type: 'FILE_TYPE', compare_type: 'CONTAINS', value: 'x' } },
      400,
      'L7RuleUnsupportedCompareType',
    ],
    ['unknown rule', 'GET', `l7policies/$policy/rules/${NOWHERE}`, undefined, 404, 'RuleNotFoundForL7Policy'],
    ['unknown path', 'GET', 'vips', undefined, 404, 'EntityNotFound'],
  ])('is refused: %s', async (_what, method, path, body, status, type) => {
    const named = (text: string) => text.replace(/\$(\w+)/g, (_, name: keyof typeof all) => all[name].id);
    const sent = body && JSON.parse(named(JSON.stringify(body)));
    const answer = await world.send(method, named(path), sent);
    expect(answer).toMatchObject({ status, body: { NeutronError: { type, message: id, detail: '' } } });
    expect(answer.headers['x-openstack-request-id']).toMatch(/^req-/);
  });
});
