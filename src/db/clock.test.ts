import { expect, test } from 'vitest';
import { silentLog } from '../lib/log.ts';
import { openClock } from './clock.ts';
import { givenDatabase, TEST_SERVER } from './testing.ts';

test('the clock goes by the database, whatever this machine is told that the time is', async () => {
  await using db = await givenDatabase();
  await using clock = await openClock(db, process.env[TEST_SERVER] ?? 'sqlite://', silentLog);
  const trueNow = Date.now;
  expect(Math.abs(clock.now() - trueNow())).toBeLessThan(2000);
  if (!process.env[TEST_SERVER]) return; // A file has no clock of its own.
  Date.now = () => trueNow() + 3_600_000;
  try {
    expect(Math.abs(clock.now() - trueNow())).toBeLessThan(2000);
  } finally {
    Date.now = trueNow;
  }
});
