import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parsePrometheusText } from './prometheus-text.fixture.ts';
import { METRIC_NAMES, renameMetrics } from './rename.ts';

/** What haproxy 2.6.12 said of an HTTP and a TCP listener with a pool each, one pool checked, after a request. */
const RECORDED = readFileSync(join(import.meta.dirname, 'testdata/haproxy-2.6.txt'), 'utf8');

const renamed = parsePrometheusText(renameMetrics(RECORDED));

test('the reader is strict', () => {
  for (const bad of [
    'a 1\n',
    '# TYPE a counter\na 1',
    '# TYPE a counter\na one\n',
    '# TYPE a counter\na{b="1" c="2"} 1\n',
    '# TYPE a counter\na{b="1",b="2"} 1\n',
    '# TYPE a counter\na 1\na 2\n',
    '# TYPE a counter\n# TYPE b counter\nb 1\na 1\n',
    '# TYPE a thing\n',
  ]) {
    expect(() => parsePrometheusText(bad), bad).toThrow();
  }
  expect(parsePrometheusText('# HELP a b\n# TYPE a gauge\na{b="1,\\"{}",c=""} -1.5e3\n')).toEqual([
    { name: 'a', labels: { b: '1,\\"{}', c: '' }, value: -1500 },
  ]);
});

describe('what haproxy really says', () => {
  test('is well-formed afterwards, and has known names and labels only', () => {
    expect(renamed.length).toBeGreaterThan(200);
    const labelsOf: Record<string, string[]> = {
      octavia_loadbalancer_: [],
      octavia_memory_pool_: [],
      octavia_listener_: ['listener', 'code', 'state'],
      octavia_pool_: ['pool', 'code', 'state'],
      octavia_member_: ['pool', 'member', 'code', 'state'],
    };
    for (const { name, labels } of renamed) {
      expect(METRIC_NAMES).toContain(name);
      const kind = Object.keys(labelsOf).find(prefix => name.startsWith(prefix))!;
      for (const label of Object.keys(labels)) expect(labelsOf[kind], name).toContain(label);
    }
  });

  test('has every name of the table', () => {
    const missing = METRIC_NAMES.filter(name => !renamed.some(sample => sample.name === name));
    expect(missing).toEqual([]);
  });

  test('keeps every value, but for what is about the exporter', () => {
    const kept = RECORDED.split('\n').filter(line => !line.startsWith('#') && !line.includes('exporter'));
    const samplesOf = (prefix: string) => kept.filter(line => line.startsWith(prefix)).length;
    const countOf = (prefix: string) => renamed.filter(({ name }) => name.startsWith(prefix)).length;
    expect(countOf('octavia_listener_sessions_total')).toBe(samplesOf('haproxy_frontend_sessions_total'));
    expect(countOf('octavia_member_status')).toBe(samplesOf('haproxy_server_status'));
    expect(renamed).toContainEqual({
      name: 'octavia_member_http_responses_total',
      labels: { pool: 'p1:f1', member: 'm1', code: '2xx' },
      value: 1,
    });
    expect(renamed).toContainEqual({
      name: 'octavia_pool_active_members',
      labels: { pool: 'p1:f2' },
      value: 2,
    });
    expect(renameMetrics(RECORDED)).not.toContain('prometheus-exporter');
  });
});

test.each([
  ['haproxy_process_pool_used_bytes 5', 'octavia_memory_pool_used_bytes 5\n'],
  ['haproxy_process_uptime_seconds 5', ''],
  ['haproxy_backend_statuses{proxy="p"} 5', ''],
  [
    '# HELP haproxy_backend_active_servers Active servers',
    '# HELP octavia_pool_active_members Active servers\n',
  ],
  ['haproxy_backend_server_aborts_total{proxy="p:l"} 1', 'octavia_pool_member_aborts_total{pool="p:l"} 1\n'],
  [
    'haproxy_server_server_aborts_total{proxy="p:l",server="m"} 1',
    'octavia_member_server_aborts_total{pool="p:l",member="m"} 1\n',
  ],
  [
    'haproxy_frontend_status{proxy="{,proxy=\\"x",state="UP"} 1',
    'octavia_listener_status{listener="{,proxy=\\"x",state="UP"} 1\n',
  ],
  ['haproxy_frontend_sessions_total{proxy="prometheus-exporter-internal-endpoint"} 1', ''],
  ['nonsense', ''],
  ['', ''],
])('%s becomes %s', (line, expected) => {
  expect(renameMetrics(line)).toBe(expected);
});

test('the table is the contract, name for name', () => {
  // Source: contract dataplane.md 3, the braces spelled out.
  const contract = readFileSync(join(import.meta.dirname, 'testdata/names.txt'), 'utf8')
    .trim()
    .split('\n');
  expect([...METRIC_NAMES].sort()).toEqual(contract);
});
