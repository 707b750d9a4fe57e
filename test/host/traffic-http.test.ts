/** What HTTP is made of, through a real haproxy: headers, bodies, connections that become something else, and every limit of time. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { Agent, createServer, type IncomingMessage, type RequestOptions, request } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PLAIN_INSERT_HEADERS } from '../../src/model/protocols.ts';
import { DualVip, FAMILIES, type Family, type Service } from './dual-vip.ts';
import { ask } from './http-client.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { Authority, KeyManager } from './tls-parties.ts';
import { until } from './until.ts';
import { echoWebSocket } from './websocket.ts';

const LIMIT_MS = 30_000;
const SECOND_MS = 1_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Reply {
  status: number;
  headers: IncomingMessage['headers'];
  trailers: IncomingMessage['trailers'];
  body: Buffer;
}

/** One request with all that a client can do to it. */
function send(url: string, options: RequestOptions & { body?: Buffer[]; trailers?: object } = {}) {
  const { body = [], trailers, ...more } = options;
  return new Promise<Reply>((resolve, reject) => {
    const sent = request(url, { agent: false, signal: AbortSignal.timeout(LIMIT_MS), ...more });
    sent.on('error', reject).on('response', async response => {
      const chunks = await (response as Readable).toArray().catch(reject);
      if (!chunks) return;
      const { headers, trailers } = response;
      resolve({ status: response.statusCode!, headers, trailers, body: Buffer.concat(chunks) });
    });
    const write = () => {
      for (const part of body) sent.write(part);
      if (trailers) sent.addTrailers(trailers as Record<string, string>);
      sent.end();
    };
    if (sent.getHeader('expect')) sent.once('continue', write).flushHeaders();
    else write();
  });
}

/** What the other side sends until it closes, and how long that took. */
async function talk(url: string, text: string): Promise<{ said: string; afterMs: number }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname.replaceAll(/[[\]]/g, ''));
  socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('timeout')));
  const since = performance.now();
  socket.write(text);
  const said = Buffer.concat(await socket.toArray()).toString();
  return { said, afterMs: performance.now() - since };
}

describe.skipIf(trafficObstacle)(titled('HTTP'), () => {
  let vip: DualVip;
  let plain: Service;
  let port: number;
  /** Of the member. */
  const connections = { open: 0, ever: 0 };
  /** By URL and number, the events that clients have got. */
  const arrivals = new EventEmitter();
  const web = createServer(async (message, response) => {
    const { url = '', headers, rawHeaders, method } = message;
    if (url === '/silent') return;
    if (url === '/break') return void message.socket.destroy();
    if (url === '/half') {
      response.writeHead(200, { 'content-length': '1000' }).write('half');
      return void setImmediate(() => message.socket.destroy());
    }
    if (url === '/endless') {
      const timer = setInterval(() => response.write('x'.repeat(1000)), 5);
      return void response.on('close', () => clearInterval(timer));
    }
    if (url.startsWith('/events')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < 30; i++) {
        const signal = AbortSignal.timeout(LIMIT_MS);
        const arrived = once(arrivals, `${url} ${i}`, { signal }).catch(() => response.destroy());
        response.write(`data: ${i}\n\n`);
        // One that is held back for the next one never arrives.
        await arrived;
        if (response.destroyed) return;
        await delay(100);
      }
      return void response.end();
    }
    if (url === '/empty') return void response.writeHead(204).end();
    if (url === '/head') return void response.setHeader('content-length', '12345').end();
    if (url === '/echo') {
      response.writeHead(200, { 'x-encoding': headers['transfer-encoding'] ?? '', trailer: 'x-sum' });
      for await (const chunk of message) response.write(chunk);
      response.addTrailers({ 'x-sum': String(message.trailers['x-sum']) });
      return void response.end();
    }
    response.end(JSON.stringify({ method, headers, rawHeaders }));
  });
  web.on('connection', socket => {
    connections.open++;
    connections.ever++;
    socket.on('close', () => connections.open--);
    socket.on('error', () => {});
  });
  web.on('upgrade', echoWebSocket);
  web.keepAliveTimeout = 60_000;

  const seen = async (url: string, headers: Record<string, string | string[]>) =>
    JSON.parse((await send(url, { headers })).body.toString()).headers as Record<string, string>;

  beforeAll(async () => {
    vip = await DualVip.open(2);
    port = await vip.listen(web);
    plain = await vip.serve({ members: [port] });
    await vip.active();
  });
  afterAll(() => vip?.[Symbol.asyncDispose]());

  describe('headers', () => {
    const spoofed = Object.fromEntries(PLAIN_INSERT_HEADERS.map(name => [name, 'spoofed']));

    test(`that the listener inserts replace those of clients [${PLAIN_INSERT_HEADERS.map(name => `listener.insert_headers=${name}`).join(', ')}, IPv4, IPv6]`, async () => {
      const insert_headers = Object.fromEntries(PLAIN_INSERT_HEADERS.map(name => [name, 'true']));
      const service = await vip.serve({ listener: { insert_headers }, members: [port] });
      await vip.active();
      for (const [family, from] of [
        ['IPv4', vip.gateway],
        ['IPv6', /./],
      ] as const) {
        const { headers } = JSON.parse((await ask(service.url(family), { headers: spoofed })).body);
        const client = headers['x-real-ip'];
        expect(client).toMatch(from);
        expect(headers).toMatchObject({
          ...{ 'x-forwarded-for': `spoofed, ${client}`, 'x-forwarded-port': String(service.port) },
          ...{ 'x-forwarded-proto': 'http', 'x-forwarded-ip': client, 'x-client-ip': client },
          'x-request-id': 'spoofed',
        });
      }
    });

    test('pass through where the listener inserts none [listener.insert_headers=X-Request-ID, listener.insert_headers=X-Forwarded-For]', async () => {
      const lower = Object.fromEntries(Object.keys(spoofed).map(name => [name.toLowerCase(), 'spoofed']));
      expect(await seen(plain.url('IPv4'), spoofed)).toMatchObject(lower);
      expect(Object.keys(await seen(plain.url('IPv4'), {})).filter(name => name.startsWith('x-'))).toEqual(
        [],
      );
    });

    test('give each request an id unless it has a sane one [listener.insert_headers=X-Request-ID, IPv4, IPv6]', async () => {
      const service = await vip.serve({
        listener: { insert_headers: { 'X-Request-ID': 'true' } },
        members: [port],
      });
      await vip.active();
      const idOf = async (family: Family, id?: string | string[]) =>
        (await seen(service.url(family), id === undefined ? {} : { 'x-request-id': id }))['x-request-id']!;
      for (const family of FAMILIES) {
        const fresh = [await idOf(family), await idOf(family)];
        for (const id of fresh) expect(id).toMatch(UUID);
        expect(fresh[0]).not.toBe(fresh[1]);
        for (const sane of ['a', 'Trace_1-2.3:4+5/6=@', 'x'.repeat(128)])
          expect(await idOf(family, sane)).toBe(sane);
        for (const insane of ['', 'a b', '-a', 'x'.repeat(129), '"a"', 'a,b', ['a', 'b']])
          expect(await idOf(family, insane)).toMatch(UUID);
      }
    });

    test('between client and load balancer stay there, and long ones pass [listener.protocol=HTTP, pool.protocol=HTTP]', async () => {
      const long = 'y'.repeat(12_000);
      const arrived = await seen(plain.url('IPv4'), { connection: 'close', 'keep-alive': 'timeout=1', long });
      expect(arrived).toMatchObject({ long });
      expect(arrived.connection).not.toBe('close');
      const { status } = await send(plain.url('IPv4'), { headers: { long: 'y'.repeat(20_000) } });
      expect(status).toBe(400);
    });
  });

  describe.each(FAMILIES)('messages [listener.protocol=HTTP, pool.protocol=HTTP, %s]', family => {
    test('arrive byte for byte, in pieces and with trailers', async () => {
      const body = Array.from({ length: 40 }, () => randomBytes(25_000));
      const options = { method: 'POST', headers: { trailer: 'x-sum' }, trailers: { 'x-sum': '42' } };
      const reply = await send(`${plain.url(family)}/echo`, { ...options, body });
      expect(reply.body.equals(Buffer.concat(body))).toBe(true);
      expect(reply).toMatchObject({ headers: { 'x-encoding': 'chunked' }, trailers: { 'x-sum': '42' } });
    });

    test('may wait for a go-ahead, have no body, or only the head of one', async () => {
      const headers = { expect: '100-continue', 'content-length': '4' };
      const options = { method: 'PUT', headers, body: [Buffer.from('body')] };
      expect((await send(`${plain.url(family)}/echo`, options)).body.toString()).toBe('body');
      const head = await send(`${plain.url(family)}/head`, { method: 'HEAD' });
      expect(head).toMatchObject({ status: 200, headers: { 'content-length': '12345' } });
      expect(head.body.length).toBe(0);
      expect(await send(`${plain.url(family)}/empty`)).toMatchObject({ status: 204 });
    });
  });

  test('connections to members are used again, and those that members close are replaced', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    try {
      await send(plain.url('IPv4'), { agent });
      const before = connections.ever;
      for (let i = 0; i < 8; i++)
        await Promise.all([1, 2, 3, 4].map(() => send(plain.url('IPv4'), { agent })));
      expect(connections.ever - before).toBeLessThanOrEqual(4);
      web.closeIdleConnections();
      await until('members to have closed', () => connections.open === 0);
      for (let i = 0; i < 4; i++) expect((await send(plain.url('IPv4'), { agent })).status).toBe(200);
    } finally {
      agent.destroy();
    }
  });

  test('whoever goes away, the other side is told', async () => {
    expect((await send(`${plain.url('IPv4')}/break`)).status).toBe(502);
    await expect(send(`${plain.url('IPv4')}/half`)).rejects.toThrow(/aborted|reset|hang up/);
    web.closeIdleConnections();
    await until('members to be idle', () => connections.open === 0);
    const leaving = request(`${plain.url('IPv4')}/endless`, { agent: false }).end();
    const [response] = await once(leaving, 'response');
    await once(response, 'data');
    leaving.destroy();
    await until('the member to be left', () => connections.open === 0);
  });

  describe('time limits', () => {
    let client: Service;
    let silent: Service;
    let blackHole: Service;
    let inspecting: Service;
    beforeAll(async () => {
      // Answers from there go nowhere.
      const nowhere = vip.addresses.IPv4[1]!;
      const rule = ['rule', 'add', 'from', nowhere, 'type', 'blackhole'];
      execFileSync('ip', ['-n', vip.clients.namespace, ...rule]);
      const banner = createTcpServer(socket => socket.on('error', () => {}).end('hello'));
      client = await vip.serve({ listener: { timeout_client_data: SECOND_MS }, members: [port] });
      silent = await vip.serve({ listener: { timeout_member_data: SECOND_MS }, members: [port] });
      blackHole = await vip.serve({ listener: { timeout_member_connect: 400 }, members: [] });
      await vip.addMember(blackHole.pool, 80, { address: nowhere });
      inspecting = await vip.serve({
        listener: { protocol: 'TCP', timeout_tcp_inspect: 3 * SECOND_MS },
        pool: { protocol: 'TCP' },
        members: [await vip.listen(banner)],
      });
      await vip.active();
    });
    const elapsed = async (work: () => Promise<number>) => {
      const since = performance.now();
      return { status: await work(), ms: performance.now() - since };
    };
    const between = (ms: number, least: number, most: number) => {
      expect(ms).toBeGreaterThan(least - 20);
      expect(ms).toBeLessThan(most);
    };

    test.each(FAMILIES)(
      'end a client that stops in the middle of a request [listener.timeout_client_data, %s]',
      async family => {
        const { said, afterMs } = await talk(client.url(family), 'GET / HTTP/1.1\r\nHost: x\r\n');
        expect(said).toMatch(/^HTTP\/1\.[01] 408 /);
        between(afterMs, SECOND_MS, 4 * SECOND_MS);
      },
    );

    test('end the wait for a member that does not answer [listener.timeout_member_data, IPv4]', async () => {
      const { status, ms } = await elapsed(async () => (await send(`${silent.url('IPv4')}/silent`)).status);
      expect(status).toBe(504);
      between(ms, SECOND_MS, 4 * SECOND_MS);
      expect((await send(silent.url('IPv4'))).status).toBe(200);
    });

    test('end the tries to reach a member, four in all [listener.timeout_member_connect, IPv4]', async () => {
      const { status, ms } = await elapsed(async () => (await send(blackHole.url('IPv4'))).status);
      expect(status).toBe(503);
      between(ms, 4 * 400, 6 * SECOND_MS);
    });

    test('of an inspection hold back nothing, where nothing is inspected [listener.timeout_tcp_inspect, IPv4]', async () => {
      const { said, afterMs } = await talk(inspecting.url('IPv4'), '');
      expect(said).toBe('hello');
      between(afterMs, 0, 2 * SECOND_MS);
    });
  });

  test('one connection more than there may be waits for its turn [listener.connection_limit, IPv4, IPv6]', async () => {
    const greeter = createTcpServer(socket => socket.on('error', () => {}).write('hello'));
    const service = await vip.serve({
      listener: { protocol: 'TCP', connection_limit: 2 },
      pool: { protocol: 'TCP' },
      members: [await vip.listen(greeter)],
    });
    await vip.active();
    const open = (family: Family): Socket =>
      connect(service.port, vip.vips[family].replaceAll(/[[\]]/g, '')).on('error', () => {});
    const first = [open('IPv4'), open('IPv6')];
    await Promise.all(first.map(socket => once(socket, 'data')));
    const third = open('IPv4');
    const greeted = once(third, 'data');
    expect(await Promise.race([greeted, delay(300, 'waits')])).toBe('waits');
    first[0]!.destroy();
    expect(String((await greeted)[0])).toBe('hello');
    for (const socket of [...first, third]) socket.destroy();
  });

  describe('long connections', () => {
    let service: Service;
    const reload = (ms: number) =>
      vip.set(`listeners/${plain.listener.id}`, { timeout_client_data: 40_000 + ms });
    beforeAll(async () => {
      service = await vip.serve({
        listener: { timeout_client_data: SECOND_MS, timeout_member_data: SECOND_MS },
        members: [port],
      });
      await vip.active();
    });

    test('a WebSocket may be silent for longer than a request, and outlives reloads [websocket, reload, IPv4, IPv6]', async () => {
      const sockets = await Promise.all(
        FAMILIES.map(async family => {
          const socket = new WebSocket(service.url(family).replace('http', 'ws'));
          await once(socket, 'open');
          return socket;
        }),
      );
      const echo = async (text: string) => {
        const replies = sockets.map(socket => once(socket, 'message'));
        for (const socket of sockets) socket.send(text);
        const messages = await Promise.all(replies);
        expect(messages.map(([{ data }]) => data)).toEqual([text, text]);
      };
      await echo('first');
      await delay(2.5 * SECOND_MS);
      await echo('after a silence');
      for (let i = 1; i <= 3; i++) {
        await reload(i);
        await echo(`after reload ${i} ${'x'.repeat(50_000)}`);
      }
      for (const socket of sockets) socket.close();
      await Promise.all(sockets.map(socket => once(socket, 'close')));
    });

    test('events arrive as they are sent, over a reload too [reload, IPv4, IPv6]', async () => {
      const streams = FAMILIES.map(async family => {
        const path = `/events/${family}`;
        const sent = request(service.url(family) + path, { agent: false }).end();
        const [response] = (await once(sent, 'response')) as [IncomingMessage];
        let count = 0;
        for await (const chunk of response) {
          for (const [, number] of String(chunk).matchAll(/data: (\d+)\n\n/g)) {
            arrivals.emit(`${path} ${number}`);
            count++;
          }
        }
        return count;
      });
      await reload(10);
      expect(await Promise.all(streams)).toEqual([30, 30]);
    });
  });

  test.each(FAMILIES)(
    'HTTP/2 is spoken with clients that begin with it, for members that do not [http2, %s]',
    async family => {
      const client = connectHttp2(plain.url(family));
      try {
        const exchange = async (body: Buffer) => {
          const stream = client.request({ ':method': 'POST', ':path': '/echo' });
          stream.end(body);
          return Buffer.concat(await stream.toArray()).equals(body);
        };
        // With more at once in both directions this client and haproxy may wait for each other on a busy machine; curl does not.
        const exchanges = Array.from({ length: 20 }, () => exchange(randomBytes(15_000)));
        expect(new Set(await Promise.all(exchanges))).toEqual(new Set([true]));
      } finally {
        client.destroy();
      }
    },
  );

  describe('gRPC', () => {
    let service: Service;
    let terminated: Service;
    beforeAll(async () => {
      const authority = await Authority.create('authority of gRPC');
      const pair = await authority.issue('grpc', 'grpc.example');
      const server = createSecureServer(pair);
      server.on('stream', answerGrpc).on('sessionError', () => {});
      const members = [await vip.listen(server)];
      const keys = new KeyManager(vip.system.api.client);
      const pool = { tls_enabled: true, alpn_protocols: ['h2'] };
      service = await vip.serve({ pool, members });
      terminated = await vip.serve({
        listener: {
          ...{ protocol: 'TERMINATED_HTTPS', alpn_protocols: ['h2', 'http/1.1'] },
          default_tls_container_ref: await keys.container(pair),
        },
        pool,
        members,
      });
      await vip.active();
    });

    test.each(FAMILIES)(
      'is called with one message, and streams both ways, with trailers [grpc, http2, listener.protocol=TERMINATED_HTTPS, pool.alpn_protocols, listener.alpn_protocols, pool.tls_enabled, %s]',
      async family => {
        for (const url of [service.url(family), terminated.url(family).replace('http:', 'https:')]) {
          const client = connectHttp2(url, { rejectUnauthorized: false });
          client.on('error', () => {});
          try {
            const one = call(client, '/echo.Echo/One');
            one.stream.end(frame('hello'));
            expect(await one.ended).toEqual({ messages: ['HELLO'], status: '0' });

            const both = call(client, '/echo.Echo/Stream');
            for (let i = 0; i < 5; i++) {
              both.stream.write(frame(`message ${i}`));
              // Each is answered before the next is sent.
              await until('an answer', () => both.messages.length === i + 1);
            }
            both.stream.end();
            const messages = [0, 1, 2, 3, 4].map(i => `MESSAGE ${i}`);
            expect(await both.ended).toEqual({ messages, status: '0' });

            const failing = call(client, '/echo.Echo/Missing');
            failing.stream.end(frame('x'));
            expect(await failing.ended).toEqual({ messages: [], status: '12' });
          } finally {
            client.destroy();
          }
        }
      },
    );
  });
});

/** A message behind its length. Source: gRPC over HTTP2, "Length-Prefixed-Message". */
function frame(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** Hands over each message as soon as it is whole. */
function onMessages(stream: ClientHttp2Stream | ServerHttp2Stream, take: (text: string) => void): void {
  let bytes = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1);
      take(bytes.subarray(5, end).toString());
      bytes = bytes.subarray(end);
    }
  });
}

/** Answers each message in capitals; an unknown method at once, with nothing but a status. */
function answerGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.on('error', () => {});
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  if (headers[':path'] === '/echo.Echo/Missing') {
    stream.respond({ ...head, 'grpc-status': '12' }, { endStream: true });
    return;
  }
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  onMessages(stream, text => stream.write(frame(text.toUpperCase())));
  stream.on('end', () => stream.end());
}

function call(client: ClientHttp2Session, path: string) {
  const head = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = client.request(head, { endStream: false, signal: AbortSignal.timeout(LIMIT_MS) });
  const messages: string[] = [];
  let status: unknown;
  const note = (headers: IncomingHttpHeaders) => {
    status = headers['grpc-status'] ?? status;
  };
  stream.on('response', note).on('trailers', note);
  onMessages(stream, text => messages.push(text));
  const ended = once(stream, 'end').then(() => ({ messages, status }));
  return { stream, messages, ended };
}
