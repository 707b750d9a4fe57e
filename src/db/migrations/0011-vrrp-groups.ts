/** What the amphorae of a pair agree on, and what each was given. */
import type { ColumnBuilderCallback, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const required: ColumnBuilderCallback = c => c.notNull();

export const vrrpGroups: Migration = {
  async up(db: Kysely<never>) {
    await db.schema
      .createTable('vrrp_group')
      .addColumn('loadbalancer_id', 'varchar(36)', c => c.notNull().primaryKey())
      .addColumn('auth_pass', 'varchar(36)', required)
      .addColumn('advert_interval_ms', 'integer', required)
      .addColumn('given', 'text', required)
      .execute();
  },
};
