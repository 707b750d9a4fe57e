import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import { decodeHeartbeat } from '../wire/heartbeat-codec.ts';
import { Counters } from './counters.ts';
import { observe, parseStats, statusesOf } from './haproxy/stats.ts';
import { buildHeartbeat, HeartbeatSender } from './heartbeat.ts';

const HEAD = '# pxname,svname,scur,bin,bout,ereq,stot,status,weight,last_chk,';
const CSV = `${HEAD}
l1,FRONTEND,2,100,200,1,9,OPEN,,,
p1:l1,m1,0,0,0,,3,UP,1,,
p1:l1,m2,0,0,0,,3,UP,0,,
p1:l1,m3,0,0,0,,3,DOWN 1/2,1,"Connection refused, ""twice""",
p1:l1,m4,0,0,0,,3,no check,1,,
p1:l1,m5,0,0,0,,3,MAINT,1,,
p1:l1,BACKEND,0,0,0,,3,UP,2,,
prometheus-exporter-internal-endpoint,FRONTEND,1,1,1,0,1,OPEN,,,
prometheus-exporter-internal,prometheus-internal,1,1,1,,1,no check,1,,
prometheus-exporter-internal,BACKEND,1,1,1,,1,UP,1,,

`;
const lookOf = (csv: string) => ({
  loadBalancerId: 'lb',
  observation: observe(parseStats(csv), (_backend, server) => server !== 'm5'),
  leftOver: [],
});

test('a heartbeat holds what haproxy shows, in the words of the contract', () => {
  const changes = { l1: { bin: 10, bout: 20, ereq: 1, stot: 4 } };
  expect(buildHeartbeat('a1', 7, [lookOf(CSV)], changes)).toEqual({
    id: 'a1',
    seq: 7,
    listeners: { l1: { status: 'OPEN', stats: { tx: 20, rx: 10, conns: 2, totconns: 4, ereq: 1 } } },
    pools: {
      'p1:l1': { status: 'UP', members: { m1: 'UP', m2: 'DRAIN', m3: 'DOWN 1/2', m4: 'no check' } },
    },
    ver: 3,
  });
});

test('the absolute counters are those of the frontends', () => {
  expect(lookOf(CSV).observation.listeners.l1?.counters).toEqual({ bin: 100, bout: 200, ereq: 1, stot: 9 });
});

test('no haproxy that answers: a heartbeat without listeners', () => {
  expect(buildHeartbeat('a1', 0, [], {})).toEqual({ id: 'a1', seq: 0, listeners: {}, pools: {}, ver: 3 });
});

test('neither counters nor the steps of a check are news, a status is', () => {
  const before = statusesOf(lookOf(CSV).observation);
  const counted = CSV.replace('2,100,200', '5,900,900').replace('DOWN 1/2', 'DOWN 0/2');
  expect(statusesOf(lookOf(counted).observation)).toBe(before);
  expect(statusesOf(lookOf(CSV.replace('DOWN 1/2', 'UP')).observation)).not.toBe(before);
});

test('what happened while nobody listened is told to the next one who does', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'heartbeat-'));
  const key = new Secret('k');
  const listen = async (port: number): Promise<Socket> => {
    const socket = createSocket('udp4').bind(port, '127.0.0.1');
    await once(socket, 'listening');
    return socket;
  };
  const countedBy = async (socket: Socket, send: () => Promise<void>): Promise<number> => {
    const received = once(socket, 'message');
    await send();
    return decodeHeartbeat((await received)[0], [key])!.listeners.get('l1')!.stats.totconns;
  };
  const lookAt = (connections: number) => [lookOf(CSV.replace('1,9,OPEN', `1,${connections},OPEN`))];
  const first = await listen(0);
  const { port } = first.address();
  const refusals: string[] = [];
  const log = { ...silentLog, debug: (_: object, message: string) => void refusals.push(message) };
  const settings = { destinations: [{ host: '127.0.0.1', port }], key, intervalMs: 1000 };
  const sender = new HeartbeatSender('a1', settings, new Counters(join(directory, 'counters')), log);
  try {
    expect(await countedBy(first, () => sender.send(lookAt(9)))).toBe(9);
    await new Promise<void>(closed => first.close(() => closed()));
    for (const connections of [12, 15]) {
      const before = refusals.length;
      await sender.send(lookAt(connections));
      await expect.poll(() => refusals.length, { timeout: 10_000 }).toBe(before + 1);
    }
    const second = await listen(port);
    expect(await countedBy(second, () => sender.send(lookAt(19)))).toBe(10);
    second.close();
  } finally {
    sender.close();
    rmSync(directory, { recursive: true });
  }
});
