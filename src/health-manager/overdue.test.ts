import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DatabaseHealth } from '../db/health.ts';
import type { Db } from '../db/schema.ts';
import { givenDatabase, givenGraph } from '../db/testing.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { silentLog } from '../lib/log.ts';
import { buildGraph, type GraphSketch, idOf } from '../model/graph.fixture.ts';
import { InProcessQueue } from '../queue/in-process.ts';
import { storeWith } from './health-store.fixture.ts';
import type { HealthStore } from './health-store.ts';
import { OverdueWatch } from './overdue.ts';

const [A1, A2, A3] = [idOf('amphora', 1), idOf('amphora', 2), idOf('amphora', 3)];
const LB = idOf('lb', 1);
const START = Date.UTC(2026, 5, 1);
const SECOND = 1000;

let db: Db & AsyncDisposable;
let health: DatabaseHealth;
let nowMs: number;
let nudged: string[];
const clock: Clock = { now: () => nowMs, sleep: systemClock.sleep };

beforeEach(async () => {
  db = await givenDatabase();
  health = new DatabaseHealth(db);
  nowMs = START;
  nudged = [];
});
afterEach(() => db[Symbol.asyncDispose]());

function watchOf(failoverThreshold: number | null = null, store: HealthStore = health): OverdueWatch {
  const queue = new InProcessQueue();
  queue.consume(id => nudged.push(id));
  const options = {
    heartbeatTimeoutMs: 60 * SECOND,
    checkIntervalMs: 3 * SECOND,
    failoverThreshold,
    failoversAtOnce: 10,
  };
  return new OverdueWatch(options, { store, queue, clock, log: silentLog });
}

const report = (...ids: string[]) =>
  health.update(ids, nowMs, () => ({
    alive: new Set(ids),
    statuses: [],
    statistics: [],
    release: new Set(),
  }));
const statuses = async () =>
  (await db.selectFrom('amphora').select('status').orderBy('id').execute()).map(r => r.status);
const lb = () =>
  db
    .selectFrom('load_balancer')
    .select(['generation', 'settled_generation', 'provisioning_status'])
    .where('id', '=', LB)
    .executeTakeFirstOrThrow();
const given = (sketch: GraphSketch) => givenGraph(db, buildGraph(sketch));

/** Looks every three seconds until `ms` have passed, while these amphorae report. */
async function pass(watch: OverdueWatch, ms: number, ...reporting: string[]) {
  let outcome = await watch.look();
  for (const until = nowMs + ms; nowMs < until; ) {
    nowMs += 3 * SECOND;
    if (reporting.length > 0) await report(...reporting);
    outcome = await watch.look();
  }
  return outcome;
}

test('a silent amphora is to be asked: its load balancer owes work and is nudged, and nothing shows it', async () => {
  await given({ amphorae: [{}, {}] });
  await report(A1, A2);
  const watch = watchOf();
  const outcome = await pass(watch, 63 * SECOND, A2);
  expect(outcome).toEqual({ looked: true, doubted: [A1], held_back: [], resumed: [] });
  expect(await statuses()).toEqual(['ALLOCATED', 'ALLOCATED']);
  expect(await lb()).toMatchObject({
    generation: 2,
    settled_generation: 1,
    provisioning_status: 'ACTIVE',
  });
  await vi.waitFor(() => expect(nudged).toEqual([LB]), { timeout: 10_000 });
  nowMs += 3 * SECOND;
  await report(A2);
  expect(await watch.look(), 'marked once').toMatchObject({ doubted: [] });
  expect(await watchOf().look(), 'another health manager, just started').toMatchObject({ looked: false });
});

test('two health managers that look at the same time have it asked once', async () => {
  await given({ amphorae: [{}, {}] });
  await report(A1, A2);
  const [one, other] = [watchOf(), watchOf()];
  await one.look();
  await pass(other, 60 * SECOND, A2);
  await one.look();
  nowMs += 3 * SECOND;
  await report(A2);
  const outcomes = await Promise.all([one.look(), other.look()]);
  expect(outcomes.flatMap(o => (o.looked ? o.doubted : []))).toEqual([A1]);
  expect((await lb()).generation).toBe(2);
});

test('one that answered is asked again after each timeout, and not before', async () => {
  await given({ amphorae: [{}, {}] });
  await report(A1, A2);
  const watch = watchOf();
  await pass(watch, 63 * SECOND, A2);
  await db.updateTable('amphora_doubt').set({ verdict: 'lives', answers: 1 }).execute();
  expect(await pass(watch, 60 * SECOND, A2)).toMatchObject({ doubted: [] });
  expect(await pass(watch, 3 * SECOND, A2)).toMatchObject({ doubted: [A1] });
  await pass(watch, 660 * SECOND, A1, A2);
  expect(await db.selectFrom('amphora_doubt').selectAll().execute(), 'forgotten').toEqual([]);
});

test('an amphora that never reported is never overdue', async () => {
  await given({ amphorae: [{}] });
  expect(await pass(watchOf(), 600 * SECOND)).toMatchObject({ looked: true, doubted: [] });
});

test('a load balancer that is being deleted has nothing to replace', async () => {
  await given({ load_balancer: { provisioning_status: 'PENDING_DELETE' }, amphorae: [{}] });
  await report(A1);
  expect(await pass(watchOf(), 120 * SECOND)).toMatchObject({ looked: true, doubted: [] });
  expect(await statuses()).toEqual(['ALLOCATED']);
});

describe('silence is not believed', () => {
  beforeEach(async () => {
    await given({ amphorae: [{}] });
    await report(A1);
  });

  test('for one timeout after a start', async () => {
    nowMs += 3600 * SECOND;
    const watch = watchOf();
    expect(await watch.look()).toEqual({ looked: false, believe_in_ms: 60 * SECOND });
    expect(await pass(watch, 57 * SECOND)).toMatchObject({ looked: false });
    expect(await pass(watch, 3 * SECOND)).toMatchObject({ looked: true, doubted: [A1] });
  });

  test('for one timeout after the database was away', async () => {
    let away = false;
    const store = storeWith(health, {
      lookForSilence: async (...args) => {
        if (away) throw new Error('away');
        return health.lookForSilence(...args);
      },
    });
    const watch = watchOf(null, store);
    await pass(watch, 66 * SECOND, A1);
    away = true;
    nowMs += 3 * SECOND;
    await expect(watch.look()).rejects.toThrow('away');
    away = false;
    nowMs += 70 * SECOND;
    expect(await watch.look()).toEqual({ looked: false, believe_in_ms: 60 * SECOND });
    expect(await pass(watch, 57 * SECOND, A1)).toMatchObject({ looked: false });
    expect(await pass(watch, 9 * SECOND, A1)).toMatchObject({ looked: true, doubted: [] });
  });

  test('for one timeout after this process itself stood still', async () => {
    const watch = watchOf();
    await pass(watch, 66 * SECOND, A1);
    nowMs += 300 * SECOND;
    expect(await watch.look()).toEqual({ looked: false, believe_in_ms: 60 * SECOND });
  });
});

describe('too many at once', () => {
  beforeEach(async () => {
    await given({ amphorae: [{}, {}, {}] });
    await report(A1, A2, A3);
  });

  test('as many as the threshold: all are held back, none is replaced', async () => {
    const outcome = await pass(watchOf(2), 63 * SECOND, A3);
    expect(outcome).toMatchObject({ looked: true, doubted: [], held_back: [A1, A2] });
    expect(await statuses()).toEqual(['FAILOVER_STOPPED', 'FAILOVER_STOPPED', 'ALLOCATED']);
    expect((await lb()).generation).toBe(1);
  });

  test('those that report again go back to service; the one that does not is asked', async () => {
    const watch = watchOf(2);
    await pass(watch, 63 * SECOND, A3);
    nowMs += 3 * SECOND;
    await report(A2, A3);
    expect(await watch.look()).toMatchObject({ resumed: [A2], doubted: [A1] });
    expect(await statuses()).toEqual(['FAILOVER_STOPPED', 'ALLOCATED', 'ALLOCATED']);
  });

  test('without a threshold: nobody is asked when all of them are silent', async () => {
    expect(await pass(watchOf(), 63 * SECOND)).toMatchObject({ doubted: [], held_back: [A1, A2, A3] });
  });
});

test('it looks by itself until it is stopped', async () => {
  await given({ amphorae: [{}] });
  let looks = 0;
  const store = storeWith(health, {
    resumeFailover: async () => {
      looks++;
      if (looks === 1) throw new Error('away');
      return [];
    },
  });
  const queue = new InProcessQueue();
  const options = {
    heartbeatTimeoutMs: 60 * SECOND,
    checkIntervalMs: 5,
    failoverThreshold: null,
    failoversAtOnce: 1,
  };
  const watch = new OverdueWatch(options, { store, queue, clock: systemClock, log: silentLog });
  watch.start();
  await vi.waitFor(() => expect(looks).toBeGreaterThan(3), { timeout: 10_000 });
  await watch.stop();
  const before = looks;
  await systemClock.sleep(30);
  expect(looks).toBe(before);
});
