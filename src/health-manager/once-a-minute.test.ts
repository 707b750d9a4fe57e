import { expect, test } from 'vitest';
import { OnceAMinute } from './once-a-minute.ts';

test('is due at once, then after a minute with what came between', () => {
  const limit = new OnceAMinute();
  expect(limit.hit('a', 0)).toEqual({ key: 'a', count: 1 });
  expect(limit.hit('a', 1)).toBeUndefined();
  expect(limit.hit('b', 2)).toEqual({ key: 'b', count: 1 });
  expect(limit.hit('a', 59_999)).toBeUndefined();
  expect(limit.hit('a', 60_000)).toEqual({ key: 'a', count: 3 });
  expect(limit.hit('a', 119_999)).toBeUndefined();
});

test('forged sources share one line, and quiet ones are forgotten', () => {
  const limit = new OnceAMinute();
  for (let i = 0; i < 1000; i++) limit.hit(`source ${i}`, 0);
  expect(limit.hit('one more', 1)).toEqual({ key: 'others', count: 1 });
  expect(limit.hit('and another', 2)).toBeUndefined();
  expect(limit.hit('later', 60_001)).toEqual({ key: 'later', count: 1 });
});
