import { expect, test } from 'vitest';
import { heartbeatOf } from './heartbeat.fixture.ts';
import { PendingHeartbeats } from './pending.ts';

const heartbeat = (id: string, totconns: number, ver: number | undefined = 3, listeners = { l: 'OPEN' }) =>
  heartbeatOf({ id, ver, listeners, stats: { l: { totconns, conns: totconns } } });
const counts = (pending: PendingHeartbeats) =>
  pending
    .take(100)
    .map(({ heartbeat, receivedAtMs, counted }) => [
      heartbeat.id,
      receivedAtMs,
      counted.get('l')?.totconns,
      counted.get('l')?.conns,
    ]);

test('of each amphora the newest, with the counters of all', () => {
  const pending = new PendingHeartbeats();
  pending.add(heartbeat('a', 1), 1);
  pending.add(heartbeat('b', 10), 2);
  pending.add(heartbeat('a', 2), 3);
  expect(pending.size).toBe(2);
  expect(counts(pending)).toEqual([
    ['b', 2, 10, 10],
    ['a', 3, 3, 2],
  ]);
  expect(pending.size).toBe(0);
});

test('absolute counters are not added', () => {
  const pending = new PendingHeartbeats();
  pending.add(heartbeat('a', 1, 2), 1);
  pending.add(heartbeat('a', 5, 2), 2);
  expect(counts(pending)).toEqual([['a', 2, 5, 5]]);
});

test('an agent that begins to count in another way loses nothing', () => {
  const pending = new PendingHeartbeats();
  pending.add(heartbeat('a', 7, 2), 1);
  pending.add(heartbeat('a', 1), 2);
  expect(counts(pending)).toEqual([
    ['a', 1, 7, 7],
    ['a', 2, 1, 1],
  ]);
});

test('a listener that the newest misses keeps what it counted', () => {
  const pending = new PendingHeartbeats();
  pending.add(heartbeat('a', 4), 1);
  pending.add(heartbeatOf({ id: 'a', listeners: {} }), 2);
  const [received] = pending.take(1);
  expect(received!.heartbeat.listeners.size).toBe(0);
  expect(received!.counted.get('l')?.totconns).toBe(4);
});

test('what could not be written is added to what came since, and waits before it', () => {
  const pending = new PendingHeartbeats();
  pending.add(heartbeat('a', 1), 1);
  pending.add(heartbeat('b', 1), 1);
  const batch = pending.take(2);
  pending.add(heartbeat('c', 1), 2);
  pending.add(heartbeat('a', 2), 2);
  pending.putBack(batch);
  expect(counts(pending)).toEqual([
    ['b', 1, 1, 1],
    ['c', 2, 1, 1],
    ['a', 2, 3, 2],
  ]);
});
