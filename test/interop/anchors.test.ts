/** What Python agents look for in our configurations, found by their own functions. Source: contract dataplane.md 12. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderUdpListeners } from '../../src/dataplane/keepalived/lvs.ts';
import { buildGraph, idOf } from '../../src/model/graph.fixture.ts';
import type { LoadBalancerGraph } from '../../src/model/graph.ts';
import { clientObstacle } from '../clients/python-client.ts';

const GOLDEN = join(import.meta.dirname, '../../src/dataplane/haproxy/testdata');
const obstacle = clientObstacle('octavia.amphorae.backends.utils.keepalivedlvs_query');
const cases = globSync(join(GOLDEN, '*.cfg'))
  .filter(path => readFileSync(path, 'utf8') !== '')
  .map(path => basename(path, '.cfg'))
  .sort();

interface Read {
  haproxy: Record<
    string,
    { socket: string; listeners: Record<string, { mode: string; ssl_crt?: string }>; vips: string[] }
  >;
  lvs: Record<string, [Record<string, unknown> | null, string]>;
}

const UDP = buildGraph({
  load_balancer: { additional_vips: [{ subnet_id: 's', ip_address: '2001:db8::10', port_id: null }] },
  listeners: [
    { protocol: 'UDP', protocol_port: 53, default_pool_id: idOf('pool', 1) },
    { protocol: 'UDP', protocol_port: 54, admin_state_up: false },
    { protocol: 'SCTP', protocol_port: 55 },
  ],
  pools: [{ protocol: 'UDP' }],
  health_monitors: [{ type: 'UDP-CONNECT' }],
  members: [
    { address: '192.0.2.1', protocol_port: 5353 },
    { address: '2001:db8::1', protocol_port: 5354 },
    { address: '192.0.2.2', protocol_port: 5353, admin_state_up: false },
  ],
});

describe.skipIf(obstacle)(obstacle ? `a Python agent (${obstacle})` : 'a Python agent', () => {
  const directory = mkdtempSync(join(tmpdir(), 'anchors-'));
  let read: Read;

  beforeAll(() => {
    for (const name of cases) {
      mkdirSync(join(directory, name));
      copyFileSync(join(GOLDEN, `${name}.cfg`), join(directory, name, 'haproxy.cfg'));
    }
    mkdirSync(join(directory, 'lvs'));
    for (const { listener_id, keepalived_conf } of renderUdpListeners(UDP, { basePath: directory }))
      writeFileSync(join(directory, `lvs/octavia-keepalivedlvs-${listener_id}.conf`), keepalived_conf);
    const program = join(import.meta.dirname, 'read-configs.py');
    const args = ['-W', 'ignore', program, directory];
    read = JSON.parse(execFileSync('/usr/bin/python3', args, { timeout: 60_000 }).toString());
  }, 60_000);
  afterAll(() => rmSync(directory, { recursive: true }));

  test('finds the load balancer of every golden file', () => {
    expect(Object.keys(read.haproxy).sort()).toEqual(cases);
    expect(cases.length).toBeGreaterThan(50);
  });

  test.each(cases)('finds in %s what the graph says', name => {
    const graph = buildGraph(JSON.parse(readFileSync(join(GOLDEN, `${name}.json`), 'utf8')));
    const { socket, listeners, vips } = read.haproxy[name]!;
    expect(socket).toBe(`/var/lib/octavia/${graph.load_balancer.id}.sock`);
    const { 'prometheus-exporter-internal-endpoint': _, ...own } = listeners;
    const frontends = readFileSync(join(GOLDEN, `${name}.cfg`), 'utf8').match(/^frontend [0-9a-f-]{36}$/gm);
    expect(Object.keys(own)).toHaveLength(frontends?.length ?? 0);
    for (const [id, { mode, ssl_crt }] of Object.entries(own)) {
      expect(mode).toBe(modeOf(graph, id));
      if (mode === 'TERMINATED_HTTPS') expect(ssl_crt).toMatch(new RegExp(`/${id}\\.pem$`));
    }
    const { vip_address, additional_vips } = graph.load_balancer;
    const known = [vip_address, ...additional_vips.map(vip => vip.ip_address)].filter(Boolean);
    if (frontends) expect([...new Set(vips)].filter(vip => vip !== '127.0.0.1').sort()).toEqual(known.sort());
  });

  test('finds the listeners, pools and members of keepalived.conf', () => {
    const [mapping, namespace] = read.lvs[idOf('listener', 1)]!;
    expect(namespace).toBe('amphora-haproxy');
    expect(mapping).toMatchObject({
      Listener: {
        id: idOf('listener', 1),
        ipports: [`${UDP.load_balancer.vip_address}:53`, '[2001:db8::10]:53'],
      },
      Pool: { id: idOf('pool', 1) },
      HealthMonitor: { id: idOf('monitor', 1) },
      Members: [
        { id: idOf('member', 1), ipport: '192.0.2.1:5353' },
        { id: idOf('member', 2), ipport: '[2001:db8::1]:5354' },
        { id: idOf('member', 3), ipport: null },
      ],
    });
    expect(read.lvs[idOf('listener', 2)]).toEqual([null, 'amphora-haproxy']);
    expect(read.lvs[idOf('listener', 3)]).toEqual([{}, 'amphora-haproxy']);
  });
});

/** What a Python agent calls the kind of listener. Source: contract amphora-agent.md 4.2. */
function modeOf(graph: LoadBalancerGraph, id: string): string {
  const { protocol, default_tls_container_ref } = graph.listeners.find(listener => listener.id === id)!;
  if (protocol === 'TERMINATED_HTTPS' || default_tls_container_ref) return 'TERMINATED_HTTPS';
  return protocol === 'HTTPS' || protocol === 'TCP' ? 'TCP' : 'HTTP';
}
