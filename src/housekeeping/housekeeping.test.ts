import { expect, test } from 'vitest';
import { listSpares } from '../db/spares.ts';
import { givenDatabase } from '../db/testing.ts';
import { systemClock } from '../lib/clock.ts';
import { type Log, silentLog } from '../lib/log.ts';
import { UNOWNED_ID } from '../model/unowned.ts';
import { InProcessQueue } from '../queue/in-process.ts';
import { Housekeeping } from './housekeeping.ts';

const OPTIONS = {
  ...{ cleanupIntervalMs: 1, certificateIntervalMs: 1, sparesIntervalMs: 1, spares: 2 },
  ...{ amphoraExpiryMs: 0, loadBalancerExpiryMs: 0, certificateBufferMs: 0, certificatesAtOnce: 1 },
};

test('all of it is repeated, goes on after failures, and ends when it is stopped', async () => {
  await using db = await givenDatabase();
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (_, message) => errors.push(message) };
  const queue = new InProcessQueue();
  const housekeeping = new Housekeeping(OPTIONS, { db, queue, clock: systemClock, log });
  const nudges = async (count: number) => {
    for (let left = count; left > 0; left--)
      await new Promise<void>(nudged => {
        const end = queue.consume(id => {
          expect(id).toBe(UNOWNED_ID);
          end();
          nudged();
        });
      });
  };
  // Counted by a heartbeat while its listener went.
  const counters = {
    bytes_in: 1,
    bytes_out: 1,
    active_connections: 1,
    total_connections: 1,
    request_errors: 0,
  };
  await db
    .insertInto('listener_statistics')
    .values({ listener_id: 'gone', amphora_id: 'a', ...counters })
    .execute();
  housekeeping.start();
  await nudges(3);
  while ((await db.selectFrom('listener_statistics').selectAll().execute()).length > 0)
    await new Promise(setImmediate);
  expect(await listSpares(db)).toHaveLength(2);
  expect(errors).toEqual([]);
  await db.schema.alterTable('amphora').renameTo('away').execute();
  while (new Set(errors).size < 3) await new Promise(setImmediate);
  await db.schema.alterTable('away').renameTo('amphora').execute();
  await nudges(2);
  await housekeeping.stop();
  expect([...new Set(errors)].sort()).toEqual([
    'cannot keep spare amphorae',
    'cannot purge deleted rows',
    'cannot renew certificates',
  ]);
  expect(await listSpares(db)).toHaveLength(2);
});
