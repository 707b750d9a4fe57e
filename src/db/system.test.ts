import { expect, test } from 'vitest';
import { ensureSystemFact, findSystemFact, setSystemFact } from './system.ts';
import { givenDatabase } from './testing.ts';

test('the first value of a fact stays, until it is set anew', async () => {
  await using db = await givenDatabase();
  expect(await findSystemFact(db, 'key')).toBeUndefined();
  let made = 0;
  const make = () => `value ${++made}`;
  const all = await Promise.all(Array.from({ length: 5 }, () => ensureSystemFact(db, 'key', make)));
  expect(new Set(all).size).toBe(1);
  expect(await findSystemFact(db, 'key')).toBe(all[0]);
  await setSystemFact(db, 'key', 'other');
  expect(await ensureSystemFact(db, 'key', make)).toBe('other');
});
