/** Spare amphorae in the rows: how many there are, and who gets which, also when several ask at once. */
import { expect, test } from 'vitest';
import { UNOWNED_ID } from '../model/unowned.ts';
import { settleAmphoraDeleted, updateAmphora } from './amphorae.ts';
import { findOwners, listEndingCertificates, purgeDeleted } from './housekeeping.ts';
import { type Lease, takeLease } from './lease.ts';
import type { Db } from './schema.ts';
import { listSpares, markSpares, releaseSpare, takeSpare } from './spares.ts';
import { givenDatabase, givenLoadBalancer } from './testing.ts';

const NOW_MS = Date.parse('2026-03-01T00:00:00Z');
const DAY_MS = 86_400_000;

const getLease = async (db: Db, id: string): Promise<Lease> =>
  (await takeLease(db, id, 'worker', NOW_MS, DAY_MS))!;

/** So many that are ready, under the lease that is returned. */
async function givenSpares(db: Db, size: number): Promise<Lease> {
  await markSpares(db, size, NOW_MS);
  const lease = await getLease(db, UNOWNED_ID);
  for (const { id } of await listSpares(db)) await updateAmphora(db, lease, id, { status: 'READY' }, NOW_MS);
  return lease;
}

test('programs that look at the same time add what is missing once', async () => {
  await using db = await givenDatabase();
  const missing = await Promise.all([1, 2, 3, 4].map(() => markSpares(db, 3, NOW_MS)));
  expect(missing.toSorted()).toEqual([0, 0, 0, 3]);
  expect(await listSpares(db)).toHaveLength(3);
});

test('what is not ready yet goes first when there are too many', async () => {
  await using db = await givenDatabase();
  await givenSpares(db, 1);
  const [ready] = await listSpares(db);
  await markSpares(db, 2, NOW_MS - DAY_MS);
  expect(await markSpares(db, 1, NOW_MS)).toBe(-1);
  const statuses = (await listSpares(db)).map(({ id, status }) => ({ isFirst: id === ready!.id, status }));
  expect(statuses).toEqual([
    { isFirst: false, status: 'PENDING_DELETE' },
    { isFirst: true, status: 'READY' },
  ]);
});

test('each spare is given to one load balancer', async () => {
  await using db = await givenDatabase();
  await givenSpares(db, 3);
  const ids = await Promise.all([1, 2, 3, 4, 5].map(() => givenLoadBalancer(db)));
  const taken = await Promise.all(
    ids.map(async id => takeSpare(db, await getLease(db, id), 'STANDALONE', NOW_MS)),
  );
  const given = taken.filter(spare => spare !== undefined);
  expect(new Set(given.map(spare => spare.id)).size).toBe(3);
  expect(given).toHaveLength(3);
  expect(await listSpares(db)).toEqual([]);
  for (const spare of given)
    expect(spare).toMatchObject({ status: 'BOOTING', role: 'STANDALONE', config_due: true });
});

test('what a load balancer has taken is no longer for the lease on spares to write', async () => {
  await using db = await givenDatabase();
  const unowned = await givenSpares(db, 1);
  const lease = await getLease(db, await givenLoadBalancer(db));
  const spare = await takeSpare(db, lease, 'STANDALONE', NOW_MS);
  await updateAmphora(db, unowned, spare!.id, { status: 'ERROR' }, NOW_MS);
  await releaseSpare(db, spare!.id, NOW_MS);
  const row = await db.selectFrom('amphora').select('status').where('id', '=', spare!.id).executeTakeFirst();
  expect(row).toEqual({ status: 'BOOTING' });
});

test('certificates that end soon: of what is in service or ready, not marked yet, the earliest first', async () => {
  await using db = await givenDatabase();
  const lease = await givenSpares(db, 4);
  const spares = (await listSpares(db)).map(spare => spare.id);
  const ends = [5, 3, 40, 1].map(days => new Date(NOW_MS + days * DAY_MS).toISOString().replace('Z', '000'));
  for (const [i, id] of spares.entries())
    await updateAmphora(db, lease, id, { cert_expiration: ends[i], cert_busy: i === 3 }, NOW_MS);
  const ending = async (limit: number) =>
    (await listEndingCertificates(db, NOW_MS + 14 * DAY_MS, limit)).map(row => row.id);
  expect(await ending(10)).toEqual([spares[1], spares[0]]);
  expect(await ending(1)).toEqual([spares[1]]);
});

test('rows of deleted amphorae go by their age and that of their last heartbeat', async () => {
  await using db = await givenDatabase();
  const lease = await givenSpares(db, 3);
  const [old, young, reporting] = (await listSpares(db)).map(spare => spare.id) as [string, string, string];
  await settleAmphoraDeleted(db, lease, old, NOW_MS - 8 * DAY_MS);
  await settleAmphoraDeleted(db, lease, reporting, NOW_MS - 8 * DAY_MS);
  await settleAmphoraDeleted(db, lease, young, NOW_MS - DAY_MS);
  await db
    .insertInto('amphora_health')
    .values([
      { amphora_id: old, last_update_ms: NOW_MS - 9 * DAY_MS, busy: 0 },
      { amphora_id: reporting, last_update_ms: NOW_MS - DAY_MS, busy: 0 },
    ])
    .execute();
  const week = NOW_MS - 7 * DAY_MS;
  expect(await purgeDeleted(db, { amphoraeMs: week, loadBalancersMs: week })).toEqual({
    amphorae: 1,
    load_balancers: 0,
  });
  expect(await findOwners(db, [old, young, reporting, UNOWNED_ID])).toEqual(
    new Map([
      [young, 'deleted'],
      [reporting, 'deleted'],
    ]),
  );
  const health = await db.selectFrom('amphora_health').select('amphora_id').execute();
  expect(health).toEqual([{ amphora_id: reporting }]);
});
