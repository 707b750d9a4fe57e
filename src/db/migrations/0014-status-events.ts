/** Changes of statuses on their way to those who want to be told, and what was told last. */
import type { ColumnBuilderCallback, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const required: ColumnBuilderCallback = c => c.notNull();

export const statusEvents: Migration = {
  async up(db: Kysely<never>) {
    await db.schema
      .createTable('announced')
      .addColumn('resource_id', 'varchar(36)', c => c.primaryKey())
      .addColumn('loadbalancer_id', 'varchar(36)', required)
      .addColumn('resource_type', 'varchar(16)', required)
      .addColumn('provisioning_status', 'varchar(16)', required)
      .addColumn('operating_status', 'varchar(16)', required)
      .addColumn('sequence', 'bigint', required)
      .execute();
    await db.schema
      .createTable('outbox')
      .addColumn('id', 'varchar(36)', c => c.primaryKey())
      .addColumn('target', 'varchar(64)', required)
      .addColumn('loadbalancer_id', 'varchar(36)', required)
      .addColumn('sequence', 'bigint', required)
      .addColumn('body', 'text', required)
      .addColumn('created_at_ms', 'bigint', required)
      .addColumn('attempts', 'integer', required)
      .addColumn('retry_at_ms', 'bigint', required)
      .execute();
    const indexes = { announced: ['loadbalancer_id'], outbox: ['target', 'loadbalancer_id', 'sequence'] };
    for (const [table, columns] of Object.entries(indexes))
      await db.schema.createIndex(`${table}_by_load_balancer`).on(table).columns(columns).execute();
  },
};
