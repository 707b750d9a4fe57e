import { expect, test } from 'vitest';
import { TerminalError } from '../lib/errors.ts';
import { backOffMs, planRetry } from './retry.ts';

const NONE = { attempts: 0, failingSinceMs: null };

test('backOffMs() doubles from a quarter of a second to a minute', () => {
  expect([1, 2, 3, 4, 20].map(backOffMs)).toEqual([250, 500, 1000, 2000, 60_000]);
});

test('planRetry() keeps an ordinary failure from the user until it has lasted as long as the patience', () => {
  const first = planRetry(new Error('agent is away'), NONE, 1000, 5000);
  expect(first).toEqual({
    reason: 'agent is away',
    show: false,
    attempts: 1,
    failingSinceMs: 1000,
    retryAtMs: 1250,
  });
  expect(planRetry(new Error('agent is away'), first, 5999, 5000).show).toBe(false);
  expect(planRetry(new Error('agent is away'), first, 6000, 5000).show).toBe(true);
});

test('planRetry() shows a failure that trying again cannot mend at once, with its causes', () => {
  const error = new TerminalError('Cannot apply', { cause: new Error('unknown keyword') });
  expect(planRetry(error, NONE, 0, 5000)).toMatchObject({
    show: true,
    reason: 'Cannot apply: unknown keyword',
  });
});
