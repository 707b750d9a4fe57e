/** What a PROMETHEUS listener tells while requests flow, to whom, and through what: a real haproxy behind a real API. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parsePrometheusText, type Sample } from '../../src/agent/prometheus/prometheus-text.fixture.ts';
import { METRIC_NAMES } from '../../src/agent/prometheus/rename.ts';
import type { Resource } from '../../src/cli/client.ts';
import { agentOf, initOf, listAmphorae, processesOf, settledHaproxy } from './amphora-processes.ts';
import { DualVip, FAMILIES, type Family, type Service } from './dual-vip.ts';
import { ask, Load, refuses } from './http-client.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { Authority, KeyManager, visit } from './tls-parties.ts';
import { until } from './until.ts';

const SCRAPED = 9100;

describe.skipIf(trafficObstacle)(titled('a PROMETHEUS listener'), () => {
  const made = new AsyncDisposableStack();
  let vip: DualVip;
  let web: Service;
  let metrics: Resource;
  let amphora: string;

  const urlOf = (family: Family, path = '/metrics') => `http://${vip.vips[family]}:${SCRAPED}${path}`;
  const scrape = async (family: Family = 'IPv4', path?: string): Promise<Sample[]> => {
    const { status, headers, body } = await ask(urlOf(family, path));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/plain; version=0.0.4',
      'cache-control': 'no-cache',
    });
    return parsePrometheusText(body);
  };
  const numberOf = (samples: Sample[], name: string, labels: Record<string, string>) =>
    samples.find(
      each =>
        each.name === name && Object.entries(labels).every(([label, value]) => each.labels[label] === value),
    )?.value;
  const request = async (family: Family, times: number) => {
    for (let i = 0; i < times; i++) expect((await ask(web.url(family))).status).toBe(200);
  };
  /** Resolves when the work is done, without one failed request before, during and after it. */
  const underLoad = async (work: () => Promise<void>) => {
    const load = new Load(web.url('IPv4'), { keepAlive: true });
    const more = (count: number) => until('requests', () => load.total > count);
    await more(20);
    await work();
    await more(load.total + 20);
    await load.stop();
    expect(load.failures).toEqual([]);
  };
  const listen = async () => {
    metrics = await vip.system.api.create('listeners', {
      ...{ name: 'metrics', loadbalancer_id: vip.lb.id, protocol: 'PROMETHEUS', protocol_port: SCRAPED },
    });
    await vip.active();
  };

  beforeAll(async () => {
    vip = made.use(await DualVip.open());
    const port = await vip.listen(createServer((asked, response) => response.end(`member ${asked.url}`)));
    web = await vip.serve({ members: [port] });
    await listen();
    [amphora] = listAmphorae(vip.system.dataDir) as [string];
  });
  afterAll(() => made.disposeAsync());

  describe.each(FAMILIES)('over %s', family => {
    test(`counts what flows, by listener, pool and member [listener.protocol=PROMETHEUS, ${family}]`, async () => {
      const backend = `${web.pool.id}:${web.listener.id}`;
      const counted = async () => {
        const samples = await scrape(family);
        return [
          numberOf(samples, 'octavia_listener_http_requests_total', { listener: web.listener.id }),
          numberOf(samples, 'octavia_pool_http_responses_total', { pool: backend, code: '2xx' }),
          numberOf(samples, 'octavia_member_http_responses_total', {
            ...{ pool: backend, member: web.members[0]!.id, code: '2xx' },
          }),
        ];
      };
      const before = await counted();
      await request(family, 7);
      const expected = before.map(count => count! + 7);
      let last: typeof before = [];
      // haproxy counts an answer when it is done with it, which may be after the client is.
      await until(
        `${expected} to be counted`,
        async () => {
          last = await counted();
          return String(last) === String(expected);
        },
        () => last,
      );
    });
  });

  test('tells of this load balancer only, under the names of the contract', async () => {
    const other = await vip.system.api.create('loadbalancers', {
      name: 'other',
      vip_subnet_id: vip.lb.vip_subnet_id,
    });
    const stranger = await vip.system.api.create('listeners', {
      ...{ loadbalancer_id: other.id, protocol: 'HTTP', protocol_port: 80 },
    });
    await vip.system.api.active(other.id);
    const samples = await scrape();
    const own = ['octavia_loadbalancer_cpu', 'octavia_loadbalancer_memory'];
    expect(samples.map(({ name }) => name).filter(name => ![...METRIC_NAMES, ...own].includes(name))).toEqual(
      [],
    );
    for (const name of own) expect(numberOf(samples, name, {})).toBeGreaterThan(0);
    const of = (label: string) => [...new Set(samples.flatMap(({ labels }) => labels[label] ?? []))].sort();
    expect(of('listener')).toEqual([web.listener.id, metrics.id].sort());
    expect(of('pool')).toEqual([`${web.pool.id}:${web.listener.id}`]);
    expect(of('member')).toEqual([web.members[0]!.id]);
    expect(of('listener')).not.toContain(stranger.id);
    await vip.system.api.remove(`loadbalancers/${other.id}?cascade=true`);
  });

  test('answers at every path, and to nothing but questions', async () => {
    expect(await scrape('IPv4', '/')).not.toEqual([]);
    expect(await scrape('IPv6', '/federate?match=x')).not.toEqual([]);
    const posted = await fetch(urlOf('IPv4'), {
      method: 'POST',
      body: 'x',
      signal: AbortSignal.timeout(5000),
    });
    expect(posted.status).toBe(405);
  });

  test('is a listener like others in the eyes of the API', async () => {
    await vip.system.api.shows(vip.lb.id, { metrics: 'ONLINE', dual: 'ONLINE' });
    await until(
      'scrapes to be counted',
      async () => (await vip.system.api.statistics(`listeners/${metrics.id}`)).total_connections! > 0,
    );
  });

  test('answers many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask(urlOf('IPv4'))));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });

  test('answers while every connection that other listeners may have is taken [listener.connection_limit, IPv4]', async () => {
    await vip.set(`listeners/${web.listener.id}`, { connection_limit: 2 });
    await vip.set(`listeners/${metrics.id}`, { connection_limit: 1 });
    const idle = [1, 2, 3].map(() => connect(web.port, vip.vips.IPv4));
    try {
      await Promise.all(idle.map(socket => once(socket, 'connect')));
      const current = async () =>
        numberOf(await scrape(), 'octavia_listener_current_sessions', { listener: web.listener.id });
      await until('a full listener', async () => (await current()) === 2);
    } finally {
      for (const socket of idle) socket.destroy();
    }
    for (const { id } of [web.listener, metrics])
      await vip.system.api.set(`listeners/${id}`, { connection_limit: -1 });
    await vip.active();
  });

  test('outlives the agent, which answers when it is back', async () => {
    const { dataDir } = vip.system;
    const running = await settledHaproxy(dataDir, amphora);
    const agent = agentOf(dataDir, amphora)!;
    process.kill(agent.pid, 'SIGKILL');
    await request('IPv4', 3);
    await until('metrics', async () => (await ask(urlOf('IPv4'))).status === 200);
    expect(agentOf(dataDir, amphora)!.pid).not.toBe(agent.pid);
    expect(await settledHaproxy(dataDir, amphora)).toEqual(running);
  });

  test('comes and goes without a lost request', async () => {
    await underLoad(async () => {
      await vip.system.api.remove(`listeners/${metrics.id}`);
      await vip.active();
      await refuses(urlOf('IPv4'));
      await listen();
    });
    expect(await scrape()).not.toEqual([]);
  });

  test('that is disabled tells nothing [listener.admin_state_up]', async () => {
    await vip.set(`listeners/${metrics.id}`, { admin_state_up: false });
    await refuses(urlOf('IPv4'));
    await vip.set(`listeners/${metrics.id}`, { admin_state_up: true });
    expect(await scrape()).not.toEqual([]);
  });

  test('speaks TLS, and tells only clients that have a certificate, in networks that may ask [listener.client_authentication=MANDATORY, listener.allowed_cidrs, IPv4, IPv6]', async () => {
    const authority = await Authority.create('authority');
    const keys = new KeyManager(vip.system.api.client);
    const client = await authority.issue('client');
    const guarded = await vip.system.api.create('listeners', {
      ...{ loadbalancer_id: vip.lb.id, protocol: 'PROMETHEUS', protocol_port: SCRAPED + 1 },
      default_tls_container_ref: await keys.container(await authority.issue('vip')),
      client_ca_tls_container_ref: await keys.secret(authority.pem),
      client_authentication: 'MANDATORY',
    });
    await vip.active();
    for (const family of FAMILIES) {
      const url = `https://${vip.vips[family]}:${SCRAPED + 1}/metrics`;
      expect(await visit(url, client)).toMatchObject({ commonName: 'vip', status: 200 });
      await expect(visit(url)).rejects.toThrow();
    }
    await vip.set(`listeners/${metrics.id}`, { allowed_cidrs: [`${vip.addresses.IPv4[0]}/32`] });
    expect((await vip.clients.ask(urlOf('IPv4'), vip.addresses.IPv4[0]!)).status).toBe(200);
    for (const family of FAMILIES) await expect(ask(urlOf(family), { limitMs: 500 })).rejects.toThrow();
    await vip.system.api.remove(`listeners/${guarded.id}`);
    await vip.set(`listeners/${metrics.id}`, { allowed_cidrs: null });
    for (const family of FAMILIES) expect(await scrape(family)).not.toEqual([]);
  });

  test('is left to the program that the image brings along for it', async () => {
    const init = String(initOf(vip.system.dataDir, amphora));
    await vip.set(`listeners/${metrics.id}`, { admin_state_up: false });
    const program = `require('node:http').createServer((q, r) => r.end('foreign')).listen(9102, '127.0.0.1', () => console.log())`;
    const inside = ['-t', init, '-m', '-n', '-p', '-r', '-w', 'ip', 'netns', 'exec', 'amphora-haproxy'];
    const foreign = spawn('nsenter', [...inside, '/opt/ottavia/node', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await Promise.race([once(foreign.stdout, 'data'), once(foreign, 'exit')]);
      await vip.set(`listeners/${metrics.id}`, { admin_state_up: true });
      expect((await ask(urlOf('IPv6'))).body).toBe('foreign');
    } finally {
      const [child] = processesOf(vip.system.dataDir, amphora).filter(({ command }) =>
        command.includes('9102'),
      );
      if (child !== undefined) process.kill(child.pid);
      if (foreign.exitCode === null) await once(foreign, 'exit');
    }
    await vip.set(`listeners/${metrics.id}`, { timeout_client_data: 40_000 });
    expect(await scrape()).not.toEqual([]);
  });
});
