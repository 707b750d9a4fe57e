import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, SqliteDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { expect, test } from 'vitest';
import { migrations } from './migrations/index.ts';
import { openDatabase } from './open.ts';
import { openSqlite } from './sqlite.ts';
import { findSystemFact } from './system.ts';

/** A file as the given migrations left it, filled by the statements. */
async function givenOldDatabase(file: string, names: string[], statements: string[]): Promise<void> {
  const { database } = openSqlite(file, false);
  const db = new Kysely<never>({ dialect: new SqliteDialect({ database }) });
  const known = Object.fromEntries(names.map(name => [name, migrations[name]!]));
  const { error } = await new Migrator({
    db,
    provider: { getMigrations: async () => known },
  }).migrateToLatest();
  if (error) throw error;
  for (const statement of statements) await sql.raw(statement).execute(db);
  await db.destroy();
}

test('a database from before the identity keeps its admin, whose tokens and old hash go', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-migrations-'));
  const file = join(directory, 'ottavia.db');
  await givenOldDatabase(
    file,
    ['0001-initial'],
    [
      "insert into system (name, value) values ('admin_user_id', 'u1'), ('admin_password_hash', 'scrypt$x$y')",
      "insert into token values ('hash', 'u1', 'p1', 0, 9000000000000)",
    ],
  );
  const db = await openDatabase(`sqlite:///${file}`);
  expect(await findSystemFact(db, 'admin_user_id')).toBe('u1');
  expect(await findSystemFact(db, 'admin_password_hash')).toBeUndefined();
  expect(await db.selectFrom('token').selectAll().execute()).toEqual([]);
  expect(await db.selectFrom('user').selectAll().execute()).toEqual([]);
  await db.destroy();
  rmSync(directory, { recursive: true });
});
