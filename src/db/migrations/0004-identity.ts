/** Projects, users, roles and application credentials of the standalone identity; tokens with every scope. */
import type { ColumnBuilderCallback, Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const required: ColumnBuilderCallback = c => c.notNull();
const key: ColumnBuilderCallback = c => c.primaryKey();
const userKey: ColumnBuilderCallback = c => c.notNull().references('user.id').onDelete('cascade');
const roleKey: ColumnBuilderCallback = c => c.notNull().references('role.id').onDelete('cascade');

export const identity: Migration = {
  async up(db: Kysely<never>) {
    await db.schema
      .createTable('project')
      .addColumn('id', 'varchar(64)', key)
      .addColumn('name', 'varchar(64)', c => c.notNull().unique())
      .addColumn('description', 'text', required)
      .addColumn('enabled', 'integer', required)
      .addColumn('parent_id', 'varchar(64)', required)
      .addColumn('tags', 'text', required)
      .addColumn('extra', 'text', required)
      .execute();
    await db.schema
      .createTable('user')
      .addColumn('id', 'varchar(64)', key)
      .addColumn('name', 'varchar(255)', c => c.notNull().unique())
      .addColumn('enabled', 'integer', required)
      .addColumn('default_project_id', 'varchar(64)')
      .addColumn('password_hash', 'varchar(255)')
      .addColumn('extra', 'text', required)
      .execute();
    await db.schema
      .createTable('role')
      .addColumn('id', 'varchar(64)', key)
      .addColumn('name', 'varchar(255)', c => c.notNull().unique())
      .addColumn('description', 'text')
      .addColumn('extra', 'text', required)
      .execute();
    await db.schema
      .createTable('role_assignment')
      .addColumn('user_id', 'varchar(64)', userKey)
      .addColumn('scope_kind', 'varchar(16)', required)
      .addColumn('scope_id', 'varchar(64)', required)
      .addColumn('role_id', 'varchar(64)', roleKey)
      .addPrimaryKeyConstraint('role_assignment_key', ['user_id', 'scope_kind', 'scope_id', 'role_id'])
      .execute();
    await db.schema
      .createTable('application_credential')
      .addColumn('id', 'varchar(64)', key)
      .addColumn('name', 'varchar(255)', required)
      .addColumn('description', 'text')
      .addColumn('user_id', 'varchar(64)', userKey)
      .addColumn('project_id', 'varchar(64)', required)
      .addColumn('secret_hash', 'varchar(255)', required)
      .addColumn('roles', 'text', required)
      .addColumn('unrestricted', 'integer', required)
      .addColumn('expires_at_ms', 'bigint')
      .addUniqueConstraint('application_credential_name', ['user_id', 'name'])
      .execute();
    // It moves to its user, whom the next start makes.
    const system = db as unknown as Kysely<{ system: { name: string } }>;
    await system.deleteFrom('system').where('name', '=', 'admin_password_hash').execute();
    // Tokens live for an hour; those of the version before have no roles to go by, and their owners get new ones.
    await db.schema.dropTable('token').execute();
    await db.schema
      .createTable('token')
      .addColumn('hash', 'varchar(64)', key)
      .addColumn('user_id', 'varchar(64)', userKey)
      .addColumn('scope_kind', 'varchar(16)')
      .addColumn('scope_id', 'varchar(64)')
      .addColumn('methods', 'varchar(255)', required)
      .addColumn('audit_ids', 'varchar(255)', required)
      .addColumn('application_credential_id', 'varchar(64)', c =>
        c.references('application_credential.id').onDelete('cascade'),
      )
      .addColumn('issued_at_ms', 'bigint', required)
      .addColumn('expires_at_ms', 'bigint', required)
      .execute();
    for (const [table, column] of [
      ['token', 'expires_at_ms'],
      ['token', 'user_id'],
      ['role_assignment', 'scope_id'],
    ] as const)
      await db.schema.createIndex(`${table}_by_${column}`).on(table).column(column).execute();
  },
};
