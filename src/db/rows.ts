/** The one place that turns a record into a row and back: booleans, and lists and objects as JSON. */
import type { Amphora } from '../model/amphora.ts';
import type { CloudRecords } from '../model/cloud-network.ts';
import type { AvailabilityZone, AvailabilityZoneProfile, Flavor, FlavorProfile } from '../model/flavor.ts';
import type { HealthMonitor } from '../model/health-monitor.ts';
import type { ApplicationCredential, Project, Role, User } from '../model/identity.ts';
import type { L7Policy, L7Rule } from '../model/l7.ts';
import type { Listener } from '../model/listener.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import type { Member, Pool } from '../model/pool.ts';
import type { Quota } from '../model/quota.ts';
import type { KeptSecret, SecretContainer } from '../model/secret.ts';
import type { Stored } from './schema.ts';

interface Records extends CloudRecords {
  load_balancer: LoadBalancer;
  listener: Listener;
  pool: Pool;
  member: Member;
  health_monitor: HealthMonitor;
  l7policy: L7Policy;
  l7rule: L7Rule;
  amphora: Amphora;
  quota: Quota;
  flavor: Flavor;
  flavor_profile: FlavorProfile;
  availability_zone: AvailabilityZone;
  availability_zone_profile: AvailabilityZoneProfile;
  project: Project;
  user: User;
  role: Role;
  application_credential: ApplicationCredential;
  secret: KeptSecret;
  secret_container: SecretContainer;
}

/** The tables that hold records of the model. */
export type RecordTable = keyof Records;
export type RecordOf<T extends RecordTable> = Records[T];

const BOOLEANS: Record<RecordTable, readonly string[]> = {
  load_balancer: ['admin_state_up', 'vip_port_owned'],
  listener: ['admin_state_up', 'hsts_include_subdomains', 'hsts_preload'],
  pool: ['admin_state_up', 'tls_enabled'],
  member: ['admin_state_up', 'backup'],
  health_monitor: ['admin_state_up'],
  l7policy: ['admin_state_up'],
  l7rule: ['admin_state_up', 'invert'],
  amphora: ['cert_busy', 'config_due'],
  quota: [],
  flavor: ['enabled'],
  flavor_profile: [],
  availability_zone: ['enabled'],
  availability_zone_profile: [],
  project: ['enabled'],
  user: ['enabled'],
  role: [],
  application_credential: ['unrestricted'],
  secret: [],
  secret_container: [],
  network: ['admin_state_up', 'shared', 'router_external', 'port_security_enabled'],
  subnet: ['enable_dhcp'],
  port: ['admin_state_up', 'user_made'],
  security_group: [],
  security_group_rule: [],
  floating_ip: [],
};

const JSON_COLUMNS: Record<RecordTable, readonly string[]> = {
  load_balancer: ['tags', 'vip_sg_ids', 'additional_vips'],
  listener: [
    'tags',
    'insert_headers',
    'sni_container_refs',
    'allowed_cidrs',
    'tls_versions',
    'alpn_protocols',
  ],
  pool: ['tags', 'session_persistence', 'tls_versions', 'alpn_protocols'],
  member: ['tags'],
  health_monitor: ['tags'],
  l7policy: ['tags'],
  l7rule: ['tags'],
  amphora: ['haproxy_changes'],
  quota: [],
  flavor: [],
  flavor_profile: [],
  availability_zone: [],
  availability_zone_profile: [],
  project: ['tags', 'extra'],
  user: ['extra'],
  role: ['extra'],
  application_credential: ['roles'],
  secret: ['acl', 'metadata'],
  secret_container: ['acl'],
  network: [],
  subnet: ['allocation_pools', 'host_routes', 'dns_nameservers'],
  port: ['allowed_addresses', 'security_groups', 'asked_groups', 'limits'],
  security_group: [],
  security_group_rule: [],
  floating_ip: [],
};

const KEYS: Partial<Record<RecordTable, string>> = { quota: 'project_id', availability_zone: 'name' };

/** The column that a record is found by. */
export const keyColumn = (table: RecordTable): string => KEYS[table] ?? 'id';

const STATUSES: Partial<Record<RecordTable, string>> = {
  load_balancer: 'provisioning_status',
  amphora: 'status',
};

/** The column that says DELETED of a record which is gone and kept for a while; undefined where none is kept. */
export const statusColumn = (table: RecordTable): string | undefined => STATUSES[table];

/** A whole or partial record as it lies in its columns. */
export function encodeRow<T extends RecordTable, P extends Partial<Records[T]>>(
  table: T,
  record: P,
): Pick<Stored<Records[T]>, keyof P & keyof Records[T]> {
  const row: Record<string, unknown> = { ...record };
  for (const name of BOOLEANS[table]) if (name in row) row[name] = row[name] ? 1 : 0;
  for (const name of JSON_COLUMNS[table]) {
    if (name in row) row[name] = row[name] === null ? null : JSON.stringify(row[name]);
  }
  return row as never;
}

/** A row as the record it holds. */
export function decodeRow<T extends RecordTable>(table: T, row: Stored<Records[T]>): Records[T] {
  const record: Record<string, unknown> = { ...row };
  for (const name of BOOLEANS[table]) record[name] = record[name] === 1 || record[name] === true;
  for (const name of JSON_COLUMNS[table]) {
    if (typeof record[name] === 'string') record[name] = JSON.parse(record[name]);
  }
  return record as never;
}
