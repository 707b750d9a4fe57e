/** A TLS-HELLO monitor tells a TLS server from a port that merely accepts connections, with the real haproxy. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { DEFAULT_HAPROXY_SETTINGS } from '../../src/dataplane/haproxy/context.ts';
import { isHaproxyInstalled } from '../../src/dataplane/haproxy/haproxy-check.fixture.ts';
import { renderHaproxyConfig } from '../../src/dataplane/haproxy/render.ts';
import { buildGraph, idOf } from '../../src/model/graph.fixture.ts';

const reason = isHaproxyInstalled() ? undefined : 'needs haproxy';

let directory: string;
let haproxy: ChildProcess | undefined;
const servers: Server[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tls-hello-'));
});
afterAll(async () => {
  if (haproxy !== undefined && haproxy.exitCode === null) {
    const ended = new Promise(resolve => haproxy!.once('exit', resolve));
    haproxy.kill('SIGTERM');
    await ended;
  }
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true, force: true });
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function ask(socket: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const connection = connect(socket);
    let answer = '';
    connection.setTimeout(2000, () => connection.destroy(new Error(`haproxy does not answer ${command}`)));
    connection.on('error', reject);
    connection.on('data', chunk => {
      answer += chunk;
    });
    connection.on('end', () => resolve(answer));
    connection.end(`${command}\n`);
  });
}

test.skipIf(reason !== undefined)(
  `TLS-HELLO shakes hands [healthmonitor.type=TLS-HELLO, IPv4]${reason ? ` (${reason})` : ''}`,
  async () => {
    const pem = { key: join(directory, 'key.pem'), cert: join(directory, 'cert.pem') };
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
    execFileSync(
      'openssl',
      ['req', '-x509', ...curve, '-subj', '/CN=x', '-keyout', pem.key, '-out', pem.cert],
      { stdio: 'ignore', timeout: 20_000 },
    );
    const sockets = new Set<Socket>();
    const tls = createTlsServer({ key: readFileSync(pem.key), cert: readFileSync(pem.cert) });
    tls.on('tlsClientError', () => {});
    const silent = createServer(socket => {
      sockets.add(socket);
      socket.on('error', () => {});
    });
    const ports = [await listen(tls), await listen(silent)];
    const listenerPort = await listen(createServer());
    servers.pop()!.close();

    const graph = buildGraph({
      load_balancer: { vip_address: '127.0.0.1' },
      listeners: [{ protocol: 'HTTPS', protocol_port: listenerPort, default_pool_id: idOf('pool', 1) }],
      pools: [{ protocol: 'TCP' }],
      members: ports.map(protocol_port => ({ address: '127.0.0.1', protocol_port })),
      health_monitors: [{ type: 'TLS-HELLO', delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1 }],
    });
    const id = graph.load_balancer.id;
    const text = renderHaproxyConfig(graph, {
      amphora: graph.amphorae[0]!,
      haproxyVersion: '2.6.12',
      settings: { ...DEFAULT_HAPROXY_SETTINGS, basePath: directory },
    });
    mkdirSync(join(directory, id));
    writeFileSync(join(directory, 'haproxy.cfg'), text!);
    // The number of open files may be limited below what 50000 connections take.
    writeFileSync(join(directory, 'limits.cfg'), 'global\n    no strict-limits\n');
    const files = ['haproxy.cfg', 'limits.cfg'].flatMap(name => ['-f', join(directory, name)]);
    haproxy = spawn('haproxy', ['-db', ...files], { stdio: 'ignore' });

    await vi.waitFor(
      async () => {
        const rows = (await ask(join(directory, `${id}.sock`), 'show stat -1 4 -1')).split('\n');
        const columns = rows[0]!.split(',');
        const statuses = rows
          .slice(1)
          .map(row => row.split(','))
          .filter(cells => cells.length > 1)
          .map(cells => [cells[columns.indexOf('svname')], cells[columns.indexOf('status')]]);
        expect(statuses).toEqual([
          [idOf('member', 1), 'UP'],
          [idOf('member', 2), 'DOWN'],
        ]);
      },
      { timeout: 15_000, interval: 100 },
    );
    for (const socket of sockets) socket.destroy();
  },
);
