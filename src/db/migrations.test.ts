import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, SqliteDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { expect, test } from 'vitest';
import { migrations } from './migrations/index.ts';
import { NetworkTables } from './networks.ts';
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

test('a database from before the network could be written keeps its networks and ports, the private one for everybody', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-migrations-'));
  const file = join(directory, 'ottavia.db');
  await givenOldDatabase(
    file,
    ['0001-initial'],
    [
      "insert into network values ('m', 'lb-mgmt-net', null, 1500, 'a'), ('p', 'private', null, 1500, 'b')",
      "insert into subnet values ('s', 'private-subnet', null, 'p', 4, '10.0.0.0/24', '10.0.0.1', '[]', '[]', 'a')",
      "insert into port values ('o', 'octavia-lb-1', null, 'p', 'fa:16:3e:00:00:01', '', 'Octavia', '[\"10.0.0.9\"]', 'a')",
      "insert into port_address values ('o', 's', '10.0.0.7')",
    ],
  );
  const db = await openDatabase(`sqlite:///${file}`);
  const store = new NetworkTables(db, () => '');
  expect((await store.list('network')).map(({ id, shared }) => [id, shared])).toEqual([
    ['m', false],
    ['p', true],
  ]);
  expect(await store.list('subnet')).toMatchObject([{ id: 's', dns_nameservers: [], description: '' }]);
  expect(await store.findPortByName('octavia-lb-1')).toMatchObject({
    ...{ id: 'o', user_made: false, admin_state_up: true, security_groups: [], asked_groups: [], limits: [] },
    ...{ allowed_addresses: ['10.0.0.9'], fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.7' }] },
  });
  await db.destroy();
  rmSync(directory, { recursive: true });
});
