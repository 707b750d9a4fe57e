/** How often each amphora's haproxy was started, reloaded and changed at run time, and why. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

export const haproxyChanges: Migration = {
  async up(db: Kysely<never>) {
    await db.schema.alterTable('amphora').addColumn('haproxy_changes', 'text').execute();
  },
};
