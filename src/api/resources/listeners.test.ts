import { describe } from 'vitest';
import { accepted, did, refused, type Scenario, type World } from '../testing-scenarios.ts';

const create = (set: object, rest: Omit<Scenario, 'method' | 'path' | 'body'>): Scenario => ({
  method: 'POST',
  path: '/listeners',
  body: { listener: { loadbalancer_id: '$lb', protocol: 'HTTP', protocol_port: 8080, ...set } },
  ...rest,
});
const update = (
  set: object,
  rest: Omit<Scenario, 'method' | 'path' | 'body'>,
  of = '$listener',
): Scenario => ({
  method: 'PUT',
  path: `/listeners/${of}`,
  body: { listener: set },
  ...rest,
});
const invalid = (field: string) => `Invalid input for field/attribute ${field}.`;

async function noCidrs(world: World): Promise<void> {
  world.deps.providers.get('amphora')!.provider.supports.allowed_cidrs = false;
}

/** `$udpPool` has a member of IPv6, which the VIP is not. */
async function sixInUdp(world: World): Promise<void> {
  const pool = { loadbalancer_id: world.ids.lb, protocol: 'UDP', lb_algorithm: 'ROUND_ROBIN' };
  world.ids.udpPool = (await world.create('/pools', { pool })).id;
  const member = { address: '2001:db8::1', protocol_port: 53 };
  await world.create(`/pools/${world.ids.udpPool}/members`, { member });
}
const UDP = { protocol: 'UDP', protocol_port: 53 };

describe('a listener is refused', () => {
  refused([
    create(
      { ...UDP, default_pool_id: '$udpPool' },
      {
        name: 'a UDP pool with members of another IP version',
        given: sixInUdp,
        status: 501,
        contains: 'IP version',
      },
    ),
    create(
      { allowed_cidrs: ['10.0.0.0/8'] },
      { name: 'CIDRs, not served yet', given: noCidrs, status: 501, contains: 'allowed_cidrs' },
    ),
    update({ allowed_cidrs: ['10.0.0.0/8'] }, { name: 'CIDRs, not served yet', given: noCidrs, status: 501 }),
    create({ protocol: 'FOO' }, { name: 'unknown protocol', status: 400, contains: invalid('protocol') }),
    create(
      { protocol: 'http' },
      { name: 'protocol in lower case', status: 400, contains: 'Value should be one of:' },
    ),
    create({ protocol: null }, { name: 'null protocol', status: 400, contains: invalid('protocol') }),
    create({ protocol_port: 0 }, { name: 'port 0', status: 400, contains: invalid('protocol_port') }),
    create(
      { protocol_port: 65_536 },
      { name: 'port 65536', status: 400, contains: invalid('protocol_port') },
    ),
    create(
      { protocol_port: 'http' },
      { name: 'port as a word', status: 400, contains: invalid('protocol_port') },
    ),
    create(
      { protocol_port: true },
      { name: 'port as a boolean', status: 400, contains: invalid('protocol_port') },
    ),
    create({ loadbalancer_id: null }, { name: 'null load balancer', status: 404 }),
    create(
      { loadbalancer_id: 'x' },
      { name: 'load balancer id that is none', status: 400, contains: invalid('loadbalancer_id') },
    ),
    create(
      { loadbalancer_id: 'ffffffff-0000-4000-8000-000000000000' },
      { name: 'unknown load balancer', status: 404, contains: 'ffffffff-0000-4000-8000-000000000000' },
    ),
    create({ colour: 'red' }, { name: 'unknown attribute', status: 400, contains: 'colour' }),
    create({ id: '$listener' }, { name: 'id of the client', status: 400, contains: 'Unknown attribute: id' }),
    create({ name: 5 }, { name: 'number as a name', status: 400, contains: invalid('name') }),
    create({ name: 'x'.repeat(256) }, { name: 'name of 256', status: 400, contains: invalid('name') }),
    create(
      { admin_state_up: 'True' },
      { name: 'boolean in capitals', status: 400, contains: invalid('admin_state_up') },
    ),
    create(
      { connection_limit: -2 },
      { name: 'connection limit -2', status: 400, contains: invalid('connection_limit') },
    ),
    create(
      { timeout_client_data: 2_073_600_001 },
      { name: 'timeout too long', status: 400, contains: invalid('timeout_client_data') },
    ),
    create(
      { timeout_tcp_inspect: -1 },
      { name: 'negative timeout', status: 400, contains: invalid('timeout_tcp_inspect') },
    ),
    create(
      { protocol_port: 80 },
      { name: 'port of another listener', status: 409, contains: 'protocol_port' },
    ),
    create(
      { protocol: 'TCP', protocol_port: 80 },
      { name: 'port of another listener in the same group', status: 409 },
    ),
    create({ default_pool_id: '$otherPool' }, { name: 'pool of another load balancer', status: 404 }),
    create({ default_pool_id: '$tcpPool' }, { name: 'pool of the wrong protocol', status: 400 }),
    create(
      { insert_headers: { 'X-Foo': 'true' } },
      { name: 'unknown header', status: 400, contains: 'X-Foo' },
    ),
    create({ insert_headers: { 'X-SSL-Client-CN': 'true' } }, { name: 'SSL header on HTTP', status: 400 }),
    create(
      { insert_headers: { 'X-Forwarded-For': true } },
      { name: 'header that is no string', status: 400, contains: 'X-Forwarded-For' },
    ),
    create(
      { insert_headers: { __proto__: null, constructor: 'true' } },
      { name: 'header with a name of JavaScript', status: 400 },
    ),
    create(
      { protocol: 'TCP', insert_headers: { 'X-Forwarded-For': 'true' } },
      { name: 'headers on TCP', status: 400 },
    ),
    create({ default_tls_container_ref: 'ref' }, { name: 'certificate on HTTP', status: 400 }),
    create({ sni_container_refs: ['a', 'a'] }, { name: 'the same SNI reference twice', status: 409 }),
    create({ client_ca_tls_container_ref: 'ref' }, { name: 'client CA on HTTP', status: 400 }),
    create({ client_authentication: 'MANDATORY' }, { name: 'client authentication on HTTP', status: 400 }),
    create({ client_authentication: null }, { name: 'null client authentication', status: 400 }),
    create(
      { protocol: 'TERMINATED_HTTPS' },
      { name: 'TLS without a certificate', status: 400, contains: 'default_tls_container_ref' },
    ),
    create(
      { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: 'r', client_authentication: 'OPTIONAL' },
      { name: 'client authentication without a CA', status: 400 },
    ),
    create(
      { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: 'r', client_crl_container_ref: 'crl' },
      { name: 'CRL without a CA', status: 400 },
    ),
    create({ hsts_max_age: 5 }, { name: 'HSTS on HTTP', status: 400, contains: 'hsts_max_age' }),
    create(
      { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: 'r', hsts_preload: true },
      { name: 'HSTS preload without an age', status: 400 },
    ),
    create({ tls_versions: [] }, { name: 'no TLS version', status: 400, contains: invalid('tls_versions') }),
    create(
      { tls_versions: ['TLSv9'] },
      { name: 'unknown TLS version', status: 400, contains: 'tls_versions[0]' },
    ),
    create({ alpn_protocols: [] }, { name: 'no ALPN protocol', status: 400 }),
    create(
      { tls_ciphers: 'a b' },
      { name: 'ciphers with a space', status: 400, contains: invalid('tls_ciphers') },
    ),
    create(
      { allowed_cidrs: ['10.0.0.0/33'] },
      { name: 'bad CIDR', status: 400, contains: 'allowed_cidrs[0]' },
    ),
    create(
      { allowed_cidrs: ['2001:db8::/32'] },
      { name: 'CIDR of another IP version', status: 400, contains: 'allowed_cidrs' },
    ),
    create({ tags: ['a', 'a'] }, { name: 'a tag twice', status: 409, contains: 'tags' }),
    create({ tags: [5] }, { name: 'tag that is no string', status: 400, contains: 'tags[0]' }),
    create({ l7policies: [{}] }, { name: 'policies inside', status: 400, contains: 'l7policies' }),
    create(
      { protocol: 'SCTP', protocol_port: 53 },
      { name: 'a protocol that the provider does not serve', status: 501, contains: 'SCTP' },
    ),
    create(
      { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: 'ref', tls_ciphers: 'NO-SUCH:NEITHER' },
      { name: 'ciphers that nobody knows', status: 400, contains: 'tls_ciphers' },
    ),
    create(
      { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: 'ref', tls_versions: ['SSLv3'] },
      { name: 'a version that nobody speaks', status: 400, contains: 'tls_versions' },
    ),
    create(
      { protocol: 'PROMETHEUS', default_pool_id: '$pool' },
      { name: 'PROMETHEUS with a pool', status: 400 },
    ),
    create(
      {},
      {
        name: 'under a load balancer that is being deleted',
        given: did('DELETE', '/loadbalancers/$lb?cascade=true'),
        status: 409,
      },
    ),
    update(
      { protocol: 'HTTP' },
      { name: 'immutable field, even unchanged', status: 400, contains: 'It cannot be changed.' },
    ),
    update({ protocol_port: 80 }, { name: 'immutable port', status: 400, contains: 'protocol_port' }),
    update(
      { loadbalancer_id: '$lb' },
      { name: 'immutable parent', status: 400, contains: 'loadbalancer_id' },
    ),
    update({ project_id: 'p' }, { name: 'project', status: 400, contains: 'project_id' }),
    update({ default_pool_id: '$otherPool' }, { name: 'pool of another load balancer', status: 404 }),
    update({ default_pool_id: '$tcpPool' }, { name: 'pool of the wrong protocol', status: 400 }),
    update({ insert_headers: { 'X-Foo': 'true' } }, { name: 'unknown header', status: 400 }),
    update({ hsts_max_age: 1 }, { name: 'HSTS on HTTP', status: 400 }),
    update({ hsts_preload: true }, { name: 'HSTS preload without an age', status: 400 }),
    update({ client_authentication: 'OPTIONAL' }, { name: 'client authentication on HTTP', status: 400 }),
    update({ sni_container_refs: ['r'] }, { name: 'certificate on HTTP', status: 400 }),
    update({ name: 'n' }, { name: 'unknown listener', status: 404 }, 'ffffffff-0000-4000-8000-000000000000'),
    update({ name: 'n' }, { name: 'id in capitals', status: 404 }, 'FFFFFFFF-0000-4000-8000-000000000000'),
    update(
      { name: 'n' },
      {
        name: 'listener that is being deleted',
        given: did('DELETE', '/listeners/$listener'),
        status: 409,
        contains: 'immutable',
      },
    ),
    update(
      { insert_headers: { 'X-Foo': 'true' } },
      {
        name: 'wrong body while the load balancer is being deleted',
        given: did('DELETE', '/loadbalancers/$lb?cascade=true'),
        status: 400,
      },
    ),
    {
      name: 'listener that is being deleted',
      given: did('DELETE', '/listeners/$listener'),
      method: 'DELETE',
      path: '/listeners/$listener',
      status: 409,
    },
    {
      name: 'unknown listener',
      method: 'DELETE',
      path: '/listeners/ffffffff-0000-4000-8000-000000000000',
      status: 404,
    },
    {
      name: 'unknown listener',
      method: 'GET',
      path: '/listeners/nope',
      status: 404,
      contains: 'Listener nope not found.',
    },
    {
      name: 'statistics with an argument',
      method: 'GET',
      path: '/listeners/$listener/stats?fields=bytes_in',
      status: 400,
    },
  ]);
  refused([create({ protocol: 'PROMETHEUS' }, { name: 'protocol that the operator forbids', status: 400 })], {
    allow_prometheus_listeners: false,
  });
  refused(
    [
      create(
        { tls_versions: ['TLSv1.1'] },
        { name: 'TLS version below the minimum', status: 400, contains: 'TLSv1.2' },
      ),
    ],
    { minimum_tls_version: 'TLSv1.2' },
  );
  refused([create({ tls_ciphers: 'A:BAD' }, { name: 'prohibited cipher', status: 400, contains: 'BAD' })], {
    tls_cipher_prohibit_list: ['BAD'],
  });
});

describe('a listener is', () => {
  accepted([
    create(
      {},
      {
        name: 'created',
        status: 201,
        contains: {
          listener: {
            provisioning_status: 'PENDING_CREATE',
            operating_status: 'OFFLINE',
            connection_limit: -1,
            allowed_cidrs: null,
            insert_headers: {},
            sni_container_refs: [],
            l7policies: [],
            updated_at: null,
            timeout_member_connect: 5000,
          },
        },
      },
    ),
    create(
      { protocol_port: '8080', connection_limit: '100' },
      {
        name: 'created with numbers in strings',
        status: 201,
        contains: { listener: { protocol_port: 8080, connection_limit: 100 } },
      },
    ),
    create(
      {
        connection_limit: null,
        timeout_client_data: null,
        name: null,
        admin_state_up: null,
        tags: null,
        insert_headers: null,
      },
      {
        name: 'created with nulls',
        status: 201,
        contains: {
          listener: {
            connection_limit: -1,
            timeout_client_data: 50_000,
            name: '',
            admin_state_up: false,
            tags: [],
            insert_headers: {},
          },
        },
      },
    ),
    create(
      { timeout_client_data: 1.9, admin_state_up: 'off' },
      {
        name: 'created with a float and a word',
        status: 201,
        contains: { listener: { timeout_client_data: 1, admin_state_up: false } },
      },
    ),
    create(
      { allowed_cidrs: ['10.0.0.5/8', '10.0.0.0/8', '192.0.2.1'] },
      {
        name: 'created with CIDRs, stored as networks',
        status: 201,
        contains: { listener: { allowed_cidrs: ['10.0.0.0/8', '192.0.2.1/32'] } },
      },
    ),
    create(
      { allowed_cidrs: [] },
      { name: 'created without restriction', status: 201, contains: { listener: { allowed_cidrs: null } } },
    ),
    create(
      { default_pool_id: '$pool', l7policies: [], project_id: 'ignored', tenant_id: 'x' },
      {
        name: 'created with a pool, in the project of its load balancer',
        status: 201,
        contains: { listener: { project_id: '1'.repeat(32), tenant_id: '1'.repeat(32) } },
      },
    ),
    create(
      { protocol_port: 80 },
      {
        name: 'created on the port of one that is being deleted',
        given: did('DELETE', '/listeners/$listener'),
        status: 201,
      },
    ),
    create(
      { insert_headers: { 'X-Forwarded-For': 'true', 'X-Request-ID': 'TRUE' } },
      {
        name: 'created with headers',
        status: 201,
        contains: { listener: { insert_headers: { 'X-Forwarded-For': 'true', 'X-Request-ID': 'TRUE' } } },
      },
    ),
    create(
      { loadbalancer_id: '$lb', protocol: 'HTTPS', protocol_port: 443 },
      {
        name: 'created while the load balancer is changed',
        given: did('PUT', '/loadbalancers/$lb', { loadbalancer: { name: 'n' } }),
        status: 201,
      },
    ),
    update(
      {},
      {
        name: 'updated with nothing',
        status: 200,
        contains: { listener: { provisioning_status: 'PENDING_UPDATE' } },
      },
    ),
    update(
      { name: 'new', default_pool_id: null, connection_limit: null, timeout_member_data: null },
      {
        name: 'updated, null is the default',
        status: 200,
        contains: {
          listener: { name: 'new', default_pool_id: null, connection_limit: -1, timeout_member_data: 50_000 },
        },
      },
    ),
    update(
      {
        client_authentication: null,
        client_ca_tls_container_ref: null,
        sni_container_refs: null,
        hsts_max_age: null,
        hsts_preload: null,
        default_tls_container_ref: null,
        allowed_cidrs: null,
        tags: null,
      },
      {
        name: 'updated with nulls for fields of other protocols',
        status: 200,
        contains: {
          listener: {
            client_authentication: 'NONE',
            sni_container_refs: [],
            hsts_max_age: null,
            hsts_preload: false,
          },
        },
      },
    ),
    update(
      { tls_versions: null, alpn_protocols: null, tls_ciphers: null },
      {
        name: 'updated to the TLS defaults',
        status: 200,
        contains: {
          listener: { tls_versions: ['TLSv1.2', 'TLSv1.3'], alpn_protocols: ['h2', 'http/1.1', 'http/1.0'] },
        },
      },
    ),
    { name: 'deleted', method: 'DELETE', path: '/listeners/$listener', status: 204 },
    {
      name: 'shown while it is being deleted',
      given: did('DELETE', '/listeners/$listener'),
      method: 'GET',
      path: '/listeners/$listener',
      status: 200,
      contains: { listener: { provisioning_status: 'PENDING_DELETE' } },
    },
    {
      name: 'measured',
      method: 'GET',
      path: '/listeners/$listener/stats',
      status: 200,
      contains: {
        stats: { bytes_in: 0, bytes_out: 0, active_connections: 0, total_connections: 0, request_errors: 0 },
      },
    },
  ]);
});
