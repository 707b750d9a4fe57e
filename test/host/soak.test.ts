/**
 * Random changes under load that checks every byte: nothing fails, nothing is cut. `OTTAVIA_SOAK_SECONDS=300 OTTAVIA_SOAK_SEED=7 npm test
 * -- test/host/soak` is a longer one, and repeats the changes of a seed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFailed, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { seededRandom } from '../scenarios/random.ts';
import { Load } from './http-client.ts';
import { issueMemberCertificate } from './member-certificate.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { changeSomething, type SoakPool, type SoakWorld } from './soak-changes.ts';
import { download, echo, Lane, talk } from './soak-load.ts';

const SECONDS = Number(process.env.OTTAVIA_SOAK_SECONDS ?? 25);
const SEED = Number(process.env.OTTAVIA_SOAK_SEED ?? Date.now() % 1_000_000);
const HTTP_PORTS = [9001, 9002, 9003, 9004];
const OTHER_PORT = 9005;
const TCP_PORTS = [9101, 9102, 9103];

describe.skipIf(trafficObstacle !== undefined)(titled('a soak'), () => {
  test(`${SECONDS} s of changes cost no request and cut no connection`, {
    timeout: SECONDS * 1000 + 180_000,
  }, async () => {
    onTestFailed(() => console.log(`OTTAVIA_SOAK_SEED=${SEED}`));
    await using system = await SystemProcess.open();
    await using host = await MemberHost.open([system.subnet], [handPicked(system.subnet, 0)]);
    for (const port of [...HTTP_PORTS, OTHER_PORT])
      await host.open({ kind: 'http', name: `web${port}`, port });
    for (const port of TCP_PORTS) await host.open({ kind: 'tcp', name: `tcp${port}`, port });
    const { world, vip } = await build(system, host.addresses[0]!);

    const url = `http://${vip}`;
    const loads = [
      new Load(url, { keepAlive: true }),
      new Load(url, { keepAlive: false }),
      new Load(`https://${vip}`, { keepAlive: false }),
    ];
    const lanes = [
      ...[1, 2].map(() => new Lane('a short download', () => download(url, 20, 20))),
      ...[1, 2].map(() => new Lane('a long download', () => download(url, 100, 100))),
      new Lane('a download over TLS', () => download(`https://${vip}`, 60, 50)),
      ...[1, 2].map(() => new Lane('a TCP connection', () => echo(vip, 22, 50, 20))),
      new Lane('a long TCP connection', () => echo(vip, 22, 100, 100)),
      new Lane('a WebSocket', () => talk(`ws://${vip}/websocket`, 40, 25)),
      new Lane('a long WebSocket', () => talk(`ws://${vip}/websocket`, 100, 100)),
    ];
    const counts = new Map<string, number>();
    const endMs = performance.now() + SECONDS * 1000;
    while (performance.now() < endMs) {
      const change = await changeSomething(world);
      counts.set(change, (counts.get(change) ?? 0) + 1);
      await sleep(world.random() * 150);
    }
    await world.api.active(world.loadBalancerId);
    await Promise.all([...loads, ...lanes].map(each => each.stop()));

    const changes = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const reloads = await countReloads(system, world.loadBalancerId);
    console.log(
      [
        `soak: ${SECONDS} s, seed ${SEED}: ${changes} changes, ${reloads} reloads`,
        `${loads.reduce((sum, load) => sum + load.total, 0)} requests`,
        ...lanes.map(lane => `${lane.name}: ${lane.done} times, ${(lane.bytes / 1e6).toFixed(1)} MB`),
        [...counts].map(([name, count]) => `${name} ${count}`).join(', '),
      ].join('\n  '),
    );
    expect([...loads, ...lanes].flatMap(each => each.failures)).toEqual([]);
    expect(loads.every(load => load.total > SECONDS * 10)).toBe(true);
    expect(lanes.filter(lane => lane.done === 0).map(lane => lane.name)).toEqual([]);
    expect(changes).toBeGreaterThan(SECONDS / 10);
  });
});

async function build(system: SystemProcess, address: string): Promise<{ world: SoakWorld; vip: string }> {
  const { api, subnet } = system;
  const lb = await api.create('loadbalancers', { name: 'soak', vip_subnet_id: subnet.id });
  const addPool = async (protocol: 'HTTP' | 'TCP', ports: number[]): Promise<SoakPool> => {
    const pool = await api.create('pools', {
      ...{ loadbalancer_id: lb.id, protocol, lb_algorithm: 'ROUND_ROBIN' },
    });
    const [stays, ...others] = ports;
    await api.create(`pools/${pool.id}/members`, { address, protocol_port: stays, subnet_id: subnet.id });
    return { id: pool.id, protocol, ports: others, members: [], monitor: undefined };
  };
  const [web, stream, other] = [
    await addPool('HTTP', HTTP_PORTS),
    await addPool('TCP', TCP_PORTS),
    await addPool('HTTP', [OTHER_PORT]),
  ];
  const certificates = await Promise.all(['one', 'two', 'three'].map(name => storeCertificate(api, name)));
  const addListener = (protocol: string, protocol_port: number, pool: SoakPool, more: object = {}) =>
    api.create('listeners', {
      ...{ loadbalancer_id: lb.id, protocol, protocol_port, default_pool_id: pool.id, ...more },
    });
  const listener = await addListener('HTTP', 80, web);
  const tls = { default_tls_container_ref: certificates[0] };
  const secureListener = await addListener('TERMINATED_HTTPS', 443, web, tls);
  await addListener('TCP', 22, stream);
  await api.active(lb.id);
  const world: SoakWorld = {
    ...{ api, random: seededRandom(SEED), loadBalancerId: lb.id, listener, secureListener, certificates },
    ...{ pools: [web, stream], otherPoolId: other.id, policies: [], extraListener: undefined },
    ...{ memberAddress: address, subnetId: subnet.id },
  };
  return { world, vip: lb.vip_address as string };
}

/** A secret with certificate and key, as PEM; returns its reference. */
async function storeCertificate({ client }: SystemProcess['api'], name: string): Promise<string> {
  const { cert, key } = await issueMemberCertificate(name);
  const { secret_ref } = (await client.request('POST', 'key-manager/secrets', {
    ...{ name, secret_type: 'opaque', payload: `${cert}\n${key}`, payload_content_type: 'text/plain' },
  })) as { secret_ref: string };
  return secret_ref;
}

async function countReloads({ api }: SystemProcess, loadBalancerId: string): Promise<number> {
  const amphorae = (await api.client.list('octavia/amphorae', {
    loadbalancer_id: loadBalancerId,
  })) as (Resource & { haproxy_changes?: { reloaded: number } })[];
  return amphorae.reduce((sum, amphora) => sum + (amphora.haproxy_changes?.reloaded ?? 0), 0);
}
