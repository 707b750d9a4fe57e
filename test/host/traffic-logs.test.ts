/** Every connection is one line of the log, whatever is in it, wherever it is sent; and nothing about logs holds up traffic. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, createServer } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { initOf, listAmphorae, processesOf } from './amphora-processes.ts';
import { DualVip, FAMILIES, type Service } from './dual-vip.ts';
import { ask } from './http-client.ts';
import { handPicked } from './member-host.ts';
import { SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { SyslogServers } from './syslog-servers.ts';
import { until } from './until.ts';

const OTTAVIA = join(import.meta.dirname, '../../src/main/ottavia.ts');

interface Entry {
  time: string;
  amphora_id: string;
  text: string;
}

/** A line in the format that Octavia documents. */
const LINE = new RegExp(
  [
    '^(?<project>[0-9a-f]{32}) (?<lb>[0-9a-f-]{36}) (?<listener>[0-9a-f-]{36}) (?<client>[0-9a-f.:]+) (?<port>\\d+)',
    '(?<when>\\d\\d/\\w{3}/\\d{4}:\\d\\d:\\d\\d:\\d\\d\\.\\d{3}) (?<request>"[^"\\x00-\\x1f\\x7f-\\uffff]*"|-)',
    '(?<status>\\d{1,3}|-) (?<sent>\\d+) (?<received>\\d+) (?<verified>\\S+) (?<subject>""|-)',
    '(?<backend>\\S+) (?<server>\\S+) (?<ms>\\d+) (?<end>[A-Za-z-]{2,4})$',
  ].join(' '),
);
const fieldsOf = ({ text }: Entry) => {
  const found = LINE.exec(text)?.groups;
  if (!found) throw new Error(`This is no line of a connection: ${text}`);
  return found;
};

/** The rsyslogd of an amphora. */
const findLogger = (dataDir: string, amphora: string) =>
  processesOf(dataDir, amphora).find(({ command }) => command.startsWith('rsyslogd '));

describe.skipIf(trafficObstacle)(titled('the log of an amphora'), () => {
  let vip: DualVip;
  let web: Service;
  let amphora: string;
  let dataDir: string;
  const ports: number[] = [];

  beforeAll(async () => {
    vip = await DualVip.open();
    ({ dataDir } = vip.system);
    ports.push(await vip.listen(createServer((_, response) => response.end('hello'))));
    ports.push(await vip.listen(createTcpServer(socket => socket.pipe(socket))));
    web = await vip.serve({ members: [ports[0]!] });
    await vip.active();
    amphora = listAmphorae(dataDir)[0]!;
  });
  afterAll(() => vip?.[Symbol.asyncDispose]());

  async function listLogs(query: Record<string, string>): Promise<Entry[]> {
    const path = `ottavia/loadbalancers/${vip.lb.id}/logs`;
    const answer = await vip.system.api.client.request('GET', path, undefined, query);
    return (answer as { logs: Entry[] }).logs;
  }

  let marks = 0;
  const logged = async () => {
    const all = await listLogs({ limit: '10000' });
    return all.slice(all.findIndex(({ text }) => text.includes(`GET /mark-${marks} `)) + 1);
  };
  /** Resolves when so many lines came after the last mark: haproxy writes them after the client has its answer, each of its threads by itself. */
  const hasLogged = (count: number) =>
    until(`${count} lines in the log`, async () => (await logged()).length >= count);
  /** One more request that all know; returns what was logged since the one before, without either. */
  async function sinceMark(count = 0): Promise<Entry[]> {
    await hasLogged(count);
    const mark = `/mark-${marks + 1}`;
    await ask(web.url('IPv4') + mark);
    const logs = await until(`${mark} in the log`, async () => {
      const all = await logged();
      return all.some(({ text }) => text.includes(`GET ${mark} `)) && all;
    });
    marks++;
    return logs.slice(0, -1);
  }

  test('tells of each request who asked, what for and who answered [access-log, IPv4, IPv6]', async () => {
    await sinceMark();
    for (const family of FAMILIES) {
      const from = vip.addresses[family][0]!;
      await vip.clients.ask(`${web.url(family)}/a?b=${family}`, from);
      const [entry, ...others] = await sinceMark(1);
      expect(others).toEqual([]);
      const { id: lb, project_id: project } = vip.lb;
      expect(fieldsOf(entry!)).toMatchObject({
        ...{
          project,
          lb,
          listener: web.listener.id,
          client: from,
          verified: '-',
          subject: '""',
          end: '----',
        },
        ...{ request: `"GET /a?b=${family} HTTP/1.1"`, status: '200', server: web.members[0]!.id },
        backend: `${web.pool.id}:${web.listener.id}`,
      });
      expect(entry!.amphora_id).toBe(amphora);
      expect(Math.abs(Date.parse(`${entry!.time}Z`) - Date.now())).toBeLessThan(60_000);
    }
  });

  test('tells of a TCP connection what went through it, when it ends [access-log, IPv4, IPv6]', async () => {
    const wish = { listener: { protocol: 'TCP' }, pool: { protocol: 'TCP' }, members: [ports[1]!] };
    const service = await vip.serve(wish);
    await vip.active();
    for (const family of FAMILIES) {
      await sinceMark();
      expect(await exchange(vip.vips[family], service.port, Buffer.from('twelve bytes'))).toBe(
        'twelve bytes',
      );
      const [entry, ...others] = await sinceMark(1);
      expect(others).toEqual([]);
      expect(fieldsOf(entry!)).toMatchObject({
        ...{
          listener: service.listener.id,
          request: '-',
          status: '-',
          sent: '12',
          received: '12',
          end: '----',
        },
      });
    }
  });

  test('has one line for each request, whatever is in it [access-log, IPv4]', async () => {
    const forged = `${'0'.repeat(32)} x y 10.0.0.1 1 1/Jan/2026:00:00:00.000 "GET / HTTP/1.1" 200 0 0 - "" b s 1 ----`;
    const requests: [string, number][] = [
      ['GET /"quoted" HTTP/1.1\r\nHost: x', 200],
      [`GET /" 200 1 1 - "" ${forged} HTTP/1.1\r\nHost: x`, 400],
      [`GET /%0a${encodeURIComponent(forged)}%0d%0a HTTP/1.1\r\nHost: x`, 200],
      [`GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: ${forged}\r\nX: "\t\\`, 200],
      ['GET /\u0001\u007f HTTP/1.1\r\nHost: x', 400],
      ['GET /\u00e9\u00ff HTTP/1.1\r\nHost: x', 400],
      ['GE"T / HTTP/1.1\r\nHost: x', 400],
      [`GET /\n${forged} HTTP/1.1\r\nHost: x`, 400],
      ['GET /\\x22\\n%m%s$HOME HTTP/1.1\r\nHost: x', 200],
      [`GET /${'"'.repeat(6000)} HTTP/1.1\r\nHost: x`, 200],
      [`GET /${'x'.repeat(30_000)} HTTP/1.1\r\nHost: x`, 400],
    ];
    await sinceMark();
    for (const [i, [request, status]] of requests.entries()) {
      const bytes = Buffer.from(`${request}\r\nConnection: close\r\n\r\n`, 'latin1');
      const answer = await exchange(vip.vips.IPv4, web.port, bytes);
      expect([request.slice(0, 60), answer.slice(0, 12)]).toEqual([
        request.slice(0, 60),
        expect.stringMatching(new RegExp(`^HTTP/1.. ${status}$`)),
      ]);
      await hasLogged(i + 1);
    }
    const entries = (await sinceMark(requests.length)).map(fieldsOf);
    expect(entries.map(({ status }) => Number(status))).toEqual(requests.map(([, status]) => status));
  });

  test('has one line for each request over HTTP/2, whatever is in it [access-log, http2, IPv4]', async () => {
    await sinceMark();
    // haproxy refuses some itself, and resets the stream.
    const paths = {
      '/"': '200',
      '/\\': '200',
      "/'": '200',
      '/%0a%22': '200',
      '/a b': '0',
      '/#22': '0',
      '/a\tb': '0',
    };
    const session = connectHttp2(web.url('IPv4'));
    for (const path of Object.keys(paths)) {
      const stream = session.request({ ':path': path });
      stream.on('error', () => {});
      await new Promise(closed => stream.resume().once('close', closed));
    }
    session.close();
    const entries = (await sinceMark(Object.keys(paths).length)).map(fieldsOf);
    expect(entries.map(({ status }) => status)).toEqual(Object.values(paths));
  });

  /** What is asked first may be lost. */
  const isLoggedAgain = (path: string) =>
    until(`a request for ${path} in the log`, async () => {
      await ask(web.url('IPv4') + path);
      return (await listLogs({ limit: '1' })).some(({ text }) => text.includes(path));
    });

  describe('holds up nobody', () => {
    /** More than fit in the socket between haproxy and rsyslogd. */
    const MANY = 1000;
    const askMany = async (path: string) => {
      const agent = new Agent({ keepAlive: true });
      for (let i = 0; i < MANY; i++) expect((await ask(web.url('IPv4') + path, { agent })).status).toBe(200);
      agent.destroy();
    };
    test('while rsyslogd stands still [access-log, IPv4]', async () => {
      const { pid } = findLogger(dataDir, amphora)!;
      process.kill(pid, 'SIGSTOP');
      try {
        await askMany('/stopped');
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await isLoggedAgain('/continued');
      const kept = (await listLogs({ limit: '10000' })).filter(({ text }) => text.includes('/stopped'));
      // Else the socket was large enough for all of them, and nothing is proven.
      expect(kept.length).toBeLessThan(MANY);
    });

    test('while its socket is not there, and goes on when it comes back [access-log, IPv4]', async () => {
      const { pid } = findLogger(dataDir, amphora)!;
      // First, for the next one makes its own.
      rmSync(`/proc/${initOf(dataDir, amphora)}/root/run/rsyslog/octavia/log`, { force: true });
      process.kill(pid, 'SIGKILL');
      await askMany('/absent');
      await isLoggedAgain('/back');
    });
  });

  test('never takes more of the disk than it may', async () => {
    const init = initOf(dataDir, amphora);
    const file = join(dataDir, 'lines');
    writeFileSync(file, `${'x'.repeat(990)}\n`.repeat(40_000));
    const socket = `/proc/${init}/root/run/rsyslog/octavia/log`;
    const logger = ['--socket', socket, '--tag', 'haproxy[1]', '--priority', 'local0.info', '--file', file];
    execFileSync('logger', logger, { timeout: 20_000 });
    rmSync(file);
    const log = join(dataDir, 'instances', `amphora-${amphora}`, 'upper/var/log/haproxy.log');
    const limit = 10 * 1024 * 1024;
    await until('the file to be rotated', () => existsSync(`${log}.1`) && statSync(`${log}.1`).size > limit);
    await isLoggedAgain('/rotated');
    for (const each of [log, `${log}.1`]) expect(statSync(each).size).toBeLessThan(limit + 100_000);
    expect(existsSync(`${log}.2`)).toBe(false);
  });
});

/** Sends it and reads to the end. */
async function exchange(host: string, port: number, bytes: Buffer): Promise<string> {
  const socket = connect({ host: host.replace(/[[\]]/g, ''), port });
  socket.setTimeout(30_000, () => socket.destroy(new Error('no answer')));
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  // What it has not read yet when it refuses is answered by a reset.
  socket.on('error', () => {});
  socket.end(bytes);
  await new Promise(closed => socket.once('close', closed));
  return Buffer.concat(chunks).toString('latin1');
}

const FAILOVER_LIMIT_MS = 90_000;
/** For restarts and failovers, each of which takes a busy machine its time. */
const LONG = { timeout: 240_000 };
const TENANT = 10_514;
const OTHER_TENANT = 10_515;
const ADMIN = 10_516;
const OVER_TCP = {
  ...{ OS_AMPHORA_AGENT__LOG_PROTOCOL: 'TCP', OS_AMPHORA_AGENT__LOG_QUEUE_SIZE: '100' },
  ...{ OS_AMPHORA_AGENT__LOG_RETRY_COUNT: '0', OS_AMPHORA_AGENT__LOG_RETRY_INTERVAL: '1' },
  OS_AMPHORA_AGENT__DISABLE_LOCAL_LOG_STORAGE: 'false',
  OS_HAPROXY_AMPHORA__USER_LOG_FORMAT: '',
};

describe.skipIf(trafficObstacle)(titled('a system with log servers'), () => {
  const made = new AsyncDisposableStack();
  // Other systems on this host must not have the same range.
  const management = {
    cidr: `10.233.${process.pid % 250}.0/24`,
    gateway_ip: `10.233.${process.pid % 250}.1`,
  };
  const server = handPicked(management, 0);
  const member = createServer((_, response) => response.end('hello'));
  let system: SystemProcess;
  let servers: SyslogServers;
  let lb: Resource;
  let url: string;

  const restart = async (settings: Record<string, string>) => {
    await system.end('SIGTERM');
    await system.start(settings);
  };
  /** The amphora that serves gets what amphorae are built with now. */
  const failOver = async () => {
    const [before] = listAmphorae(system.dataDir);
    await system.api.client.request('PUT', `lbaas/loadbalancers/${lb.id}/failover`);
    let there: string[] = [];
    await until(
      'another amphora',
      () => {
        there = listAmphorae(system.dataDir);
        return there.length === 1 && there[0] !== before;
      },
      () => there,
      FAILOVER_LIMIT_MS,
    );
    await system.api.active(lb.id);
  };
  const listLogs = async () =>
    (await system.api.client.request('GET', `ottavia/loadbalancers/${lb.id}/logs`)) as { logs: Entry[] };
  /** Asked until it comes there, for what is sent first may be lost. */
  const arrives = (path: string, port: number) =>
    until(
      `a request for ${path} at port ${port}`,
      async () => {
        await ask(url + path);
        return servers.sentTo(port).find(text => text.includes(path));
      },
      () => servers.sentTo(port).slice(-2),
    );

  beforeAll(async () => {
    const settings = {
      OS_OTTAVIA__MANAGEMENT_CIDR: management.cidr,
      OS_AMPHORA_AGENT__TENANT_LOG_TARGETS: `${server}:${TENANT}, ${server}:${OTHER_TENANT}`,
      OS_AMPHORA_AGENT__ADMIN_LOG_TARGETS: `${server}:${ADMIN}`,
      OS_AMPHORA_AGENT__DISABLE_LOCAL_LOG_STORAGE: 'true',
      OS_HAPROXY_AMPHORA__USER_LOG_FORMAT: 'lb={{ lb_id }} of {{ project_id }}: %HM %HP %ST',
    };
    system = made.use(await SystemProcess.open(settings));
    servers = made.use(await SyslogServers.open(management, server));
    await servers.listen('udp', TENANT, OTHER_TENANT, ADMIN);
    const gateway = system.subnet.gateway_ip!;
    await once(member.listen(0, gateway), 'listening');
    made.defer(() => {
      member.close();
      member.closeAllConnections();
    });
    const { port } = member.address() as AddressInfo;
    const { api, subnet } = system;
    lb = await api.create('loadbalancers', { name: 'lb', vip_subnet_id: subnet.id });
    const listener = await api.create('listeners', {
      ...{ name: 'web', loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 80 },
    });
    const pool = await api.create('pools', {
      ...{ name: 'pool', listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    });
    await api.create(`pools/${pool.id}/members`, { name: 'a', address: gateway, protocol_port: port });
    await api.create('healthmonitors', {
      ...{ pool_id: pool.id, type: 'TCP', delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1 },
    });
    await api.active(lb.id);
    url = `http://${lb.vip_address}`;
  });
  afterAll(() => made.disposeAsync());

  test('sends lines of connections to the servers of tenants, in the format that its operator wants [access-log, IPv4]', async () => {
    const line = await arrives('/to-tenants', TENANT);
    expect(line).toMatch(/^<134>\w{3} [ \d]\d \d\d:\d\d:\d\d amphora-[0-9a-f-]{36} haproxy\[\d+\]: /);
    expect(line).toContain(`lb=${lb.id} of ${lb.project_id}: GET /to-tenants 200`);
  });

  test("sends haproxy's own lines to the servers of administrators, and neither to the other [access-log, IPv4]", async () => {
    const { address, port } = member.address() as AddressInfo;
    member.close();
    member.closeAllConnections();
    expect(await servers.received(ADMIN, 'is DOWN')).toMatch(/^<1(37|40)>/);
    await once(member.listen(port, address), 'listening');
    await servers.received(ADMIN, 'is UP');
    for (const each of [TENANT, OTHER_TENANT])
      expect(servers.sentTo(each).filter(text => !text.includes('lb='))).toEqual([]);
    expect(servers.sentTo(ADMIN).filter(text => text.includes('lb='))).toEqual([]);
    // Over UDP nobody can tell that a server is down.
    expect(servers.sentTo(OTHER_TENANT)).toEqual([]);
  });

  test('keeps no lines where it is told so, and says where they are', async () => {
    await expect(listLogs()).rejects.toThrow('they are sent to the log servers of this system');
    const [amphora] = listAmphorae(system.dataDir);
    const log = join(system.dataDir, 'instances', `amphora-${amphora}`, 'upper/var/log');
    expect(readdirSync(log)).toEqual(['haproxy.log']);
    expect(statSync(join(log, 'haproxy.log')).size).toBe(0);
  });

  test('logs no connections where it is told so [access-log, IPv4]', LONG, async () => {
    await restart({ OS_HAPROXY_AMPHORA__CONNECTION_LOGGING: 'false' });
    await system.api.set(`loadbalancers/${lb.id}`, { name: 'quiet' });
    await system.api.active(lb.id);
    expect((await ask(`${url}/quiet`)).status).toBe(200);
    await expect(listLogs()).rejects.toThrow('connections are not logged on this system');
    await restart(OVER_TCP);
    await system.api.set(`loadbalancers/${lb.id}`, { name: 'lb' });
    await system.api.active(lb.id);
    // The amphora still sends as it was told when it was built.
    await arrives('/loud', TENANT);
    expect(servers.sentTo(TENANT).filter(text => text.includes('/quiet'))).toEqual([]);
  });

  describe('over TCP', () => {
    beforeAll(async () => {
      await servers.close(TENANT, OTHER_TENANT, ADMIN);
      servers.unplug();
      await failOver();
    }, LONG.timeout);

    test('keeps every line itself while no server can be reached, and holds up nobody [access-log, IPv4]', async () => {
      const agent = new Agent({ keepAlive: true });
      // More than wait for a server.
      for (let i = 0; i < 300; i++) expect((await ask(`${url}/alone`, { agent })).status).toBe(200);
      agent.destroy();
      await until('all of them in the log', async () => {
        const { logs } = (await system.api.client.request(
          'GET',
          `ottavia/loadbalancers/${lb.id}/logs?limit=1000`,
        )) as { logs: Entry[] };
        return logs.filter(({ text }) => text.includes('/alone')).length === 300;
      });
    });

    test('sends lines to the second server while the first is down [access-log, IPv4]', async () => {
      servers.plug();
      await servers.listen('tcp', TENANT, OTHER_TENANT, ADMIN);
      const line = await arrives('/first', TENANT);
      expect(line).toMatch(/^<134>.* "GET \/first HTTP\/1.1" 200 /);
      // Behind the last of those that were asked for until then.
      await ask(`${url}/settled`);
      await servers.received(TENANT, '/settled');
      await servers.close(TENANT);
      await arrives('/second', OTHER_TENANT);
      expect(servers.sentTo(OTHER_TENANT).filter(text => text.includes('/first'))).toEqual([]);
      expect(servers.sentTo(ADMIN).filter(text => text.includes('GET /'))).toEqual([]);
    });

    test(
      'shows lines as they come, through a restart of the API and another amphora, each once [access-log, IPv4]',
      LONG,
      async () => {
        const { logs } = await listLogs();
        const shown: string[] = [];
        const ottavia = spawn(process.execPath, [OTTAVIA, 'logs', 'lb', '--follow', '--lines', '1'], {
          env: { ...process.env, OS_CLIENT_CONFIG_FILE: join(system.dataDir, 'clouds.yaml') },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        try {
          createInterface(ottavia.stdout).on('line', line => shown.push(line));
          const shows = (path: string) =>
            until(
              `${path} to be shown`,
              () => shown.some(line => line.includes(path)),
              () => shown,
            );
          await until('the newest line', () => shown.length === 1);
          expect(shown[0]).toContain(/"(GET \S+ HTTP\/1.1)"/.exec(logs.at(-1)!.text)![1]);
          await ask(`${url}/live`);
          await shows('/live');
          expect(shown.at(-1)).toMatch(
            /^[\d-]{10} [\d:.]{12} {2}\S+:\d+ +web {2}a {2}GET \/live HTTP\/1.1 {2}200 {2}\d+ ms {2}\d+ B in, \d+ B out$/,
          );
          await system.end('SIGTERM');
          await ask(`${url}/meanwhile`);
          await system.start(OVER_TCP);
          await shows('/meanwhile');
          await ask(`${url}/afterwards`);
          await shows('/afterwards');
          await failOver();
          await ask(`${url}/elsewhere`);
          await shows('/elsewhere');
          const paths = shown.slice(1).map(line => /GET (\S+)/.exec(line)![1]);
          expect(paths).toEqual(['/live', '/meanwhile', '/afterwards', '/elsewhere']);
          const ended = once(ottavia, 'exit');
          await system.api.client.request('DELETE', `lbaas/loadbalancers/${lb.id}?cascade=true`);
          expect(await ended).toEqual([0, null]);
        } finally {
          ottavia.kill('SIGKILL');
        }
      },
    );
  });
});
