import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildGraph, idOf } from '../model/graph.fixture.ts';
import type { StatusEvent } from '../model/status-event.ts';
import { changeLoadBalancer } from './change.ts';
import { insertRecords } from './children.ts';
import { enableEvents } from './events.ts';
import { loadGraph } from './graph.ts';
import { DatabaseHealth } from './health.ts';
import { takeLease } from './lease.ts';
import { withdrawLoadBalancer } from './load-balancers.ts';
import { listDueEvents } from './outbox.ts';
import { settleDone, settleFailed } from './settle.ts';
import { givenDatabase, givenGraph, givenLoadBalancer } from './testing.ts';

const NOW = Date.UTC(2026, 0, 1);
const LISTENER = idOf('listener', 1);
const POOL = idOf('pool', 1);
const MEMBER = idOf('member', 1);
const AMPHORA = idOf('amphora', 1);

let db: Awaited<ReturnType<typeof givenDatabase>>;
beforeEach(async () => {
  db = await givenDatabase();
});
afterEach(() => db[Symbol.asyncDispose]());

async function events(target = 't'): Promise<StatusEvent[]> {
  const rows = await db
    .selectFrom('outbox')
    .select('body')
    .where('target', '=', target)
    .orderBy('loadbalancer_id')
    .orderBy('sequence')
    .execute();
  return rows.map(row => JSON.parse(row.body));
}
const brief = (all: StatusEvent[]) =>
  all.map(e => `${e.sequence} ${e.resource_type} ${e.provisioning_status} ${e.operating_status}`);

/** One load balancer with a listener, a pool and a member, all ACTIVE. */
async function givenServing(): Promise<string> {
  const graph = buildGraph({
    listeners: [{ id: LISTENER, default_pool_id: POOL } as never],
    pools: [{ id: POOL } as never],
    members: [{ id: MEMBER, pool_id: POOL } as never],
    amphorae: [{ id: AMPHORA } as never],
  });
  for (const row of [graph.load_balancer, ...graph.listeners, ...graph.pools, ...graph.members])
    row.operating_status = 'ONLINE';
  await givenGraph(db, graph);
  return graph.load_balancer.id;
}

const record = { worker: 'w', started_at_ms: NOW, duration_ms: 0, steps: '[]' };
async function pass(id: string) {
  return { lease: (await takeLease(db, id, 'w', NOW, 1000))!, graph: (await loadGraph(db, id))! };
}

describe('announced changes', () => {
  test('nothing is written while nobody wants to be told', async () => {
    const id = await givenLoadBalancer(db);
    const { lease, graph } = await pass(id);
    await settleDone(db, lease, graph, record, NOW);
    expect(await db.selectFrom('outbox').selectAll().execute()).toEqual([]);
    expect(await db.selectFrom('announced').selectAll().execute()).toEqual([]);
  });

  test('heartbeats announce what they changed, and what did not change is not told', async () => {
    const id = await givenServing();
    await enableEvents(db, ['t', 'u']);
    const health = new DatabaseHealth(db);
    const report = (statuses: [kind: string, id: string, operating_status: string][]) =>
      health.update([AMPHORA], NOW, () => ({
        ...{ alive: new Set(), statistics: [], release: new Set() },
        statuses: statuses.map(([kind, of, operating_status]) => ({
          kind,
          id: of,
          operating_status,
        })) as never,
      }));
    await report([['pool', POOL, 'ONLINE']]);
    expect(await events()).toEqual([]);
    await report([
      ['member', MEMBER, 'ERROR'],
      ['pool', POOL, 'DEGRADED'],
      ['load_balancer', id, 'DEGRADED'],
    ]);
    expect(brief(await events())).toEqual([
      '1 pool ACTIVE DEGRADED',
      '2 member ACTIVE ERROR',
      '3 loadbalancer ACTIVE DEGRADED',
    ]);
    expect((await events())[1]).toMatchObject({
      ...{ loadbalancer_id: id, resource_id: MEMBER },
      previous: { provisioning_status: 'ACTIVE', operating_status: 'ONLINE' },
    });
    expect(await events('u')).toEqual(await events('t'));
  });

  test('a pass that fails tells why, and a child at fault is told of', async () => {
    const id = await givenServing();
    await enableEvents(db, ['t']);
    await changeLoadBalancer(db, id, { nowMs: NOW }, async () => {});
    const failure = { reason: 'x'.repeat(5000), show: true, retryAtMs: 0, attempts: 1, failingSinceMs: NOW };
    const first = await pass(id);
    await settleFailed(db, first.lease, first.graph, record, failure, NOW);
    const second = await pass(id);
    const faulty = { faults: [{ resource_id: LISTENER }], failure: { ...failure, reason: 'no certificate' } };
    await settleDone(db, second.lease, second.graph, record, NOW, faulty);
    expect(brief(await events())).toEqual([
      '1 loadbalancer PENDING_UPDATE ONLINE',
      '2 loadbalancer ERROR ONLINE',
      '3 listener ERROR ONLINE',
      '4 loadbalancer ACTIVE ONLINE',
    ]);
    const [, failed, listener] = await events();
    expect(failed!.error_reason).toBe('x'.repeat(2000));
    expect(listener!.error_reason).toBe('no certificate');
  });

  test('every change of what is under a load balancer is told, its beginning and its end among them', async () => {
    const id = await givenServing();
    await enableEvents(db, ['t']);
    const { l7policies, l7rules, health_monitors } = buildGraph({
      ...{ load_balancer: { id }, l7policies: [{}], l7rules: [{}], health_monitors: [{}] },
    });
    await changeLoadBalancer(db, id, { nowMs: NOW }, async ({ trx }) => {
      await insertRecords(trx, 'l7policy', l7policies);
      await insertRecords(trx, 'l7rule', l7rules);
      await insertRecords(trx, 'health_monitor', health_monitors);
    });
    await changeLoadBalancer(db, id, { nowMs: NOW }, async ({ trx }) => {
      await trx.deleteFrom('member').where('id', '=', MEMBER).execute();
      await trx.updateTable('pool').set({ provisioning_status: 'PENDING_UPDATE' }).execute();
    });
    expect(brief(await events())).toEqual([
      '1 healthmonitor ACTIVE ONLINE',
      '2 l7policy ACTIVE ONLINE',
      '3 l7rule ACTIVE ONLINE',
      '4 loadbalancer PENDING_UPDATE ONLINE',
      '5 member DELETED OFFLINE',
      '6 pool PENDING_UPDATE ONLINE',
    ]);
    expect((await events())[4]).toMatchObject({ resource_id: MEMBER, name: '' });
  });

  test('what is undone is not told; one that is withdrawn is', async () => {
    await enableEvents(db, ['t']);
    const id = await givenLoadBalancer(db);
    const options = { nowMs: NOW };
    await expect(
      changeLoadBalancer(db, id, options, async () => {
        throw new Error('undone');
      }),
    ).rejects.toThrow('undone');
    const { lease } = await pass(id);
    await withdrawLoadBalancer(db, id, lease.owner, { ...options, leftovers: false });
    expect(brief(await events())).toEqual([
      '1 loadbalancer PENDING_CREATE OFFLINE',
      '2 loadbalancer DELETED OFFLINE',
    ]);
    expect(await db.selectFrom('announced').selectAll().execute()).toEqual([]);
  });

  test('enabled again, it goes on counting, and forgets what went meanwhile', async () => {
    await enableEvents(db, ['t']);
    const id = await givenLoadBalancer(db);
    await db
      .insertInto('announced')
      .values({
        ...{ resource_id: MEMBER, loadbalancer_id: LISTENER, resource_type: 'member', sequence: 0 },
        ...{ provisioning_status: 'ACTIVE', operating_status: 'ONLINE' },
      })
      .execute();
    await enableEvents(db, ['t']);
    const { lease, graph } = await pass(id);
    await settleDone(db, lease, graph, record, NOW);
    expect(brief(await events()).at(-1)).toBe('2 loadbalancer ACTIVE OFFLINE');
    expect(await db.selectFrom('announced').select('resource_id').execute()).toEqual([{ resource_id: id }]);
  });

  test('only the oldest of each load balancer is due', async () => {
    await enableEvents(db, ['t']);
    const ids = [await givenLoadBalancer(db), await givenLoadBalancer(db)].sort();
    for (const id of ids) await changeLoadBalancer(db, id, { nowMs: NOW }, async () => {});
    const { lease, graph } = await pass(ids[0]!);
    await settleDone(db, lease, graph, record, NOW);
    const due = await listDueEvents(db, 't', NOW, 10);
    expect(due.map(row => [row.loadbalancer_id, Number(row.sequence)]).sort()).toEqual(
      ids.map(id => [id, 1]),
    );
    expect(await listDueEvents(db, 'other', NOW, 10)).toEqual([]);
  });
});
