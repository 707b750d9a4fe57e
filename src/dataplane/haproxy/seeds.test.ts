/**
 * Four load balancers of old walk-throughs, as the releases of their time told haproxy of them and as we do: each difference is
 * known and has a reason. `testdata/seeds` holds theirs. Source: contract dataplane.md 14 (Mitaka) and lbaas-agent.md 7.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peerName } from '../../lib/peer-name.ts';
import { buildGraph, type GraphSketch } from '../../model/graph.fixture.ts';
import type { Pool } from '../../model/pool.ts';
import { DEFAULT_HAPROXY_SETTINGS } from './context.ts';
import { checkConfig, isHaproxyInstalled } from './haproxy-check.fixture.ts';
import { renderHaproxyConfig } from './render.ts';

const VIP = '10.0.0.10';
const member = (n: number, protocol_port: number, more: object = {}) => ({
  ...{ id: `member-${n}`, address: `10.0.0.1${n}`, pool_id: 'pool-1', protocol_port, ...more },
});
const listener = (n: number, protocol_port: number, more: object = {}) => ({
  ...{ id: `listener-${n}`, default_pool_id: `pool-${n}`, protocol_port, ...more },
});
const persistence = (type: 'SOURCE_IP' | 'HTTP_COOKIE'): Pick<Pool, 'session_persistence'> => ({
  session_persistence: { type, cookie_name: null, persistence_timeout: null, persistence_granularity: null },
});
const monitor = { pool_id: 'pool-1', delay: 5, timeout: 4, max_retries: 2, max_retries_down: 3 };

const SEEDS: Readonly<Record<string, { files: string[]; sketch: GraphSketch }>> = {
  'HTTP, round robin, two members': {
    files: ['000'],
    sketch: {
      listeners: [listener(1, 80)],
      pools: [{ id: 'pool-1' }],
      members: [member(1, 80), member(2, 80)],
    },
  },
  'TCP port 22, least connections, a monitor and peers': {
    files: ['001'],
    sketch: {
      load_balancer: { topology: 'ACTIVE_STANDBY' },
      listeners: [listener(1, 22, { protocol: 'TCP' })],
      pools: [
        { id: 'pool-1', protocol: 'TCP', lb_algorithm: 'LEAST_CONNECTIONS', ...persistence('SOURCE_IP') },
      ],
      members: [member(1, 22), member(2, 22)],
      health_monitors: [{ ...monitor, type: 'TCP' }],
      amphorae: [1, 2].map(n => ({ id: `amphora-${n}`, vrrp_ip: `10.0.0.2${n}` })),
    },
  },
  // A process for each listener, and so a file.
  'two listeners of one VIP': {
    files: ['002-first', '002-second'],
    sketch: {
      listeners: [listener(1, 80, { connection_limit: 100 }), listener(2, 443, { protocol: 'HTTPS' })],
      pools: [
        { id: 'pool-1', ...persistence('HTTP_COOKIE') },
        { id: 'pool-2', protocol: 'HTTPS', lb_algorithm: 'SOURCE_IP' },
      ],
      members: [member(1, 80), member(2, 443, { pool_id: 'pool-2' })],
    },
  },
  'of LBaaS v2, with an HTTP monitor': {
    files: ['003'],
    sketch: {
      listeners: [listener(1, 80)],
      pools: [{ id: 'pool-1' }],
      members: [member(1, 80), member(2, 80, { weight: 2 })],
      health_monitors: [{ ...monitor, type: 'HTTP', url_path: '/index.html', expected_codes: '200-202' }],
    },
  },
};

interface Difference {
  /** The keyword of the section. */
  in: string;
  /** null for what only ours has. */
  theirs: string | null;
  /** null for what only theirs has. */
  ours: string | null;
  /** The section of ours where it stands now. */
  at?: string;
  why: string;
}

const FORWARDED =
  'only where the listener is told to insert X-Forwarded-For: later releases let users choose';
const UNITS = 'theirs were milliseconds by mistake';
const RISE = 'LBaaS v2 had no rise';
const HASH = 'a member that comes or goes moves only its share of the clients, and needs no reload';
const COOKIE = 'haproxy makes the cookies, so that a member can be added without a reload';
const LINE = 'log-format';

const DIFFERENCES: readonly Difference[] = [
  {
    in: 'global',
    theirs: 'group nogroup',
    ours: null,
    why: 'the image of an amphora says which, in a file of its own',
  },
  ...[
    ['log /dev/log local0', 'log /run/rsyslog/octavia/log len 4096 local0'],
    ['log /dev/log local1 notice', 'log /run/rsyslog/octavia/log local1 notice'],
  ].map(([theirs, ours]) => ({
    ...{ in: 'global', theirs: theirs!, ours: ours! },
    why: 'the socket of the daemon that offloads logs; its lines may be long',
  })),
  ...['octavia/listener-1.sock', 'octavia/listener-2.sock', 'neutron/lbaas/v2/lb/haproxy_stats.sock'].map(
    path => ({
      ...{ in: 'global', theirs: `stats socket /var/lib/${path} mode 0666 level user` },
      ours: 'stats socket /var/lib/octavia/lb.sock mode 0666 level user',
      why: 'one process for all listeners of a load balancer, not one for each, and not on a network node',
    }),
  ),
  ...[
    ['server-state-file /var/lib/octavia/lb/servers-state', 'what checks found survives a reload'],
    ['maxconn 50000', 'the sum of the listeners'],
    ['maxconn 50100', 'the sum of the listeners'],
  ].map(([ours, why]) => ({ in: 'global', theirs: null, ours: ours!, why: why! })),
  ...['option splice-request', 'option splice-response', 'option http-keep-alive'].map(ours => ({
    ...{ in: 'defaults', theirs: null, ours, why: 'as later releases have it' },
  })),
  ...[
    ['client 50000', 'frontend'],
    ['connect 5000', 'backend'],
    ['server 50000', 'backend'],
  ].map(([timeout, at]) => ({
    ...{ in: 'defaults', theirs: `timeout ${timeout}`, ours: `timeout ${timeout}`, at: at! },
    why: 'each listener has its own',
  })),
  {
    in: 'peers',
    theirs: 'peers listener1_peers',
    ours: 'peers lb_peers',
    why: 'one process for all listeners',
  },
  { in: 'frontend', theirs: 'option tcplog', ours: LINE, why: 'its line holds what that logs, and more' },
  { in: 'frontend', theirs: 'option forwardfor', ours: null, why: FORWARDED },
  ...[1, 2].map(n => ({
    ...{
      in: 'frontend',
      theirs: `default_backend pool-${n}`,
      ours: `default_backend pool-${n}:listener-${n}`,
    },
    why: 'a pool has a backend for each listener that uses it',
  })),
  { in: 'frontend', theirs: null, ours: 'maxconn 50000', why: 'the default of listeners without a limit' },
  ...['option idle-close-on-response', 'option http-no-delay'].map(ours => ({
    ...{ in: 'frontend', theirs: null, ours, why: 'our own: see frontend.ts' },
  })),
  ...[1, 2].map(n => ({
    ...{ in: 'backend', theirs: `backend pool-${n}`, ours: `backend pool-${n}:listener-${n}` },
    why: 'a pool has a backend for each listener that uses it',
  })),
  {
    ...{ in: 'backend', theirs: 'stick-table type ip size 10k peers listener1_peers' },
    ours: 'stick-table type ipv6 size 10k peers lb_peers',
    why: 'holds addresses of both families',
  },
  {
    ...{ in: 'backend', theirs: 'cookie SRV insert indirect nocache' },
    ours: 'cookie SRV insert indirect nocache dynamic',
    why: COOKIE,
  },
  { in: 'backend', theirs: null, ours: 'dynamic-cookie-key pool-1', why: COOKIE },
  {
    ...{ in: 'backend', theirs: 'server member-1 10.0.0.11:80 weight 1 cookie member-1' },
    ours: 'server member-1 10.0.0.11:80 weight 1',
    why: COOKIE,
  },
  { in: 'backend', theirs: null, ours: 'hash-type consistent', why: HASH },
  {
    ...{ in: 'backend', theirs: 'server member-2 10.0.0.12:443 weight 1' },
    ours: 'server member-2 10.0.0.12:443 weight 1 id 270023',
    why: HASH,
  },
  { in: 'backend', theirs: 'timeout check 4', ours: 'timeout check 4s', why: UNITS },
  {
    ...{ in: 'backend', theirs: 'http-check expect rstatus 200|201|202' },
    ours: 'http-check expect rstatus ^(200|201|202)$',
    why: 'a pattern without ends would take 1200 as well',
  },
  ...['1 10.0.0.11:80 weight 1', '2 10.0.0.12:80 weight 2'].map(server => ({
    ...{ in: 'backend', theirs: `server member-${server} check inter 5s fall 3` },
    ours: `server member-${server} check inter 5s fall 3 rise 2`,
    why: RISE,
  })),
  { in: 'backend', theirs: 'option forwardfor', ours: null, why: FORWARDED },
  ...[
    ['http-reuse safe', 'as later releases have it'],
    ['load-server-state-from-file global', 'what checks found survives a reload'],
    ['fullconn 50000', 'as later releases have it'],
    ['fullconn 100', 'as later releases have it'],
    ['option allbackups', 'as later releases have it'],
    ['timeout tunnel 3600000', 'our own: see backend.ts'],
  ].map(([ours, why]) => ({ in: 'backend', theirs: null, ours: ours!, why: why! })),
];

/** Lines by section, the head of each being its first; the text of a log format is left out. */
function sectionsOf(text: string): string[][] {
  return text
    .split('\n\n')
    .map(section =>
      section
        .split('\n')
        .map(line => line.trim().replace(/^log-format .*/, LINE))
        .filter(line => line !== '' && !line.startsWith('#')),
    )
    .filter(lines => lines.length > 0);
}

/** Such as `backend pool-1`, under which both have it. */
const keyOf = ([head]: string[]): string => (head!.startsWith('peers') ? 'peers' : head!.replace(/:.*/, ''));

describe("what walk-throughs' load balancers say to haproxy", () => {
  const applied = new Set<Difference>();
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'seeds-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const render = (sketch: GraphSketch) => {
    const load_balancer = { id: 'lb', vip_address: VIP, ...sketch.load_balancer };
    const graph = buildGraph({ ...sketch, load_balancer });
    const [amphora] = graph.amphorae;
    const context = { amphora: amphora!, haproxyVersion: '2.6.12', settings: DEFAULT_HAPROXY_SETTINGS };
    return { text: renderHaproxyConfig(graph, context)!, peer: peerName(amphora!.id) };
  };
  const read = (file: string) =>
    readFileSync(join(import.meta.dirname, 'testdata/seeds', `${file}.cfg`), 'utf8');

  describe.each(Object.entries(SEEDS))('%s', (_, { files, sketch }) => {
    test('is the same but for what is known', () => {
      const ours = sectionsOf(render(sketch).text);
      const unknown: string[] = [];
      for (const file of files) {
        const theirs = sectionsOf(read(file));
        for (const section of theirs) {
          const key = keyOf(section);
          const kind = key.split(' ')[0]!;
          const own = ours.find(each => keyOf(each) === key) ?? [];
          const find = (line: string, side: 'theirs' | 'ours') =>
            DIFFERENCES.filter(
              row => row[side] === line && (side === 'ours' ? (row.at ?? row.in) : row.in) === kind,
            );
          for (const line of section.filter(each => !own.includes(each))) {
            const row = find(line, 'theirs').find(({ ours: wanted, at }) => {
              const where = at === undefined ? own : ours.filter(each => keyOf(each).startsWith(at)).flat();
              return wanted === null || where.includes(wanted);
            });
            if (row) applied.add(row);
            else unknown.push(`${file}: ${key}: theirs: ${line}`);
          }
          for (const line of own.filter(each => !section.includes(each))) {
            const [row] = find(line, 'ours').filter(({ theirs: old, at }) =>
              old === null ? true : at !== undefined || section.includes(old),
            );
            if (row) applied.add(row);
            else unknown.push(`${file}: ${key}: ours: ${line}`);
          }
        }
      }
      expect(unknown).toEqual([]);
    });

    test.skipIf(!isHaproxyInstalled())('haproxy accepts theirs and ours (needs haproxy)', async () => {
      const { text, peer } = render(sketch);
      for (const each of [text, ...files.map(read)]) await checkConfig(each, directory, peer);
    });
  });

  test('each known difference is there', () => {
    expect(DIFFERENCES.filter(row => !applied.has(row))).toEqual([]);
  });
});
