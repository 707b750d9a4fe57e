/** What the counters of a heartbeat add to those in the database. Source: contract heartbeat.md 4. */
import type { StatisticsChange } from '../model/health.ts';
import type { Statistics } from '../model/statistics.ts';
import type { HeartbeatStats } from '../wire/heartbeat.ts';
import type { DecodedHeartbeat } from '../wire/heartbeat-codec.ts';
import type { ReceivedHeartbeat } from './pending.ts';

/** The names of the heartbeat are haproxy's, seen from the load balancer; ours are seen from it too. */
export function readCounters(stats: HeartbeatStats): Statistics {
  return {
    bytes_in: stats.rx,
    bytes_out: stats.tx,
    active_connections: stats.conns,
    total_connections: stats.totconns,
    request_errors: stats.ereq,
  };
}

/** Counters are deltas since version 3 and absolute before; no version at all counts as 2. */
export const countsDeltas = ({ ver }: DecodedHeartbeat): boolean => (ver ?? 2) >= 3;

/** The changes that the heartbeats ask for, given what was counted so far; none where nothing would differ. */
export function statisticsChanges(
  { heartbeat, counted }: Pick<ReceivedHeartbeat, 'heartbeat' | 'counted'>,
  present: ReadonlyMap<string, Statistics>,
): StatisticsChange[] {
  const how = countsDeltas(heartbeat) ? 'add' : 'set';
  const changes: StatisticsChange[] = [];
  for (const [listener_id, stats] of counted) {
    const change = { how, listener_id, amphora_id: heartbeat.id, ...readCounters(stats) } as const;
    const before = present.get(listener_id);
    if (before === undefined || !isSame(before, applyStatistics(before, change))) changes.push(change);
  }
  return changes;
}

/** The counters as they are once the change is written. */
export function applyStatistics(before: Statistics | undefined, change: StatisticsChange): Statistics {
  const { bytes_in, bytes_out, active_connections, total_connections, request_errors } = change;
  const counted = { bytes_in, bytes_out, active_connections, total_connections, request_errors };
  if (before === undefined || change.how === 'set') return counted;
  return {
    bytes_in: before.bytes_in + bytes_in,
    bytes_out: before.bytes_out + bytes_out,
    active_connections,
    total_connections: before.total_connections + total_connections,
    request_errors: before.request_errors + request_errors,
  };
}

function isSame(a: Statistics, b: Statistics): boolean {
  return (
    a.bytes_in === b.bytes_in &&
    a.bytes_out === b.bytes_out &&
    a.active_connections === b.active_connections &&
    a.total_connections === b.total_connections &&
    a.request_errors === b.request_errors
  );
}
