import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { until } from '../../lib/until.fixture.ts';
import { type CheckChange, Running } from './checker.ts';
import type { Check } from './config-text.ts';
import { openProbe } from './probes.ts';

const check = (type: Check['type'], port: number, more: Partial<Check> = {}): Check => ({
  ...{ type, address: '127.0.0.1', port, timeoutMs: 10_000, delayMs: 10, fall: 1, rise: 1 },
  ...more,
});

async function look(wanted: Check): Promise<boolean> {
  const probe = openProbe(wanted);
  try {
    return await probe.look().catch(() => false);
  } finally {
    probe.close();
  }
}

async function openHttp(
  status: () => number,
  seen: (host: string | undefined, path: string | undefined) => void = () => {},
) {
  const server = createServer((request, response) => {
    seen(request.headers.host, request.url);
    response.writeHead(status()).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

describe('a look', () => {
  test('at a datagram port: nobody has to answer, but somebody has to be there', async () => {
    const [mute, socket] = [createSocket('udp4'), createSocket('udp4')];
    for (const each of [mute, socket]) {
      each.bind(0, '127.0.0.1');
      await once(each, 'listening');
    }
    socket.on('message', (_, from) => socket.send('here', from.port, from.address));
    const { port } = socket.address();
    // Who answers is not waited for any longer.
    const ended: string[] = [];
    const looks = Object.entries({ mute: mute.address().port, answering: port }).map(async ([name, port]) => {
      expect(await look(check('udp', port))).toBe(true);
      ended.push(name);
    });
    await Promise.all(looks);
    expect(ended).toEqual(['answering', 'mute']);
    mute.close();
    socket.close();
    expect(await look(check('udp', port))).toBe(false);
  });

  test('at a stream port, and at what is said there', async () => {
    let status = 200;
    const asked: unknown[] = [];
    const { server, port } = await openHttp(
      () => status,
      (host, path) => asked.push([host, path]),
    );
    const http = (codes: [number, number][], host?: string) => ({ http: { path: '/h', host, codes } });
    try {
      expect(await look(check('tcp', port))).toBe(true);
      expect(await look(check('http', port, http([])))).toBe(true);
      expect(await look(check('http', port, http([[201, 204]])))).toBe(false);
      status = 204;
      expect(
        await look(
          check(
            'http',
            port,
            http(
              [
                [200, 200],
                [204, 204],
              ],
              'www.example.org',
            ),
          ),
        ),
      ).toBe(true);
      expect(asked).toContainEqual(['www.example.org', '/h']);
    } finally {
      server.close();
    }
    await once(server, 'close');
    expect(await look(check('tcp', port))).toBe(false);
    expect(await look(check('http', port, http([])))).toBe(false);
  });

  test('at somebody who accepts and says nothing ends in time', async () => {
    const { server, port } = await openHttp(() => 200);
    server.removeAllListeners('request');
    const http = { path: '/', host: undefined, codes: [] };
    expect(await look(check('http', port, { timeoutMs: 200, http }))).toBe(false);
    server.closeAllConnections();
    server.close();
  });
});

test('a member is down and up again after as many looks as were asked for', async () => {
  let status = 200;
  let asked = 0;
  const { server, port } = await openHttp(
    () => status,
    () => asked++,
  );
  const changes: (CheckChange & { asked: number })[] = [];
  const wish = {
    ...{ key: 'l m', isUp: true },
    check: check('http', port, { fall: 3, rise: 2, http: { path: '/', host: undefined, codes: [] } }),
  };
  const running = new Running(wish, change => changes.push({ ...change, asked }));
  try {
    await until(() => expect(asked).toBeGreaterThan(3));
    expect(changes).toEqual([]);
    status = 500;
    const failingFrom = asked;
    await until(() => expect(changes).toHaveLength(1));
    expect(changes[0]).toMatchObject({ key: 'l m', isUp: false });
    expect(changes[0]!.asked - failingFrom).toBeGreaterThanOrEqual(3);
    status = 200;
    const succeedingFrom = asked;
    await until(() => expect(changes).toHaveLength(2));
    expect(changes[1]).toMatchObject({ isUp: true });
    expect(changes[1]!.asked - succeedingFrom).toBeGreaterThanOrEqual(2);
  } finally {
    running.stop();
    server.closeAllConnections();
    server.close();
  }
});
