/** The real program with real amphorae: it starts, is stopped, killed and started again under traffic, and purged. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Client, type Resource } from '../../src/cli/client.ts';
import { findCloud } from '../../src/cli/cloud.ts';
import { OttaviaProcess, runOttavia } from '../ottavia-process.ts';
import { hostTestsObstacle, readHostState } from './host-state.ts';
import { until } from './until.ts';

if (hostTestsObstacle) console.log(`standalone.test.ts is skipped: it ${hostTestsObstacle}`);
const EMPTY = { links: [], namespaces: [], mounts: [], processes: [], files: [] };

let parent: string;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'ottavia-host-'));
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const standaloneArgs = (dataDir: string, ...more: string[]) => [
  ...['standalone', '--data-dir', dataDir, '--listen', '127.0.0.1:0'],
  ...more,
];

function connect(dataDir: string): Client {
  const environment = { OS_CLIENT_CONFIG_FILE: join(dataDir, 'clouds.yaml') };
  return new Client(findCloud({ environment, cwd: dataDir, cloud: 'ottavia' }));
}

async function create(client: Client, path: string, root: string, body: object): Promise<Resource> {
  return ((await client.request('POST', `lbaas/${path}`, { [root]: body })) as Record<string, Resource>)[
    root
  ]!;
}

const activeLb = (client: Client, id: string) =>
  until(`load balancer ${id} to be ACTIVE`, async () => {
    const [lb] = await client.list('lbaas/loadbalancers', { id });
    return lb?.provisioning_status === 'ACTIVE' && lb;
  });

function request(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { agent: false, timeout: 3000 }, response => {
      let text = '';
      response.on('data', chunk => {
        text += chunk;
      });
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode}`)),
      );
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('error', reject);
  });
}

/** Requests without a pause, until it is stopped. */
function startTraffic(url: string) {
  const failures: string[] = [];
  const answers = new Map<string, number>();
  let stopped = false;
  let count = 0;
  const loop = async () => {
    while (!stopped) {
      count++;
      try {
        const text = await request(url);
        answers.set(text, (answers.get(text) ?? 0) + 1);
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
  };
  const loops = [loop(), loop()];
  return {
    failures,
    answers,
    count: () => count,
    async stop() {
      stopped = true;
      await Promise.all(loops);
    },
  };
}

/** Members on the host, which is the private network's gateway. */
async function listen(address: string, name: string): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.end(name));
  await new Promise<void>(done => server.listen(0, address, done));
  return { server, port: (server.address() as { port: number }).port };
}

/** A load balancer with one member that answers through the VIP. */
async function givenTraffic(client: Client) {
  const [subnet] = await client.list('network/subnets', { name: 'private-subnet' });
  const gateway = String(subnet!.gateway_ip);
  const { server, port } = await listen(gateway, 'first');
  const lb = await create(client, 'loadbalancers', 'loadbalancer', {
    name: 'web',
    vip_subnet_id: subnet!.id,
  });
  const listener = await create(client, 'listeners', 'listener', {
    ...{ loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 80 },
  });
  const pool = await create(client, 'pools', 'pool', {
    ...{ listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
  });
  const member = { address: gateway, protocol_port: port, subnet_id: subnet!.id };
  await create(client, `pools/${pool.id}/members`, 'member', member);
  const { vip_address } = await activeLb(client, lb.id);
  const url = `http://${vip_address}/`;
  await until('the first answer', () => request(url));
  return { lb, pool, member, gateway, url, server };
}

const systemIdOf = (dataDir: string) => readFileSync(join(dataDir, 'system-id'), 'utf8').trim();

describe.skipIf(hostTestsObstacle)('standalone with amphorae', () => {
  test('keeps traffic running over SIGTERM, SIGKILL and restarts, adopts what it finds, and is purged', async () => {
    const dataDir = join(parent, 'data');
    let program = new OttaviaProcess(standaloneArgs(dataDir));
    await program.ready();
    const systemId = systemIdOf(dataDir);
    const { lb, pool, member, gateway, url, server } = await givenTraffic(connect(dataDir));
    const before = readHostState(systemId, dataDir);
    const traffic = startTraffic(url);

    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const soFar = traffic.count();
      await program.end(signal);
      await until('traffic without a controller', () => traffic.count() > soFar + 50);
      program = new OttaviaProcess(standaloneArgs(dataDir));
      await program.ready();
    }
    const { namespaces, links, files } = readHostState(systemId, dataDir);
    expect({ namespaces, links, files }).toEqual({
      ...{ namespaces: before.namespaces, links: before.links, files: before.files },
    });

    // The amphora is managed, not just left alone: a member that is added now gets its share.
    const second = await listen(gateway, 'second');
    const client = connect(dataDir);
    await create(client, `pools/${pool.id}/members`, 'member', { ...member, protocol_port: second.port });
    await activeLb(client, lb.id);
    await until('the new member to answer', () => traffic.answers.get('second'));
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
    console.log(`${traffic.count()} requests over SIGTERM, SIGKILL and two restarts, none failed`);

    expect(await runOttavia(standaloneArgs(dataDir, '--purge'))).toMatchObject({ code: 1 });
    expect(await request(url)).toMatch(/first|second/);
    await program.end();
    expect(await runOttavia(standaloneArgs(dataDir, '--purge'))).toMatchObject({
      code: 0,
      stdout: `Purged ${dataDir}\n`,
    });
    expect(readHostState(systemId, dataDir)).toEqual(EMPTY);
    expect(existsSync(dataDir)).toBe(false);
    for (const each of [server, second.server]) each.close();
  });

  test.each([
    ['damaged', (dataDir: string) => writeFileSync(join(dataDir, 'ottavia.db'), 'x'.repeat(10_000))],
    ['missing', (dataDir: string) => rmSync(join(dataDir, 'ottavia.db'))],
  ])('a purge works when the database is %s', async (what, harm) => {
    const dataDir = join(parent, what);
    const program = new OttaviaProcess(standaloneArgs(dataDir));
    await program.ready();
    const { server } = await givenTraffic(connect(dataDir));
    const systemId = systemIdOf(dataDir);
    await program.end('SIGKILL');
    for (const name of ['ottavia.db-wal', 'ottavia.db-shm']) rmSync(join(dataDir, name), { force: true });
    harm(dataDir);
    expect(readHostState(systemId, dataDir).namespaces).toHaveLength(1);
    expect(await runOttavia(standaloneArgs(dataDir, '--purge'))).toMatchObject({ code: 0 });
    expect(readHostState(systemId, dataDir)).toEqual(EMPTY);
    expect(existsSync(dataDir)).toBe(false);
    server.close();
  });

  test('two systems run side by side, and a purge of one leaves the other', async () => {
    const [one, two] = ['one', 'two'].map(name => join(parent, name)) as [string, string];
    const programs: OttaviaProcess[] = [];
    // One after the other: each looks which ranges of addresses are free before it takes some.
    for (const dataDir of [one, two]) {
      const program = new OttaviaProcess(standaloneArgs(dataDir));
      programs.push(program);
      await program.ready();
    }
    const [first, second] = await Promise.all([givenTraffic(connect(one)), givenTraffic(connect(two))]);
    await programs[0]!.end();
    expect(await runOttavia(standaloneArgs(one, '--purge'))).toMatchObject({ code: 0 });
    expect(await request(second.url)).toBe('first');
    await programs[1]!.end();
    expect(await runOttavia(standaloneArgs(two, '--purge'))).toMatchObject({ code: 0 });
    for (const each of [first.server, second.server]) each.close();
  });
});

describe.skipIf(hostTestsObstacle)('the demo', () => {
  const demos = () => readdirSync(tmpdir()).filter(name => name.startsWith('ottavia-demo-'));
  const runDemo = (onOutput: (text: string, pid: number) => void = () => {}) =>
    new Promise<{ code: number | null; output: string }>((resolve, reject) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/main/demo.ts'), '--once']);
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', chunk => {
          output += chunk;
          onOutput(output, child.pid!);
        });
      }
      child.on('error', reject);
      child.on('close', code => resolve({ code, output }));
    });

  test('shows balanced traffic and leaves nothing behind', async () => {
    const before = demos();
    const { code, output } = await runDemo();
    expect(output).toContain('web-1 answered 10 times, web-2 answered 10 times');
    expect(output).toContain('Removed everything');
    expect(code).toBe(0);
    expect(demos()).toEqual(before);
  });

  test('cleans up when it is ended half-way', async () => {
    const before = demos();
    let killed = false;
    const { code, output } = await runDemo((text, pid) => {
      if (killed || !text.includes('start web server web-2')) return;
      killed = true;
      process.kill(pid, 'SIGTERM');
    });
    expect(output).toContain('interrupted by SIGTERM');
    expect(output).not.toContain('left behind');
    expect(code).toBe(1);
    expect(demos()).toEqual(before);
  });
});

describe.skipIf(hostTestsObstacle)('a machine that is not as it must be', () => {
  const refusal = async (
    dataDir: string,
    options: Parameters<typeof runOttavia>[1] = {},
    ...more: string[]
  ): Promise<string> => {
    const { code, stdout, stderr } = await runOttavia(standaloneArgs(dataDir, ...more), options);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).not.toMatch(/^\s+at /m);
    return stderr;
  };
  /** Runs the program with other mounts than the host's. */
  const inMounts = (script: string) => ({
    prefix: ['unshare', '--mount', 'sh', '-c', `${script} && exec "$@"`, 'sh'],
  });

  test.each([
    ['haproxy', 'haproxy'],
    ['keepalived', 'keepalived'],
  ])('without %s', async (program, packageName) => {
    const dataDir = join(parent, `no-${program}`);
    const hide = inMounts(`mount --bind /dev/null /usr/sbin/${program}`);
    expect(await refusal(dataDir, hide)).toBe(
      `Cannot find ${program} on this machine. Install with: apt-get install -y --no-install-recommends ${packageName}\n`,
    );
    expect(existsSync(dataDir)).toBe(false);
  });

  test('without ip, and several problems at once', async () => {
    const dataDir = join(parent, 'no-ip');
    const hide = inMounts(
      'for f in /usr/bin/ip /usr/sbin/ip /bin/ip /sbin/ip; do [ -e $f ] && mount --bind /dev/null $(readlink -f $f); done; true',
    );
    const sentences = (await refusal(dataDir, hide, '--listen', '192.0.2.1:80')).trim().split('\n');
    expect(sentences[0]).toMatch(/^Cannot find ip on this machine\..* iproute2$/);
    expect(sentences[1]).toMatch(/^Cannot listen on 192.0.2.1:80/);
    expect(existsSync(dataDir)).toBe(false);
  });

  test('without root', async context => {
    const { error } = spawnSync(process.execPath, ['--version'], { uid: 65534, gid: 65534, timeout: 10_000 });
    if (error) context.skip('the checkout lies where only root may enter, so nobody cannot run it');
    const home = mkdtempSync(join(parent, 'nobody-'));
    chmodSync(parent, 0o755);
    chownSync(home, 65534, 65534);
    const dataDir = join(home, 'data');
    const sentence = await refusal(dataDir, { uid: 65534, gid: 65534 });
    expect(sentence).toMatch(/^Cannot make network namespaces: only root can\. .*--drivers noop\n$/);
    expect(existsSync(dataDir)).toBe(false);
    const program = new OttaviaProcess(standaloneArgs(dataDir, '--drivers', 'noop'), {
      uid: 65534,
      gid: 65534,
    });
    await program.ready();
    expect((await program.end()).code).toBe(0);
  });

  test('without the rights of a whole root, as in a container', async () => {
    const dataDir = join(parent, 'capless');
    const prefix = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin', '--'];
    expect(await refusal(dataDir, { prefix })).toContain('this root lacks CAP_NET_ADMIN');
    expect(existsSync(dataDir)).toBe(false);
  });

  test('a first start that fails half-way removes what it had made', async () => {
    const dataDir = join(parent, 'half-way');
    const environment = {
      ...process.env,
      OS_OTTAVIA__MANAGEMENT_CIDR: '198.18.77.0/24',
      // Not an address of this machine: found out only after the networks are made.
      OS_HEALTH_MANAGER__BIND_IP: '192.0.2.1',
    };
    expect(await refusal(dataDir, { env: environment })).toMatch(
      /^Cannot receive heartbeats on 192.0.2.1 port 5555/,
    );
    expect(existsSync(dataDir)).toBe(false);
    expect(execFileSync('ip', ['-brief', 'address']).toString()).not.toContain('198.18.77.');
  });

  test.each([
    ['no space', 'size=8m', /the disk is full \(\d MB free, 32 MB are needed\)/],
    ['no room for more files', 'size=64m,nr_inodes=4', /the disk is full\. Free some space/],
  ])('with %s on the data directory', async (_what, options, words) => {
    const disk = mkdtempSync(join(parent, 'disk-'));
    const full = inMounts(`mount -t tmpfs -o ${options} tmpfs ${disk}`);
    expect(await refusal(join(disk, 'data'), full)).toMatch(words);
    // The tmpfs went with the namespace that it was mounted in; what it hid is as it was.
    expect(readdirSync(disk)).toEqual([]);
  });
});
