/** What a batch of heartbeats comes to, given the rows that it concerns. Pure. */
import type { HealthChanges, WatchedAmphora } from '../model/health.ts';
import { applyStatuses, countListeners, operatingStatusChanges } from './operating-status.ts';
import type { ReceivedHeartbeat } from './pending.ts';
import { applyStatistics, statisticsChanges } from './statistics.ts';

/** Something to tell an operator, once a minute per amphora at most. */
export interface HealthRemark {
  amphora_id: string;
  message: string;
  fields: Record<string, unknown>;
}

export interface DecideLimits {
  nowMs: number;
  /** A heartbeat that waited this long says nothing of the present. */
  staleAfterMs: number;
  /** How long after its row was last written a deleted amphora may still have been about to go. */
  graceMs: number;
}

export interface HealthDecision extends HealthChanges {
  remarks: HealthRemark[];
}

/**
 * Goes through the heartbeats in their order; each sees what the ones before it changed, so the rows in `watched`
 * are written to. Several amphorae of one load balancer share its graph.
 */
export function decideHealth(
  batch: readonly ReceivedHeartbeat[],
  watched: ReadonlyMap<string, WatchedAmphora>,
  limits: DecideLimits,
): HealthDecision {
  const decision: HealthDecision = {
    alive: new Set(),
    statuses: [],
    statistics: [],
    release: new Set(),
    remarks: [],
  };
  const statuses = new Map<string, HealthChanges['statuses'][number]>();
  const remark = (amphora_id: string, message: string, fields: Record<string, unknown> = {}) =>
    decision.remarks.push({ amphora_id, message, fields: { amphora_id, ...fields } });

  for (const received of batch) {
    const { heartbeat, receivedAtMs } = received;
    const amphora = watched.get(heartbeat.id);
    if (amphora === undefined) {
      remark(heartbeat.id, 'an amphora reports that has no row: delete its instance by hand');
      continue;
    }
    // A spare; the counters and statuses of whom it will serve begin later.
    if (amphora.loadbalancer_id === null && amphora.status !== 'DELETED') {
      decision.alive.add(amphora.id);
      continue;
    }
    if (amphora.graph === undefined) {
      remark(heartbeat.id, 'an amphora reports that should be gone', { status: amphora.status });
      if (isZombie(amphora, limits)) decision.release.add(amphora.id);
      continue;
    }
    decision.statistics.push(...countStatistics(amphora, amphora.graph, received));

    const count = countListeners(amphora.graph, heartbeat, amphora.doubted);
    if (count.alive) {
      const waitedMs = limits.nowMs - receivedAtMs;
      if (waitedMs >= limits.staleAfterMs) {
        remark(heartbeat.id, 'heartbeat dropped: it waited too long', { waited_ms: waitedMs });
        continue;
      }
      decision.alive.add(amphora.id);
    } else {
      const { reported, expected } = count;
      remark(heartbeat.id, 'an amphora runs another number of listeners than it should', {
        reported,
        expected,
      });
    }
    const { changes, unknown } = operatingStatusChanges(amphora.graph, heartbeat);
    if (unknown.length > 0) remark(heartbeat.id, 'a heartbeat holds words that nobody knows', { unknown });
    applyStatuses(amphora.graph, changes);
    for (const change of changes) statuses.set(`${change.kind} ${change.id}`, change);
  }
  decision.statuses = [...statuses.values()];
  return decision;
}

/**
 * Counters of listeners that its load balancer has. The original counts those of any id; rows of listeners that are
 * gone would be left behind here, where a listener's rows go with it.
 */
function countStatistics(
  amphora: WatchedAmphora,
  graph: NonNullable<WatchedAmphora['graph']>,
  received: ReceivedHeartbeat,
): HealthChanges['statistics'] {
  const ids = new Set(graph.listeners.map(l => l.id));
  const changes = statisticsChanges(received, amphora.statistics).filter(c => ids.has(c.listener_id));
  for (const change of changes) {
    const before = amphora.statistics.get(change.listener_id);
    amphora.statistics.set(change.listener_id, applyStatistics(before, change));
  }
  return changes;
}

/** A deleted amphora whose load balancer lives on, and that had the time to be gone. */
function isZombie(amphora: WatchedAmphora, { nowMs, graceMs }: DecideLimits): boolean {
  if (amphora.status !== 'DELETED') return false;
  return amphora.updated_at === null || Date.parse(`${amphora.updated_at}Z`) < nowMs - graceMs;
}
