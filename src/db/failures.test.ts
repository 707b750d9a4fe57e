import { expect, test } from 'vitest';
import { findStorageFault } from './failures.ts';

test.each([
  [{ errcode: 13 }, 'disk is full'],
  [{ code: 'ER_LOCK_DEADLOCK', errno: 1213 }, 'busy'],
  [{ code: '40P01' }, 'busy'],
  [{ code: 'PROTOCOL_CONNECTION_LOST' }, 'does not answer'],
  [{ code: '57P03' }, 'does not answer'],
  [new Error('Connection terminated unexpectedly'), 'does not answer'],
  [
    Object.assign(new Error('connect ECONNREFUSED /run/mysqld.sock'), { code: 'ECONNREFUSED' }),
    'does not answer',
  ],
])('%o is told as a fault that passes', (error, words) => {
  expect(findStorageFault(error)).toMatchObject({
    kind: 'unavailable',
    message: expect.stringContaining(words),
  });
});

test.each([
  [{ errcode: 2067 }],
  [{ code: '23505' }],
  [{ code: 'ER_DUP_ENTRY' }],
  [new TypeError('x is not a function')],
  [undefined],
])('%o is not', error => {
  expect(findStorageFault(error)).toBeUndefined();
});
