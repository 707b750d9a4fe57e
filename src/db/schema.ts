/** The tables, typed by the model: a column has the name of the field it holds. */
import type { Kysely, Transaction } from 'kysely';
import type { Amphora } from '../model/amphora.ts';
import type { CloudKind, CloudRecords } from '../model/cloud-network.ts';
import type { AvailabilityZone, AvailabilityZoneProfile, Flavor, FlavorProfile } from '../model/flavor.ts';
import type { HealthMonitor } from '../model/health-monitor.ts';
import type { ApplicationCredential, Project, Role, RoleAssignment, Scope, User } from '../model/identity.ts';
import type { L7Policy, L7Rule } from '../model/l7.ts';
import type { Listener } from '../model/listener.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import type { Member, Pool } from '../model/pool.ts';
import type { Quota } from '../model/quota.ts';
import type { KeptSecret, SecretContainer } from '../model/secret.ts';
import type { ListenerStatistics } from '../model/statistics.ts';
import type { OperatingStatus, ProvisioningStatus } from '../model/status.ts';
import type { StatusEvent } from '../model/status-event.ts';
import type { VrrpGroup } from '../model/vrrp-group.ts';

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
  /** `PassProgress` of the owner's pass as JSON; null before it took long. */
  progress: string | null;
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

/** An amphora that fell silent: the worker asks it before it is replaced. */
export interface AmphoraDoubtRow {
  amphora_id: string;
  /** When it was last to be asked. */
  since_ms: number;
  /** How often it answered and was still silent afterwards. */
  answers: number;
  /** null until it was asked. */
  verdict: 'lives' | 'dead' | null;
}

/** What of the standalone cloud is kept as it is. */
type CloudRow<K extends CloudKind> = Stored<CloudRecords[K]> & { created_at: string };

export interface PortRow extends Omit<CloudRow<'port'>, 'name' | 'fixed_ips' | 'user_made'> {
  /** The key by which our own ports are found; null for users' and for nameless ones. */
  name: string | null;
  /** The name of a port that a user made; null for our own. */
  title: string | null;
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
  /** Both are null for a token without a scope. */
  scope_kind: Scope['kind'] | null;
  scope_id: string | null;
  /** JSON list of how its holder logged in. */
  methods: string;
  /** JSON list: its own, and that of the first token of its line. */
  audit_ids: string;
  application_credential_id: string | null;
  issued_at_ms: number;
  expires_at_ms: number;
}

/** A secret of a container, under its name there. */
export interface ContainerSecretRow {
  container_id: string;
  secret_id: string;
  name: string;
}

export interface SecretConsumerRow {
  /** A secret or a container. */
  item_id: string;
  /** `Consumer` as JSON. */
  consumer: string;
  created_at: string;
}

/** A listener or pool that uses a secret or container of the key manager. The row is written before the key manager is told. */
export interface SecretUseRow {
  loadbalancer_id: string;
  resource_type: 'listener' | 'pool';
  resource_id: string;
  reference: string;
  /** What amphorae have it under; null until it was read and the key manager told. */
  file_name: string | null;
}

/** What was announced last about a load balancer or something under it. */
export interface AnnouncedRow {
  resource_id: string;
  loadbalancer_id: string;
  resource_type: StatusEvent['resource_type'];
  provisioning_status: ProvisioningStatus;
  operating_status: OperatingStatus;
  /** Of a load balancer: how many events it has had. */
  sequence: number;
}

/** An event that a target has still to be told of. */
export interface OutboxRow {
  id: string;
  target: string;
  loadbalancer_id: string;
  sequence: number;
  /** `StatusEvent` as JSON. */
  body: string;
  created_at_ms: number;
  attempts: number;
  /** Who delivers it sets it to when somebody else may try. */
  retry_at_ms: number;
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
  l7policy: Stored<L7Policy>;
  l7rule: Stored<L7Rule>;
  amphora: Stored<Amphora>;
  quota: Quota;
  flavor: Stored<Flavor>;
  flavor_profile: FlavorProfile;
  availability_zone: Stored<AvailabilityZone>;
  availability_zone_profile: AvailabilityZoneProfile;
  amphora_health: AmphoraHealthRow;
  amphora_doubt: AmphoraDoubtRow;
  amphora_member_port: MemberPortRow;
  vrrp_group: Stored<VrrpGroup>;
  listener_statistics: ListenerStatistics;
  lease: LeaseRow;
  pass: PassRow;
  network: CloudRow<'network'>;
  subnet: CloudRow<'subnet'>;
  port: PortRow;
  port_address: PortAddressRow;
  security_group: CloudRow<'security_group'>;
  security_group_rule: CloudRow<'security_group_rule'>;
  floating_ip: CloudRow<'floating_ip'>;
  token: TokenRow;
  project: Stored<Project>;
  user: Stored<User>;
  role: Stored<Role>;
  role_assignment: RoleAssignment;
  application_credential: Stored<ApplicationCredential>;
  secret: Stored<KeptSecret> & { sealed_payload: string | null };
  secret_container: Stored<SecretContainer>;
  container_secret: ContainerSecretRow;
  secret_consumer: SecretConsumerRow;
  secret_use: SecretUseRow;
  announced: AnnouncedRow;
  outbox: OutboxRow;
  system: SystemRow;
}

export type Db = Kysely<Tables>;
export type Trx = Transaction<Tables>;
