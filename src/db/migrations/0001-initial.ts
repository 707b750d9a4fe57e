/** The first schema: one load balancer with all under it, leases, the trace, and the standalone cloud. */
import type { ColumnBuilderCallback, CreateTableBuilder, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

// Widths are Octavia's own (contract controller.md 18). Times are text, counters and milliseconds are 64 bits wide,
// booleans are 0 and 1, lists are JSON text: the same on SQLite, MariaDB and PostgreSQL.
type Table = CreateTableBuilder<string, string>;

const required: ColumnBuilderCallback = c => c.notNull();

function resourceColumns(table: Table): Table {
  return table
    .addColumn('id', 'varchar(36)', c => c.primaryKey())
    .addColumn('project_id', 'varchar(36)')
    .addColumn('name', 'varchar(255)', required)
    .addColumn('admin_state_up', 'integer', required)
    .addColumn('provisioning_status', 'varchar(16)', required)
    .addColumn('operating_status', 'varchar(16)', required)
    .addColumn('tags', 'text', required)
    .addColumn('created_at', 'varchar(26)', required)
    .addColumn('updated_at', 'varchar(26)')
    .addColumn('generation', 'bigint', required) as Table;
}

function childColumns(table: Table): Table {
  return resourceColumns(table).addColumn('loadbalancer_id', 'varchar(36)', c =>
    c.notNull().references('load_balancer.id'),
  ) as Table;
}

async function createTables(db: Kysely<never>): Promise<void> {
  const create = (name: string) => db.schema.createTable(name) as unknown as Table;
  await resourceColumns(create('load_balancer'))
    .addColumn('description', 'varchar(255)', required)
    .addColumn('vip_address', 'varchar(64)')
    .addColumn('vip_port_id', 'varchar(36)')
    .addColumn('vip_subnet_id', 'varchar(36)')
    .addColumn('vip_network_id', 'varchar(36)')
    .addColumn('vip_qos_policy_id', 'varchar(36)')
    .addColumn('vip_sg_ids', 'text', required)
    .addColumn('vip_vnic_type', 'varchar(64)', required)
    .addColumn('additional_vips', 'text', required)
    .addColumn('vip_port_owned', 'integer', required)
    .addColumn('provider', 'varchar(64)', required)
    .addColumn('flavor_id', 'varchar(36)')
    .addColumn('availability_zone', 'varchar(255)')
    .addColumn('topology', 'varchar(36)', required)
    .addColumn('settled_generation', 'bigint', required)
    .addColumn('error_reason', 'text')
    .execute();
  await childColumns(create('pool'))
    .addColumn('description', 'varchar(255)', required)
    .addColumn('protocol', 'varchar(16)', required)
    .addColumn('lb_algorithm', 'varchar(255)', required)
    .addColumn('session_persistence', 'text')
    .addColumn('tls_enabled', 'integer', required)
    .addColumn('tls_container_ref', 'varchar(255)')
    .addColumn('ca_tls_container_ref', 'varchar(255)')
    .addColumn('crl_container_ref', 'varchar(255)')
    .addColumn('tls_ciphers', 'varchar(2048)')
    .addColumn('tls_versions', 'text')
    .addColumn('alpn_protocols', 'text')
    .execute();
  await childColumns(create('listener'))
    .addColumn('description', 'varchar(255)', required)
    .addColumn('protocol', 'varchar(16)', required)
    .addColumn('protocol_port', 'integer', required)
    .addColumn('connection_limit', 'integer', required)
    .addColumn('default_pool_id', 'varchar(36)')
    .addColumn('timeout_client_data', 'integer', required)
    .addColumn('timeout_member_connect', 'integer', required)
    .addColumn('timeout_member_data', 'integer', required)
    .addColumn('timeout_tcp_inspect', 'integer', required)
    .addColumn('insert_headers', 'text', required)
    .addColumn('default_tls_container_ref', 'varchar(255)')
    .addColumn('sni_container_refs', 'text', required)
    .addColumn('client_ca_tls_container_ref', 'varchar(255)')
    .addColumn('client_authentication', 'varchar(10)', required)
    .addColumn('client_crl_container_ref', 'varchar(255)')
    .addColumn('allowed_cidrs', 'text')
    .addColumn('tls_ciphers', 'varchar(2048)')
    .addColumn('tls_versions', 'text')
    .addColumn('alpn_protocols', 'text')
    .addColumn('hsts_max_age', 'integer')
    .addColumn('hsts_include_subdomains', 'integer', required)
    .addColumn('hsts_preload', 'integer', required)
    .execute();
  await childColumns(create('member'))
    .addColumn('pool_id', 'varchar(36)', required)
    .addColumn('address', 'varchar(64)', required)
    .addColumn('protocol_port', 'integer', required)
    .addColumn('weight', 'integer', required)
    .addColumn('backup', 'integer', required)
    .addColumn('subnet_id', 'varchar(36)')
    .addColumn('monitor_address', 'varchar(64)')
    .addColumn('monitor_port', 'integer')
    .addColumn('vnic_type', 'varchar(64)', required)
    .execute();
  await childColumns(create('health_monitor'))
    .addColumn('pool_id', 'varchar(36)', required)
    .addColumn('type', 'varchar(36)', required)
    .addColumn('delay', 'integer', required)
    .addColumn('timeout', 'integer', required)
    .addColumn('max_retries', 'integer', required)
    .addColumn('max_retries_down', 'integer', required)
    .addColumn('http_method', 'varchar(16)')
    .addColumn('url_path', 'varchar(255)')
    .addColumn('expected_codes', 'varchar(64)')
    .addColumn('http_version', 'double precision')
    .addColumn('domain_name', 'varchar(255)')
    .execute();
  await create('amphora')
    .addColumn('id', 'varchar(36)', c => c.primaryKey())
    .addColumn('loadbalancer_id', 'varchar(36)')
    .addColumn('compute_id', 'varchar(255)')
    .addColumn('lb_network_ip', 'varchar(64)')
    .addColumn('vrrp_ip', 'varchar(64)')
    .addColumn('ha_ip', 'varchar(64)')
    .addColumn('vrrp_port_id', 'varchar(36)')
    .addColumn('ha_port_id', 'varchar(36)')
    .addColumn('cert_expiration', 'varchar(26)')
    .addColumn('cert_busy', 'integer', required)
    .addColumn('role', 'varchar(36)')
    .addColumn('status', 'varchar(36)', required)
    .addColumn('vrrp_interface', 'varchar(16)')
    .addColumn('vrrp_id', 'integer')
    .addColumn('vrrp_priority', 'integer')
    .addColumn('cached_zone', 'varchar(255)')
    .addColumn('image_id', 'varchar(36)')
    .addColumn('compute_flavor', 'varchar(255)')
    .addColumn('created_at', 'varchar(26)', required)
    .addColumn('updated_at', 'varchar(26)')
    .execute();
  await create('amphora_member_port')
    .addColumn('amphora_id', 'varchar(36)', required)
    .addColumn('network_id', 'varchar(36)', required)
    .addColumn('port_id', 'varchar(36)')
    .addColumn('plugged_subnets', 'text', required)
    .addPrimaryKeyConstraint('amphora_member_port_key', ['amphora_id', 'network_id'] as never)
    .execute();
  await create('amphora_health')
    .addColumn('amphora_id', 'varchar(36)', c => c.primaryKey())
    .addColumn('last_update_ms', 'bigint', required)
    .addColumn('busy', 'integer', required)
    .execute();
  await create('listener_statistics')
    .addColumn('listener_id', 'varchar(36)', required)
    .addColumn('amphora_id', 'varchar(36)', required)
    .addColumn('bytes_in', 'bigint', required)
    .addColumn('bytes_out', 'bigint', required)
    .addColumn('active_connections', 'integer', required)
    .addColumn('total_connections', 'bigint', required)
    .addColumn('request_errors', 'bigint', required)
    .addPrimaryKeyConstraint('listener_statistics_key', ['listener_id', 'amphora_id'] as never)
    .execute();
  await create('lease')
    .addColumn('loadbalancer_id', 'varchar(36)', c => c.primaryKey())
    .addColumn('owner', 'varchar(255)')
    .addColumn('expires_at_ms', 'bigint', required)
    .addColumn('fence', 'bigint', required)
    .addColumn('beats', 'bigint', required)
    .addColumn('attempts', 'integer', required)
    .addColumn('failing_since_ms', 'bigint')
    .addColumn('retry_at_ms', 'bigint', required)
    .execute();
  await create('pass')
    .addColumn('id', 'varchar(36)', c => c.primaryKey())
    .addColumn('loadbalancer_id', 'varchar(36)', required)
    .addColumn('generation', 'bigint', required)
    .addColumn('worker', 'varchar(255)', required)
    .addColumn('started_at_ms', 'bigint', required)
    .addColumn('duration_ms', 'bigint', required)
    .addColumn('outcome', 'varchar(16)', required)
    .addColumn('reason', 'text')
    .addColumn('steps', 'text', required)
    .execute();
}

async function createCloudTables(db: Kysely<never>): Promise<void> {
  const create = (name: string) => db.schema.createTable(name) as unknown as Table;
  await create('network')
    .addColumn('id', 'varchar(36)', c => c.primaryKey())
    .addColumn('name', 'varchar(255)', required)
    .addColumn('project_id', 'varchar(36)')
    .addColumn('mtu', 'integer', required)
    .addColumn('created_at', 'varchar(26)', required)
    .execute();
  await create('subnet')
    .addColumn('id', 'varchar(36)', c => c.primaryKey())
    .addColumn('name', 'varchar(255)', required)
    .addColumn('project_id', 'varchar(36)')
    .addColumn('network_id', 'varchar(36)', c => c.notNull().references('network.id'))
    .addColumn('ip_version', 'integer', required)
    .addColumn('cidr', 'varchar(64)', required)
    .addColumn('gateway_ip', 'varchar(64)')
    .addColumn('allocation_pools', 'text', required)
    .addColumn('host_routes', 'text', required)
    .addColumn('created_at', 'varchar(26)', required)
    .execute();
  await create('port')
    .addColumn('id', 'varchar(36)', c => c.primaryKey())
    .addColumn('name', 'varchar(255)', c => c.unique())
    .addColumn('project_id', 'varchar(36)')
    .addColumn('network_id', 'varchar(36)', c => c.notNull().references('network.id'))
    .addColumn('mac_address', 'varchar(32)', required)
    .addColumn('device_id', 'varchar(255)', required)
    .addColumn('device_owner', 'varchar(255)', required)
    .addColumn('allowed_addresses', 'text', required)
    .addColumn('created_at', 'varchar(26)', required)
    .execute();
  await create('port_address')
    .addColumn('port_id', 'varchar(36)', c => c.notNull().references('port.id'))
    .addColumn('subnet_id', 'varchar(36)', c => c.notNull().references('subnet.id'))
    .addColumn('ip_address', 'varchar(64)', required)
    .addPrimaryKeyConstraint('port_address_key', ['subnet_id', 'ip_address'] as never)
    .execute();
  await create('token')
    .addColumn('hash', 'varchar(64)', c => c.primaryKey())
    .addColumn('user_id', 'varchar(64)', required)
    .addColumn('project_id', 'varchar(64)')
    .addColumn('issued_at_ms', 'bigint', required)
    .addColumn('expires_at_ms', 'bigint', required)
    .execute();
  await create('system')
    .addColumn('name', 'varchar(255)', c => c.primaryKey())
    .addColumn('value', 'text', required)
    .execute();
}

const INDEXES: [table: string, columns: string[]][] = [
  ['load_balancer', ['project_id', 'created_at', 'id']],
  ['load_balancer', ['created_at', 'id']],
  ['load_balancer', ['provisioning_status', 'updated_at']],
  ['listener', ['loadbalancer_id']],
  ['listener', ['project_id', 'created_at', 'id']],
  ['listener', ['default_pool_id']],
  ['pool', ['loadbalancer_id']],
  ['pool', ['project_id', 'created_at', 'id']],
  ['member', ['loadbalancer_id']],
  ['member', ['pool_id', 'created_at', 'id']],
  ['health_monitor', ['loadbalancer_id']],
  ['health_monitor', ['pool_id']],
  ['health_monitor', ['project_id', 'created_at', 'id']],
  ['amphora', ['loadbalancer_id']],
  ['amphora', ['status']],
  ['amphora_health', ['last_update_ms']],
  ['pass', ['loadbalancer_id', 'started_at_ms']],
  ['subnet', ['network_id']],
  ['port', ['network_id']],
  ['port_address', ['port_id']],
  ['token', ['expires_at_ms']],
];

export const initial: Migration = {
  async up(db: Kysely<never>) {
    await createTables(db);
    await createCloudTables(db);
    for (const [table, columns] of INDEXES) {
      await db.schema
        .createIndex(`${table}_by_${columns.join('_')}`)
        .on(table)
        .columns(columns as never)
        .execute();
    }
  },
};
