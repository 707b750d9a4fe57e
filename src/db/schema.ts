/** The tables, typed by the model: a column has the name of the field it holds. */
import type { Kysely, Transaction } from 'kysely';
import type { Amphora } from '../model/amphora.ts';
import type { HealthMonitor } from '../model/health-monitor.ts';
import type { Listener } from '../model/listener.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import type { Member, Pool } from '../model/pool.ts';
import type { ListenerStatistics } from '../model/statistics.ts';

/** How a field lies in its column: booleans as 0 and 1, lists and objects as JSON text, on every database alike. */
export type Stored<T> = {
  [K in keyof T]: NonNullable<T[K]> extends boolean
    ? number
    : NonNullable<T[K]> extends string | number
      ? T[K]
      : null extends T[K]
        ? string | null
        : string;
};

/** Who works on a load balancer, and when to try again. One row per load balancer. */
export interface LeaseRow {
  loadbalancer_id: string;
  owner: string | null;
  /** Milliseconds since 1970. */
  expires_at_ms: number;
  /** Raised by every taking of the lease; a write that carries an older one is refused. */
  fence: number;
  /** Raised by every fenced write, so that the row is locked by it on every database. */
  beats: number;
  attempts: number;
  /** When the present row of failures began; null while there is none. */
  failing_since_ms: number | null;
  /** Not before this time, unless somebody writes. */
  retry_at_ms: number;
}

/** One pass of the reconciler, for the operation timeline. */
export interface PassRow {
  id: string;
  loadbalancer_id: string;
  generation: number;
  worker: string;
  started_at_ms: number;
  duration_ms: number;
  outcome: 'done' | 'waiting' | 'failed' | 'removed';
  reason: string | null;
  /** `TraceStep[]` as JSON. */
  steps: string;
}

/** A port of an amphora in a network of members. The row is written before the port exists. */
export interface MemberPortRow {
  amphora_id: string;
  network_id: string;
  port_id: string | null;
  /** The subnets that the agent was told of, as JSON; another list means that it must be told again. */
  plugged_subnets: string;
}

export interface AmphoraHealthRow {
  amphora_id: string;
  last_update_ms: number;
  busy: number;
}

/** Networks, subnets and ports of the standalone cloud. */
export interface NetworkRow {
  id: string;
  name: string;
  project_id: string | null;
  mtu: number;
  created_at: string;
}

export interface SubnetRow {
  id: string;
  name: string;
  project_id: string | null;
  network_id: string;
  ip_version: number;
  cidr: string;
  gateway_ip: string | null;
  /** JSON list of `{start, end}`. */
  allocation_pools: string;
  /** JSON list of `{destination, nexthop}`. */
  host_routes: string;
  created_at: string;
}

export interface PortRow {
  id: string;
  /** Unique among our own ports, which are found by it; null for nameless ports. */
  name: string | null;
  project_id: string | null;
  network_id: string;
  mac_address: string;
  device_id: string;
  device_owner: string;
  /** JSON list of addresses. */
  allowed_addresses: string;
  created_at: string;
}

export interface PortAddressRow {
  port_id: string;
  subnet_id: string;
  ip_address: string;
}

/** A token of the standalone identity; only its hash is kept. */
export interface TokenRow {
  hash: string;
  user_id: string;
  project_id: string | null;
  issued_at_ms: number;
  expires_at_ms: number;
}

/** Facts about this installation, such as the system id. */
export interface SystemRow {
  name: string;
  value: string;
}

export interface Tables {
  load_balancer: Stored<LoadBalancer>;
  listener: Stored<Listener>;
  pool: Stored<Pool>;
  member: Stored<Member>;
  health_monitor: Stored<HealthMonitor>;
  amphora: Stored<Amphora>;
  amphora_health: AmphoraHealthRow;
  amphora_member_port: MemberPortRow;
  listener_statistics: ListenerStatistics;
  lease: LeaseRow;
  pass: PassRow;
  network: NetworkRow;
  subnet: SubnetRow;
  port: PortRow;
  port_address: PortAddressRow;
  token: TokenRow;
  system: SystemRow;
}

export type Db = Kysely<Tables>;
export type Trx = Transaction<Tables>;
