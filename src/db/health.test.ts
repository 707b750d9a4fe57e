import { describe, expect, test } from 'vitest';
import { timestamp } from '../lib/clock.ts';
import { buildGraph, type GraphSketch, idOf } from '../model/graph.fixture.ts';
import type { HealthChanges } from '../model/health.ts';
import { DatabaseHealth } from './health.ts';
import { takeLease } from './lease.ts';
import type { Db } from './schema.ts';
import { settleDone } from './settle.ts';
import { givenDatabase, givenGraph } from './testing.ts';

const NOW = Date.UTC(2026, 5, 1);
const [A1, A2] = [idOf('amphora', 1), idOf('amphora', 2)];
const L1 = idOf('listener', 1);
const LB = idOf('lb', 1);
const none = (): HealthChanges => ({ alive: new Set(), statuses: [], statistics: [], release: new Set() });

async function given(sketch: GraphSketch): Promise<{ db: Db; health: DatabaseHealth } & AsyncDisposable> {
  const db = await givenDatabase();
  await givenGraph(db, buildGraph(sketch));
  return { db, health: new DatabaseHealth(db), [Symbol.asyncDispose]: () => db[Symbol.asyncDispose]() };
}

const statusOf = async (db: Db, id: string) =>
  (await db.selectFrom('amphora').select('status').where('id', '=', id).executeTakeFirstOrThrow()).status;
const touch = (health: DatabaseHealth, ids: string[], nowMs: number) =>
  health.update(ids, nowMs, () => ({ ...none(), alive: new Set(ids) }));

describe('what an amphora is found to be', () => {
  test('one that serves, with its graph; two of a pair share it', async () => {
    await using given1 = await given({
      listeners: [{ default_pool_id: idOf('pool', 1), admin_state_up: false }],
      pools: [{}],
      members: [{}],
      amphorae: [{}, {}],
    });
    await given1.health.update([A1, A2, 'unknown'], NOW, watched => {
      expect([...watched.keys()].sort()).toEqual([A1, A2].sort());
      const graph = watched.get(A1)!.graph!;
      expect(watched.get(A2)!.graph).toBe(graph);
      expect(graph.load_balancer).toMatchObject({ id: LB, admin_state_up: true, settled_generation: 1 });
      expect(graph.listeners[0]).toMatchObject({ id: L1, admin_state_up: false, protocol: 'HTTP' });
      expect(graph.pools).toHaveLength(1);
      expect(graph.members[0]).toMatchObject({ pool_id: idOf('pool', 1), admin_state_up: true });
      return none();
    });
  });

  test.each<[string, GraphSketch]>([
    ['deleted itself', { amphorae: [{ status: 'DELETED' }] }],
    ['of a deleted load balancer', { load_balancer: { provisioning_status: 'DELETED' } }],
    ['of no load balancer', { amphorae: [{ loadbalancer_id: null }] }],
  ])('one without a graph: %s', async (_what, sketch) => {
    await using given1 = await given(sketch);
    await given1.health.update([A1], NOW, watched => {
      expect(watched.get(A1)).toMatchObject({ id: A1, graph: undefined });
      return none();
    });
  });
});

test('the first sign of life makes the row, later ones move it', async () => {
  await using given1 = await given({ amphorae: [{}, {}] });
  const rows = () => given1.db.selectFrom('amphora_health').selectAll().orderBy('amphora_id').execute();
  await touch(given1.health, [A1], NOW);
  expect(await rows()).toEqual([{ amphora_id: A1, last_update_ms: NOW, busy: 0 }]);
  await touch(given1.health, [A1, A2], NOW + 5);
  expect((await rows()).map(r => r.last_update_ms)).toEqual([NOW + 5, NOW + 5]);
});

test('statuses are written in every table, and only where told', async () => {
  await using given1 = await given({ listeners: [{}, {}], pools: [{}], members: [{}, {}] });
  await given1.health.update([A1], NOW, () => ({
    ...none(),
    statuses: [
      { kind: 'load_balancer', id: LB, operating_status: 'DEGRADED' },
      { kind: 'listener', id: L1, operating_status: 'ERROR' },
      { kind: 'pool', id: idOf('pool', 1), operating_status: 'DEGRADED' },
      { kind: 'member', id: idOf('member', 1), operating_status: 'ERROR' },
      { kind: 'member', id: idOf('member', 2), operating_status: 'NO_MONITOR' },
    ],
  }));
  const read = async (table: 'load_balancer' | 'listener' | 'pool' | 'member') =>
    (
      await given1.db
        .selectFrom(table as 'listener')
        .select(['operating_status', 'updated_at'])
        .orderBy('id')
        .execute()
    ).map(r => [r.operating_status, r.updated_at]);
  const now = timestamp(NOW);
  expect(await read('load_balancer')).toEqual([['DEGRADED', now]]);
  expect(await read('listener')).toEqual([
    ['ERROR', now],
    ['ONLINE', null],
  ]);
  expect(await read('pool')).toEqual([['DEGRADED', now]]);
  expect(await read('member')).toEqual([
    ['ERROR', now],
    ['NO_MONITOR', now],
  ]);
});

test('counters are added or replaced, and read again', async () => {
  await using given1 = await given({ listeners: [{}] });
  const counters = {
    bytes_in: 1,
    bytes_out: 2,
    active_connections: 3,
    total_connections: 4,
    request_errors: 5,
  };
  const write = (how: 'add' | 'set') =>
    given1.health.update([A1], NOW, () => ({
      ...none(),
      statistics: [{ how, listener_id: L1, amphora_id: A1, ...counters }],
    }));
  // Another process, because what one wrote it knows.
  const read = () =>
    new DatabaseHealth(given1.db).update([A1], NOW, watched => {
      seen = watched.get(A1)!.statistics.get(L1);
      return none();
    });
  let seen: unknown;
  await write('add');
  await read();
  expect(seen).toEqual(counters);
  await write('add');
  await read();
  expect(seen).toEqual({
    bytes_in: 2,
    bytes_out: 4,
    active_connections: 3,
    total_connections: 8,
    request_errors: 10,
  });
  await write('set');
  await read();
  expect(seen).toEqual(counters);
});

test('each amphora of a pair counts for itself, and many rows at once', async () => {
  const amphorae = [A1, A2, idOf('amphora', 3)];
  const numbers = Array.from({ length: 70 }, (_, i) => i + 1);
  await using given1 = await given({ amphorae: [{}, {}, {}], listeners: numbers.map(() => ({})) });
  // Some report what others do not.
  const counted = amphorae.flatMap((amphora_id, a) =>
    numbers
      .slice(a * 10)
      .map(n => ({ listener_id: idOf('listener', n), amphora_id, total_connections: a * 1000 + n })),
  );
  const rest = { bytes_in: 0, bytes_out: 0, active_connections: 0, request_errors: 0 };
  for (let i = 0; i < 3; i++)
    await given1.health.update(amphorae, NOW, () => ({
      ...none(),
      statistics: counted.map(each => ({ how: 'add' as const, ...rest, ...each })),
    }));
  const rows = await given1.db
    .selectFrom('listener_statistics')
    .select(['listener_id', 'amphora_id', 'total_connections'])
    .execute();
  const sorted = (all: typeof rows) =>
    all.map(r => `${r.amphora_id} ${r.listener_id} ${r.total_connections}`).sort();
  expect(sorted(rows)).toEqual(
    sorted(counted.map(each => ({ ...each, total_connections: each.total_connections * 3 }))),
  );
});

test('changes of one row are made in their order, many of them in one statement', async () => {
  await using given1 = await given({ listeners: [{}, {}] });
  const L2 = idOf('listener', 2);
  const rest = { bytes_in: 0, bytes_out: 0, active_connections: 0, request_errors: 0 };
  const change = (how: 'add' | 'set', listener_id: string, total_connections: number) => ({
    ...{ how, listener_id, amphora_id: A1, total_connections },
    ...rest,
  });
  const write = (...statistics: HealthChanges['statistics']) =>
    given1.health.update([A1], NOW, () => ({ ...none(), statistics }));
  await write(change('add', L1, 7), change('set', L1, 5), change('add', L1, 2), change('add', L2, 1));
  await write(
    change('add', L2, 10),
    change('add', L2, 100),
    change('set', L1, 3),
    change('add', L1, 2 ** 40),
  );
  const rows = await given1.db
    .selectFrom('listener_statistics')
    .select('total_connections')
    .orderBy('listener_id')
    .execute();
  expect(rows.map(row => Number(row.total_connections))).toEqual([2 ** 40 + 3, 111]);
});

test('what throws changes nothing', async () => {
  await using given1 = await given({ listeners: [{}] });
  const failing = given1.health.update([A1], NOW, () => ({
    ...none(),
    alive: new Set([A1]),
    statuses: [{ kind: 'nonsense' as 'pool', id: L1, operating_status: 'ERROR' }],
  }));
  await expect(failing).rejects.toThrow();
  expect(await given1.db.selectFrom('amphora_health').selectAll().execute()).toEqual([]);
});

test('an amphora that should be gone is released again where somebody can do it', async () => {
  await using alive = await given({ amphorae: [{ status: 'DELETED' }] });
  const release = () => ({ ...none(), release: new Set([A1]) });
  expect(await alive.health.update([A1], NOW, release)).toEqual([LB]);
  expect(await statusOf(alive.db, A1)).toBe('PENDING_DELETE');

  await using gone = await given({
    load_balancer: { provisioning_status: 'DELETED' },
    amphorae: [{ status: 'DELETED' }],
  });
  expect(await gone.health.update([A1], NOW, release)).toEqual([]);
  expect(await statusOf(gone.db, A1)).toBe('DELETED');
});

describe('silence', () => {
  test('of amphorae in service only, longest first', async () => {
    const statuses = [
      'ALLOCATED',
      'FAILOVER_STOPPED',
      'ALLOCATED',
      'ERROR',
      'BOOTING',
      'DELETED',
      'ALLOCATED',
    ] as const;
    await using given1 = await given({ amphorae: statuses.map(status => ({ status })) });
    const id = (n: number) => idOf('amphora', n);
    await touch(given1.health, [id(1)], NOW - 10);
    await touch(given1.health, [id(2), id(4), id(5), id(6)], NOW - 20);
    await touch(given1.health, [id(3)], NOW);
    const { total, silent } = await given1.health.lookForSilence(NOW, 0);
    expect(total).toBe(3);
    expect(silent.map(amphora => amphora.id)).toEqual([id(2), id(1)]);
  });

  test('is held back and let go again', async () => {
    await using given1 = await given({ amphorae: [{}, {}] });
    await touch(given1.health, [A1, A2], NOW);
    await given1.health.stopFailover([A1, A2], NOW);
    expect(await statusOf(given1.db, A1)).toBe('FAILOVER_STOPPED');
    expect(await given1.health.resumeFailover(NOW + 1, NOW)).toEqual([]);
    await touch(given1.health, [A2], NOW + 1);
    expect(await given1.health.resumeFailover(NOW + 1, NOW)).toEqual([A2]);
    expect([await statusOf(given1.db, A1), await statusOf(given1.db, A2)]).toEqual([
      'FAILOVER_STOPPED',
      'ALLOCATED',
    ]);
  });
});

test('two health managers and a worker write about the same load balancers without waiting for each other in a circle', async () => {
  await using db = await givenDatabase();
  const numbers = [1, 2, 3, 4, 5];
  const graphs = numbers.map(n => {
    const loadbalancer_id = idOf('lb', n);
    return buildGraph({
      load_balancer: { id: loadbalancer_id },
      listeners: [{ id: idOf('listener', n), loadbalancer_id }],
      amphorae: [{ id: idOf('amphora', n), loadbalancer_id }],
    });
  });
  for (const graph of graphs) await givenGraph(db, graph);
  const counted = {
    bytes_in: 1,
    bytes_out: 1,
    active_connections: 1,
    total_connections: 1,
    request_errors: 1,
  };
  const report = (health: DatabaseHealth, order: number[], operating_status: 'ONLINE' | 'ERROR') =>
    health.update(
      order.map(n => idOf('amphora', n)),
      NOW,
      () => ({
        ...none(),
        alive: new Set(order.map(n => idOf('amphora', n))),
        statuses: order.flatMap(n => [
          { kind: 'listener' as const, id: idOf('listener', n), operating_status },
          { kind: 'load_balancer' as const, id: idOf('lb', n), operating_status },
        ]),
        statistics: order.map(n => ({
          ...{ how: 'add' as const, listener_id: idOf('listener', n), amphora_id: idOf('amphora', n) },
          ...counted,
        })),
      }),
    );
  const settle = async (graph: (typeof graphs)[number]) => {
    const { id } = graph.load_balancer;
    const lease = await takeLease(db, id, 'worker', NOW, 1000);
    const record = { worker: 'worker', started_at_ms: NOW, duration_ms: 1, steps: '[]' };
    await settleDone(db, lease!, graph, record, NOW);
  };
  await report(new DatabaseHealth(db), numbers, 'ONLINE');
  const [one, other] = [new DatabaseHealth(db), new DatabaseHealth(db)];
  for (let round = 0; round < 20; round++)
    await Promise.all([
      report(one, numbers, round % 2 ? 'ONLINE' : 'ERROR'),
      report(other, numbers.toReversed(), round % 2 ? 'ERROR' : 'ONLINE'),
      ...graphs.map(settle),
    ]);
  const sums = await db.selectFrom('listener_statistics').select('total_connections').execute();
  expect(sums.map(row => Number(row.total_connections))).toEqual(numbers.map(() => 41));
});
