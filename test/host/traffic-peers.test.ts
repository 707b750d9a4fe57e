/** Two haproxies with the configurations of a pair of amphorae: what one has learned about a client, the other one knows. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ask } from '../../src/agent/haproxy/socket.ts';
import { DEFAULT_HAPROXY_SETTINGS } from '../../src/dataplane/haproxy/context.ts';
import { renderHaproxyConfig } from '../../src/dataplane/haproxy/render.ts';
import { run } from '../../src/lib/command.ts';
import { peerName } from '../../src/lib/peer-name.ts';
import { buildGraph, idOf } from '../../src/model/graph.fixture.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const TRAFFIC = join(import.meta.dirname, 'testdata/traffic.mjs');
const MEMBER_PORTS = [9001, 9002];

/** Everything of one family; the last part of an address is added. */
const NETWORKS = {
  IPv4: { at: (n: number) => `198.18.77.${n}`, prefix: 24, host: (address: string) => address },
  IPv6: { at: (n: number) => `fd00:77::${n}`, prefix: 64, host: (address: string) => `[${address}]` },
};
const VIP = 100;
const MEMBER = 101;
const CLIENTS = [1, 2, 3, 4, 5, 6].map(n => 110 + n);

const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe', timeout: 10_000 });

describe.skipIf(trafficObstacle)(titled('a pair of amphorae'), () => {
  const namespaces = [1, 2].map(n => `peers${n}-${process.pid}`);
  let directory: string;
  let children: ChildProcess[];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'peers-'));
    children = [];
  });
  afterEach(async () => {
    const ended = children.map(child => child.exitCode ?? child.signalCode ?? once(child, 'exit'));
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
    for (const namespace of namespaces) ip('netns', 'delete', namespace);
    rmSync(directory, { recursive: true });
  });

  test.each(Object.entries(NETWORKS))(
    'tells each other which member a client belongs to, by address and by cookie [pool.session_persistence=SOURCE_IP, pool.session_persistence=APP_COOKIE, %s]',
    async (_, { at, prefix, host }) => {
      for (const namespace of namespaces) ip('netns', 'add', namespace);
      const [first, second] = namespaces as [string, string];
      ip('-n', first, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', second);
      const nodad = prefix === 64 ? ['nodad'] : [];
      for (const [i, namespace] of namespaces.entries()) {
        for (const link of ['lo', 'eth0']) ip('-n', namespace, 'link', 'set', link, 'up');
        ip('-n', namespace, 'address', 'add', `${at(i + 1)}/${prefix}`, 'dev', 'eth0', ...nodad);
        // Both hold them, so that clients and members are the same for each; in the world the VIP moves.
        for (const n of [VIP, MEMBER, ...CLIENTS])
          ip('-n', namespace, 'address', 'add', at(n), 'dev', 'lo', ...nodad);
      }
      const graph = buildGraph({
        load_balancer: { topology: 'ACTIVE_STANDBY', vip_address: at(VIP) },
        listeners: [1, 2].map(n => ({ default_pool_id: idOf('pool', n) })),
        pools: (['SOURCE_IP', 'APP_COOKIE'] as const).map(type => ({
          session_persistence: {
            ...{ type, cookie_name: 'SID', persistence_timeout: null, persistence_granularity: null },
          },
        })),
        members: [1, 2].flatMap(n =>
          MEMBER_PORTS.map(protocol_port => ({
            pool_id: idOf('pool', n),
            address: at(MEMBER),
            protocol_port,
          })),
        ),
        amphorae: [1, 2].map(n => ({ vrrp_ip: at(n), status: 'ALLOCATED' as const })),
      });
      const sockets = graph.amphorae.map((amphora, i) => {
        const basePath = join(directory, amphora.id);
        mkdirSync(join(basePath, graph.load_balancer.id), { recursive: true });
        // haproxy ends where it may not open as many files as it wants.
        const settings = { ...DEFAULT_HAPROXY_SETTINGS, basePath, defaultConnectionLimit: 1000 };
        const text = renderHaproxyConfig(graph, { amphora, haproxyVersion: '2.6.12', settings });
        writeFileSync(join(basePath, 'haproxy.cfg'), text!);
        const inside = ['netns', 'exec', namespaces[i]!];
        const haproxy = ['haproxy', '-db', '-L', peerName(amphora.id), '-f', join(basePath, 'haproxy.cfg')];
        const members = [process.execPath, TRAFFIC, 'serve', ...MEMBER_PORTS.map(String)];
        for (const command of [haproxy, members])
          children.push(spawn('ip', [...inside, ...command], { stdio: 'ignore' }));
        return join(basePath, `${graph.load_balancer.id}.sock`);
      });

      const curl = async (amphora: number, client: number, port: number, path = '/', cookie = '') => {
        const url = `http://${host(at(VIP))}:${port}${path}`;
        const options = ['-sS', '-m', '5', '-i', '--globoff', '--interface', at(client), '-b', cookie, url];
        const { stdout } = await run('ip', ['netns', 'exec', namespaces[amphora]!, 'curl', ...options]);
        const [head, member] = stdout.split('\r\n\r\n');
        return { member, cookie: /^set-cookie: ([^\r]+)/im.exec(head!)?.[1] };
      };
      const entries = async (amphora: number) =>
        [...(await ask(sockets[amphora]!, 'show table')).matchAll(/ used:(\d+)/g)].map(([, n]) => Number(n));
      await until('both to serve', async () => {
        const answers = [0, 1].map(amphora => curl(amphora, CLIENTS[0]!, 81));
        return (await Promise.all(answers)).every(({ member }) => MEMBER_PORTS.includes(Number(member)));
      });

      const learned = [];
      for (const client of CLIENTS) {
        const { member } = await curl(0, client, 80);
        learned.push({ client, member, login: await curl(0, client, 81, '/login') });
      }
      const all = [CLIENTS.length, CLIENTS.length];
      await until(
        'the other to be told',
        async () => String(await entries(1)) === String(all),
        () => entries(1),
      );
      // In another order, so that only knowledge leads to the same members.
      for (const { client, member, login } of learned.toReversed().slice(1)) {
        expect([client, (await curl(1, client, 80)).member]).toEqual([client, member]);
        expect([client, (await curl(1, CLIENTS[0]!, 81, '/', login.cookie)).member]).toEqual([
          client,
          login.member,
        ]);
      }
      expect(await entries(1)).toEqual(all);
    },
  );
});
