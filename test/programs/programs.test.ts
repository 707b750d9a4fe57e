/** `ottavia api|worker|health-manager|housekeeping` over real databases and a real broker, on noop drivers. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { openDatabase } from '../../src/db/open.ts';
import { silentLog } from '../../src/lib/log.ts';
import { openNoopCloud } from '../../src/main/cloud.ts';
import { startProgram } from '../../src/main/program.ts';
import type { ProgramKind } from '../../src/main/program-checks.ts';
import {
  type DatabaseServer,
  SERVER_KINDS,
  serverObstacle,
  startDatabaseServer,
} from '../database-server.ts';
import { brokerObstacle, type MessageBroker, startMessageBroker } from '../message-broker.ts';
import { endOttaviaProcesses, OttaviaProcess } from '../ottavia-process.ts';
import { writeConfiguration } from './configuration.ts';
import { linesOf, startProgramProcess } from './programs.ts';

const START_LIMIT_MS = 150_000;
const SUBNET = '7b0e2f3a-1111-4222-8333-444455556666';
const ALL = ['api', 'worker', 'worker', 'health-manager', 'housekeeping', 'housekeeping'];

const until = <T>(check: () => T | Promise<T>, timeout = 40_000) =>
  vi.waitFor(check, { timeout, interval: 25 });

/** The API of the installation, as a client without an account sees it. */
class Client {
  readonly #url: string;
  constructor(port: number) {
    this.#url = `http://127.0.0.1:${port}/v2/lbaas/loadbalancers`;
  }

  async create(name: string): Promise<string> {
    const body = JSON.stringify({ loadbalancer: { name, vip_subnet_id: SUBNET, project_id: 'p' } });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(this.#url, { method: 'POST', headers, body });
    expect(answer.status).toBe(201);
    return ((await answer.json()) as { loadbalancer: { id: string } }).loadbalancer.id;
  }

  async statusOf(id: string): Promise<string> {
    const answer = await fetch(`${this.#url}/${id}`);
    if (answer.status === 404) return 'gone';
    return ((await answer.json()) as { loadbalancer: { provisioning_status: string } }).loadbalancer
      .provisioning_status;
  }

  async remove(id: string): Promise<void> {
    expect((await fetch(`${this.#url}/${id}?cascade=true`, { method: 'DELETE' })).status).toBe(204);
  }

  async untilStatus(id: string, status: string): Promise<void> {
    await until(async () => expect(await this.statusOf(id)).toBe(status));
  }
}

/** All that stand in the queue now. */
async function takeMessages(port: number, queue: string): Promise<string[]> {
  const connection = await connect(`amqp://127.0.0.1:${port}`);
  const channel = await connection.createChannel();
  const texts: string[] = [];
  const take = () => channel.get(queue, { noAck: true });
  for (let next = await take(); next; next = await take()) texts.push(next.content.toString());
  await connection.close();
  return texts;
}

afterEach(() => endOttaviaProcesses());

for (const kind of SERVER_KINDS) {
  const obstacle = serverObstacle(kind) ?? brokerObstacle();
  describe.skipIf(obstacle)(
    obstacle ? `programs over ${kind} (${obstacle})` : `programs over ${kind}`,
    () => {
      let server: DatabaseServer;
      let broker: MessageBroker;
      let databases = 0;
      beforeAll(async () => {
        [server, broker] = await Promise.all([startDatabaseServer(kind), startMessageBroker()]);
      }, START_LIMIT_MS);
      afterAll(async () => {
        await server?.[Symbol.asyncDispose]();
        await broker?.[Symbol.asyncDispose]();
      });
      const newDatabase = () => server.createDatabase(`programs${databases++}`);

      test('all start at once on an empty database, share the work by nudges alone, and end when they are told', {
        timeout: 90_000,
      }, async () => {
        const connection = newDatabase();
        const topic = `test${databases}`;
        using configuration = await writeConfiguration(connection, {
          DEFAULT: { transport_url: broker.url },
          oslo_messaging: { topic },
          oslo_messaging_notifications: { driver: 'messagingv2', topics: topic },
          ottavia: { sweep_interval: 3600 },
        });
        const programs = await Promise.all(ALL.map(each => startProgramProcess(each, configuration.file)));
        await until(() => {
          for (const each of programs) expect(each.stderr).toContain('message broker connected');
        });
        const db = await openDatabase(connection);
        const migrated = await db
          .selectFrom('kysely_migration' as never)
          .select('name' as never)
          .execute();
        expect(new Set(migrated.map(row => JSON.stringify(row))).size).toBe(migrated.length);

        const client = new Client(configuration.apiPort);
        const ids = await Promise.all(Array.from({ length: 12 }, (_, i) => client.create(`lb${i}`)));
        for (const id of ids) await client.untilStatus(id, 'ACTIVE');
        // Told right after it was so.
        const hasSettled = (each: OttaviaProcess) =>
          linesOf(each).some(({ msg }) => msg === 'load balancer settled');
        await until(() => expect(programs.filter(hasSettled)).toHaveLength(2));
        await Promise.all(ids.map(id => client.remove(id)));
        for (const id of ids) await client.untilStatus(id, 'gone');
        const held = db.selectFrom('lease').select('owner').where('owner', 'is not', null);
        await until(async () => expect(await held.execute()).toEqual([]));
        await until(async () => expect(await db.selectFrom('outbox').select('id').execute()).toEqual([]));
        // What was not confirmed in time comes twice, in the same words.
        const told = [...new Set(await takeMessages(broker.port, `${topic}.info`))];
        for (const phase of ['create.start', 'create.end', 'delete.start', 'delete.end'])
          expect(told.filter(text => text.includes(`octavia.loadbalancer.${phase}`))).toHaveLength(
            ids.length,
          );
        await db.destroy();

        for (const ended of await Promise.all(programs.map(each => each.end()))) {
          expect(ended).toMatchObject({ code: 0, stdout: '' });
          const lines = linesOf(ended);
          expect(lines.at(-1)!.msg).toBe('stopped');
          expect(new Set(lines.map(line => line.program)).size).toBe(1);
        }
      });

      test('without a broker workers find by looking what there is to do', async () => {
        using configuration = await writeConfiguration(newDatabase());
        await Promise.all(['api', 'worker'].map(each => startProgramProcess(each, configuration.file)));
        const client = new Client(configuration.apiPort);
        const id = await client.create('lb');
        await client.untilStatus(id, 'ACTIVE');
        await client.remove(id);
        await client.untilStatus(id, 'gone');
      });

      test('a worker that is stopped in the middle gives its lease back, and the next one goes on', async () => {
        const connection = newDatabase();
        using configuration = await writeConfiguration(connection, { ottavia: { lease_ttl: 600 } });
        const start = (program: ProgramKind, cloud = openNoopCloud()) =>
          startProgram(program, { configFile: [configuration.file], cloud }, silentLog);
        const api = await start('api');
        const client = new Client(configuration.apiPort);
        const slow = openNoopCloud();
        const reached = Promise.withResolvers<void>();
        const released = Promise.withResolvers<void>();
        const { network } = slow;
        const ensurePort = network.ensurePort.bind(network);
        network.ensurePort = async spec => {
          reached.resolve();
          await released.promise;
          return ensurePort(spec);
        };
        const first = await start('worker', slow);
        const id = await client.create('lb');
        await reached.promise;
        const stopped = first.stop();
        released.resolve();
        await stopped;
        const db = await openDatabase(connection);
        expect(
          await db.selectFrom('lease').select('owner').where('loadbalancer_id', '=', id).execute(),
        ).toEqual([{ owner: null }]);
        await db.destroy();
        expect(await client.statusOf(id)).toBe('PENDING_CREATE');
        const second = await start('worker');
        await client.untilStatus(id, 'ACTIVE');
        await Promise.all([second.stop(), api.stop()]);
      });

      test('a worker that hangs ends all the same within ten seconds', async () => {
        using configuration = await writeConfiguration(newDatabase());
        const file = join(import.meta.dirname, 'hanging-worker.ts');
        const worker = new OttaviaProcess([configuration.file], { program: file });
        await startProgramProcess('api', configuration.file);
        await new Client(configuration.apiPort).create('lb');
        await until(() => expect(worker.stderr).toContain('"hangs"'));
        const began = performance.now();
        const { code, stderr } = await worker.end();
        expect(code).toBe(0);
        expect(performance.now() - began).toBeLessThan(13_000);
        expect(stderr).toContain('stopped without waiting any longer for what is under way');
      });

      test('a program that cannot start ends with one sentence', async () => {
        using configuration = await writeConfiguration(server.url.replace(/\/\w+\?/, '/nowhere?'));
        for (const each of ['api', 'housekeeping']) {
          const { code, stderr } = await new OttaviaProcess([each, '--config-file', configuration.file])
            .ended;
          expect(code).toBe(1);
          expect(stderr).toMatch(/^Cannot open database [^\n]*nowhere[^\n]*\n$/);
        }
      });
    },
  );
}

test('a program that waits for its database can be stopped', async () => {
  const mute = createServer().listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const { port } = mute.address() as { port: number };
  using configuration = await writeConfiguration(`mysql+pymysql://u@127.0.0.1:${port}/octavia`);
  const program = new OttaviaProcess(['housekeeping', '--config-file', configuration.file]);
  const [socket] = (await once(mute, 'connection')) as [Socket];
  const began = performance.now();
  expect(await program.end()).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(performance.now() - began).toBeLessThan(5000);
  socket.destroy();
  mute.close();
});

describe('what is wrong is told before anything is made', () => {
  const MARIADB = 'mysql+pymysql://u:hidden@127.0.0.1:1/octavia';
  test.each<[ProgramKind, string, Record<string, Record<string, string>>]>([
    [
      'worker',
      'Cannot share a database of SQLite between programs: set [database] connection',
      { database: { connection: 'sqlite:////tmp/x.db' } },
    ],
    [
      'worker',
      'Cannot sign certificates of agents: set ca_certificate and ca_private_key in [certificates]',
      { certificates: { ca_certificate: '', ca_private_key: '' } },
    ],
    [
      'worker',
      'Cannot use the certificate file /nowhere.key',
      { certificates: { ca_private_key: '/nowhere.key' } },
    ],
    [
      'worker',
      'Cannot use the certificate file /nowhere.pem',
      { haproxy_amphora: { server_ca: '/nowhere.pem' } },
    ],
    [
      'worker',
      'Cannot use the drivers namespace and bridge from a program of its own',
      {
        controller_worker: { compute_driver: 'namespace', network_driver: 'bridge', amphora_driver: 'http' },
      },
    ],
    [
      'api',
      'Cannot use the key manager barbican from a program of its own',
      { certificates: { cert_manager: 'barbican' } },
    ],
    [
      'api',
      'Cannot serve an identity from a program of its own',
      { api_settings: { auth_strategy: 'standalone' } },
    ],
    [
      'api',
      'Cannot ask a Keystone about tokens: set auth_url',
      { api_settings: { auth_strategy: 'keystone' } },
    ],
    [
      'api',
      'this machine does not have the address. Choose another with [api_settings] bind_host',
      { api_settings: { bind_port: '1', bind_host: '192.0.2.1' } },
    ],
    [
      'housekeeping',
      'Cannot use [DEFAULT] transport_url: kafka is no broker',
      { DEFAULT: { transport_url: 'kafka://u:hidden@h/' } },
    ],
    [
      'housekeeping',
      'Cannot send notifications: set [DEFAULT] transport_url',
      { oslo_messaging_notifications: { driver: 'messagingv2' } },
    ],
    ['health-manager', 'Cannot open database mysql+pymysql://[redacted]@127.0.0.1:1/octavia', {}],
  ])('%s: %s', async (kind, sentence, sections) => {
    using configuration = await writeConfiguration(MARIADB, sections);
    const failure = await startProgram(kind, { configFile: [configuration.file] }, silentLog).catch(
      error => error,
    );
    expect(failure).toBeInstanceOf(Error);
    expect(failure.message).toContain(sentence);
    expect(failure.message).not.toContain('hidden');
  });
});
