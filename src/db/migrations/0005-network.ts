/** What users may say of networks, subnets and ports; security groups and floating IPs. */
import type { ColumnBuilderCallback, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const required: ColumnBuilderCallback = c => c.notNull();
const key: ColumnBuilderCallback = c => c.primaryKey();
const preset =
  (value: string | number): ColumnBuilderCallback =>
  c =>
    c.notNull().defaultTo(value);

const COLUMNS: [
  table: string,
  column: string,
  type: 'integer' | 'varchar(255)' | 'text',
  ColumnBuilderCallback?,
][] = [
  ['network', 'description', 'varchar(255)', preset('')],
  ['network', 'admin_state_up', 'integer', preset(1)],
  ['network', 'shared', 'integer', preset(0)],
  ['network', 'router_external', 'integer', preset(0)],
  ['network', 'port_security_enabled', 'integer', preset(1)],
  ['subnet', 'description', 'varchar(255)', preset('')],
  ['subnet', 'enable_dhcp', 'integer', preset(1)],
  ['subnet', 'dns_nameservers', 'text'],
  // The name of a port that a user made; null for our own.
  ['port', 'title', 'varchar(255)'],
  ['port', 'description', 'varchar(255)', preset('')],
  ['port', 'admin_state_up', 'integer', preset(1)],
  ['port', 'security_groups', 'text'],
  ['port', 'asked_groups', 'text'],
];

export const network: Migration = {
  async up(db: Kysely<never>) {
    for (const [table, column, type, build] of COLUMNS) {
      await db.schema.alterTable(table).addColumn(column, type, build).execute();
    }
    // Text has no default on every database.
    for (const [table, column, type] of COLUMNS) {
      if (type !== 'text') continue;
      await db
        .updateTable(table as never)
        .set({ [column]: '[]' } as never)
        .execute();
    }
    // What everybody used so far, everybody may go on using.
    await db
      .updateTable('network' as never)
      .set({ shared: 1 } as never)
      .where('name' as never, '=', 'private' as never)
      .execute();
    const group: ColumnBuilderCallback = c => c.references('security_group.id').onDelete('cascade');
    await db.schema
      .createTable('security_group')
      .addColumn('id', 'varchar(36)', key)
      .addColumn('project_id', 'varchar(64)')
      .addColumn('name', 'varchar(255)', required)
      .addColumn('description', 'varchar(255)', required)
      .addColumn('created_at', 'varchar(26)', required)
      .execute();
    await db.schema
      .createTable('security_group_rule')
      .addColumn('id', 'varchar(36)', key)
      .addColumn('project_id', 'varchar(64)')
      .addColumn('description', 'varchar(255)', required)
      .addColumn('security_group_id', 'varchar(36)', c => group(c.notNull()))
      .addColumn('direction', 'varchar(8)', required)
      .addColumn('ethertype', 'varchar(8)', required)
      .addColumn('protocol', 'varchar(40)')
      .addColumn('port_range_min', 'integer')
      .addColumn('port_range_max', 'integer')
      .addColumn('remote_ip_prefix', 'varchar(64)')
      .addColumn('remote_group_id', 'varchar(36)', group)
      .addColumn('created_at', 'varchar(26)', required)
      .execute();
    await db.schema
      .createTable('floating_ip')
      .addColumn('id', 'varchar(36)', key)
      .addColumn('project_id', 'varchar(64)')
      .addColumn('description', 'varchar(255)', required)
      .addColumn('floating_network_id', 'varchar(36)', required)
      .addColumn('floating_ip_address', 'varchar(64)', required)
      .addColumn('floating_port_id', 'varchar(36)', required)
      .addColumn('port_id', 'varchar(36)')
      .addColumn('fixed_ip_address', 'varchar(64)')
      .addColumn('created_at', 'varchar(26)', required)
      .execute();
  },
};
