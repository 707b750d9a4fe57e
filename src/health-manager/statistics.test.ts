import { describe, expect, test } from 'vitest';
import type { Statistics } from '../model/statistics.ts';
import type { DecodedHeartbeat } from '../wire/heartbeat-codec.ts';
import { heartbeatOf } from './heartbeat.fixture.ts';
import { PendingHeartbeats, type ReceivedHeartbeat } from './pending.ts';
import { applyStatistics, readCounters, statisticsChanges } from './statistics.ts';

const stats = { tx: 10, rx: 20, conns: 3, totconns: 40, ereq: 5 };
const counted: Statistics = {
  bytes_in: 20,
  bytes_out: 10,
  active_connections: 3,
  total_connections: 40,
  request_errors: 5,
};
function receivedOf(...heartbeats: DecodedHeartbeat[]): ReceivedHeartbeat {
  const pending = new PendingHeartbeats();
  for (const each of heartbeats) pending.add(each, 0);
  return pending.take(1)[0]!;
}
const heartbeat = (ver: number | undefined, l1: Partial<typeof stats> = stats) =>
  receivedOf(heartbeatOf({ id: 'a', ver, listeners: { l1: 'OPEN' }, stats: { l1 } }));

test('rx is what came in, tx what went out', () => {
  expect(readCounters(stats)).toEqual(counted);
});

describe('deltas since version 3, absolute before', () => {
  const before = {
    bytes_in: 1,
    bytes_out: 2,
    active_connections: 9,
    total_connections: 4,
    request_errors: 6,
  };
  test.each([
    [
      3,
      'add',
      { bytes_in: 21, bytes_out: 12, active_connections: 3, total_connections: 44, request_errors: 11 },
    ],
    [
      4,
      'add',
      { bytes_in: 21, bytes_out: 12, active_connections: 3, total_connections: 44, request_errors: 11 },
    ],
    [2, 'set', counted],
    [1, 'set', counted],
    [0, 'set', counted],
    [undefined, 'set', counted],
  ])('%s', (ver, how, after) => {
    const [change, ...more] = statisticsChanges(heartbeat(ver), new Map([['l1', before]]));
    expect(more).toEqual([]);
    expect(change).toEqual({ how, listener_id: 'l1', amphora_id: 'a', ...counted });
    expect(applyStatistics(before, change!)).toEqual(after);
  });
});

test('the first value is taken as it is', () => {
  const [change] = statisticsChanges(heartbeat(3), new Map());
  expect(applyStatistics(undefined, change!)).toEqual(counted);
});

test('a row is made even for zeros, and then not written for nothing', () => {
  const zeros = heartbeat(3, {});
  expect(statisticsChanges(zeros, new Map())).toHaveLength(1);
  expect(statisticsChanges(zeros, new Map([['l1', { ...counted, active_connections: 0 }]]))).toEqual([]);
  expect(statisticsChanges(zeros, new Map([['l1', counted]])), 'connections ended').toHaveLength(1);
  expect(statisticsChanges(heartbeat(2), new Map([['l1', counted]]))).toEqual([]);
});
