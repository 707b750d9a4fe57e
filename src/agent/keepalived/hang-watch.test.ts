import { expect, test } from 'vitest';
import { HangWatch } from './hang-watch.ts';

test('only looks that follow each other prove that nothing is done', () => {
  const watch = new HangWatch();
  const looks: [turns: string, nowMs: number, idleMs: number][] = [
    ['1:5', 10_000, 0],
    ['1:5', 11_000, 1_000],
    ['1:5', 12_000, 2_000],
    // It did something.
    ['1:6', 13_000, 0],
    ['1:6', 14_000, 1_000],
    // The machine stood still.
    ['1:6', 900_000, 2_500],
    // Another process.
    ['2:6', 901_000, 0],
  ];
  expect(looks.map(([turns, nowMs]) => watch.look(turns, nowMs))).toEqual(
    looks.map(([, , idleMs]) => idleMs),
  );
});
