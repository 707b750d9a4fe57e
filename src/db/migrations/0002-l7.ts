/** L7 policies and rules. */
import type { ColumnBuilderCallback, CreateTableBuilder, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const required: ColumnBuilderCallback = c => c.notNull();

function createChild(db: Kysely<never>, name: string) {
  const table = db.schema.createTable(name) as unknown as CreateTableBuilder<string, string>;
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
    .addColumn('generation', 'bigint', required)
    .addColumn('loadbalancer_id', 'varchar(36)', c => c.notNull().references('load_balancer.id'));
}

const INDEXES: [table: string, columns: string[]][] = [
  ['l7policy', ['loadbalancer_id']],
  ['l7policy', ['listener_id', 'position']],
  ['l7policy', ['project_id', 'created_at', 'id']],
  ['l7rule', ['loadbalancer_id']],
  ['l7rule', ['l7policy_id', 'created_at', 'id']],
];

export const l7: Migration = {
  async up(db: Kysely<never>) {
    await createChild(db, 'l7policy')
      .addColumn('listener_id', 'varchar(36)', required)
      .addColumn('description', 'varchar(255)', required)
      .addColumn('action', 'varchar(36)', required)
      .addColumn('redirect_pool_id', 'varchar(36)')
      .addColumn('redirect_url', 'varchar(255)')
      .addColumn('redirect_prefix', 'varchar(255)')
      .addColumn('redirect_http_code', 'integer')
      .addColumn('position', 'integer', required)
      .execute();
    await createChild(db, 'l7rule')
      .addColumn('l7policy_id', 'varchar(36)', required)
      .addColumn('type', 'varchar(36)', required)
      .addColumn('compare_type', 'varchar(36)', required)
      .addColumn('key', 'varchar(255)')
      .addColumn('value', 'varchar(255)', required)
      .addColumn('invert', 'integer', required)
      .execute();
    for (const [table, columns] of INDEXES) {
      await db.schema
        .createIndex(`${table}_by_${columns.join('_')}`)
        .on(table)
        .columns(columns as never)
        .execute();
    }
  },
};
