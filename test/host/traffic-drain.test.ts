/** Drains with a clock: sessions of a member that gets no more of them may finish in time, and end after it. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { agentOf, untilAnotherAgent } from './amphora-processes.ts';
import { DualVip, FAMILIES, type Family, type Service } from './dual-vip.ts';
import { Load } from './http-client.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';
import { acceptWebSocket } from './websocket.ts';

/** Short answers take a fifth of it. */
const CLOCK_S = 4;
const PIECE = '0123456789';
const PAUSE_MS = 50;
const UPGRADE = `connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${Buffer.alloc(16).toString('base64')}\r\n`;
const NAMES = ['a', 'b', 'c', 'd'];

/** Streams so many pieces, or without end, to whoever asks for it; a WebSocket gets the same. */
function createMember(name: string) {
  const stream = (socket: NodeJS.WritableStream & { destroyed: boolean }, pieces: number) => {
    let sent = 0;
    const timer = setInterval(() => {
      if (socket.destroyed) return clearInterval(timer);
      socket.write(PIECE);
      if (++sent === pieces) {
        clearInterval(timer);
        socket.end();
      }
    }, PAUSE_MS);
  };
  const server = createServer((request, response) => {
    const pieces = Number(/^\/stream\/(\d+)/.exec(request.url!)?.[1] ?? 0);
    if (pieces === 0) return response.end(`${name} ${request.url}`);
    response.writeHead(200, { 'x-member': name, 'content-length': pieces * PIECE.length });
    response.flushHeaders();
    stream(response, pieces);
  });
  server.on('upgrade', (request, socket) => {
    acceptWebSocket(request, socket, [`x-member: ${name}`]);
    stream(socket, Number.POSITIVE_INFINITY);
  });
  return server;
}

/** One long answer, every byte of which is looked at. */
class Session {
  readonly member: string;
  readonly #socket: Socket;
  #bytes = 0;
  #wrong = 0;
  #endedAt: number | undefined;

  private constructor(socket: Socket, member: string, rest: Buffer) {
    this.#socket = socket;
    this.member = member;
    this.#take(rest);
    socket.on('data', bytes => this.#take(bytes));
    socket.on('close', () => {
      this.#endedAt = performance.now();
    });
  }

  static async open(host: string, port: number, path: string, more = ''): Promise<Session> {
    const socket = connect(port, host.replace(/^\[|\]$/g, ''));
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(`GET ${path} HTTP/1.1\r\nhost: lb\r\n${more}\r\n`);
    let read = Buffer.alloc(0);
    while (!read.includes('\r\n\r\n')) read = Buffer.concat([read, (await once(socket, 'data'))[0]]);
    const end = read.indexOf('\r\n\r\n') + 4;
    const member = /^x-member: (.*)\r$/m.exec(read.subarray(0, end).toString())?.[1];
    if (member === undefined) throw new Error(`no member in ${JSON.stringify(read.toString())}`);
    return new Session(socket, member, read.subarray(end));
  }

  get pieces(): number {
    return this.#bytes / PIECE.length;
  }

  get isOpen(): boolean {
    return this.#endedAt === undefined;
  }

  get isRight(): boolean {
    return this.#wrong === 0;
  }

  /** Seconds from then to its end; throws when it does not end in time. */
  async endedAfter(since: number): Promise<number> {
    await until(`the session with ${this.member} to end`, () => !this.isOpen);
    return (this.#endedAt! - since) / 1000;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    for (const byte of bytes) if (byte !== PIECE.charCodeAt(this.#bytes++ % PIECE.length)) this.#wrong++;
  }
}

describe.skipIf(trafficObstacle)(titled('a drain with a clock [drain, IPv4, IPv6]'), () => {
  let directory: string;
  let vip: DualVip;
  let ports: number[];
  let amphoraId: string;
  const open: Session[] = [];

  const session = async (service: Service, family: Family, path = '/stream/100000', more = '') => {
    const one = await Session.open(vip.vips[family], service.port, path, more);
    open.push(one);
    return one;
  };
  const webSocket = (service: Service, family: Family) => session(service, family, '/', UPGRADE);
  /** A download and a WebSocket of each member, by the member's name. */
  const sessionsOfAll = async (service: Service) => {
    const all: Session[] = [];
    for (const _ of NAMES) all.push(await session(service, 'IPv4'));
    for (const _ of NAMES) all.push(await webSocket(service, 'IPv6'));
    const by = new Map(NAMES.map(name => [name, all.filter(one => one.member === name)]));
    expect([...by.values()].map(each => each.length)).toEqual(NAMES.map(() => 2));
    return by;
  };
  const set = (service: Service, i: number, body: object) =>
    vip.set(`pools/${service.pool.id}/members/${service.members[i]!.id}`, body);
  const remove = async (service: Service, i: number) => {
    await vip.system.api.remove(`pools/${service.pool.id}/members/${service.members[i]!.id}`);
    await vip.active();
  };
  const reload = ({ listener }: Service) =>
    vip.set(`listeners/${listener.id}`, { timeout_client_data: 40_000 + Math.floor(performance.now()) });

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'ottavia-drain-'));
    const configFile = join(directory, 'octavia.conf');
    writeFileSync(configFile, `[haproxy_amphora]\nmember_drain_timeout = ${CLOCK_S}\n`);
    vip = await DualVip.open(1, { configFile: [configFile] });
    ports = await Promise.all(NAMES.map(name => vip.listen(createMember(name))));
    await vip.serve({ members: [ports[0]!] });
    const amphora = await until('the amphora', async () => {
      await vip.active();
      return (await vip.system.api.client.list('octavia/amphorae'))[0] as Resource;
    });
    amphoraId = String(amphora.id);
  });
  afterAll(async () => {
    for (const one of open) one.close();
    await vip?.[Symbol.asyncDispose]();
    if (directory) rmSync(directory, { recursive: true, force: true });
  });

  describe.each<[string, (service: Service) => Promise<void>]>([
    ['with nothing in between', async () => {}],
    ['although haproxy is reloaded meanwhile', reload],
    [
      'although the agent dies meanwhile',
      async service => {
        const { dataDir } = vip.system;
        const dead = agentOf(dataDir, amphoraId)!;
        process.kill(dead.pid, 'SIGKILL');
        await untilAnotherAgent(dataDir, amphoraId, dead);
        // Made by an agent that is there again.
        await set(service, 0, { weight: 2 });
      },
    ],
  ])('%s', (_, meanwhile) => {
    test('downloads and WebSockets of members that are drained, disabled and removed finish or end in time, and the others go on [member.weight, member.admin_state_up, websocket]', async () => {
      const service = await vip.serve({ members: ports });
      await vip.active();
      const sessions = await sessionsOfAll(service);
      const short: Session[] = [];
      for (const _ of NAMES)
        short.push(await session(service, 'IPv6', '/stream/16', 'connection: close\r\n'));
      const loads = FAMILIES.map(family => new Load(service.url(family), { keepAlive: true }));
      const since = performance.now();
      await Promise.all([set(service, 1, { weight: 0 }), set(service, 2, { admin_state_up: false })]);
      await remove(service, 3);
      await meanwhile(service);
      const changedAfter = (performance.now() - since) / 1000;
      for (const name of ['b', 'c', 'd']) {
        for (const one of sessions.get(name)!) {
          const after = await one.endedAfter(since);
          expect(after, name).toBeGreaterThan(CLOCK_S - 0.1);
          expect(after, name).toBeLessThan(CLOCK_S + changedAfter + 3);
        }
      }
      for (const one of short) await one.endedAfter(since);
      expect(short.map(one => one.pieces)).toEqual(NAMES.map(() => 16));
      await Promise.all(loads.map(load => load.stop()));
      expect(loads.flatMap(load => load.failures)).toEqual([]);
      const kept = sessions.get('a')!;
      expect(kept.map(one => one.isOpen)).toEqual([true, true]);
      expect([...sessions.values()].flat().every(one => one.isRight)).toBe(true);
      for (const one of kept) one.close();
    });
  });

  test('a member with sticky sessions keeps them until it is removed; those of a pool that goes end in time [pool.session_persistence=HTTP_COOKIE]', async () => {
    const pool = { session_persistence: { type: 'HTTP_COOKIE' } };
    const sticky = await vip.serve({ pool, members: ports.slice(0, 1) });
    const doomed = await vip.serve({ members: ports.slice(0, 1) });
    await vip.active();
    const kept = await session(sticky, 'IPv4');
    const ended = await session(doomed, 'IPv6');
    const since = performance.now();
    await set(sticky, 0, { weight: 0 });
    await vip.system.api.remove(`pools/${doomed.pool.id}`);
    await vip.active();
    expect(await ended.endedAfter(since)).toBeGreaterThan(CLOCK_S - 0.1);
    const soFar = kept.pieces;
    await until('the sticky session to go on', () => kept.pieces > soFar + 10);
    const removedAt = performance.now();
    await remove(sticky, 0);
    expect(await kept.endedAfter(removedAt)).toBeGreaterThan(CLOCK_S - 0.1);
    expect(kept.isRight && ended.isRight).toBe(true);
  });
});
