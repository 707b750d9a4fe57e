import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as netConnect, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { freePort } from '../../test/free-port.ts';
import { brokerObstacle, type MessageBroker, startMessageBroker } from '../../test/message-broker.ts';
import { issueAuthority, issueLeaf } from '../drivers/certificates/issue.ts';
import { silentLog } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import { queueContract } from './queue.contract.ts';
import { type BrokerOptions, RabbitPublisher, RabbitQueue } from './rabbitmq.ts';

const START_LIMIT_MS = 120_000;
const obstacle = brokerObstacle();
const until = (check: () => unknown, timeout = 20_000) => vi.waitFor(check, { timeout, interval: 10 });

const optionsOf = (...ports: number[]): BrokerOptions => ({
  hosts: ports.map(port => ({ host: '127.0.0.1', port, username: 'guest', password: new Secret('guest') })),
  ...{ vhost: '/', tls: undefined, heartbeatSeconds: 5, log: silentLog },
});

test('a broker that takes connections and says nothing holds up neither start nor nudges nor stop', async () => {
  const sockets: Socket[] = [];
  const mute = createServer(socket => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const began = performance.now();
  const queue = await RabbitQueue.open('mute', optionsOf((mute.address() as AddressInfo).port));
  const heard: string[] = [];
  queue.consume(id => heard.push(id));
  await until(() => expect(sockets).toHaveLength(1));
  const id = randomUUID();
  await queue.notify(id);
  await until(() => expect(heard).toEqual([id]));
  await queue.close();
  expect(performance.now() - began).toBeLessThan(5000);
  for (const socket of sockets) socket.destroy();
  mute.close();
});

describe.skipIf(obstacle)(obstacle ? `RabbitMQ (${obstacle})` : 'RabbitMQ', () => {
  let broker: MessageBroker;
  beforeAll(async () => {
    broker = await startMessageBroker();
  }, START_LIMIT_MS);
  afterAll(() => broker?.[Symbol.asyncDispose](), 30_000);

  queueContract('RabbitQueue', async () => ({
    open: () => RabbitQueue.open(`contract-${broker.port}`, optionsOf(broker.port)),
    isShared: true,
    tearDown: async () => {},
  }));

  /** Sends until a nudge has arrived by way of the broker, which shows that both ends have it. */
  async function untilConnected(sender: RabbitQueue, heard: string[], limitMs?: number): Promise<void> {
    const probe = randomUUID();
    await until(async () => {
      await sender.notify(probe);
      expect(heard).toContain(probe);
    }, limitMs);
  }
  async function givenPair(name = `pair-${randomUUID()}`) {
    const [sender, receiver] = [
      await RabbitQueue.open(name, optionsOf(broker.port)),
      await RabbitQueue.open(name, optionsOf(await freePort(), broker.port)),
    ];
    const heard: string[] = [];
    receiver.consume(id => heard.push(id));
    const close = () => Promise.all([sender.close(), receiver.close()]);
    return { name, sender, receiver, heard, [Symbol.asyncDispose]: async () => void (await close()) };
  }

  test('a nudge reaches another process, which found the broker at the second host', async () => {
    await using pair = await givenPair();
    await untilConnected(pair.sender, pair.heard);
  });

  test('of several workers each nudge reaches one, and all have their share', async () => {
    await using pair = await givenPair();
    const other = await RabbitQueue.open(pair.name, optionsOf(broker.port));
    const heard: string[] = [];
    other.consume(id => heard.push(id));
    await untilConnected(pair.sender, pair.heard);
    await untilConnected(pair.sender, heard);
    const ids = Array.from({ length: 100 }, () => randomUUID());
    for (const id of ids) await pair.sender.notify(id);
    await until(() => expect([...heard, ...pair.heard]).toEqual(expect.arrayContaining(ids)));
    const counts = ids.map(id => [...heard, ...pair.heard].filter(other => other === id).length);
    expect(new Set(counts)).toEqual(new Set([1]));
    for (const list of [heard, pair.heard]) expect(list.length).toBeGreaterThan(20);
    await other.close();
  });

  test('what stands in the queue that is no id is taken out and does no harm', async () => {
    await using pair = await givenPair();
    await untilConnected(pair.sender, pair.heard);
    const connection = await connect(`amqp://127.0.0.1:${broker.port}`);
    const channel = await connection.createChannel();
    for (const text of ['', 'x'.repeat(100_000), '{"id":1}', "';--"])
      channel.sendToQueue(pair.name, Buffer.from(text));
    await untilConnected(pair.sender, pair.heard);
    expect(pair.heard.every(id => /^[0-9a-f-]{36}$/.test(id))).toBe(true);
    // The last nudge may still be on its way.
    await until(async () => expect(await channel.checkQueue(pair.name)).toMatchObject({ messageCount: 0 }));
    await connection.close();
  });

  test('a queue that is removed under its consumers comes back', async () => {
    await using pair = await givenPair();
    await untilConnected(pair.sender, pair.heard);
    const connection = await connect(`amqp://127.0.0.1:${broker.port}`);
    const channel = await connection.createChannel();
    await channel.deleteQueue(pair.name);
    pair.heard.length = 0;
    await untilConnected(pair.sender, pair.heard);
    await connection.close();
  });

  test(
    'over a restart of the broker nobody waits or fails, and nudges and messages arrive again',
    async () => {
      await using pair = await givenPair();
      await untilConnected(pair.sender, pair.heard);
      const publisher = await RabbitPublisher.open(optionsOf(broker.port));
      const message = (body: string) => ({
        exchange: 'e',
        key: 'restart.info',
        body,
        kind: 'durable' as const,
      });
      const never = new AbortController().signal;
      await publisher.publish(message('before'), never);
      const own: string[] = [];
      pair.sender.consume(id => own.push(id));
      await broker.halt();
      const id = randomUUID();
      const began = performance.now();
      // The first after the end may still find its way into the socket; what is not handed over is heard here.
      await until(async () => {
        await pair.sender.notify(id);
        expect(own).toContain(id);
      });
      for (let i = 0; i < 1000; i++) await pair.sender.notify(randomUUID());
      expect(performance.now() - began).toBeLessThan(2000);
      const stopped = new AbortController();
      const refused = publisher.publish(message('lost'), stopped.signal);
      setTimeout(() => stopped.abort(new Error('stopped')), 50);
      await expect(refused).rejects.toThrow('Cannot publish to exchange e');
      await broker.resume();
      pair.heard.length = 0;
      // Between two tries there are up to five seconds, and every second one is at the host that has no broker.
      await untilConnected(pair.sender, pair.heard, 40_000);
      await until(() => publisher.publish(message('after'), never));
      const connection = await connect(`amqp://127.0.0.1:${broker.port}`);
      const channel = await connection.createChannel();
      const kept: string[] = [];
      for (;;) {
        const next = await channel.get('restart.info', { noAck: true });
        if (!next) break;
        kept.push(next.content.toString());
      }
      expect(kept.filter(body => body !== 'lost')).toEqual(['before', 'after']);
      await Promise.all([connection.close(), publisher.close()]);
    },
    START_LIMIT_MS,
  );

  test('a broker that ends a connection just as it is made is asked again', async () => {
    let resets = 0;
    const front = createServer(socket => {
      const back = netConnect(broker.port, '127.0.0.1');
      for (const each of [socket, back]) each.on('error', () => back.destroy());
      // The first frame of channel 1 opens it, which is what comes after the connection itself.
      socket.on('data', frame => {
        if (frame[0] === 1 && frame.readUInt16BE(1) === 1 && resets < 2) {
          resets++;
          socket.resetAndDestroy();
        }
      });
      socket.pipe(back).pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(front, 'listening');
    await using pair = await givenPair();
    const queue = await RabbitQueue.open(pair.name, optionsOf((front.address() as AddressInfo).port));
    const heard: string[] = [];
    queue.consume(id => heard.push(id));
    await untilConnected(pair.sender, heard);
    expect(resets).toBe(2);
    await queue.close();
    front.close();
  });

  test('with TLS, only a broker whose authority is known is spoken to', async () => {
    const dayMs = 86_400_000;
    const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
    const ca = await issueAuthority({ commonName: 'broker', ...validity });
    const other = await issueAuthority({ commonName: 'other', ...validity });
    const leaf = await issueLeaf(ca, { commonName: 'localhost', dnsName: 'localhost', ...validity });
    const front = createTlsServer({ cert: leaf.certificate, key: leaf.key.reveal() }, socket => {
      const back = netConnect(broker.port, '127.0.0.1');
      for (const each of [socket, back]) each.on('error', () => socket.destroy());
      socket.pipe(back).pipe(socket);
    }).listen(0, 'localhost');
    await once(front, 'listening');
    const refused = once(front, 'tlsClientError');
    const open = (authority: string) => {
      const { hosts, ...options } = optionsOf((front.address() as AddressInfo).port);
      const places = hosts.map(place => ({ ...place, host: 'localhost' }));
      return RabbitQueue.open('tls', { ...options, hosts: places, tls: { ca: Buffer.from(authority) } });
    };
    const [trusting, wary] = [await open(ca.pem), await open(other.pem)];
    const sender = await RabbitQueue.open('tls', optionsOf(broker.port));
    const [heard, never]: [string[], string[]] = [[], []];
    trusting.consume(id => heard.push(id));
    wary.consume(id => never.push(id));
    await refused;
    for (let i = 0; i < 3; i++) await untilConnected(sender, heard);
    expect(never).toEqual([]);
    await Promise.all([trusting, wary, sender].map(queue => queue.close()));
    front.close();
  });

  test('a message goes to whoever declared things otherwise with an error, and to others all the same', async () => {
    const connection = await connect(`amqp://127.0.0.1:${broker.port}`);
    const channel = await connection.createChannel();
    await channel.assertExchange('odd', 'topic', { durable: true });
    const publisher = await RabbitPublisher.open(optionsOf(broker.port));
    const never = new AbortController().signal;
    const message = { exchange: 'odd', key: 'odd.info', body: '{}', kind: 'transient' as const };
    await expect(publisher.publish(message, never)).rejects.toThrow('Cannot publish to exchange odd');
    await publisher.publish({ ...message, exchange: 'even' }, never);
    expect(await channel.checkQueue('odd.info')).toMatchObject({ messageCount: 1 });
    await publisher.publish({ exchange: 'odd', key: 'quorum.info', body: '{}', kind: 'quorum' }, never);
    const quorum = { durable: true, arguments: { 'x-queue-type': 'quorum' } };
    expect(await channel.assertQueue('quorum.info', quorum)).toMatchObject({ messageCount: 1 });
    await Promise.all([connection.close(), publisher.close()]);
  });
});
