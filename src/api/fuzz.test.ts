/** Random requests on every operation: never a 5xx but 501, every refusal a sentence, and rows that keep their rules. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LoadBalancerGraph } from '../model/graph.ts';
import { portGroup } from '../model/protocols.ts';
import { apiOperations } from './server.ts';
import { NETWORK, OTHER_SUBNET, SUBNET } from './testing.ts';
import { givenWorld, graphsOf, type World } from './testing-scenarios.ts';

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 3500);
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
  '$last',
);
const mostly = (...right: string[]) =>
  fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: id });
const flag = fc.constantFrom<unknown>(true, false, 'yes', 'off', 1);
const tls = fc.constantFrom<unknown>('TLSv1.2', 'TLSv1.3', 'h2', 'http/1.1');

/** Values that a field often takes; anything else can be there too. */
const LIKELY: Record<string, fc.Arbitrary<unknown>> = {
  loadbalancer_id: mostly('$lb', '$other'),
  listener_id: mostly('$tcpListener', '$otherListener'),
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
  type: fc.constantFrom('HTTP', 'TCP', 'PING', 'TLS-HELLO', 'UDP-CONNECT'),
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
  flavor_id: fc.constantFrom(null, SUBNET),
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
};

function objectOf(root: string, isUpdate: boolean): fc.Arbitrary<Record<string, unknown>> {
  const { always, some } = FIELDS[root]!;
  // An update that names what cannot change is refused for that alone: mostly leave it out.
  const keys = isUpdate ? [...some, 'name', 'tags'] : [...always, ...some, 'name', 'tags'];
  const optional = keys.filter(key => isUpdate || !always.includes(key));
  const likely = fc
    .subarray(optional, { maxLength: 2 })
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
  const listener = fc
    .tuple(objectOf('listener', false), fc.option(defaultPool))
    .map(([body, default_pool]) => ({ ...without('loadbalancer_id')(body), default_pool }));
  return { pools: fc.array(pool, { maxLength: 2 }), listeners: fc.array(listener, { maxLength: 2 }) };
}

function bodyOf(path: string, method: string): fc.Arbitrary<unknown> {
  if (method === 'PUT' && path.endsWith('/members'))
    return fc.array(objectOf('member', false), { maxLength: 4 }).map(members => ({ members }));
  const plural = path
    .split('/')
    .filter(part => !part.startsWith(':') && part !== 'stats')
    .at(-1)!;
  const root = plural.slice(0, -1);
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
  const { load_balancer: lb, listeners, pools, members, health_monitors } = graph;
  const unique = (keys: string[]) => expect(new Set(keys).size).toBe(keys.length);
  unique(listeners.filter(isStaying).map(l => `${portGroup(l.protocol)} ${l.protocol_port}`));
  unique(health_monitors.filter(isStaying).map(m => m.pool_id));
  unique(members.filter(isStaying).map(m => `${m.pool_id} ${m.address} ${m.protocol_port}`));
  for (const row of [...listeners, ...pools, ...members, ...health_monitors]) {
    expect(row.generation).toBeLessThanOrEqual(lb.generation);
    if (row.generation > lb.settled_generation) expect(row.provisioning_status).toMatch(/^PENDING_/);
  }
  const poolIds = new Set(pools.filter(isStaying).map(p => p.id));
  for (const child of [...members, ...health_monitors].filter(isStaying))
    expect(poolIds).toContain(child.pool_id);
  for (const l of listeners.filter(isStaying))
    if (l.default_pool_id) expect(poolIds).toContain(l.default_pool_id);
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

test(`${REQUESTS} random requests, seed ${SEED}`, { timeout: 300_000 }, async () => {
  await using sample = await givenWorld();
  const operations = apiOperations(sample.deps);
  // A load balancer that is deleted early leaves little to try.
  const weightOf = (method: string, path: string) =>
    method !== 'DELETE' ? 8 : path.startsWith('/loadbalancers') ? 2 : 3;
  const request = fc.oneof(
    ...operations.map(({ method, path }) => ({
      weight: weightOf(method, path),
      arbitrary: requestOn(method, path),
    })),
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
        for (const [i, one] of requests.entries()) {
          const { status, body } = await send(world, one);
          const told = `${JSON.stringify(one)} answered ${status} ${JSON.stringify(body)} ${world.failures.join()}`;
          if (status >= 500 && status !== 501) throw new Error(told);
          if (status >= 400 && !/\w+ \w+/.test(body.faultstring)) throw new Error(told);
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
