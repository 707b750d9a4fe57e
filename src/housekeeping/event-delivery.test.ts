import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { changeLoadBalancer, markLoadBalancerDeleted } from '../db/change.ts';
import { enableEvents } from '../db/events.ts';
import { loadGraph } from '../db/graph.ts';
import { takeLease } from '../db/lease.ts';
import { settleDone, settleRemoved } from '../db/settle.ts';
import { givenDatabase, givenLoadBalancer } from '../db/testing.ts';
import { Webhook } from '../drivers/events/webhook.ts';
import { systemClock, timestamp } from '../lib/clock.ts';
import { silentLog } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import type { StatusEvent } from '../model/status-event.ts';
import { EventDelivery } from './event-delivery.ts';

const KEY = new Secret('the key');
const DAY_MS = 24 * 3_600_000;

type Database = Awaited<ReturnType<typeof givenDatabase>>;
/** What is to become of a request; undefined: 204. */
type Behave = (event: StatusEvent, reply: ServerResponse) => 'handled' | number | undefined;

/** A real HTTP server that keeps what it accepted. */
async function givenReceiver(behave: { now: Behave }) {
  const accepted: StatusEvent[] = [];
  const asked: IncomingMessage[] = [];
  const server = createServer(async (request, reply) => {
    let body = '';
    for await (const piece of request) body += piece;
    asked.push(request);
    const stamp = request.headers['x-ottavia-timestamp'];
    const signature = createHmac('sha256', KEY.reveal()).update(`${stamp}.${body}`).digest('hex');
    if (request.headers['x-ottavia-signature'] !== `sha256=${signature}`)
      return void reply.writeHead(401).end();
    const event = JSON.parse(body) as StatusEvent;
    const answer = behave.now(event, reply);
    if (answer === 'handled') return;
    if (answer === undefined) accepted.push(event);
    reply.writeHead(answer ?? 204, { location: 'http://127.0.0.1:1/' }).end();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=t`;
  const close = async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  };
  return { url, accepted, asked, close };
}

let db: Database;
let behave: { now: Behave };
let receiver: Awaited<ReturnType<typeof givenReceiver>>;
/** A time that nothing but a test puts forward, so that no second try comes on its own. */
let nowMs: number;
const clock = { ...systemClock, now: () => nowMs };
const running: EventDelivery[] = [];

beforeEach(async () => {
  nowMs = Date.now();
  behave = { now: () => undefined };
  db = await givenDatabase();
  receiver = await givenReceiver(behave);
});
afterEach(async () => {
  for (const delivery of running.splice(0)) await delivery.stop();
  await receiver.close();
  await db[Symbol.asyncDispose]();
});

const hook = (url = receiver.url, timeoutMs = 15_000) =>
  new Webhook({ url: new Secret(url), secret: KEY, timeoutMs, clock });
function deliver(...targets: Webhook[]): EventDelivery {
  const delivery = new EventDelivery({ db, clock, log: silentLog, targets, pollMs: 5 });
  running.push(delivery);
  delivery.start();
  return delivery;
}
const until = (check: () => unknown) => vi.waitFor(check, { timeout: 15_000, interval: 5 });
const untilEmpty = () =>
  until(async () => expect(await db.selectFrom('outbox').select('id').execute()).toEqual([]));
/** One was tried so often, and is put back already, not just claimed. */
const untilPutBack = (tries: number) =>
  until(async () => {
    const rows = await db.selectFrom('outbox').selectAll().where('attempts', '>', 0).execute();
    expect(rows.map(row => row.attempts)).toEqual([tries]);
    expect(rows[0]!.retry_at_ms - nowMs).toBeLessThan(10_000);
  });

async function settle(id: string): Promise<void> {
  const lease = (await takeLease(db, id, 'w', clock.now(), 60_000))!;
  const graph = (await loadGraph(db, id))!;
  const record = { worker: 'w', started_at_ms: clock.now(), duration_ms: 0, steps: '[]' };
  const isRemoval = graph.load_balancer.provisioning_status === 'PENDING_DELETE';
  await (isRemoval ? settleRemoved : settleDone)(db, lease, graph, record, clock.now());
}
const givenOne = () => givenLoadBalancer(db, { created_at: timestamp(clock.now()) });
const change = (id: string) => changeLoadBalancer(db, id, { nowMs: clock.now() }, async () => {});
const seen = (events: StatusEvent[]) => events.map(e => `${e.sequence} ${e.provisioning_status}`);

describe('delivery of events', () => {
  test('everything that befell a load balancer comes signed, once, and in order', async () => {
    await enableEvents(db, [hook().name]);
    deliver(hook());
    const id = await givenOne();
    await settle(id);
    await change(id);
    await settle(id);
    await markLoadBalancerDeleted(db, id, { nowMs: clock.now() }, async () => {});
    await settle(id);
    await untilEmpty();
    expect(seen(receiver.accepted)).toEqual([
      '1 PENDING_CREATE',
      '2 ACTIVE',
      '3 PENDING_UPDATE',
      '4 ACTIVE',
      '5 PENDING_DELETE',
      '6 DELETED',
    ]);
    const active = { provisioning_status: 'ACTIVE', operating_status: 'OFFLINE' };
    expect(receiver.accepted[2]).toMatchObject({
      ...{
        loadbalancer_id: id,
        resource_type: 'loadbalancer',
        resource_id: id,
        name: 'lb',
        project_id: 'p1',
      },
      previous: active,
    });
    expect(new Set(receiver.accepted.map(event => event.id)).size).toBe(6);
    expect(await db.selectFrom('announced').selectAll().execute()).toEqual([]);
  });

  test('what a receiver refuses, redirects or breaks off comes again, and what is behind it waits', async () => {
    const ways: Behave[] = [
      () => 500,
      () => 302,
      (_, reply) => {
        reply.destroy();
        return 'handled';
      },
    ];
    behave.now = (event, reply) => ways.shift()?.(event, reply);
    await enableEvents(db, [hook().name]);
    deliver(hook());
    const id = await givenOne();
    await settle(id);
    for (const tries of [1, 2, 3]) {
      await untilPutBack(tries);
      const rows = await db.selectFrom('outbox').select('attempts').orderBy('sequence').execute();
      expect(rows.map(row => row.attempts)).toEqual([tries, 0]);
      nowMs += 10_000;
    }
    await untilEmpty();
    expect(seen(receiver.accepted)).toEqual(['1 PENDING_CREATE', '2 ACTIVE']);
    expect(receiver.asked).toHaveLength(5);
  });

  test('a receiver that hangs holds up neither others nor other load balancers nor writes', async () => {
    const other = await givenReceiver({ now: () => undefined });
    const hung: string[] = [];
    let stuck = '';
    behave.now = event => {
      if (event.loadbalancer_id !== stuck) return undefined;
      hung.push(event.id);
      return 'handled';
    };
    const hooks = [hook(receiver.url, 3000), hook(other.url)];
    await enableEvents(
      db,
      hooks.map(({ name }) => name),
    );
    stuck = await givenOne();
    const free = await givenOne();
    deliver(...hooks);
    for (const id of [stuck, free]) await settle(id);
    await until(() => expect(other.accepted).toHaveLength(4));
    await until(() => expect(seen(receiver.accepted)).toEqual(['1 PENDING_CREATE', '2 ACTIVE']));
    expect(hung.length).toBeGreaterThan(0);
    await untilPutBack(1);
    behave.now = () => undefined;
    nowMs += 3_600_000;
    await untilEmpty();
    expect(receiver.accepted.filter(event => event.loadbalancer_id === stuck).map(e => e.sequence)).toEqual([
      1, 2,
    ]);
    await other.close();
  });

  test('one with very many events does not keep others waiting until the last of them', async () => {
    await enableEvents(db, [hook().name]);
    const busy = await givenOne();
    // Twelve others have the places beside it.
    for (let i = 0; i < 60; i++) await (i % 2 ? settle(busy) : change(busy));
    const others = await Promise.all(Array.from({ length: 12 }, () => givenOne()));
    deliver(hook());
    await untilEmpty();
    const order = receiver.accepted.map(event => event.loadbalancer_id);
    const own = receiver.accepted.filter(event => event.loadbalancer_id === busy);
    expect(own.map(event => event.sequence)).toEqual(own.map((_, i) => i + 1));
    expect(own.length).toBeGreaterThan(50);
    for (const other of others) expect(order.indexOf(other)).toBeLessThan(order.lastIndexOf(busy));
  });

  test('after a day nobody tries any more', async () => {
    behave.now = () => 503;
    await enableEvents(db, [hook().name]);
    deliver(hook());
    await givenOne();
    await untilPutBack(1);
    nowMs += DAY_MS - 60_000;
    await untilPutBack(2);
    expect(receiver.asked).toHaveLength(2);
    nowMs += DAY_MS;
    await untilEmpty();
    expect(receiver.accepted).toEqual([]);
  });

  test('several processes share it: each event comes once; and what one that died had claimed is not lost', async () => {
    await enableEvents(db, [hook().name]);
    const ids = await Promise.all(Array.from({ length: 20 }, () => givenOne()));
    const [first] = await db.selectFrom('outbox').selectAll().execute();
    await db
      .updateTable('outbox')
      .set({ retry_at_ms: clock.now() + 60_000, attempts: 1 })
      .where('id', '=', first!.id)
      .execute();
    for (let i = 0; i < 3; i++) deliver(hook());
    for (const id of ids) await settle(id);
    await until(() => expect(receiver.accepted).toHaveLength(38));
    // What was accepted is noted as well: else it would come again, as after a death.
    await until(async () => expect(await db.selectFrom('outbox').select('id').execute()).toHaveLength(2));
    nowMs += 61_000;
    await untilEmpty();
    const byId = Map.groupBy(receiver.accepted, event => event.loadbalancer_id);
    for (const id of ids) expect(seen(byId.get(id)!)).toEqual(['1 PENDING_CREATE', '2 ACTIVE']);
  });

  test('what was under way when the process ends comes again from the next', async () => {
    behave.now = () => 'handled';
    await enableEvents(db, [hook().name]);
    const delivery = deliver(hook(receiver.url, 60_000));
    await givenOne();
    await until(() => expect(receiver.asked).toHaveLength(1));
    await delivery.stop();
    behave.now = () => undefined;
    deliver(hook());
    await untilEmpty();
    expect(receiver.accepted).toHaveLength(1);
  });

  test.each<[string, (reply: ServerResponse) => void]>([
    ['never ends', reply => reply.writeHead(200).write('x')],
    [
      'has no end of size',
      reply => {
        reply.writeHead(200);
        const send = () => reply.write('x'.repeat(65_536), error => !error && setImmediate(send));
        send();
      },
    ],
  ])('an answer that %s holds nothing up for longer than the time limit', async (_, answer) => {
    behave.now = (_event, reply) => {
      answer(reply);
      return 'handled';
    };
    const one = hook(receiver.url, 300);
    const began = Date.now();
    await one.publish('{}', new AbortController().signal).catch(() => undefined);
    expect(Date.now() - began).toBeLessThan(2000);
    await one.close();
  });

  test('a signature holds for one key only', async () => {
    const wrong = new Webhook({
      url: new Secret(receiver.url),
      secret: new Secret('x'),
      timeoutMs: 15_000,
      clock,
    });
    await expect(wrong.publish('{}', new AbortController().signal)).rejects.toThrow(
      `Cannot deliver an event to ${wrong.name} at ${new URL(receiver.url).host}`,
    );
    await wrong.close();
  });
});
