import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DatabaseHealth } from '../db/health.ts';
import type { Db } from '../db/schema.ts';
import { givenDatabase, givenGraph } from '../db/testing.ts';
import { buildGraph, idOf } from '../model/graph.fixture.ts';
import { type DecodedHeartbeat, decodeHeartbeat, sealHeartbeat } from '../wire/heartbeat-codec.ts';
import { HeartbeatReader } from '../wire/heartbeat-reader.ts';
import { decideHealth } from './decide.ts';
import { HEARTBEAT_KEY } from './heartbeat.fixture.ts';
import { PendingHeartbeats } from './pending.ts';

const [A1, A2] = [idOf('amphora', 1), idOf('amphora', 2)];
const [L1, L2] = [idOf('listener', 1), idOf('listener', 2)];
const [P1, M1, M2] = [idOf('pool', 1), idOf('member', 1), idOf('member', 2)];

/** What an amphora says next, as a change of what it said last. */
type Change = (last: ReturnType<typeof quiet>) => void;
const quiet = (id: string) => ({
  id,
  seq: 0,
  listeners: {
    [L1]: { status: 'OPEN', stats: { tx: 0, rx: 0, conns: 0, totconns: 0, ereq: 0 } },
    [L2]: { status: 'OPEN', stats: { tx: 0, rx: 0, conns: 0, totconns: 0, ereq: 0 } },
  } as Record<string, { status: string; stats: Record<string, number> }>,
  pools: { [`${P1}:${L1}`]: { status: 'UP', members: { [M1]: 'UP', [M2]: 'UP' } as Record<string, string> } },
  ver: 3 as number | undefined,
});
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(5000), fc.nat(9)).map(
      ([tx, totconns]): Change =>
        m => {
          m.seq++;
          for (const { stats } of Object.values(m.listeners))
            Object.assign(stats, { tx, rx: tx * 2, totconns });
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(M1, M2), fc.constantFrom('UP', 'DOWN', 'DRAIN', 'SLEEPY', 'RESTARTING'))
      .map(
        ([id, word]): Change =>
          m => {
            m.pools[`${P1}:${L1}`]!.members[id] = word;
          },
      ),
  },
  // haproxy was restarted: it counts from zero, and has a listener more or less.
  fc.constant<Change>(m => Object.assign(m, { listeners: quiet(m.id).listeners })),
  fc.constant<Change>(m => delete m.listeners[L2]),
  fc.constantFrom('OPEN', 'FULL', 'DOWN').map(
    (word): Change =>
      m => {
        for (const listener of Object.values(m.listeners)) listener.status = word;
      },
  ),
  fc.constantFrom(3, 2, undefined).map(
    (ver): Change =>
      m => {
        m.ver = ver;
      },
  ),
  fc.constantFrom(-1, 0.5).map(
    (tx): Change =>
      m => {
        for (const { stats } of Object.values(m.listeners)) stats.tx = tx;
      },
  ),
);
const step = fc.record({
  amphora: fc.constantFrom(A1, A1, A1, A2),
  change,
  endsBatch: fc.boolean(),
});

async function given(): Promise<Db & AsyncDisposable> {
  const db = await givenDatabase();
  const offline = { operating_status: 'OFFLINE' } as const;
  const listeners = [{ ...offline, default_pool_id: P1 }, offline];
  await givenGraph(
    db,
    buildGraph({ listeners, pools: [offline], members: [offline, offline], amphorae: [{}, {}] }),
  );
  return db;
}

const rowsOf = async (db: Db) => ({
  listeners: await db.selectFrom('listener').select(['id', 'operating_status']).orderBy('id').execute(),
  pools: await db.selectFrom('pool').select(['id', 'operating_status']).orderBy('id').execute(),
  members: await db.selectFrom('member').select(['id', 'operating_status']).orderBy('id').execute(),
  balancers: await db.selectFrom('load_balancer').select(['id', 'operating_status']).execute(),
  alive: await db.selectFrom('amphora_health').selectAll().orderBy('amphora_id').execute(),
  counters: await db
    .selectFrom('listener_statistics')
    .selectAll()
    .orderBy('listener_id')
    .orderBy('amphora_id')
    .execute(),
});

/** Writes what waits as one batch. */
async function write(store: DatabaseHealth, pending: PendingHeartbeats, nowMs: number): Promise<void> {
  const batch = pending.take(Number.POSITIVE_INFINITY);
  const ids = [...new Set(batch.map(({ heartbeat }) => heartbeat.id))];
  const limits = { nowMs, staleAfterMs: 10_000, graceMs: 60_000 };
  await store.update(ids, nowMs, watched => decideHealth(batch, watched, limits));
}

test('what is read by its pattern and held against remembered rows writes the same as what is read and looked up each time', async () => {
  await using fastDb = await given();
  await using plainDb = await given();
  let nowMs = Date.UTC(2026, 5, 1);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async steps => {
      const reader = new HeartbeatReader([HEARTBEAT_KEY]);
      const fast = { store: new DatabaseHealth(fastDb), pending: new PendingHeartbeats() };
      const plain = new PendingHeartbeats();
      const said = new Map([A1, A2].map(id => [id, quiet(id)]));
      for (const { amphora, change, endsBatch } of steps) {
        nowMs++;
        const message = said.get(amphora)!;
        change(message);
        const packet = sealHeartbeat(JSON.stringify(message), HEARTBEAT_KEY);
        const add = (to: PendingHeartbeats, read: DecodedHeartbeat | undefined) =>
          read && to.add(read, nowMs);
        add(fast.pending, reader.decode(packet));
        add(plain, decodeHeartbeat(packet, [HEARTBEAT_KEY]));
        if (!endsBatch) continue;
        await write(fast.store, fast.pending, nowMs);
        await write(new DatabaseHealth(plainDb), plain, nowMs);
      }
      expect(await rowsOf(fastDb)).toEqual(await rowsOf(plainDb));
    }),
    { numRuns: 60 },
  );
});
