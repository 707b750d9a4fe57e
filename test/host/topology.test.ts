/** A load balancer gets another flavor while a client counts: topology and size change beneath the VIPs, which answer all the time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { inside } from './accidents.ts';
import { killInstance, listAmphorae } from './amphora-processes.ts';
import { dualVip, ensureDualSubnets, vipsOf } from './dual-vip.ts';
import { ask, Load } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, type SystemHere, SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';
import { createWebLoadBalancer, MEMBER_PORTS, openMembers } from './web-load-balancer.ts';

const EVERY_MS = 10;
/** Longer than the pause after which the kernel repeats the first packet of a connection. */
const LIMIT_MS = 2500;
const TAKEOVER_LIMIT_MS = 1000;
const CALM_MS = 300;
const UDP_PORT = 9100;

/** How many amphorae there are to be, and when the controller dies on the way there. */
const DEATHS = [
  [2, 300],
  [1, 150],
  [2, 1500],
  [1, 400],
] as const;

const FLAVORS = {
  pair: { loadbalancer_topology: 'ACTIVE_STANDBY' },
  large: { compute_flavor: 'large' },
  'large pair': { loadbalancer_topology: 'ACTIVE_STANDBY', compute_flavor: 'large' },
};
type Flavor = keyof typeof FLAVORS | null;

describe.skipIf(trafficObstacle)(titled('a load balancer that gets another flavor'), () => {
  const made = new AsyncDisposableStack();
  const flavorIds = new Map<Flavor, string | null>([[null, null]]);
  let system: SystemHere;
  let client: MemberHost;
  let lb: Resource;
  let vips: string[];

  const urls = () => vips.map(vip => `http://${vip.includes(':') ? `[${vip}]` : vip}`);
  const amphorae = () => listAmphorae(system.dataDir);
  const addressesOf = (id: string) => {
    try {
      return inside(system.dataDir, id, 'ip', '-o', 'address', 'show');
    } catch {
      // It is not there, not yet or no more.
      return '';
    }
  };
  /** Those that have all VIPs on their interface. */
  const holders = () => amphorae().filter(id => vips.every(vip => addressesOf(id).includes(` ${vip}/`)));
  const isWhole = (size: number) =>
    until(
      `${size} amphorae of which one has the VIPs`,
      async () => {
        await system.api.active(lb.id);
        return amphorae().length === size && holders().length === 1;
      },
      () => ({ amphorae: amphorae(), holders: holders() }),
    );

  /** Datagrams of one flow, one after the other. */
  const flowOf = (number: number) => {
    let isOver = false;
    const lost: string[] = [];
    const [host, from] = [vips[0]!, client.addresses[0]!];
    const run = async () => {
      for (let i = 0; !isOver; i++) {
        // One that is lost is never answered.
        const wish = { host, port: UDP_PORT, from, flow: `flow ${number}`, text: `d${i}`, limitMs: LIMIT_MS };
        await client.datagram(wish).catch(error => lost.push(error.message));
      }
    };
    const ended = run();
    return async () => {
      isOver = true;
      await ended;
      return lost;
    };
  };
  let flows = 0;

  /** Under load on new connections and on those that stay open, through both families, and by datagrams. */
  const underLoad = async (what: string, work: () => Promise<void>) => {
    const fresh = await Promise.all(urls().map(url => client.load(url, EVERY_MS, LIMIT_MS)));
    const open = urls().map(url => new Load(url, { keepAlive: true, lanes: 1, limitMs: LIMIT_MS }));
    const calm = async () => {
      const soFar = open.map(load => load.countOf('a'));
      await new Promise(passed => setTimeout(passed, CALM_MS));
      await until('answers', async () => {
        const figures = await Promise.all(fresh.map(load => load.figures()));
        return (
          figures.every(each => each.sinceAnswerMs < 20 * EVERY_MS) &&
          open.every((load, i) => load.countOf('a') > soFar[i]!)
        );
      });
    };
    const endFlow = flowOf(flows++);
    let lost: string[] = [];
    try {
      await calm();
      await work();
      await calm();
    } finally {
      lost = await endFlow();
      await Promise.all(open.map(load => load.stop()));
    }
    const figures = await Promise.all(fresh.map(load => load.stop()));
    const failures = [
      ...figures.flatMap(each => Object.entries(each.failures).map(([why, count]) => `${count} ${why}`)),
      ...open.flatMap(load =>
        load.failures.length > 0 ? [`${load.failures.length} × ${load.failures[0]}`] : [],
      ),
      ...(lost.length > 0 ? [`${lost.length} datagrams`] : []),
    ];
    const sent = [...figures.map(each => each.sent), ...open.map(load => load.total)];
    const gapMs = Math.max(...figures.map(each => each.gapMs), ...open.map(load => load.longestGapMs));
    console.log(`${what}: gap ${gapMs.toFixed()} ms, ${sent} sent; failed: ${failures.join('; ') || 'none'}`);
    return { failures, gapMs };
  };

  const become = (name: Flavor, size: number) =>
    underLoad(`to ${name ?? 'none'}`, async () => {
      await system.api.set(`loadbalancers/${lb.id}`, { flavor_id: flavorIds.get(name) });
      await isWhole(size);
    });
  const zonesOf = async () =>
    (await system.api.client.list('octavia/amphorae'))
      .filter(each => each.status === 'ALLOCATED')
      .map(each => each.cached_zone);

  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ottavia-topology-'));
    made.defer(() => rmSync(directory, { recursive: true }));
    const configFile = join(directory, 'octavia.conf');
    writeFileSync(configFile, '[health_manager]\nheartbeat_interval = 1\nheartbeat_timeout = 3\n');
    system = made.use(await openSystemHere({ configFile: [configFile] }));
    const subnets = await ensureDualSubnets(system);
    const both = [subnets.IPv4, subnets.IPv6];
    const members = made.use(await MemberHost.open([both[0]!], [handPicked(both[0]!, 0)]));
    await openMembers(members);
    await members.open({ kind: 'udp', name: 'u', port: UDP_PORT });
    client = made.use(
      await MemberHost.open(
        both,
        both.map(subnet => handPicked(subnet, 1)),
      ),
    );
    for (const [name, data] of Object.entries(FLAVORS)) {
      const profile = { name, provider_name: 'amphora', flavor_data: JSON.stringify(data) };
      const { id: flavor_profile_id } = await system.api.create('flavorprofiles', profile);
      flavorIds.set(name as Flavor, (await system.api.create('flavors', { name, flavor_profile_id })).id);
    }
    const member = { address: members.addresses[0], protocol_port: MEMBER_PORTS.a };
    lb = await system.api.create('loadbalancers', {
      ...{ name: 'lb', ...dualVip(subnets) },
      listeners: [
        {
          ...{ name: 'l', protocol: 'HTTP', protocol_port: 80 },
          default_pool: {
            ...{ name: 'p', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', members: [member] },
            session_persistence: { type: 'SOURCE_IP' },
          },
        },
        {
          ...{ name: 'u', protocol: 'UDP', protocol_port: UDP_PORT },
          default_pool: {
            ...{ name: 'q', protocol: 'UDP', lb_algorithm: 'ROUND_ROBIN' },
            members: [{ ...member, protocol_port: UDP_PORT }],
          },
        },
      ],
    });
    await system.api.active(lb.id);
    vips = Object.values(vipsOf(await system.api.show(`loadbalancers/${lb.id}`))).map(vip =>
      vip.replace(/[[\]]/g, ''),
    );
    for (const url of urls())
      await until(`${url} to answer`, async () => (await ask(`${url}/r/0`)).status === 200);
  });
  afterAll(() => made.disposeAsync());

  test('single to pair: the amphora goes on as one half, and no request fails', async () => {
    const [before] = amphorae();
    const { failures, gapMs } = await become('pair', 2);
    expect(failures).toEqual([]);
    expect(gapMs).toBeLessThan(TAKEOVER_LIMIT_MS);
    expect(holders()).toEqual([before]);
    expect((await zonesOf()).sort()).toEqual(['1', '2']);
  });

  test('pair to single: the half with the VIPs goes on, and no request fails', async () => {
    const before = holders();
    const { failures, gapMs } = await become(null, 1);
    expect(failures).toEqual([]);
    expect(gapMs).toBeLessThan(TAKEOVER_LIMIT_MS);
    expect(amphorae()).toEqual(before);
  });

  test('to pair and back after a takeover: the other half goes on', async () => {
    expect((await become('pair', 2)).failures).toEqual([]);
    const [first] = holders();
    await killInstance(system.dataDir, first!);
    const [second] = await until('the other half to have the VIPs', () => {
      const now = holders();
      return now.length === 1 && now[0] !== first && now;
    });
    await until('another one in the place of the dead one', () => !amphorae().includes(first!));
    await isWhole(2);
    expect((await become(null, 1)).failures).toEqual([]);
    expect(amphorae()).toEqual([second]);
    // It goes on reporting as a single one does.
    const count = async () => (await system.api.statistics(`loadbalancers/${lb.id}`)).total_connections!;
    const soFar = await count();
    for (let i = 0; i < 20; i++) await ask(`${urls()[0]}/r/${i}`);
    await until('heartbeats that tell of them', async () => (await count()) >= soFar + 20);
    await system.api.shows(lb.id, { lb: 'ONLINE', l: 'ONLINE' });
  });

  test('another size is another amphora, with no more than a takeover between the two', async () => {
    const before = amphorae();
    const { gapMs } = await become('large', 1);
    expect(amphorae()).not.toEqual(before);
    expect(gapMs).toBeLessThan(TAKEOVER_LIMIT_MS);
  });

  test('the topology of large ones, and the size of pairs', async () => {
    expect((await become('large pair', 2)).failures).toEqual([]);
    const before = amphorae();
    const { gapMs } = await become('pair', 2);
    for (const id of before) expect(amphorae()).not.toContain(id);
    expect(gapMs).toBeLessThan(TAKEOVER_LIMIT_MS);
    expect((await zonesOf()).sort()).toEqual(['1', '2']);
  });

  test('both at once, either way', async () => {
    expect((await become('large', 1)).gapMs).toBeLessThan(TAKEOVER_LIMIT_MS);
    expect((await become('pair', 2)).gapMs).toBeLessThan(TAKEOVER_LIMIT_MS);
  });
});

test.skipIf(trafficObstacle)(
  titled(
    'a controller that dies in the middle of a change of topology is followed by one that ends it, and no request fails',
  ),
  async () => {
    await using made = new AsyncDisposableStack();
    const system = made.use(await SystemProcess.open());
    const { api, dataDir, subnet } = system;
    const host = async (index: number) =>
      made.use(await MemberHost.open([subnet], [handPicked(subnet, index)]));
    const members = await host(0);
    await openMembers(members);
    const client = await host(1);
    const { lb, url } = await createWebLoadBalancer(system, members);
    const flavor_data = JSON.stringify(FLAVORS.pair);
    const profile = { name: 'pair', provider_name: 'amphora', flavor_data };
    const { id: flavor_profile_id } = await api.create('flavorprofiles', profile);
    const { id } = await api.create('flavors', { name: 'pair', flavor_profile_id });
    await api.active(lb.id);
    await until('the VIP to answer', async () => (await ask(`${url}/r/0`)).status === 200);
    const load = await client.load(url, EVERY_MS, LIMIT_MS);
    for (const [size, afterMs] of DEATHS) {
      await api.set(`loadbalancers/${lb.id}`, { flavor_id: size === 2 ? id : null });
      await new Promise(passed => setTimeout(passed, afterMs));
      await system.end('SIGKILL');
      await system.start();
      await api.active(lb.id);
      await until(`${size} amphorae`, () => listAmphorae(dataDir).length === size);
    }
    const { sent, failures, gapMs } = await load.stop();
    console.log(`controller killed ${DEATHS.length} times: gap ${gapMs.toFixed()} ms, ${sent} sent`);
    expect(failures).toEqual({});
    expect(gapMs).toBeLessThan(TAKEOVER_LIMIT_MS);
  },
  120_000,
);
