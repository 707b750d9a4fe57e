/** What a heartbeat says of operating statuses and of life. Source: contract heartbeat.md 5.2 and 5.3. */
import type { OperatingStatusChange, StatusGraph } from '../model/health.ts';
import type { OperatingStatus } from '../model/status.ts';
import type { DecodedHeartbeat, DecodedPool } from '../wire/heartbeat-codec.ts';

export interface StatusVerdict {
  /** Only what differs from the graph. */
  changes: OperatingStatusChange[];
  /** Words of the heartbeat that nobody knows, for a warning: `pool 7f…: SLEEPY`. */
  unknown: string[];
}

/** The operating statuses that the heartbeat asks for; the order of its listeners and pools has no influence. */
export function operatingStatusChanges(graph: StatusGraph, heartbeat: DecodedHeartbeat): StatusVerdict {
  const verdict: StatusVerdict = { changes: [], unknown: [] };
  const propose = (
    kind: OperatingStatusChange['kind'],
    row: { id: string; operating_status: OperatingStatus },
    status: OperatingStatus | undefined,
  ) => {
    if (status === undefined || status === row.operating_status) return;
    verdict.changes.push({ kind, id: row.id, operating_status: status });
  };

  const lb = graph.load_balancer;
  // One that is to replace another says nothing of what that serves before it was told of it. Octavia believes it.
  const isUntold = lb.provisioning_status.startsWith('PENDING_') && heartbeat.listeners.size === 0;
  let lbStatus: OperatingStatus = lb.admin_state_up ? 'ONLINE' : 'OFFLINE';
  for (const listener of graph.listeners) {
    const word = heartbeat.listeners.get(listener.id)?.status;
    if (word === undefined) {
      if (isUntold) continue;
      const missed = listener.admin_state_up && lb.provisioning_status === 'ACTIVE';
      propose('listener', listener, missed ? 'ERROR' : 'OFFLINE');
    } else if (word === 'OPEN') {
      propose('listener', listener, 'ONLINE');
    } else if (word === 'FULL') {
      propose('listener', listener, 'DEGRADED');
      if (lbStatus === 'ONLINE') lbStatus = 'DEGRADED';
    } else {
      verdict.unknown.push(`listener ${listener.id}: ${word}`);
    }
  }

  const membersOf = Map.groupBy(graph.members, m => m.pool_id);
  for (const pool of graph.pools) {
    const reported = heartbeat.pools.get(pool.id);
    if (reported === undefined) {
      // Nobody speaks of its members: theirs stay as they are.
      if (!isUntold) propose('pool', pool, 'OFFLINE');
      continue;
    }
    let poolStatus = statusOfPool(reported);
    if (poolStatus === undefined) verdict.unknown.push(`pool ${pool.id}: ${reported.status}`);
    if (poolStatus === 'ERROR') lbStatus = 'ERROR';
    for (const member of membersOf.get(pool.id) ?? []) {
      const word = reported.members.get(member.id);
      const status = statusOfMember(word, member.operating_status);
      if (status === 'unknown') verdict.unknown.push(`member ${member.id}: ${word}`);
      else propose('member', member, status);
      // Only in the step that degrades the pool is the load balancer degraded. Source: contract heartbeat.md 8.
      if (status === 'ERROR' && poolStatus === 'ONLINE') {
        poolStatus = 'DEGRADED';
        if (lbStatus === 'ONLINE') lbStatus = 'DEGRADED';
      }
    }
    propose('pool', pool, poolStatus);
  }
  propose('load_balancer', lb, lbStatus);
  return verdict;
}

function statusOfPool({ status }: DecodedPool): OperatingStatus | undefined {
  if (status === 'UP') return 'ONLINE';
  if (status === 'DOWN') return 'ERROR';
  return undefined;
}

/** `UP 1/3` and `DOWN 2/3` are members on their way to the other state. */
function statusOfMember(word: string | undefined, present: OperatingStatus): OperatingStatus | 'unknown' {
  if (word === undefined) return present === 'NO_MONITOR' ? present : 'OFFLINE';
  if (word.startsWith('UP')) return 'ONLINE';
  if (word.startsWith('DOWN')) return 'ERROR';
  if (word === 'DRAIN') return 'DRAINING';
  if (word === 'MAINT') return 'OFFLINE';
  if (word === 'no check') return 'NO_MONITOR';
  if (word === 'RESTARTING') return present;
  return 'unknown';
}

/** The graph as it is once the changes are written. */
export function applyStatuses(graph: StatusGraph, changes: readonly OperatingStatusChange[]): void {
  if (changes.length === 0) return;
  const rows = [graph.load_balancer, ...graph.listeners, ...graph.pools, ...graph.members];
  const byId = new Map(rows.map(row => [row.id, row]));
  for (const { id, operating_status } of changes) {
    const row = byId.get(id);
    if (row !== undefined) row.operating_status = operating_status;
  }
}

export interface ListenerCount {
  reported: number;
  expected: number;
  /** haproxy runs what the amphora was told last; if not, silence goes on and the amphora is replaced in the end. */
  alive: boolean;
}

/**
 * Compares how many listeners run with how many should. The comparison is skipped while the load balancer is disabled
 * or its amphora may not have been told the newest yet: the original knows that by `PENDING_*` alone, and here
 * also by the generations, because a load balancer in `ERROR` is still being worked on. An amphora that is doubted is
 * not believed before it was asked, since the doubt itself is owed work.
 */
export function countListeners(
  graph: StatusGraph,
  heartbeat: DecodedHeartbeat,
  isDoubted = false,
): ListenerCount {
  const lb = graph.load_balancer;
  const expected = graph.listeners.filter(
    l => l.admin_state_up && !(heartbeat.ver === undefined && isUnreported(graph, l)),
  ).length;
  const reported = heartbeat.listeners.size;
  const isUnsettled = lb.provisioning_status.startsWith('PENDING_') || lb.generation > lb.settled_generation;
  const skipped = !lb.admin_state_up || (isUnsettled && !isDoubted);
  return { reported, expected, alive: skipped || reported === expected };
}

/** Agents before Rocky reported a UDP listener only when some member could serve it. */
function isUnreported(graph: StatusGraph, listener: StatusGraph['listeners'][number]): boolean {
  const hasMember = graph.members.some(m => m.pool_id === listener.default_pool_id && m.admin_state_up);
  return listener.protocol === 'UDP' && !hasMember;
}
