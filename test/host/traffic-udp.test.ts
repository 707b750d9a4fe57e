/** Datagrams through a VIP: who gets them, who keeps getting them, and what is counted and told about it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCTP_CHECK } from '../../src/agent/lvs/programs.ts';
import { agentOf, listAmphorae, untilAnotherAgent } from './amphora-processes.ts';
import { DualVip, FAMILIES, type Family, type Service } from './dual-vip.ts';
import { ask as askHttp } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

/** Each on its host's port for datagrams, and another one for what monitors of the other types ask. */
const MEMBERS = {
  a: { host: 'one', port: 9001, monitor_port: 9101 },
  b: { host: 'two', port: 9002, monitor_port: 9102 },
  c: { host: 'one', port: 9003, monitor_port: 9101 },
} as const;
type Name = keyof typeof MEMBERS;
/** So many that they are spread over all of three members, whatever their addresses. */
const CLIENTS = 40;
const PERSISTENCE = { type: 'SOURCE_IP', persistence_timeout: 60 };
/** A member that is merely slow is not taken for dead. */
const MONITOR = { delay: 1, timeout: 3, max_retries: 1, max_retries_down: 2 };

describe.skipIf(trafficObstacle)(titled('datagrams'), () => {
  const made = new AsyncDisposableStack();
  const hosts = {} as Record<'one' | 'two', MemberHost>;
  let dual: DualVip;
  let checkProgram: string;
  let names = 0;

  const addressOf = (name: Name, family: Family) =>
    hosts[MEMBERS[name].host].addresses[FAMILIES.indexOf(family)]!;

  /** A listener on a port of its own, with the same members in both families. */
  const serve = async (pool: object, members: Partial<Record<Name, object>>, listener: object = {}) => {
    const service = await dual.serve({
      listener: { protocol: 'UDP', ...listener },
      pool: { protocol: 'UDP', lb_algorithm: 'ROUND_ROBIN', ...pool },
      members: [],
    });
    await setMembers(service, members);
    return service;
  };
  /** All that it has from now on. */
  const setMembers = async ({ pool, port }: Service, members: Partial<Record<Name, object>>) => {
    const body = FAMILIES.flatMap(family =>
      Object.entries(members).map(([name, more]) => ({
        name: nameOf(name, port, family),
        ...{ address: addressOf(name as Name, family), protocol_port: MEMBERS[name as Name].port },
        ...more,
      })),
    );
    await dual.system.api.client.request('PUT', `lbaas/pools/${pool.id}/members`, { members: body });
    await dual.active();
  };
  const nameOf = (name: string, port: number, family: Family) => `${name}-${port}-${family}`;
  const shows = (
    service: Service,
    statuses: Partial<Record<Name, string>>,
    families = FAMILIES as readonly Family[],
  ) =>
    dual.system.api.shows(
      dual.lb.id,
      Object.fromEntries(
        families.flatMap(family =>
          Object.entries(statuses).map(([name, status]) => [nameOf(name, service.port, family), status]),
        ),
      ),
    );

  /** Who answers a datagram; it is a new flow unless it is named. */
  const ask = async (
    { port }: Service,
    family: Family,
    { client = 0, flow = `${names++}`, limitMs = 10_000 } = {},
  ): Promise<string> => {
    const text = `t${names++}`;
    const host = dual.vips[family].replace(/[[\]]/g, '');
    const wish = { host, port, from: dual.addresses[family][client]!, flow, text, limitMs };
    const [name, echoed] = (await dual.clients.datagram(wish)).split(' ');
    expect(echoed).toBe(text);
    return name!;
  };
  const isUnanswered = (service: Service, family: Family, flow = `${names++}`) =>
    expect(ask(service, family, { flow, limitMs: 300 })).rejects.toThrow();
  const tally = async (service: Service, family: Family, count: number, flows: readonly string[] = []) => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const name = await ask(service, family, flows[i] === undefined ? {} : { flow: flows[i]! });
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  };
  const newFlows = (count: number) => Array.from({ length: count }, () => `kept-${names++}`);

  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), 'traffic-udp-'));
    made.defer(() => rmSync(directory, { recursive: true }));
    checkProgram = join(directory, 'amphora-health-checker');
    writeFileSync(checkProgram, SCTP_CHECK);
    const file = join(directory, 'test.conf');
    writeFileSync(file, '[api_settings]\nudp_connect_min_interval_health_monitor = 1\n');
    dual = made.use(await DualVip.open(CLIENTS, { configFile: [file] }));
    const { IPv4, IPv6 } = dual.subnets;
    for (const [i, name] of (['one', 'two'] as const).entries()) {
      const picked = [handPicked(IPv4, 50 + i), handPicked(IPv6, 50 + i)];
      hosts[name] = made.use(await MemberHost.open([IPv4, IPv6], picked));
    }
    for (const [name, { host, port, monitor_port }] of Object.entries(MEMBERS)) {
      await hosts[host].open({ kind: 'udp', name, port });
      if (name !== 'c') await hosts[host].open({ kind: 'http', name, port: monitor_port });
    }
  });
  afterAll(() => made.disposeAsync());

  describe('UDP flows [listener.protocol=UDP, pool.protocol=UDP, IPv4, IPv6]', () => {
    test('go round, and stay where they are [pool.lb_algorithm=ROUND_ROBIN]', async () => {
      const service = await serve({}, { a: {}, b: {}, c: {} });
      for (const family of FAMILIES) {
        const flows = newFlows(9);
        expect(await tally(service, family, 9, flows)).toEqual({ a: 3, b: 3, c: 3 });
        const first = await ask(service, family, { flow: flows[0]! });
        for (let i = 0; i < 3; i++) expect(await ask(service, family, { flow: flows[0]! })).toBe(first);
      }
    });

    test('go where the weights say; weight 0 drains [member.weight]', async () => {
      const service = await serve({}, { a: { weight: 30 }, b: { weight: 10 } });
      const flows: Partial<Record<Family, string>> = {};
      for (const family of FAMILIES) {
        expect(await tally(service, family, 12)).toEqual({ a: 9, b: 3 });
        flows[family] = await until('a flow of b', async () => {
          const [flow] = newFlows(1);
          return (await ask(service, family, { flow: flow! })) === 'b' && flow!;
        });
      }
      await setMembers(service, { a: { weight: 30 }, b: { weight: 0 } });
      for (const family of FAMILIES) {
        expect(await tally(service, family, 6)).toEqual({ a: 6 });
        expect(await ask(service, family, { flow: flows[family]! })).toBe('b');
      }
      await shows(service, { a: 'NO_MONITOR', b: 'DRAINING' });
    });

    test('go to a member that stands by when no other is left [member.backup]', async () => {
      const service = await serve({}, { a: {}, c: { backup: true } });
      for (const family of FAMILIES) expect(await tally(service, family, 3)).toEqual({ a: 3 });
      await setMembers(service, { a: { weight: 0 }, c: { backup: true } });
      for (const family of FAMILIES) expect(await tally(service, family, 3)).toEqual({ c: 3 });
    });

    test('of one client go to one member, whoever else comes or goes [pool.lb_algorithm=SOURCE_IP]', async () => {
      const service = await serve({ lb_algorithm: 'SOURCE_IP' }, { a: {}, b: {}, c: {} });
      const clients = Array.from({ length: CLIENTS }, (_, client) => client);
      const owners = async (family: Family) => {
        const found = [];
        for (const client of clients) found.push(await ask(service, family, { client }));
        return found;
      };
      for (const family of FAMILIES) {
        const first = await owners(family);
        expect(new Set(first).size).toBe(3);
        expect(await owners(family)).toEqual(first);
      }
      const before = { IPv4: await owners('IPv4'), IPv6: await owners('IPv6') };
      await setMembers(service, { a: {}, b: {} });
      for (const family of FAMILIES) {
        const after = await owners(family);
        clients.forEach(client => {
          if (before[family][client] !== 'c') expect(after[client]).toBe(before[family][client]);
        });
      }
    });

    test('of one client go to all members by their ports, whoever else comes or goes [pool.lb_algorithm=SOURCE_IP_PORT]', async () => {
      const service = await serve({ lb_algorithm: 'SOURCE_IP_PORT' }, { a: {}, b: {}, c: {} });
      // So many that they are spread over all members, whatever their ports.
      const flows = { IPv4: newFlows(60), IPv6: newFlows(60) };
      const owners = async (family: Family) => {
        const found: string[] = [];
        for (const flow of flows[family]) found.push(await ask(service, family, { flow }));
        return found;
      };
      const before = { IPv4: await owners('IPv4'), IPv6: await owners('IPv6') };
      for (const family of FAMILIES) expect(new Set(before[family])).toEqual(new Set(['a', 'b', 'c']));
      await setMembers(service, { a: {}, b: {} });
      for (const family of FAMILIES) {
        const after = await owners(family);
        expect(after).not.toContain('c');
        before[family].forEach((owner, i) => {
          if (owner !== 'c') expect(after[i]).toBe(owner);
        });
      }
    });

    test('go where there are fewest [pool.lb_algorithm=LEAST_CONNECTIONS]', async () => {
      const service = await serve({ lb_algorithm: 'LEAST_CONNECTIONS' }, { a: {} });
      for (const family of FAMILIES) expect(await tally(service, family, 6)).toEqual({ a: 6 });
      await setMembers(service, { a: {}, b: {} });
      for (const family of FAMILIES) {
        expect(await tally(service, family, 6)).toEqual({ b: 6 });
        // Flows that begin while it is counted how many there are, are seen the next time.
        let last: Record<string, number> = {};
        await until(
          'both to get as many',
          async () => {
            last = await tally(service, family, 6);
            return last.a === 3 && last.b === 3;
          },
          () => last,
        );
      }
    });

    test('of a client keep to a member for a time [pool.session_persistence=SOURCE_IP, pool.session_persistence.persistence_timeout]', async () => {
      const service = await serve({ session_persistence: PERSISTENCE }, { a: {}, b: {}, c: {} });
      const first = {} as Record<Family, string>;
      for (const family of FAMILIES) {
        first[family] = await ask(service, family);
        for (let i = 0; i < 3; i++) expect(await ask(service, family)).toBe(first[family]);
        expect(await ask(service, family, { client: 1 })).not.toBe(first[family]);
      }
      // A change of other members forgets nobody.
      await setMembers(service, { a: { weight: 2 }, b: {}, c: {} });
      for (const family of FAMILIES) expect(await ask(service, family)).toBe(first[family]);

      const session_persistence = { ...PERSISTENCE, persistence_timeout: 1 };
      const brief = await serve({ session_persistence }, { a: {}, b: {}, c: {} });
      for (const family of FAMILIES) first[family] = await ask(brief, family);
      await sleep(1500);
      // Somebody else is the next in turn.
      await Promise.all(FAMILIES.map(family => ask(brief, family, { client: 2 })));
      const later = await Promise.all(FAMILIES.map(family => ask(brief, family)));
      expect(later).not.toEqual(Object.values(first));
    });

    test.each([
      ['255.255.255.0', 'IPv4'],
      ['ffff:ffff:ffff:ffff::', 'IPv6'],
    ] as const)(
      'of clients that a mask makes one keep together, with %s [pool.session_persistence.persistence_granularity]',
      async (mask, own) => {
        const session_persistence = { ...PERSISTENCE, persistence_granularity: mask };
        const service = await serve({ session_persistence }, { a: {}, b: {}, c: {} });
        const asked = async (family: Family) => {
          const answers = new Set<string>();
          for (const client of [0, 1, 2]) answers.add(await ask(service, family, { client }));
          return answers.size;
        };
        for (const family of FAMILIES) expect(await asked(family)).toBe(family === own ? 1 : 3);
      },
    );

    test('are no more than allowed [listener.connection_limit]', async () => {
      const service = await serve({}, { a: {} }, { connection_limit: 3 });
      const flows = newFlows(3);
      expect(await tally(service, 'IPv4', 2, flows)).toEqual({ a: 2 });
      expect(await ask(service, 'IPv6', { flow: flows[2]! })).toBe('a');
      await isUnanswered(service, 'IPv4');
      await isUnanswered(service, 'IPv6');
      expect(await tally(service, 'IPv4', 2, flows)).toEqual({ a: 2 });
    });

    test('lose nothing while other members come, change and go', async () => {
      const service = await serve({}, { a: {}, b: {} });
      const flows = FAMILIES.flatMap(family => newFlows(6).map(flow => ({ family, flow, owner: '' })));
      for (const each of flows) each.owner = await ask(service, each.family, each);
      const ofA = flows.filter(each => each.owner === 'a');
      expect(ofA.length).toBe(6);
      let stopped = false;
      let asked = 0;
      const load = (async () => {
        while (!stopped)
          for (const each of ofA) {
            expect(await ask(service, each.family, each)).toBe('a');
            asked++;
          }
      })();
      load.catch(() => {});
      for (const members of [{ c: {} }, { b: {}, c: {} }, { c: { weight: 7 } }, { b: { weight: 0 } }, {}]) {
        const soFar = asked;
        await setMembers(service, { a: {}, ...members });
        await Promise.race([load, until('datagrams to go on', () => asked > soFar + 30)]);
      }
      stopped = true;
      await load;
      // Those whose member is gone go on elsewhere.
      for (const each of flows) expect(await ask(service, each.family, each)).toBe('a');
    });
  });

  test('of what is disabled go nowhere [listener.protocol=UDP, member.admin_state_up, pool.admin_state_up, listener.admin_state_up, IPv4, IPv6]', async () => {
    const service = await serve({}, { a: {}, b: { admin_state_up: false } });
    for (const family of FAMILIES) expect(await tally(service, family, 4)).toEqual({ a: 4 });
    await shows(service, { a: 'NO_MONITOR', b: 'OFFLINE' });
    for (const path of [`pools/${service.pool.id}`, `listeners/${service.listener.id}`]) {
      const [flow] = newFlows(1);
      expect(await ask(service, 'IPv4', { flow: flow! })).toBe('a');
      await dual.set(path, { admin_state_up: false });
      for (const family of FAMILIES) await isUnanswered(service, family);
      await isUnanswered(service, 'IPv4', flow!);
      await dual.set(path, { admin_state_up: true });
      for (const family of FAMILIES) expect(await ask(service, family)).toBe('a');
      expect(await ask(service, 'IPv4', { flow: flow! })).toBe('a');
    }
  });

  test('share the port with TCP, go to another pool, and come to an end [listener.protocol_port, listener.default_pool_id, IPv4, IPv6]', async () => {
    const service = await serve({}, { a: {} });
    const { api } = dual.system;
    const more = { protocol: 'HTTP', protocol_port: service.port };
    const http = await dual.serve({ listener: more, members: [] });
    await dual.addMember(http.pool, 9101, { address: addressOf('a', 'IPv4') });
    const other = await serve({}, { b: {} });
    for (const family of FAMILIES) {
      expect(await ask(service, family)).toBe('a');
      const { body } = await askHttp(`http://${dual.vips[family]}:${service.port}/x`);
      expect(body).toBe('a /x');
    }
    const [flow] = newFlows(1);
    expect(await ask(service, 'IPv4', { flow: flow! })).toBe('a');
    await dual.set(`listeners/${service.listener.id}`, { default_pool_id: other.pool.id });
    for (const family of FAMILIES) expect(await ask(service, family)).toBe('b');
    expect(await ask(service, 'IPv4', { flow: flow! })).toBe('b');
    await api.remove(`listeners/${service.listener.id}`);
    await dual.active();
    await isUnanswered(service, 'IPv4', flow!);
    expect((await askHttp(`http://${dual.vips.IPv4}:${service.port}/x`)).status).toBe(200);
  });

  test('are counted [listener.protocol=UDP, IPv4, IPv6]', async () => {
    const service = await serve({}, { a: {} });
    const flows = newFlows(4);
    for (const family of FAMILIES)
      await tally(
        service,
        family,
        4,
        flows.map(flow => `${flow}-${family}`),
      );
    await setMembers(service, { a: {}, b: {} });
    for (const family of FAMILIES)
      await tally(
        service,
        family,
        4,
        flows.map(flow => `${flow}-${family}`),
      );
    let last: Record<string, number> = {};
    await until(
      'all of it to be counted',
      async () => {
        last = await dual.system.api.statistics(`listeners/${service.listener.id}`);
        return last.total_connections === 8 && last.active_connections === 8 && last.bytes_in! > 16 * 28;
      },
      () => last,
    );
    // Answers hold the datagram, a name and an address besides.
    expect(last.bytes_out).toBeGreaterThan(last.bytes_in!);
    expect(last.bytes_in).toBeLessThan(16 * 60);
    await dual.system.api.shows(dual.lb.id, { [service.listener.id]: 'ONLINE', [service.pool.id]: 'ONLINE' });
  });

  describe('a monitor [member.monitor_port, member.monitor_address, healthmonitor.delay, healthmonitor.timeout, healthmonitor.max_retries_down, IPv4, IPv6]', () => {
    const TYPES = ['UDP-CONNECT', 'TCP', 'HTTP'] as const;
    const services = new Map<string, Service>();

    beforeAll(async () => {
      for (const type of TYPES) {
        const service = await dual.serve({
          listener: { protocol: 'UDP' },
          pool: { protocol: 'UDP' },
          members: [],
        });
        services.set(type, service);
        await dual.system.api.create('healthmonitors', {
          ...{ pool_id: service.pool.id, type, ...MONITOR },
          ...(type === 'HTTP' ? { url_path: '/health', expected_codes: '200,204' } : {}),
        });
        const other = (name: Name) =>
          type === 'UDP-CONNECT' ? {} : { monitor_port: MEMBERS[name].monitor_port };
        await setMembers(service, { a: other('a'), b: other('b') });
      }
    });

    const all = async (statuses: Partial<Record<Name, string>>, families?: readonly Family[]) => {
      for (const service of services.values()) await shows(service, statuses, families);
    };
    const everywhere = async (counts: Record<string, number>, count: number) => {
      for (const service of services.values()) {
        for (const family of FAMILIES) expect(await tally(service, family, count)).toEqual(counts);
      }
    };

    test('finds a dead program and a living one again, and its flows go elsewhere [healthmonitor.type=UDP-CONNECT, healthmonitor.type=TCP, healthmonitor.type=HTTP]', async () => {
      await all({ a: 'ONLINE', b: 'ONLINE' });
      await everywhere({ a: 2, b: 2 }, 4);
      const flows = newFlows(4);
      const udp = services.get('UDP-CONNECT')!;
      expect(await tally(udp, 'IPv4', 4, flows)).toEqual({ a: 2, b: 2 });
      await hosts.two.kill();
      await all({ a: 'ONLINE', b: 'ERROR' });
      await everywhere({ a: 4 }, 4);
      expect(await tally(udp, 'IPv4', 4, flows)).toEqual({ a: 4 });
      await hosts.two.start();
      await all({ a: 'ONLINE', b: 'ONLINE' });
      await everywhere({ a: 2, b: 2 }, 4);
    });

    test('finds a machine that is gone', async () => {
      hosts.two.removeAddress(hosts.two.addresses[0]!);
      await all({ b: 'ERROR' }, ['IPv4']);
      await all({ b: 'ONLINE' }, ['IPv6']);
      hosts.two.addAddress(hosts.two.addresses[0]!);
      await all({ b: 'ONLINE' });
    });

    test('of type HTTP looks at the code [healthmonitor.url_path, healthmonitor.expected_codes]', async () => {
      const http = services.get('HTTP')!;
      await hosts.one.setHealth(MEMBERS.a.monitor_port, 503);
      await shows(http, { a: 'ERROR', b: 'ONLINE' });
      await hosts.one.setHealth(MEMBERS.a.monitor_port, 204);
      await shows(http, { a: 'ONLINE', b: 'ONLINE' });
    });

    test('goes on when the agent is killed, which no datagram notices', async () => {
      const udp = services.get('UDP-CONNECT')!;
      const flows = newFlows(4);
      expect(await tally(udp, 'IPv6', 4, flows)).toEqual({ a: 2, b: 2 });
      await hosts.two.kill();
      await all({ b: 'ERROR' });
      const { dataDir } = dual.system;
      const [amphora] = listAmphorae(dataDir);
      const dead = agentOf(dataDir, amphora!)!;
      process.kill(dead.pid, 'SIGKILL');
      // Who was found dead is not taken for alive by the next agent.
      for (let i = 0; i < 100; i++) expect(await ask(udp, 'IPv6', { flow: flows[i % 4]! })).toBe('a');
      await untilAnotherAgent(dataDir, amphora!, dead);
      await hosts.two.start();
      await all({ a: 'ONLINE', b: 'ONLINE' });
      await everywhere({ a: 2, b: 2 }, 4);
    });

    test('with no living member the sender is told', async () => {
      const udp = services.get('UDP-CONNECT')!;
      for (const host of Object.values(hosts)) await host.kill();
      await dual.system.api.shows(dual.lb.id, { [udp.pool.id]: 'ERROR' });
      for (const family of FAMILIES) await expect(ask(udp, family)).rejects.toThrow('ECONNREFUSED');
      for (const host of Object.values(hosts)) await host.start();
      await all({ a: 'ONLINE', b: 'ONLINE' });
      await everywhere({ a: 2, b: 2 }, 4);
    });
  });

  test('of SCTP go round, and members that do not answer get none [listener.protocol=SCTP, pool.protocol=SCTP, healthmonitor.type=SCTP, IPv4, IPv6]', async () => {
    const PORT = 9200;
    const service = await dual.serve({
      listener: { protocol: 'SCTP' },
      pool: { protocol: 'SCTP', lb_algorithm: 'ROUND_ROBIN' },
      members: [],
    });
    const members = FAMILIES.flatMap((family, i) =>
      Object.entries(hosts).map(([name, { addresses }]) => ({
        name: nameOf(name, service.port, family),
        ...{ address: addresses[i], protocol_port: PORT },
      })),
    );
    await dual.system.api.client.request('PUT', `lbaas/pools/${service.pool.id}/members`, { members });
    await dual.active();
    const responders = FAMILIES.flatMap((_, i) =>
      Object.values(hosts).map(host => new Responder(host.namespace, host.addresses[i]!, PORT)),
    );
    const heard = () => responders.map(responder => responder.inits);
    try {
      for (const responder of responders) await responder.ready();
      for (const family of FAMILIES) {
        const vip = dual.vips[family].replace(/[[\]]/g, '');
        const call = ['netns', 'exec', dual.clients.namespace, 'perl', checkProgram, 'sctp', '-t', '10', vip];
        // The INIT reaches a member, whose answer comes from the VIP.
        for (let i = 0; i < 4; i++) {
          expect(spawnSync('ip', [...call, String(service.port)], { timeout: 20_000 }).status).toBe(0);
        }
      }
      await until('each to be heard of twice', () => heard().join() === '2,2,2,2', heard);
      await dual.system.api.create('healthmonitors', {
        ...{ pool_id: service.pool.id, type: 'SCTP', ...MONITOR },
      });
      const shown = (statuses: Record<string, string>) => dual.system.api.shows(dual.lb.id, statuses);
      const all = members.map(({ name }) => name);
      await shown(Object.fromEntries(all.map(name => [name, 'ONLINE'])));
      responders[1]!.end();
      await shown({
        [nameOf('two', service.port, 'IPv4')]: 'ERROR',
        [nameOf('two', service.port, 'IPv6')]: 'ONLINE',
      });
    } finally {
      for (const responder of responders) responder.end();
    }
  });
});

/** Speaks as much SCTP as a check needs, on kernels without it too. */
class Responder {
  inits = 0;
  readonly #child: ChildProcess;
  readonly #ready: Promise<unknown>;

  constructor(namespace: string, address: string, port: number) {
    const program = join(import.meta.dirname, 'testdata/sctp-responder.pl');
    const command = ['netns', 'exec', namespace, 'perl', program, address, String(port), '2'];
    this.#child = spawn('ip', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface(this.#child.stdout!);
    this.#ready = once(lines, 'line');
    lines.on('line', line => {
      if (line === '1') this.inits++;
    });
  }

  async ready(): Promise<void> {
    await this.#ready;
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}
