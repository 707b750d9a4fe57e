import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CommandError, run } from '../../lib/command.ts';
import { TerminalError } from '../../lib/errors.ts';
import { buildGraph, type GraphSketch, idOf } from '../../model/graph.fixture.ts';
import { prefix, seconds } from './quote.ts';
import { listVrrpPeers, type RoutedVip, renderVrrp, type VrrpContext } from './vrrp.ts';

const TESTDATA = join(import.meta.dirname, 'testdata-vrrp');

const four = (last: number, more: Partial<RoutedVip> = {}): RoutedVip => ({
  ...{ ip_address: `203.0.113.${last}`, subnet_cidr: '203.0.113.0/24', gateway: '203.0.113.1' },
  ...{ host_routes: [], ...more },
});
const six: RoutedVip = {
  ...{ ip_address: '2001:db8::10', subnet_cidr: '2001:db8::/64', gateway: '2001:db8::1' },
  host_routes: [{ destination: '2001:db8:9::/48', nexthop: '2001:db8::9' }],
};
const settings = {
  ...{ basePath: '/var/lib/octavia', checkIntervalSeconds: 5, failCount: 2, successCount: 2 },
  ...{ garpRefreshSeconds: 5, garpRefreshCount: 2 },
};

const pair = (more: object[] = [{}, {}]): GraphSketch => ({
  load_balancer: { topology: 'ACTIVE_STANDBY' },
  amphorae: more.map((fields, i) => ({
    role: i === 0 ? 'MASTER' : 'BACKUP',
    vrrp_priority: i === 0 ? 100 : 90,
    vrrp_interface: 'eth1',
    ...fields,
  })) as never,
});

interface Case {
  graph?: GraphSketch;
  vips?: RoutedVip[];
  advert?: number;
  of?: number;
  settings?: Partial<VrrpContext['settings']>;
}

const CASES: Record<string, Case> = {
  master: {},
  backup: { of: 1 },
  'several-vips': { vips: [four(10), six, four(12), four(11, { gateway: null })] },
  'host-routes': {
    vips: [four(10, { host_routes: [{ destination: '198.51.100.0/24', nexthop: '203.0.113.2' }] })],
  },
  'no-gateway': { vips: [four(10, { gateway: null })] },
  'sub-second': { advert: 200, settings: { checkIntervalSeconds: 1, failCount: 1, successCount: 1 } },
  ipv6: {
    vips: [six, four(10)],
    graph: pair([{ vrrp_ip: '2001:db8::20' }, { vrrp_ip: '2001:db8::21' }]),
  },
  'failover-of-the-other': { graph: pair([{}, { status: 'PENDING_DELETE' }, {}]) },
  'alone-ipv6': { vips: [six], graph: pair([{ vrrp_ip: '2001:db8::20' }]) },
  alone: { graph: pair([{}, { status: 'ERROR' }, { vrrp_ip: null }]) },
};

function render({ graph = pair(), vips = [four(10)], advert = 1000, of = 0, ...more }: Case): string {
  const built = buildGraph(graph);
  return renderVrrp(built, {
    amphora: built.amphorae[of]!,
    vips,
    group: { loadbalancer_id: '', auth_pass: 'abc1234', advert_interval_ms: advert, given: {} },
    settings: { ...settings, ...more.settings },
  });
}

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'vrrp-'));
  writeFileSync(join(directory, 'check_script.sh'), '#!/bin/sh\n', { mode: 0o755 });
});
afterAll(() => rmSync(directory, { recursive: true }));

/** keepalived looks for the interface and the script on the machine where it reads the file. */
async function complaints(text: string): Promise<string> {
  const links = Object.entries(networkInterfaces()).filter(([, ips]) => ips?.some(ip => !ip.internal));
  const file = join(directory, 'keepalived.conf');
  const here = text
    .replaceAll('eth1', links[0]![0])
    .replaceAll('/var/lib/octavia/vrrp/check_script.sh', join(directory, 'check_script.sh'));
  writeFileSync(file, here);
  const { stdout, stderr } = await run('keepalived', ['-t', '-f', file]).catch(
    error => error as CommandError,
  );
  // The programs of an image may lie where others than root write.
  return (stdout + stderr).replace(
    /^SECURITY VIOLATION - scripts are being executed but script_security not.*\n/m,
    '',
  );
}

describe.each(Object.entries(CASES))('%s', (name, each) => {
  test('renders as it is written, and keepalived reads it', async () => {
    const golden = join(TESTDATA, `${name}.conf`);
    const text = render(each);
    if (process.env.UPDATE === '1') writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
    expect(await complaints(text)).toBe('');
  });
});

test('a mistake is seen by that question', async () => {
  expect(await complaints(render({}).replace('advert_int 1', 'advert_int never'))).toContain(
    'Advert interval',
  );
});

test('peers are those that may hold the VIPs: neither single ones nor those without an address or in ERROR', () => {
  const graph = buildGraph(
    pair([{}, { status: 'PENDING_DELETE' }, { vrrp_priority: null }, { vrrp_ip: null }, { status: 'ERROR' }]),
  );
  expect(listVrrpPeers(graph, graph.amphorae[0]!).map(each => each.id)).toEqual([idOf('amphora', 2)]);
});

test('an amphora without its interface has no configuration', () => {
  expect(() => render({ graph: pair([{ vrrp_interface: null }]) })).toThrow('is not plugged yet');
});

test('whatever a cloud says of subnets and addresses leaves lines, words and braces as they are', () => {
  // Two routes look alike, and of two to one destination there is one.
  const shape = (text: string) => {
    const lines = text.split('\n').map(line => line.replace(/[^\s{}]+/g, 'x'));
    return lines.filter((line, i) => line !== lines[i - 1]);
  };
  const expected = shape(
    render({ vips: [four(10, { host_routes: [{ destination: '::/0', nexthop: '::' }] })] }),
  );
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({ unit: fc.constantFrom(...' \t\n"{}!#$/.:0129af'.split('')), maxLength: 20 }),
    fc.constantFrom('10.0.0.0/8', '2001:db8::/32', '10.0.0.1', '::1', '10.0.0.0/8\n}', '::1%eth0'),
  );
  let rendered = 0;
  const network = fc.oneof(nasty, fc.constantFrom('10.0.0.0/8', '2001:db8::/32'));
  const address = fc.oneof(nasty, fc.constantFrom('10.0.0.1', '::1'));
  fc.assert(
    fc.property(network, address, network, address, (subnet_cidr, gateway, destination, nexthop) => {
      const vip = { ...four(10), subnet_cidr, gateway, host_routes: [{ destination, nexthop }] };
      let text: string;
      try {
        text = render({ vips: [vip] });
      } catch (error) {
        expect(error).toBeInstanceOf(TerminalError);
        return;
      }
      rendered++;
      expect(shape(text)).toEqual(expected);
    }),
    { numRuns: 2000, seed: 7 },
  );
  expect(rendered).toBeGreaterThan(0);
});

test.each([
  ['a network without a length', () => prefix('10.0.0.0')],
  ['a network with more', () => prefix('10.0.0.0/8/9')],
  ['a network of another kind', () => prefix('10.0.0/8')],
  ['thousandths of a second', () => seconds(1)],
  ['no number of seconds', () => seconds(Number.NaN)],
])('%s is refused', (_what, quote) => expect(quote).toThrow(TerminalError));
