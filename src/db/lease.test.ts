import { expect, test } from 'vitest';
import { owesWork } from '../model/graph.ts';
import { changeLoadBalancer } from './change.ts';
import { loadGraph } from './graph.ts';
import { fenced, LeaseLost, loadBalancersOwingWork, renewLease, takeLease } from './lease.ts';
import { settleDone, settleFailed } from './settle.ts';
import { givenDatabase, givenLoadBalancer } from './testing.ts';

const record = { worker: 'w', started_at_ms: 0, duration_ms: 0, steps: '[]' };

test('takeLease() gives the lease to one worker until its time is over, with a higher fence each time', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  const first = await takeLease(db, id, 'one', 1000, 500);
  expect(first).toBeDefined();
  expect(await takeLease(db, id, 'two', 1499, 500)).toBeUndefined();
  expect((await takeLease(db, id, 'one', 1000, 500))!.fence).toBeGreaterThan(first!.fence);
  const second = await takeLease(db, id, 'two', 1500, 500);
  expect(second!.fence).toBeGreaterThan(first!.fence);
  expect(await renewLease(db, first!, 1500, 500)).toBe(false);
  expect(await renewLease(db, second!, 1500, 500)).toBe(true);
  await expect(fenced(db, first!, async () => 'written')).rejects.toThrow(LeaseLost);
});

test('loadBalancersOwingWork() agrees with owesWork() through the life of a load balancer', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  const agree = async (owes: boolean) => {
    expect(owesWork((await loadGraph(db, id))!)).toBe(owes);
    expect(await loadBalancersOwingWork(db, 10_000_000, 10)).toEqual(owes ? [id] : []);
  };
  await agree(true);
  const lease = (await takeLease(db, id, 'one', 1000, 500))!;
  await settleDone(db, lease, (await loadGraph(db, id))!, record, 1100);
  await agree(false);
  await changeLoadBalancer(db, id, { nowMs: 1200 }, async () => {});
  await agree(true);
});

test('settleDone() leaves what was written during the pass pending, and says that work is owed', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  const lease = (await takeLease(db, id, 'one', 1000, 500))!;
  const graph = (await loadGraph(db, id))!;
  await changeLoadBalancer(db, id, { nowMs: 1050 }, async () => {});
  expect(await settleDone(db, lease, graph, record, 1100)).toBe(true);
  const after = (await loadGraph(db, id))!.load_balancer;
  expect(after).toMatchObject({
    provisioning_status: 'PENDING_UPDATE',
    generation: 2,
    settled_generation: 1,
  });
});

test('settleFailed() shows ERROR with the reason, still owes the work, and a write brings it back at once', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  const lease = (await takeLease(db, id, 'one', 1000, 500))!;
  const failure = { reason: 'No host', show: true, retryAtMs: 9000, attempts: 1, failingSinceMs: 1000 };
  await settleFailed(db, lease, (await loadGraph(db, id))!, record, failure, 1100);
  expect((await loadGraph(db, id))!.load_balancer).toMatchObject({
    provisioning_status: 'ERROR',
    error_reason: 'No host',
  });
  expect(await loadBalancersOwingWork(db, 8999, 10)).toEqual([]);
  expect(await loadBalancersOwingWork(db, 9000, 10)).toEqual([id]);
  await changeLoadBalancer(db, id, { nowMs: 1200 }, async () => {});
  expect(await loadBalancersOwingWork(db, 1200, 10)).toEqual([id]);
});
