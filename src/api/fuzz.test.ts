/** Random requests on every operation: never a 5xx but 501, every refusal a sentence, and rows that keep their rules. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeRow } from '../db/rows.ts';
import { buildGraph } from '../model/graph.fixture.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import { portGroup } from '../model/protocols.ts';
import { judges } from './openapi/testing.ts';
import { apiOperations } from './server.ts';
import { NETWORK, OTHER_SUBNET, PROJECT, SUBNET } from './testing.ts';
import { givenWorld, graphsOf, type World } from './testing-scenarios.ts';

const AMPHORA = '00000000-0000-4000-8000-0000000000a1';
const FAILED_AMPHORA = '00000000-0000-4000-8000-0000000000a2';
const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 20_000);
const SEED = Number(process.env.FUZZ_SEED ?? 0) || Date.now() % 1_000_000;

const id = fc.constantFrom(
  '$lb',
  '$other',
  '$listener',
  '$pool',
  '$tcpPool',
  '$member',
  '$monitor',
  '$tcpListener',
  '$policy',
  '$last',
);
const mostly = (...right: string[]) =>
  fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: id });
const flag = fc.constantFrom<unknown>(true, false, 'yes', 'off', 1);
const tls = fc.constantFrom<unknown>('TLSv1.2', 'TLSv1.3', 'h2', 'http/1.1');

/** Values that a field often takes; anything else can be there too. */
const LIKELY: Record<string, fc.Arbitrary<unknown>> = {
  loadbalancer_id: mostly('$lb', '$other'),
  listener_id: mostly('$tcpListener', '$otherListener', '$listener'),
  pool_id: mostly('$tcpPool', '$otherPool', '$pool'),
  default_pool_id: mostly('$pool', '$tcpPool'),
  protocol: fc.constantFrom('HTTP', 'HTTP', 'TCP', 'TCP', 'HTTPS', 'UDP', 'TERMINATED_HTTPS', 'PROXY'),
  protocol_port: fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom('80', 80, 0)),
  lb_algorithm: fc.constantFrom('ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP', 'SOURCE_IP_PORT'),
  session_persistence: fc.record(
    {
      type: fc.constantFrom('SOURCE_IP', 'HTTP_COOKIE', 'APP_COOKIE'),
      cookie_name: fc.constantFrom('a', 'a b'),
      persistence_timeout: fc.constantFrom<unknown>('3', 3),
    },
    { requiredKeys: [] },
  ),
  type: fc.constantFrom('HTTP', 'TCP', 'PING', 'TLS-HELLO', 'UDP-CONNECT', 'PATH', 'HEADER', 'SSL_DN_FIELD'),
  compare_type: fc.constantFrom('EQUAL_TO', 'STARTS_WITH', 'REGEX'),
  key: fc.constantFrom('x', 'a b', null),
  value: fc.constantFrom('/a', 'a b', '(', '.*'),
  invert: flag,
  action: fc.constantFrom('REJECT', 'REJECT', 'REDIRECT_TO_URL', 'REDIRECT_TO_POOL', 'REDIRECT_PREFIX'),
  redirect_pool_id: mostly('$pool', '$tcpPool'),
  redirect_url: fc.constantFrom('http://a.example', 'x'),
  redirect_prefix: fc.constantFrom('https://a.example/p', 'ftp://a'),
  redirect_http_code: fc.constantFrom<unknown>(301, '308', 200),
  position: fc.integer({ min: 0, max: 6 }),
  delay: fc.nat(9),
  timeout: fc.nat(9),
  max_retries: fc.integer({ min: 0, max: 11 }),
  max_retries_down: fc.integer({ min: 1, max: 10 }),
  http_method: fc.constantFrom('GET', 'HEAD', 'BREW'),
  url_path: fc.constantFrom('/', '/a?b', 'x', '//x'),
  expected_codes: fc.constantFrom('200', '200,201', '200-204', '20'),
  http_version: fc.constantFrom<unknown>(1, 1.1, '1.0', 2),
  domain_name: fc.constantFrom('a.example', '-', 'a b'),
  address: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant('10.1.0.5')),
  monitor_address: fc.ipV4(),
  weight: fc.integer({ min: -1, max: 257 }),
  subnet_id: fc.constantFrom(SUBNET, OTHER_SUBNET, '', 'x'),
  vip_subnet_id: fc.constantFrom(SUBNET, OTHER_SUBNET),
  vip_network_id: fc.constant(NETWORK),
  vip_address: fc.constantFrom('10.1.0.9', '10.2.0.9', '2001:db8::5'),
  additional_vips: fc.array(fc.record({ subnet_id: fc.constantFrom(SUBNET, OTHER_SUBNET) }), {
    maxLength: 2,
  }),
  admin_state_up: flag,
  backup: flag,
  tls_enabled: flag,
  name: fc.oneof(fc.string({ maxLength: 30 }), fc.string({ unit: 'binary', maxLength: 300 })),
  description: fc.string({ maxLength: 20 }),
  tags: fc.array(fc.string({ unit: 'grapheme', maxLength: 5 }), { maxLength: 3 }),
  insert_headers: fc.dictionary(
    fc.constantFrom('X-Forwarded-For', 'X-SSL-Issuer', '__proto__'),
    fc.constantFrom('true', ''),
  ),
  allowed_cidrs: fc.array(fc.constantFrom('10.0.0.0/8', '10.0.0.1', '::/0', 'x'), { maxLength: 3 }),
  default_tls_container_ref: fc.string(),
  sni_container_refs: fc.array(fc.string(), { maxLength: 2 }),
  client_authentication: fc.constantFrom('NONE', 'OPTIONAL'),
  tls_versions: fc.array(tls, { maxLength: 2 }),
  alpn_protocols: fc.array(tls, { maxLength: 2 }),
  tls_ciphers: fc.constantFrom('A:B', 'a b'),
  hsts_max_age: fc.nat(),
  connection_limit: fc.constantFrom<unknown>('100', -1, -2, null),
  provider: fc.constantFrom('amphora', 'octavia', 'x'),
  flavor_id: fc.constantFrom(null, SUBNET, '$flavor', '$flavor'),
  availability_zone: fc.constantFrom('zone', 'zone', 'nowhere'),
  flavor_profile_id: mostly('$flavorprofile'),
  availability_zone_profile_id: mostly('$availability_zone_profile'),
  provider_name: fc.constantFrom('amphora', 'octavia', 'amphora', 'x'),
  flavor_data: fc.constantFrom('{}', '{"compute_flavor":"x"}', '{"sriov_vip":true}', '{"x":1}', '{', '[]'),
  availability_zone_data: fc.constantFrom('{}', '{"compute_zone":"x"}', '{"valid_vip_networks":[]}', 'null'),
  enabled: flag,
  ...Object.fromEntries(
    ['loadbalancer', 'health_monitor', 'pool', 'l7rule'].map(name => [
      name,
      fc.constantFrom<unknown>(-1, 1000, '2000', null, 'x', -2),
    ]),
  ),
};

const strange = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    1e300,
    2 ** 53,
    '',
    ' ',
    '80',
    'true',
    'HTTP',
    '\0',
    '\ud800',
    'x'.repeat(300),
    SUBNET,
    [],
    {},
    [null],
    [[]],
    { a: 1 },
  ),
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ unit: 'binary' }),
);

/** The fields of each root, and those without which nothing can be created. */
const FIELDS: Record<string, { always: string[]; some: string[] }> = {
  loadbalancer: {
    always: ['vip_subnet_id'],
    some: [
      'vip_network_id',
      'vip_address',
      'additional_vips',
      'provider',
      'flavor_id',
      'availability_zone',
      'admin_state_up',
      'description',
    ],
  },
  listener: {
    always: ['loadbalancer_id', 'protocol', 'protocol_port'],
    some: [
      'default_pool_id',
      'connection_limit',
      'insert_headers',
      'allowed_cidrs',
      'default_tls_container_ref',
      'sni_container_refs',
      'client_authentication',
      'tls_versions',
      'alpn_protocols',
      'tls_ciphers',
      'hsts_max_age',
      'admin_state_up',
    ],
  },
  pool: {
    always: ['loadbalancer_id', 'protocol', 'lb_algorithm'],
    some: [
      'listener_id',
      'session_persistence',
      'tls_enabled',
      'tls_versions',
      'tls_ciphers',
      'alpn_protocols',
      'description',
    ],
  },
  member: {
    always: ['address', 'protocol_port'],
    some: ['weight', 'backup', 'subnet_id', 'monitor_address', 'admin_state_up'],
  },
  healthmonitor: {
    always: ['pool_id', 'type', 'delay', 'timeout', 'max_retries'],
    some: ['max_retries_down', 'http_method', 'url_path', 'expected_codes', 'http_version', 'domain_name'],
  },
  flavor: { always: ['name', 'flavor_profile_id'], some: ['description', 'enabled'] },
  flavorprofile: { always: ['name', 'provider_name', 'flavor_data'], some: ['name', 'flavor_data'] },
  availability_zone: {
    always: ['name', 'availability_zone_profile_id'],
    some: ['description', 'enabled'],
  },
  availability_zone_profile: {
    always: ['name', 'provider_name', 'availability_zone_data'],
    some: ['name', 'availability_zone_data'],
  },
  quota: { always: [], some: ['loadbalancer', 'health_monitor', 'pool', 'l7rule'] },
  l7policy: {
    always: ['listener_id', 'action'],
    some: [
      ...['redirect_pool_id', 'redirect_url', 'redirect_prefix', 'redirect_http_code'],
      ...['position', 'position', 'position', 'description', 'admin_state_up'],
    ],
  },
  rule: {
    always: ['type', 'compare_type', 'value'],
    some: ['key', 'key', 'invert', 'admin_state_up'],
  },
};

/** What has neither tags nor a provisioning status. */
const PLAIN = ['flavor', 'flavorprofile', 'availability_zone', 'availability_zone_profile', 'quota'];

function objectOf(root: string, isUpdate: boolean): fc.Arbitrary<Record<string, unknown>> {
  const { always, some } = FIELDS[root]!;
  // An update that names what cannot change is refused for that alone: mostly leave it out.
  const more = PLAIN.includes(root) ? [] : root === 'rule' ? ['tags'] : ['tags', 'name'];
  const keys = [...(isUpdate ? [] : always), ...some, ...more];
  const optional = keys.filter(key => isUpdate || !always.includes(key));
  const likely = fc
    .subarray(optional, { maxLength: Math.min(2, optional.length) })
    .chain(chosen =>
      fc.record(Object.fromEntries([...(isUpdate ? [] : always), ...chosen].map(key => [key, LIKELY[key]!]))),
    );
  const odd = fc.dictionary(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...keys, ...always) },
      { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
    ),
    strange,
    { maxKeys: 2 },
  );
  return fc
    .tuple(likely, fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: odd }))
    .map(([a, b]) => ({ ...a, ...b }));
}

const without =
  (...keys: string[]) =>
  (object: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));

/** What may stand inside the body of a load balancer. */
function trees(): Record<string, fc.Arbitrary<unknown>> {
  const monitor = objectOf('healthmonitor', false).map(without('pool_id'));
  const members = fc.array(objectOf('member', false), { maxLength: 2 });
  const pool = fc
    .tuple(objectOf('pool', false), members, fc.option(monitor), fc.constantFrom('p', 'q'))
    .map(([body, m, healthmonitor, name]) => ({
      ...without('loadbalancer_id', 'listener_id')(body),
      members: m,
      healthmonitor,
      name,
    }));
  const defaultPool = fc.oneof(fc.constant({ name: 'p' }), pool);
  const rules = fc.array(objectOf('rule', false), { maxLength: 2 });
  const policy = fc
    .tuple(objectOf('l7policy', false), fc.option(defaultPool), rules)
    .map(([body, redirect_pool, r]) => ({
      ...without('listener_id', 'redirect_pool_id')(body),
      ...{ redirect_pool, rules: r },
    }));
  const listener = fc
    .tuple(objectOf('listener', false), fc.option(defaultPool), fc.array(policy, { maxLength: 2 }))
    .map(([body, default_pool, l7policies]) => ({
      ...without('loadbalancer_id')(body),
      ...{ default_pool, l7policies },
    }));
  return { pools: fc.array(pool, { maxLength: 2 }), listeners: fc.array(listener, { maxLength: 2 }) };
}

function bodyOf(path: string, method: string): fc.Arbitrary<unknown> {
  if (method === 'PUT' && path.endsWith('/members'))
    return fc.array(objectOf('member', false), { maxLength: 4 }).map(members => ({ members }));
  const plural = path
    .split('/')
    .filter(part => !part.startsWith(':') && part !== 'stats')
    .at(-1)!;
  if (plural === 'failover' || plural === 'config') return fc.constant(undefined);
  const root = plural
    .replace(/ies$/, 'ys')
    .replace('availabilityzone', 'availability_zone')
    .replace('zonep', 'zone_p')
    .slice(0, -1);
  const plain = objectOf(root, method === 'PUT').map(value => ({ [root]: value }));
  if (root !== 'loadbalancer' || method === 'PUT') return plain;
  const tree = fc.record(trees(), { requiredKeys: [] });
  const whole = fc
    .tuple(objectOf(root, false), tree)
    .map(([lb, below]) => ({ loadbalancer: { ...lb, ...below } }));
  return fc.oneof(plain, whole);
}

const queryValue = fc.oneof(
  fc.constantFrom(
    '1',
    'a',
    'True',
    '',
    'name',
    'name:desc',
    'infinite',
    '-1',
    'updated_at',
    '$pool',
    '%00',
    '%ff',
    '2',
  ),
  fc.string({ maxLength: 6 }).map(encodeURIComponentSafely),
);
const query = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'limit',
        'marker',
        'page_reverse',
        'sort',
        'sort_key',
        'sort_dir',
        'fields',
        'name',
        'tags',
        'tags-any',
        'not-tags',
        'admin_state_up',
        'protocol_port',
        'cascade',
        'additive_only',
        'colour',
        'project_id',
      ),
      queryValue,
    ),
    { maxLength: 3 },
  )
  .map(pairs => pairs.map(pair => pair.join('=')).join('&'));

function encodeURIComponentSafely(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

/** What is deleted early in a run makes the rest of it poor, so that other ids come along. */
const PATH_IDS: Record<string, string[]> = {
  loadbalancers: ['$lb', '$lb', '$other', '$last'],
  listeners: ['$listener', '$tcpListener', '$otherListener', '$last'],
  pools: ['$pool', '$pool', '$tcpPool', '$otherPool'],
  members: ['$member', '$member', '$tcpMember', '$last'],
  healthmonitors: ['$monitor', '$monitor', '$last'],
  l7policies: ['$policy', '$policy', '$policy', '$last'],
  rules: ['$rule', '$rule', '$last'],
  quotas: ['p', PROJECT],
  providers: ['amphora', 'amphora', 'octavia'],
  flavors: ['$flavor', '$flavor', '$last'],
  flavorprofiles: ['$flavorprofile', '$flavorprofile_spare', '$last'],
  availabilityzones: ['zone', 'zone', 'free'],
  availabilityzoneprofiles: ['$availability_zone_profile', '$availability_zone_profile_spare', '$last'],
  amphorae: [AMPHORA, AMPHORA, FAILED_AMPHORA],
};

interface Request {
  /** The operation it was made for. */
  of: string;
  method: string;
  path: string;
  query: string;
  body: unknown;
}

function requestOn(method: string, path: string): fc.Arbitrary<Request> {
  const filled = fc
    .infiniteStream(
      fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    )
    .chain(stream =>
      fc.nat(9).map(n => {
        const parts = path.split('/');
        return parts
          .map((part, i) => {
            if (!part.startsWith(':')) return part;
            const ids = PATH_IDS[parts[i - 1]!]!;
            return stream.next().value ? ids[n % ids.length] : 'nope';
          })
          .join('/');
      }),
    );
  const hasBody = method === 'POST' || method === 'PUT';
  const good = hasBody ? bodyOf(path, method) : fc.constant(undefined);
  const body = hasBody
    ? fc.oneof(
        { weight: 12, arbitrary: good },
        { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
        { weight: 1, arbitrary: fc.constantFrom('{', '', '[1', 'null') },
      )
    : good;
  const usual = fc.constant(method === 'DELETE' && path === '/loadbalancers/:id' ? 'cascade=true' : '');
  const weight = method === 'GET' ? 3 : 1;
  return fc.record({
    of: fc.constant(`${method} ${path}`),
    method: fc.constant(method),
    path: filled,
    query: fc.oneof({ weight: 5, arbitrary: usual }, { weight, arbitrary: query }),
    body,
  });
}

const isStaying = (row: { provisioning_status: string }) => row.provisioning_status !== 'PENDING_DELETE';

function expectSound(graph: LoadBalancerGraph): void {
  const { load_balancer: lb, listeners, pools, members, health_monitors, l7policies, l7rules } = graph;
  const unique = (keys: string[]) => expect(new Set(keys).size).toBe(keys.length);
  unique(listeners.filter(isStaying).map(l => `${portGroup(l.protocol)} ${l.protocol_port}`));
  unique(health_monitors.filter(isStaying).map(m => m.pool_id));
  unique(members.filter(isStaying).map(m => `${m.pool_id} ${m.address} ${m.protocol_port}`));
  for (const row of [...listeners, ...pools, ...members, ...health_monitors, ...l7policies, ...l7rules]) {
    expect(row.generation).toBeLessThanOrEqual(lb.generation);
    if (row.generation > lb.settled_generation) expect(row.provisioning_status).toMatch(/^PENDING_/);
  }
  for (const { id } of listeners) {
    const positions = l7policies.filter(p => p.listener_id === id).map(p => p.position);
    expect(positions.toSorted((a, b) => a - b)).toEqual(positions.map((_, i) => i + 1));
  }
  const policyIds = new Set(l7policies.filter(isStaying).map(p => p.id));
  for (const rule of l7rules.filter(isStaying)) expect(policyIds).toContain(rule.l7policy_id);
  const poolIds = new Set(pools.filter(isStaying).map(p => p.id));
  for (const child of [...members, ...health_monitors].filter(isStaying))
    expect(poolIds).toContain(child.pool_id);
  for (const l of listeners.filter(isStaying))
    if (l.default_pool_id) expect(poolIds).toContain(l.default_pool_id);
  for (const p of l7policies.filter(isStaying))
    if (p.redirect_pool_id) expect(poolIds).toContain(p.redirect_pool_id);
}

/** What operators keep, and two amphorae of `$lb`, of which one has failed. */
async function addOffers(world: World): Promise<void> {
  for (const name of ['flavor', 'availability_zone'] as const) {
    const root = name === 'flavor' ? 'flavorprofile' : 'availability_zone_profile';
    const path = `/${root.replaceAll('_', '')}s`;
    for (const id of [`${root}_spare`, root]) {
      const body = { name: id, provider_name: 'amphora', [`${name}_data`]: '{}' };
      world.ids[id] = (await world.create(path, { [root]: body })).id;
    }
    for (const own of ['free', 'zone']) {
      const body = { name: own, [`${name}_profile_id`]: world.ids[root] };
      world.ids[name] = (await world.create(path.replace('profile', ''), { [name]: body })).id;
    }
  }
  await world.request('PUT', `/quotas/${PROJECT}`, { quota: { member: 1000 } });
  const loadbalancer_id = world.ids.lb!;
  const { amphorae } = buildGraph({
    amphorae: [
      { id: AMPHORA, loadbalancer_id },
      { id: FAILED_AMPHORA, loadbalancer_id, status: 'ERROR' },
    ],
  });
  const rows = amphorae.map(amphora => encodeRow('amphora', amphora));
  await world.db.insertInto('amphora').values(rows).execute();
  const counters = {
    bytes_in: 0,
    bytes_out: 0,
    active_connections: 0,
    total_connections: 0,
    request_errors: 0,
  };
  const statistics = { ...counters, amphora_id: AMPHORA, listener_id: world.ids.tcpListener! };
  await world.db.insertInto('listener_statistics').values(statistics).execute();
}

async function send(world: World, request: Request) {
  const fill = (text: string) => text.replace(/\$(\w+)/g, (whole, name: string) => world.ids[name] ?? whole);
  const { method, path, query, body } = request;
  const url = fill(path) + (query === '' ? '' : `?${fill(query)}`);
  const filled =
    body === undefined ? undefined : typeof body === 'string' ? body : JSON.parse(fill(JSON.stringify(body)));
  const answer = await world.request(method, url, filled);
  if (answer.status === 201) world.ids.last = (Object.values(answer.body)[0] as { id: string }).id;
  return answer;
}

test(`${REQUESTS} random requests, seed ${SEED}`, { timeout: 900_000 }, async () => {
  await using sample = await givenWorld();
  const operations = apiOperations(sample.deps);
  // A load balancer that is deleted early leaves little to try.
  const weightOf = (method: string, path: string) =>
    method === 'POST' ? 16 : method !== 'DELETE' ? 8 : path.startsWith('/loadbalancers') ? 2 : 4;
  const request = fc.oneof(
    ...operations.map(({ method, path }) => ({
      weight: weightOf(method, path),
      arbitrary: requestOn(method, path),
    })),
  );
  const judgeOf = new Map(
    [...judges(operations)].map(([{ method, path }, judge]) => [`${method} ${path}`, judge]),
  );
  const perRun = 35;
  const counts = new Map<string, number>();
  const succeeded = new Set<string>();
  console.log(`fuzz: seed ${SEED}, ${operations.length} operations`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: perRun, maxLength: perRun, size: 'max' }),
      async requests => {
        await using world = await givenWorld();
        await addOffers(world);
        for (const [i, one] of requests.entries()) {
          const { status, body } = await send(world, one);
          const told = `${JSON.stringify(one)} answered ${status} ${JSON.stringify(body)} ${world.failures.join()}`;
          if (status >= 500 && status !== 501) throw new Error(told);
          if (status >= 400 && !/\w+ \w+/.test(body.faultstring)) throw new Error(told);
          // With `fields` it holds only some of what the schema asks for.
          const wrong = one.query.includes('fields') ? [] : judgeOf.get(one.of)!(status, body);
          if (wrong.length > 0) throw new Error(`${told}: ${wrong.join('; ')}`);
          counts.set(String(status), (counts.get(String(status)) ?? 0) + 1);
          if (status < 300) succeeded.add(one.of);
          if (i % 12 === 11) await world.settle();
        }
        for (const graph of await graphsOf(world)) if (graph) expectSound(graph);
        expect(world.failures).toEqual([]);
      },
    ),
    { seed: SEED, numRuns: Math.ceil(REQUESTS / perRun), endOnFailure: true },
  );
  console.log('fuzz: answers', Object.fromEntries([...counts].sort()));
  // Otherwise the requests would be too random to say anything.
  if (REQUESTS >= 3000)
    expect([...succeeded].sort()).toEqual(operations.map(({ method, path }) => `${method} ${path}`).sort());
});
