import { expect, test } from 'vitest';
import { pauseBeforeReloadMs } from './master.ts';

test('one reload waits for nothing, and many in a row the longer the more processes they leave behind', () => {
  expect(pauseBeforeReloadMs(0, 0)).toBe(0);
  expect(pauseBeforeReloadMs(50, Number.POSITIVE_INFINITY)).toBe(0);
  const pauses = [1, 5, 10, 20, 100].map(old => pauseBeforeReloadMs(old, 0));
  expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
  expect(pauses[0]).toBeLessThan(50);
  // A controller waits a minute for its answer.
  expect(pauses.at(-1)).toBeLessThan(30_000);
  expect(pauseBeforeReloadMs(10, 500)).toBe(pauses[2]! - 500);
});
