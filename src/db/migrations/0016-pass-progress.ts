/** How far the pass of who holds the lease has come, for other processes to show. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

export const passProgress: Migration = {
  async up(db: Kysely<never>) {
    await db.schema.alterTable('lease').addColumn('progress', 'text').execute();
  },
};
