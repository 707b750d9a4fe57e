/** Who may reach the protocol ports of a VIP. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

export const portLimits: Migration = {
  async up(db: Kysely<never>) {
    await db.schema.alterTable('port').addColumn('limits', 'text').execute();
    // Text has no default on every database.
    await db
      .updateTable('port' as never)
      .set({ limits: '[]' } as never)
      .execute();
  },
};
