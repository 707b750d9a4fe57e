import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../lib/command.ts';
import { TerminalError } from '../../lib/errors.ts';
import { buildGraph, type GraphSketch, idOf } from '../../model/graph.fixture.ts';
import { renderUdpListeners } from './lvs.ts';
import { address, filePath, hostName, identifier, number, requestTarget } from './quote.ts';

const TESTDATA = join(import.meta.dirname, 'testdata');
const POOL = idOf('pool', 1);
const SIX = { ip_address: '2001:db8::10', subnet_id: 's' } as never;
const persistence = (more: object = {}) => ({
  ...{ type: 'SOURCE_IP', cookie_name: null, persistence_timeout: null, persistence_granularity: null },
  ...more,
});

/** A UDP listener with a pool and two members of each IP version, and what a case is about. */
function sketch(
  more: GraphSketch & { listener?: object; pool?: object; monitor?: object } = {},
): GraphSketch {
  const { listener, pool, monitor, ...rest } = more;
  return {
    load_balancer: { additional_vips: [SIX] },
    listeners: [{ protocol: 'UDP', default_pool_id: POOL, ...listener }],
    pools: [{ protocol: 'UDP', ...pool }] as never,
    members: [{}, { address: '2001:db8::a', weight: 7 }, { protocol_port: 9 }, { address: '2001:db8::b' }],
    ...(monitor && { health_monitors: [{ type: 'UDP-CONNECT', ...monitor }] }),
    ...rest,
  } as GraphSketch;
}

const CASES: Record<string, GraphSketch> = {
  'both-versions': sketch(),
  'several-vips': sketch({
    load_balancer: { additional_vips: [SIX, { ip_address: '203.0.113.11', subnet_id: 's' } as never] },
  }),
  'ipv6-alone': sketch({ load_balancer: { vip_address: '2001:db8::10' } }),
  'least-connections-with-limit': sketch({
    pool: { lb_algorithm: 'LEAST_CONNECTIONS' },
    listener: { connection_limit: 98 },
  }),
  'source-ip': sketch({ pool: { lb_algorithm: 'SOURCE_IP' } }),
  'source-ip-port': sketch({ pool: { lb_algorithm: 'SOURCE_IP_PORT' } }),
  persistence: sketch({ pool: { session_persistence: persistence() } }),
  'persistence-tuned': sketch({
    pool: {
      session_persistence: persistence({ persistence_timeout: 33, persistence_granularity: '255.255.0.0' }),
    },
  }),
  'persistence-tuned-ipv6': sketch({
    pool: { session_persistence: persistence({ persistence_granularity: 'ffff:ffff:ffff::' }) },
  }),
  'monitor-udp-connect': sketch({ monitor: {} }),
  'monitor-sctp': sketch({
    listener: { protocol: 'SCTP' },
    pool: { protocol: 'SCTP' },
    monitor: { type: 'SCTP' },
  }),
  'monitor-tcp-elsewhere': sketch({
    monitor: { type: 'TCP' },
    members: [{ monitor_address: '192.0.2.99', monitor_port: 99 }],
  }),
  'monitor-http': sketch({
    monitor: { type: 'HTTP', http_method: 'GET', url_path: '/h?a=b', expected_codes: '200-202' },
  }),
  'monitor-http-1-1': sketch({
    monitor: { type: 'HTTP', http_version: 1.1, domain_name: 'www.example.org' },
  }),
  'monitor-http-head': sketch({ monitor: { type: 'HTTP', http_method: 'HEAD' } }),
  'monitor-disabled': sketch({ monitor: { admin_state_up: false } }),
  'monitor-zero-delay': sketch({ monitor: { delay: 0, timeout: 0 } }),
  'members-disabled-and-drained': sketch({
    members: [{ admin_state_up: false }, { weight: 0 }, { backup: true }],
  }),
  'member-going': sketch({ members: [{ provisioning_status: 'PENDING_DELETE' }, {}] }),
  'pool-disabled': sketch({ pool: { admin_state_up: false }, monitor: {} }),
  'pool-going': sketch({ pool: { provisioning_status: 'PENDING_DELETE' } }),
  'pool-absent': sketch({ listener: { default_pool_id: null } }),
  'listener-disabled': sketch({ listener: { admin_state_up: false } }),
  'load-balancer-disabled': sketch({ load_balancer: { admin_state_up: false } }),
};

const render = (graph: GraphSketch) =>
  renderUdpListeners(buildGraph(graph), { basePath: '/var/lib/octavia' });

const textOf = (graph: GraphSketch) => render(graph)[0]!.keepalived_conf;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keepalived-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What keepalived complains about; of what stands inside a virtual server it sees the form alone where the kernel has no IPVS. */
async function complaints(text: string): Promise<string> {
  const file = join(directory, 'keepalived.conf');
  writeFileSync(file, text);
  const { stdout, stderr } = await run('keepalived', ['-t', '-f', file]);
  return stdout + stderr;
}

describe.each(Object.entries(CASES))('%s', (name, graph) => {
  const golden = join(TESTDATA, `${name}.conf`);

  test('renders as it is written', () => {
    const text = textOf(graph);
    if (process.env.UPDATE === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });

  test('keepalived reads it, and agents find what they look for', async () => {
    const text = textOf(graph);
    expect(await complaints(text)).toBe('');
    // Source: contract dataplane.md 11. The comments of members stand in the order of the real servers.
    expect(text).toMatch(/net_namespace\s(\w+-\w+)/);
    const vips = [...text.matchAll(/virtual_server_group .* \{\n\s+([a-f\d.:]+)\s(\d{1,5})\n/g)];
    expect(vips.length).toBe(text.match(/^virtual_server group/gm)?.length ?? 0);
    const servers = text.match(/real_server\s([a-f\d.:]+)\s(\d{1,5})/g) ?? [];
    const members =
      text.match(/#\sConfiguration\sfor\sMember\s\w{8}-\w{4}-\w{4}-\w{4}-\w{12}\n\s+real_server/g) ?? [];
    expect(members.length).toBe(servers.length);
  });
});

test('equal graphs give equal texts; listeners that are going or that haproxy carries have none', () => {
  const listeners = [{ protocol: 'UDP' }, { protocol: 'SCTP' }, { protocol: 'TCP' }] as const;
  const graph = buildGraph(sketch({ listeners: [...listeners] }));
  const texts = renderUdpListeners(graph, { basePath: '/b' });
  expect(texts.map(each => each.listener_id)).toEqual([idOf('listener', 1), idOf('listener', 2)]);
  const turned = { ...graph, listeners: graph.listeners.toReversed(), members: graph.members.toReversed() };
  expect(renderUdpListeners(turned, { basePath: '/b' })).toEqual(texts);
  graph.listeners[0]!.provisioning_status = 'PENDING_DELETE';
  expect(renderUdpListeners(graph, { basePath: '/b' })).toEqual(texts.slice(1));
});

describe('whatever users write', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({
      unit: fc.constantFrom(...' \t\r\n\v\f\\"\'#!$@~%{}()[];=/?.-\x00\x7f\x85\u2028é\ud800ax0'.split('')),
      maxLength: 12,
    }),
    fc.constantFrom(
      '\n}\nvrrp_script x {\n script "/bin/sh"\n}',
      '" "',
      '$' + '{x}',
      '~SEQ(a,1,2)',
      '@ id',
      '!',
      '# ',
      '\\',
      '$_X',
    ),
  );
  const attacked = (path: string, text: string) =>
    sketch({
      load_balancer: { additional_vips: [SIX], name: text, description: text, project_id: text },
      listener: { name: text, description: text, insert_headers: { [text]: text } },
      pool: {
        name: text,
        session_persistence: persistence({ cookie_name: text, persistence_granularity: text }),
      },
      members: [{ name: text, tags: [text] }],
      monitor: { type: 'HTTP', name: text, url_path: path },
    });

  test('leaves lines, words and braces as they are', () => {
    const structure = (graph: GraphSketch) =>
      textOf(graph)
        .split('\n')
        .map(line => line.replace(/path \S+$/, 'path x'));
    const expected = structure(attacked('/', ''));
    fc.assert(
      fc.property(nasty, nasty, (path, text) => {
        expect(structure(attacked(path === '' ? '/' : path, text))).toEqual(expected);
        expect(requestTarget(path)).toMatch(/^[\w/?=&%.,:;+-]*$/);
      }),
      { numRuns: 500 },
    );
  });

  test('keepalived sees nothing of it', async () => {
    for (const path of fc.sample(
      nasty.filter(text => text !== ''),
      { numRuns: 25, seed: 4 },
    )) {
      const text = textOf(attacked(path, path));
      expect(await complaints(text)).toBe('');
    }
  });

  test.each([
    ['a name of a host', () => hostName('a b')],
    ['an id', () => identifier('a\nb')],
    ['an address', () => address('192.0.2.1 80')],
    ['an address with a zone', () => address('fe80::1%eth0')],
    ['a path', () => filePath('/a"b')],
    ['a number', () => number(Number.NaN)],
    ['a number that is none', () => number(-1)],
  ])('%s that cannot be one is refused', (_what, quote) => expect(quote).toThrow(TerminalError));
});
