import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Silence, SilentAmphora } from '../model/health.ts';
import { planFailovers } from './plan-failovers.ts';

const NOW = 1_000_000_000;
const TIMEOUT = 60_000;
const limits = { nowMs: NOW, heartbeatTimeoutMs: TIMEOUT, failoverThreshold: null, failoversAtOnce: 10 };
const silentOnes = (count: number, forMs: number, doubt?: SilentAmphora['doubt']): SilentAmphora[] =>
  Array.from({ length: count }, (_, i) => ({ id: `a${i}`, last_update_ms: NOW - forMs, doubt }));
const plan = (silence: Partial<Silence>, more: Partial<typeof limits> = {}) =>
  planFailovers(
    { total: 100, silent: [], under_way: 0, unresolved: 0, replaced: 0, ...silence },
    { ...limits, ...more },
  );

describe('a few', () => {
  test('are asked, as many at once as may be', () => {
    const silent = silentOnes(15, 61_000);
    expect(plan({ silent }).ask).toHaveLength(10);
    expect(plan({ silent, under_way: 8 }).ask).toHaveLength(2);
    expect(plan({ silent, under_way: 12 })).toEqual({ ask: [], hold: [] });
  });

  test('those that were never asked come first', () => {
    const asked = silentOnes(1, 500_000, { since_ms: NOW - 61_000, verdict: 'lives' });
    const fresh = { id: 'fresh', last_update_ms: NOW - 61_000, doubt: undefined };
    expect(plan({ silent: [...asked, fresh] }).ask).toEqual(['fresh', 'a0']);
  });

  test.each([
    ['late only', silentOnes(1, 59_000)],
    ['being asked', silentOnes(1, 90_000, { since_ms: NOW - 61_000, verdict: null })],
    ['answered just now', silentOnes(1, 90_000, { since_ms: NOW - 59_000, verdict: 'lives' })],
  ])('nothing to ask: %s', (_what, silent) => {
    expect(plan({ silent })).toEqual({ ask: [], hold: [] });
  });
});

describe('a storm', () => {
  test.each([
    [2, 1, false],
    [2, 2, false],
    [3, 2, false],
    [3, 3, true],
    [10, 4, false],
    [10, 5, true],
    [100, 19, false],
    [100, 20, true],
    [500, 99, false],
    [500, 100, true],
  ])('of %i amphorae, %i silent: %s', (total, count, isStorm) => {
    const { ask, hold } = plan({ total, silent: silentOnes(count, 61_000) });
    expect([ask.length, hold.length]).toEqual(isStorm ? [0, count] : [Math.min(count, 10), 0]);
  });

  test('counts those that are only late, and holds back none of them', () => {
    const silent = [...silentOnes(1, 61_000), ...silentOnes(30, 40_000)];
    expect(plan({ silent })).toEqual({ ask: [], hold: ['a0'] });
  });

  test('does not count those that answered', () => {
    const silent = silentOnes(50, 90_000, { since_ms: NOW - 1000, verdict: 'lives' });
    expect(plan({ silent: [...silentOnes(1, 61_000), ...silent] }).ask).toEqual(['a0']);
  });

  test.each([
    [599, 0, 0, 0],
    [601, 0, 0, 1],
    [601, 1, 0, 0],
    [601, 0, 3, 4],
    [601, 3, 3, 1],
    [601, 0, 300, 10],
    [1199, 1, 0, 0],
    [1201, 1, 0, 1],
    [86_400, 8, 0, 0],
  ])('of %i s, %i unresolved, %i replaced: %i more', (seconds, unresolved, replaced, more) => {
    expect(plan({ silent: silentOnes(80, seconds * 1000), unresolved, replaced }).ask).toHaveLength(more);
  });

  test('with a threshold of the operator', () => {
    const silent = silentOnes(4, 61_000);
    expect(plan({ silent }, { failoverThreshold: 4 as never }).hold).toHaveLength(4);
    expect(plan({ silent }, { failoverThreshold: 5 as never }).ask).toHaveLength(4);
  });
});

test('never more under way than may be, and nobody both asked and held back', () => {
  const amphora = fc.record({
    silentMs: fc.integer({ min: 30_001, max: 1_000_000 }),
    doubt: fc.option(
      fc.record({
        since_ms: fc.integer({ min: NOW - 200_000, max: NOW }),
        verdict: fc.constantFrom('lives' as const, null),
      }),
      { nil: undefined },
    ),
  });
  fc.assert(
    fc.property(
      fc.array(amphora),
      fc.nat(400),
      fc.nat(20),
      fc.nat(20),
      (sketch, others, under_way, replaced) => {
        const silent = sketch.map(({ silentMs, doubt }, i) => ({
          ...{ id: `a${i}`, last_update_ms: NOW - silentMs, doubt },
        }));
        const { ask, hold } = plan({
          total: silent.length + others,
          silent,
          under_way,
          unresolved: under_way,
          replaced,
        });
        expect(ask.length === 0 || ask.length + under_way <= 10).toBe(true);
        expect(new Set([...ask, ...hold]).size).toBe(ask.length + hold.length);
      },
    ),
  );
});
