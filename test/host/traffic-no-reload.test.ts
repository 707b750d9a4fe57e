/** What changes at run time changes without a reload: the worker that carries the load stays, and no request fails. */
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HaproxyChanges } from '../../src/model/amphora.ts';
import { settledHaproxy } from './amphora-processes.ts';
import { DualVip, FAMILIES, type Service } from './dual-vip.ts';
import { ask, Load } from './http-client.ts';
import { issueMemberCertificate } from './member-certificate.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const CLIENTS = 12;
const NAMES = ['a', 'b', 'c', 'd'] as const;

const answerAs =
  (name: string): RequestListener =>
  (request, response) =>
    response.end(`${name} ${request.url}`);

/** HTTP behind a PROXY header of either version, which every connection must have. */
function createProxiedServer(name: string): Server {
  const http = createServer(answerAs(name));
  return createTcpServer(socket => {
    socket.once('data', (bytes: Buffer) => {
      const isText = bytes.subarray(0, 6).toString() === 'PROXY ';
      if (!isText && bytes.readUInt32BE() !== 0x0d0a0d0a) return socket.destroy();
      socket.unshift(bytes.subarray(isText ? bytes.indexOf('\r\n') + 2 : 16 + bytes.readUInt16BE(14)));
      http.emit('connection', socket);
    });
    socket.on('error', () => {});
  });
}

const MAKERS = {
  plain: async (name: string) => createServer(answerAs(name)),
  tls: async (name: string) => createTlsServer(await issueMemberCertificate(name), answerAs(name)),
  proxied: async (name: string) => createProxiedServer(name),
};

/** Who is merely slow once is not taken for dead. */
const MONITOR = { delay: 1, timeout: 10, max_retries: 1, max_retries_down: 3 };

interface Kind {
  title: string;
  pool?: object;
  listener?: object;
  members?: keyof typeof MAKERS;
  monitor?: object;
}

const KINDS: Kind[] = [
  { title: 'of round robin [pool.lb_algorithm=ROUND_ROBIN, listener.protocol=HTTP]' },
  {
    title: 'of fewest connections, over TCP [pool.lb_algorithm=LEAST_CONNECTIONS, listener.protocol=TCP]',
    listener: { protocol: 'TCP' },
    pool: { protocol: 'TCP', lb_algorithm: 'LEAST_CONNECTIONS' },
  },
  { title: 'with an HTTP monitor [healthmonitor.type=HTTP]', monitor: { type: 'HTTP', url_path: '/' } },
  {
    title: 'with a TLS monitor [healthmonitor.type=TLS-HELLO]',
    monitor: { type: 'TLS-HELLO' },
    members: 'tls',
    pool: { tls_enabled: true },
  },
  {
    title: 'with a cookie [pool.session_persistence=HTTP_COOKIE]',
    pool: { session_persistence: { type: 'HTTP_COOKIE' } },
  },
  {
    title: 'with a PROXY header, monitored [pool.protocol=PROXY, healthmonitor.type=TCP]',
    pool: { protocol: 'PROXY' },
    members: 'proxied',
    monitor: { type: 'TCP' },
  },
  {
    title: 'with a PROXYV2 header [pool.protocol=PROXYV2]',
    pool: { protocol: 'PROXYV2' },
    members: 'proxied',
  },
  { title: 'reached over TLS [pool.tls_enabled]', pool: { tls_enabled: true }, members: 'tls' },
];

describe.skipIf(trafficObstacle)(titled('with as few reloads as can be [IPv4, IPv6]'), () => {
  let vip: DualVip;
  const ports: Record<string, number[]> = {};

  const isTcp = ({ listener }: Service) => listener.protocol === 'TCP';
  const workers = async () => {
    const [amphora] = await vip.system.api.client.list('octavia/amphorae');
    const changes = amphora!.haproxy_changes as HaproxyChanges;
    const pids = await settledHaproxy(vip.system.dataDir, String(amphora!.id));
    return { changes, pids };
  };
  const portsOf = async (kind: keyof typeof MAKERS) => {
    ports[kind] ??= await Promise.all(NAMES.map(async name => vip.listen(await MAKERS[kind](name))));
    return ports[kind];
  };
  const open = async ({ listener, pool, members, monitor }: Kind) => {
    const [a, b] = await portsOf(members ?? 'plain');
    const service = await vip.serve({ listener, pool, members: [a!, b!] });
    if (monitor) {
      await vip.system.api.create('healthmonitors', { pool_id: service.pool.id, ...MONITOR, ...monitor });
    }
    await vip.active();
    return service;
  };
  /** Under load over both families; the workers are the same afterwards, and no request has failed. */
  const underLoad = async (service: Service, work: (loads: Load[]) => Promise<void>) => {
    const before = await workers();
    // A connection over TCP stays with its member.
    const loads = FAMILIES.map(
      (family, i) => new Load(service.url(family), { keepAlive: i === 0 && !isTcp(service), lanes: 1 }),
    );
    try {
      await work(loads);
      await moreRequests(loads);
    } finally {
      await Promise.all(loads.map(load => load.stop()));
    }
    expect(loads.flatMap(load => load.failures)).toEqual([]);
    const after = await workers();
    expect(after.pids).toEqual(before.pids);
    expect(after.changes.last).toEqual(before.changes.last);
    expect(after.changes.runtime).toBeGreaterThan(before.changes.runtime);
  };
  const moreRequests = async (loads: Load[]) => {
    const soFar = loads.map(load => load.total);
    await until('requests to go on', () => loads.every((load, i) => load.total > soFar[i]! + 6));
  };
  const serves = (loads: Load[], name: string) => {
    const soFar = loads.map(load => load.countOf(name));
    return until(`member ${name} to serve`, () => loads.every((load, i) => load.countOf(name) > soFar[i]!));
  };
  const servesNoMore = async (loads: Load[], name: string) => {
    // A request that was under way when the change was made may still be counted after it.
    await moreRequests(loads);
    const counts = loads.map(load => load.countOf(name));
    await moreRequests(loads);
    expect(loads.map(load => load.countOf(name))).toEqual(counts);
  };
  beforeAll(async () => {
    vip = await DualVip.open(CLIENTS);
  });
  afterAll(() => vip?.[Symbol.asyncDispose]());

  test.each(KINDS.map(kind => [kind.title, kind] as const))(
    'a member comes and goes in a pool %s',
    async (_, kind) => {
      const service = await open(kind);
      await underLoad(service, async loads => {
        const c = await vip.addMember(service.pool, (await portsOf(kind.members ?? 'plain'))[2]!);
        await vip.active();
        await serves(loads, 'c');
        await vip.system.api.remove(`pools/${service.pool.id}/members/${c.id}`);
        await vip.active();
        await servesNoMore(loads, 'c');
      });
    },
  );

  test('a member is weighted, drained, disabled and enabled in a pool of two listeners [member.weight, member.admin_state_up, listener.default_pool_id]', async () => {
    const service = await open({ title: '' });
    const shared = { loadbalancer_id: vip.lb.id, protocol: 'HTTP', default_pool_id: service.pool.id };
    await vip.system.api.create('listeners', { ...shared, protocol_port: 79 });
    await vip.active();
    const [, b] = service.members;
    const both = { ...service, url: () => `http://${vip.vips.IPv4}:79` };
    await underLoad(service, async first => {
      await underLoad(both, async second => {
        const loads = [...first, ...second];
        const set = (body: object) => vip.set(`pools/${service.pool.id}/members/${b!.id}`, body);
        await set({ weight: 0 });
        await servesNoMore(loads, 'b');
        await set({ weight: 5 });
        await serves(loads, 'b');
        await set({ admin_state_up: false });
        await servesNoMore(loads, 'b');
        await set({ admin_state_up: true });
        await serves(loads, 'b');
      });
    });
  });

  test('all members are replaced at once, and back [member.address, member.protocol_port]', async () => {
    const service = await open({ title: '' });
    const replace = async (...all: number[]) => {
      const members = all.map(protocol_port => ({ address: vip.gateway, protocol_port }));
      await vip.system.api.client.request('PUT', `lbaas/pools/${service.pool.id}/members`, { members });
      await vip.active();
    };
    const [a, b, c, d] = (await portsOf('plain')) as [number, number, number, number];
    await underLoad(service, async loads => {
      await replace(c, d);
      for (const name of ['c', 'd']) await serves(loads, name);
      for (const name of ['a', 'b']) await servesNoMore(loads, name);
      await replace(a, b);
      for (const name of ['a', 'b']) await serves(loads, name);
    });
  });

  test('a member is checked somewhere else [member.monitor_address, member.monitor_port]', async () => {
    const [a, b] = await portsOf('plain');
    const service = await vip.serve({ members: [a!] });
    await vip.system.api.create('healthmonitors', { pool_id: service.pool.id, ...MONITOR, type: 'HTTP' });
    const where = { monitor_address: vip.gateway, monitor_port: a };
    const { id } = await vip.addMember(service.pool, b!, { name: 'checked', ...where });
    await vip.active();
    const shows = (status: string) => vip.system.api.shows(String(vip.lb.id), { checked: status });
    const set = (body: object) => vip.set(`pools/${service.pool.id}/members/${id}`, body);
    await shows('ONLINE');
    await underLoad(service, async loads => {
      await set({ monitor_port: 1 });
      await shows('ERROR');
      await servesNoMore(loads, 'b');
      await set({ monitor_port: b });
      await shows('ONLINE');
      await serves(loads, 'b');
      await set({ monitor_address: '127.0.0.9' });
      await shows('ERROR');
    });
  });

  test('clients of other members stay where they are when one comes and goes [pool.lb_algorithm=SOURCE_IP]', async () => {
    const service = await open({ title: '', pool: { lb_algorithm: 'SOURCE_IP' } });
    const whoServes = async () => {
      const asked = FAMILIES.flatMap(family =>
        vip.addresses[family].map(
          async from => (await vip.clients.ask(`${service.url(family)}/r`, from)).body[0]!,
        ),
      );
      return Promise.all(asked);
    };
    const before = await whoServes();
    const { pids } = await workers();
    const c = await vip.addMember(service.pool, (await portsOf('plain'))[2]!, { weight: 3 });
    await vip.active();
    const during = await whoServes();
    expect(during).toContain('c');
    expect(during.filter((name, i) => name !== 'c' && name !== before[i])).toEqual([]);
    await vip.system.api.remove(`pools/${service.pool.id}/members/${c.id}`);
    await vip.active();
    expect(await whoServes()).toEqual(before);
    expect((await workers()).pids).toEqual(pids);
  });

  test('a cookie leads to a member that came later, and outlives the coming and going of others [pool.session_persistence=HTTP_COOKIE]', async () => {
    const service = await open({ title: '', pool: { session_persistence: { type: 'HTTP_COOKIE' } } });
    const { pids } = await workers();
    const [, , c, d] = await portsOf('plain');
    await vip.addMember(service.pool, c!);
    await vip.active();
    const url = `${service.url('IPv4')}/r`;
    /** By member. */
    const cookies = new Map<string, string>();
    for (let i = 0; i < 9; i++) {
      const { body, headers } = await ask(url);
      cookies.set(body[0]!, headers['set-cookie']![0]!.split(';')[0]!);
    }
    expect([...cookies.keys()].sort()).toEqual(['a', 'b', 'c']);
    const added = await vip.addMember(service.pool, d!);
    await vip.active();
    const comesBack = async () => {
      for (const [name, cookie] of cookies) {
        for (let i = 0; i < 4; i++) expect((await ask(url, { headers: { cookie } })).body[0]).toBe(name);
      }
    };
    await comesBack();
    await vip.system.api.remove(`pools/${service.pool.id}/members/${added.id}`);
    await vip.active();
    await comesBack();
    expect((await workers()).pids).toEqual(pids);
    await vip.set(`listeners/${service.listener.id}`, { timeout_client_data: 40_000 });
    expect((await workers()).pids).not.toEqual(pids);
    await comesBack();
  });

  test('what is only for people changes nothing', async () => {
    const service = await open({ title: '' });
    const before = await workers();
    await vip.set(`pools/${service.pool.id}/members/${service.members[0]!.id}`, { name: 'new', tags: ['x'] });
    await vip.set(`pools/${service.pool.id}`, { name: 'new', description: 'words' });
    await vip.set(`listeners/${service.listener.id}`, { name: 'new', tags: ['x'] });
    await vip.set(`loadbalancers/${vip.lb.id}`, { description: 'words' });
    expect(await workers()).toEqual(before);
  });

  test('a reload does not forget which members are down, and is explained [reload, listener.timeout_client_data, healthmonitor.type=HTTP]', async () => {
    const sick: RequestListener = (request, response) =>
      response.writeHead(request.url === '/health' ? 500 : 200).end(`sick ${request.url}`);
    const members = [await vip.listen(createServer(answerAs('well'))), await vip.listen(createServer(sick))];
    const service = await vip.serve({ members });
    await vip.system.api.set(`pools/${service.pool.id}/members/${service.members[1]!.id}`, { name: 'sick' });
    await vip.system.api.create('healthmonitors', {
      ...{ pool_id: service.pool.id, ...MONITOR, delay: 2, type: 'HTTP', url_path: '/health' },
    });
    await vip.active();
    await vip.system.api.shows(String(vip.lb.id), { sick: 'ERROR' });
    const loads = FAMILIES.map(family => new Load(service.url(family), { keepAlive: false }));
    const rounds = 10;
    for (let i = 1; i <= rounds; i++)
      await vip.set(`listeners/${service.listener.id}`, { timeout_client_data: 40_000 + i });
    await Promise.all(loads.map(load => load.stop()));
    expect(loads.flatMap(load => [...load.failures, ...load.counts.keys()])).toEqual(['well', 'well']);
    const [amphora] = await vip.system.api.client.list('octavia/amphorae');
    const { last } = amphora!.haproxy_changes as HaproxyChanges;
    expect(last.map(({ how, reason }) => `${how}: ${reason}`)).toEqual(
      Array.from(
        { length: rounds },
        (_, i) => `reloaded: listener ${service.listener.id}: timeout client ${40_000 + rounds - i}`,
      ),
    );
  });
});
