/** Bytes through TCP and HTTPS listeners, and members that are told by the PROXY protocol who is behind them. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DualVip, FAMILIES, type Family, type Service } from './dual-vip.ts';
import { issueMemberCertificate } from './member-certificate.ts';
import { titled, trafficObstacle } from './real-system.ts';

const LIMIT_MS = 20_000;
const BIG = randomBytes(16_000_000);
const BODY = 'who am I';
/** Text and a request at once, for every kind of listener. */
const REQUEST = `POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;

const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

interface Told {
  version: number;
  address: string;
  port: number;
}

describe.skipIf(trafficObstacle)(titled('bytes'), () => {
  let vip: DualVip;
  let pem: { key: string; cert: string };
  /** Gives all back that it gets, once the client has said all; tells first what the PROXY protocol said. */
  const ports = { tcp: 0, tls: 0, told: 0, toldTls: 0 };

  const dial = async ({ port, listener }: Service, family: Family): Promise<Socket> => {
    const host = vip.vips[family].replaceAll(/[[\]]/g, '');
    const isTls = listener.protocol === 'HTTPS';
    const socket = isTls
      ? connectTls({ host, port, ca: [], rejectUnauthorized: false })
      : connectTcp(port, host);
    socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('timeout')));
    await once(socket, isTls ? 'secureConnect' : 'connect');
    return socket;
  };
  const all = async (socket: Socket) => Buffer.concat(await socket.toArray());

  beforeAll(async () => {
    vip = await DualVip.open();
    pem = await issueMemberCertificate('member');
    const echo = (socket: Socket) => {
      socket.on('error', () => {});
      const chunks: Buffer[] = [];
      socket.on('data', chunk => chunks.push(chunk));
      socket.on('end', () => socket.end(Buffer.concat(chunks)));
    };
    const tell = (secure: boolean) => async (raw: Socket) => {
      raw.on('error', () => {});
      const told = await readProxyHeader(raw);
      const socket = secure ? new TLSSocket(raw, { isServer: true, ...pem }) : raw;
      socket.on('error', () => {});
      let text = '';
      socket.on('data', chunk => {
        text += chunk;
        if (!text.endsWith(BODY)) return;
        const body = JSON.stringify(told);
        socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      });
    };
    ports.tcp = await vip.listen(createTcpServer({ allowHalfOpen: true }, echo));
    ports.tls = await vip.listen(createTlsServer({ ...pem, allowHalfOpen: true }, echo));
    ports.told = await vip.listen(createTcpServer(tell(false)));
    ports.toldTls = await vip.listen(createTcpServer(tell(true)));
  });
  afterAll(() => vip?.[Symbol.asyncDispose]());

  describe.each([
    { listener: 'TCP', pool: 'TCP', member: 'tcp' },
    { listener: 'HTTPS', pool: 'HTTPS', member: 'tls' },
    { listener: 'HTTPS', pool: 'TCP', member: 'tls' },
    { listener: 'TCP', pool: 'HTTPS', member: 'tcp' },
  ] as const)(
    'of a listener for $listener and a pool of $pool [listener.protocol=$listener, pool.protocol=$pool]',
    ({ listener, pool, member }) => {
      let service: Service;
      beforeAll(async () => {
        service = await vip.serve({
          ...{ listener: { protocol: listener }, pool: { protocol: pool } },
          members: [ports[member]],
        });
        await vip.active();
      });

      test.each(FAMILIES)('come and go by the million, after one side has said all [%s]', async family => {
        const socket = await dial(service, family);
        const answer = all(socket);
        // The member answers only once it has seen the end of what we send: half of the connection stays open.
        socket.end(BIG);
        expect(sum(await answer)).toBe(sum(BIG));
      });
    },
  );

  describe.each([
    ['HTTP', 'PROXY', 1],
    ['HTTP', 'PROXYV2', 2],
    ['TCP', 'PROXY', 1],
    ['TCP', 'PROXYV2', 2],
    ['HTTPS', 'PROXY', 1],
    ['HTTPS', 'PROXYV2', 2],
  ] as const)('of a listener for %s and a pool of %s, version %d', (listener, pool, version) => {
    test(`come with the address and the port of the client [proxy-protocol, listener.protocol=${listener}, pool.protocol=${pool}, IPv4, IPv6]`, async () => {
      const members = [listener === 'HTTPS' ? ports.toldTls : ports.told];
      const service = await vip.serve({
        listener: { protocol: listener },
        pool: { protocol: pool },
        members,
      });
      await vip.active();
      // Of two clients at once each is told as itself.
      const asked = FAMILIES.flatMap(family => [family, family]).map(async family => {
        const socket = await dial(service, family);
        const own = { version, address: socket.localAddress, port: socket.localPort };
        socket.write(REQUEST);
        const [, body] = (await all(socket)).toString().split('\r\n\r\n');
        expect(JSON.parse(body!)).toEqual(own);
        return own.port;
      });
      expect(new Set(await Promise.all(asked)).size).toBe(4);
    });
  });
});

/** What stands before the first byte of the client, which stays to be read. Source: haproxy, proxy-protocol.txt. */
async function readProxyHeader(socket: Socket): Promise<Told> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const chunk = socket.read();
    if (chunk === null) {
      await once(socket, 'readable');
      continue;
    }
    bytes = Buffer.concat([bytes, chunk]);
    const decoded = decodeProxyHeader(bytes);
    if (decoded === undefined) continue;
    socket.unshift(bytes.subarray(decoded.length));
    return decoded.told;
  }
}

function decodeProxyHeader(bytes: Buffer): { told: Told; length: number } | undefined {
  if (bytes.subarray(0, 6).toString() === 'PROXY ') {
    const end = bytes.indexOf('\r\n');
    if (end < 0) return undefined;
    const [, , address, , port] = bytes.subarray(0, end).toString().split(' ');
    return { told: { version: 1, address: address!, port: Number(port) }, length: end + 2 };
  }
  if (bytes.length < 16 || bytes.length < 16 + bytes.readUInt16BE(14)) return undefined;
  const length = 16 + bytes.readUInt16BE(14);
  const told =
    bytes[13] === 0x11
      ? { address: bytes.subarray(16, 20).join('.'), port: bytes.readUInt16BE(24) }
      : { address: ipv6(bytes.subarray(16, 32)), port: bytes.readUInt16BE(48) };
  return { told: { version: 2, ...told }, length };
}

/** As Node writes it. */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
