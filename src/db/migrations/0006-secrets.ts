/** Secrets, containers, who uses them, for the key manager of the standalone cloud. */
import type { ColumnBuilderCallback, CreateTableBuilder, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const required: ColumnBuilderCallback = c => c.notNull();
type Table = CreateTableBuilder<string, string>;

const itemColumns = (table: unknown): Table =>
  (table as Table)
    .addColumn('id', 'varchar(36)', c => c.primaryKey())
    .addColumn('project_id', 'varchar(64)', required)
    .addColumn('creator_id', 'varchar(64)')
    .addColumn('name', 'varchar(255)')
    .addColumn('acl', 'text')
    .addColumn('created_at', 'varchar(26)', required)
    .addColumn('updated_at', 'varchar(26)', required);

export const secrets: Migration = {
  async up(db: Kysely<never>) {
    await itemColumns(db.schema.createTable('secret'))
      .addColumn('secret_type', 'varchar(16)', required)
      .addColumn('algorithm', 'varchar(255)')
      .addColumn('bit_length', 'integer')
      .addColumn('mode', 'varchar(255)')
      .addColumn('expiration', 'varchar(26)')
      .addColumn('content_type', 'varchar(64)')
      .addColumn('metadata', 'text', required)
      .addColumn('sealed_payload', 'text')
      .execute();
    await itemColumns(db.schema.createTable('secret_container'))
      .addColumn('type', 'varchar(16)', required)
      .execute();
    await db.schema
      .createTable('container_secret')
      .addColumn('container_id', 'varchar(36)', c =>
        c.notNull().references('secret_container.id').onDelete('cascade'),
      )
      .addColumn('secret_id', 'varchar(36)', c => c.notNull().references('secret.id').onDelete('cascade'))
      .addColumn('name', 'varchar(255)', required)
      .addPrimaryKeyConstraint('container_secret_key', ['container_id', 'secret_id', 'name'])
      .execute();
    await db.schema
      .createTable('secret_consumer')
      .addColumn('item_id', 'varchar(36)', required)
      .addColumn('consumer', 'text', required)
      .addColumn('created_at', 'varchar(26)', required)
      .execute();
    for (const [table, columns] of [
      ['secret', ['project_id', 'created_at', 'id']],
      ['secret_container', ['project_id', 'created_at', 'id']],
      ['container_secret', ['secret_id']],
      ['secret_consumer', ['item_id']],
    ] as const) {
      const name = `${table}_by_${columns.join('_')}`;
      await db.schema
        .createIndex(name)
        .on(table)
        .columns(columns as never)
        .execute();
    }
  },
};
