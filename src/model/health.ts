/** What the health manager reads of a load balancer whose amphora reports, and what it may write: narrow on purpose. */
import type { Listener } from './listener.ts';
import type { LoadBalancer } from './load-balancer.ts';
import type { Member, Pool } from './pool.ts';
import type { ListenerStatistics, Statistics } from './statistics.ts';
import type { AmphoraStatus, OperatingStatus } from './status.ts';

/** The part of a graph that operating statuses follow from; a `LoadBalancerGraph` is one. */
export interface StatusGraph {
  load_balancer: Pick<
    LoadBalancer,
    'id' | 'admin_state_up' | 'provisioning_status' | 'operating_status' | 'generation' | 'settled_generation'
  >;
  listeners: Pick<Listener, 'id' | 'protocol' | 'admin_state_up' | 'default_pool_id' | 'operating_status'>[];
  pools: Pick<Pool, 'id' | 'operating_status'>[];
  members: Pick<Member, 'id' | 'pool_id' | 'admin_state_up' | 'operating_status'>[];
}

/** An amphora as its heartbeat finds it in the database. */
export interface WatchedAmphora {
  id: string;
  status: AmphoraStatus;
  loadbalancer_id: string | null;
  updated_at: string | null;
  /** It is to be asked whether it lives, and has not been yet. */
  doubted: boolean;
  /** undefined when the amphora serves none: it is deleted, or its load balancer is. */
  graph: StatusGraph | undefined;
  /** What was counted so far on this amphora, by listener. */
  statistics: Map<string, Statistics>;
}

/** An amphora in service that reported once and has been silent since. */
export interface SilentAmphora {
  id: string;
  last_update_ms: number;
  /** When the worker was last to ask it, and what came of that; undefined when it was not to be asked yet. */
  doubt: { since_ms: number; verdict: 'lives' | 'dead' | null } | undefined;
}

/** Who is silent, among how many, and what is being done about it. */
export interface Silence {
  /** Amphorae in service that reported once. */
  total: number;
  /** Longest silent first. */
  silent: SilentAmphora[];
  /** Doubted ones that are being asked or replaced, whenever that began. */
  unresolved: number;
  /** Those of them that were doubted recently. */
  under_way: number;
  /** Recently doubted ones whose replacement stands. */
  replaced: number;
}

export interface DoubtTimes {
  nowMs: number;
  /** An amphora that answered is asked again when it did so before this time. */
  askedBeforeMs: number;
}

export interface OperatingStatusChange {
  kind: 'load_balancer' | 'listener' | 'pool' | 'member';
  id: string;
  operating_status: OperatingStatus;
}

/** `add` adds the four counters to what is there, `set` replaces them; `active_connections` is replaced by both. */
export interface StatisticsChange extends ListenerStatistics {
  how: 'add' | 'set';
}

/** Everything that a batch of heartbeats came to. */
export interface HealthChanges {
  /** Amphorae whose silence begins anew. */
  alive: Set<string>;
  statuses: OperatingStatusChange[];
  statistics: StatisticsChange[];
  /** Amphorae that report though they should be gone. */
  release: Set<string>;
}
