import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peerName } from '../../lib/peer-name.ts';
import { buildGraph, type GraphSketch, idOf } from '../../model/graph.fixture.ts';
import type { LoadBalancerGraph } from '../../model/graph.ts';
import { DEFAULT_HAPROXY_SETTINGS, type HaproxySettings, type RenderContext } from './context.ts';
import { checkConfig, isHaproxyInstalled } from './haproxy-check.fixture.ts';
import { renderHaproxyConfig } from './render.ts';
import { crtListName, listenerReferences, poolReferences, renderCrtList } from './tls.ts';

const TESTDATA = join(import.meta.dirname, 'testdata');

/** A case of the golden folder: what it is about, and only the fields that matter. */
interface Case extends GraphSketch {
  about: string;
  haproxy_version?: string;
  details?: RenderContext['details'];
  settings?: Partial<HaproxySettings>;
}

function renderCase(name: string, settings: Partial<HaproxySettings> = {}) {
  const found: Case = JSON.parse(readFileSync(join(TESTDATA, `${name}.json`), 'utf8'));
  const graph = buildGraph(found);
  const context: RenderContext = {
    amphora: graph.amphorae[0]!,
    haproxyVersion: found.haproxy_version ?? '2.6.12-1+deb12u4',
    details: found.details,
    settings: { ...DEFAULT_HAPROXY_SETTINGS, ...found.settings, ...settings },
    certificates: certificatesOf(graph),
  };
  return { graph, context, text: renderHaproxyConfig(graph, context) };
}

const referencesOf = (graph: LoadBalancerGraph) => [
  ...graph.listeners.map(listenerReferences),
  ...graph.pools.map(poolReferences),
];

/** The file of each reference has its name; `absent` has none. */
function certificatesOf(graph: LoadBalancerGraph): ReadonlyMap<string, string> {
  const all = referencesOf(graph).flatMap(each => [...each.bundles, each.authorities, each.revocationList]);
  return new Map(all.flatMap(ref => (ref === null || ref === 'absent' ? [] : [[ref, `${ref}.pem`]])));
}

/** Below a load balancer's certificate directory, what its haproxy.cfg names: all of a kind with the same content. */
function writeCertificates(graph: LoadBalancerGraph, context: RenderContext): void {
  const target = join(context.settings.baseCertDir, graph.load_balancer.id);
  mkdirSync(target, { recursive: true });
  const copy = (kind: string, ref: string | null) =>
    ref !== null && copyFileSync(join(TESTDATA, 'certificates', `${kind}.pem`), join(target, `${ref}.pem`));
  for (const { bundles, authorities, revocationList } of referencesOf(graph)) {
    for (const bundle of bundles) copy('bundle', bundle);
    copy('authorities', authorities);
    copy('revocation-list', revocationList);
  }
  for (const listener of graph.listeners)
    writeFileSync(join(target, crtListName(listener)), renderCrtList(listener, context));
}

const cases = readdirSync(TESTDATA)
  .filter(file => file.endsWith('.json'))
  .map(file => basename(file, '.json'))
  .sort();

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'haproxy-golden-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('golden files', () => {
  test('there is one for each feature', () => {
    expect(cases.length).toBeGreaterThanOrEqual(30);
  });

  describe.each(cases)('%s', name => {
    const golden = join(TESTDATA, `${name}.cfg`);

    test('renders as it is written', () => {
      const { text } = renderCase(name);
      if (process.env.UPDATE === '1') writeFileSync(golden, text ?? '');
      expect(text ?? '').toBe(readFileSync(golden, 'utf8'));
    });

    test.skipIf(!isHaproxyInstalled())('haproxy accepts it', async () => {
      const baseCertDir = join(directory, name);
      const { graph, context, text } = renderCase(name, { basePath: directory, baseCertDir });
      if (text === null) return;
      writeCertificates(graph, context);
      await checkConfig(text, directory, peerName(context.amphora.id));
    });

    test('holds what agents look for in it', () => {
      const { graph, text } = renderCase(name);
      if (text === null) return;
      // Source: contract dataplane.md 12.
      expect(text).toMatch(/stats socket\s+(\S+)/);
      for (const [, id] of text.matchAll(/\nfrontend (?!prometheus-)([^\n]*)\n/g)) {
        const listener = graph.listeners.find(l => l.id === id)!;
        const section = text.slice(text.indexOf(`\nfrontend ${id}\n`)).split('\n\n')[0]!;
        expect(/^\s+mode\s+(.*)$/m.exec(section)?.[1]).toBe(
          ['TCP', 'HTTPS'].includes(listener.protocol) ? 'tcp' : 'http',
        );
        expect(section).toContain(` bind ${graph.load_balancer.vip_address}:${listener.protocol_port}`);
      }
      for (const [, backend] of text.matchAll(/\nbackend (?!prometheus-)([^\n]*)\n/g))
        expect(backend!.split(':')).toHaveLength(2);
    });
  });
});

describe('equal graphs give equal bytes', () => {
  test('whatever the order of the rows', () => {
    const { graph, context, text } = renderCase('everything');
    const turned = {
      ...graph,
      listeners: graph.listeners.toReversed(),
      pools: graph.pools.toReversed(),
      members: graph.members.toReversed(),
      health_monitors: graph.health_monitors.toReversed(),
      l7policies: graph.l7policies.toReversed(),
      l7rules: graph.l7rules.toReversed(),
      amphorae: graph.amphorae.toReversed(),
    };
    expect(renderHaproxyConfig(turned, context)).toBe(text);
  });

  test('whatever the statuses are', () => {
    const { graph, context, text } = renderCase('everything');
    for (const row of [...graph.listeners, ...graph.pools, ...graph.members]) {
      row.provisioning_status = 'PENDING_UPDATE';
      row.operating_status = 'ERROR';
      row.updated_at = '2026-02-02T00:00:00.000000';
    }
    expect(renderHaproxyConfig(graph, context)).toBe(text);
  });
});

describe('a tunnel', () => {
  test.each([
    [{}, 3_600_000],
    [{ timeout_member_data: 80_000_000 }, 80_000_000],
    [{ timeout_client_data: 0 }, undefined],
  ])('of a listener with %o may be silent for %s ms', (fields, expected) => {
    const graph = buildGraph({ listeners: [{ default_pool_id: idOf('pool', 1), ...fields }], pools: [{}] });
    const context = {
      amphora: graph.amphorae[0]!,
      haproxyVersion: '2.6',
      settings: DEFAULT_HAPROXY_SETTINGS,
    };
    const found = /timeout tunnel (\d+)/.exec(renderHaproxyConfig(graph, context)!)?.[1];
    expect(found).toBe(expected?.toString());
  });
});

describe('what cannot be rendered says so', () => {
  const render = (sketch: GraphSketch) => {
    const graph = buildGraph(sketch);
    const settings = DEFAULT_HAPROXY_SETTINGS;
    return renderHaproxyConfig(graph, { amphora: graph.amphorae[0]!, haproxyVersion: '2.6', settings });
  };
  test('a load balancer without a VIP address', () => {
    expect(() => render({ load_balancer: { vip_address: null }, listeners: [{}] })).toThrow(/no VIP address/);
  });
  test('a member whose address is none', () => {
    const sketch = { listeners: [{ default_pool_id: 'p' }], pools: [{ id: 'p' }] };
    const members = [{ pool_id: 'p', address: '192.0.2.1:80 backup' }];
    expect(() => render({ ...sketch, members })).toThrow(/as an IP address/);
  });
  test('codes that are none', () => {
    const sketch = { listeners: [{ default_pool_id: 'p' }], pools: [{ id: 'p' }] };
    const health_monitors = [{ id: 'h', pool_id: 'p', expected_codes: '200)|(.*' }];
    expect(() => render({ ...sketch, health_monitors })).toThrow(/health monitor h: expected_codes/);
  });
});
