/** Which secrets of the key manager listeners and pools use, so that they are released when nobody needs them any more. */
import type { ColumnBuilderCallback, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const required: ColumnBuilderCallback = c => c.notNull();

export const secretUses: Migration = {
  async up(db: Kysely<never>) {
    await db.schema
      .createTable('secret_use')
      .addColumn('loadbalancer_id', 'varchar(36)', required)
      .addColumn('resource_type', 'varchar(16)', required)
      .addColumn('resource_id', 'varchar(36)', required)
      .addColumn('reference', 'varchar(255)', required)
      .addColumn('file_name', 'varchar(64)')
      .addPrimaryKeyConstraint('secret_use_key', ['resource_id', 'reference'])
      .execute();
    await db.schema
      .createIndex('secret_use_by_loadbalancer_id')
      .on('secret_use')
      .column('loadbalancer_id')
      .execute();
  },
};
