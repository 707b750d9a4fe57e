/** Amphorae that fell silent and are to be asked before they are replaced, and what came of it. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

export const amphoraDoubts: Migration = {
  async up(db: Kysely<never>) {
    await db.schema
      .createTable('amphora_doubt')
      .addColumn('amphora_id', 'varchar(36)', c => c.primaryKey())
      .addColumn('since_ms', 'bigint', c => c.notNull())
      .addColumn('answers', 'integer', c => c.notNull())
      .addColumn('verdict', 'varchar(8)')
      .execute();
  },
};
