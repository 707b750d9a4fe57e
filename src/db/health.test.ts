import { describe, expect, test } from 'vitest';
import { timestamp } from '../lib/clock.ts';
import { buildGraph, type GraphSketch, idOf } from '../model/graph.fixture.ts';
import type { HealthChanges } from '../model/health.ts';
import { DatabaseHealth } from './health.ts';
import type { Db } from './schema.ts';
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
  const read = () =>
    given1.health.update([A1], NOW, watched => {
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
    expect(await given1.health.listOverdue(NOW)).toEqual([id(2), id(1)]);
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
