import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, SqliteDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { expect, test } from 'vitest';
import { errorChain } from '../lib/errors.ts';
import { builtFor } from '../model/flavor.ts';
import { buildGraph } from '../model/graph.fixture.ts';
import { migrations } from './migrations/index.ts';
import { NetworkTables } from './networks.ts';
import { openDatabase } from './open.ts';
import { encodeRow } from './rows.ts';
import { findServerDialect } from './servers.ts';
import { openSqlite } from './sqlite.ts';
import { findSystemFact } from './system.ts';
import { createDatabase, TEST_SERVER } from './testing.ts';

const migrate = async (db: Kysely<never>, names: string[]) => {
  const known = Object.fromEntries(names.map(name => [name, migrations[name]!]));
  const { error } = await new Migrator({
    db,
    provider: { getMigrations: async () => known },
  }).migrateToLatest();
  if (error) throw error;
};

/** A file as the given migrations left it, filled by the statements. */
async function givenOldDatabase(file: string, names: string[], statements: string[]): Promise<void> {
  const { database } = openSqlite(file, false);
  const db = new Kysely<never>({ dialect: new SqliteDialect({ database }) });
  await migrate(db, names);
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

test('what amphorae were built with is known from the flavors that their load balancers had', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-migrations-'));
  const file = join(directory, 'ottavia.db');
  const before = Object.keys(migrations).filter(name => name < '0015');
  const profiles = { f: '{"compute_flavor": "large"}', g: '{"loadbalancer_topology": "SINGLE"}' };
  const { load_balancer, amphorae } = buildGraph({});
  const [amphora] = amphorae;
  const insert = (table: string, row: object) =>
    `insert into ${table} (${Object.keys(row)}) values (${Object.values(row).map(quoted)})`;
  const quoted = (value: unknown) => (value === null ? 'null' : `'${String(value)}'`);
  const statements = Object.entries(profiles).flatMap(([id, flavor_data]) => {
    const { built_for: _, ...row } = encodeRow('amphora', { ...amphora!, id, loadbalancer_id: id });
    return [
      insert('flavor_profile', { id, name: id, provider_name: 'amphora', flavor_data }),
      insert('flavor', { id, name: id, description: '', enabled: 1, flavor_profile_id: id }),
      insert('load_balancer', encodeRow('load_balancer', { ...load_balancer, id, flavor_id: id })),
      insert('amphora', row),
    ];
  });
  await givenOldDatabase(file, before, statements);
  const db = await openDatabase(`sqlite:///${file}`);
  const rows = await db.selectFrom('amphora').select(['id', 'built_for']).orderBy('id').execute();
  expect(rows).toEqual([
    { id: 'f', built_for: builtFor(JSON.parse(profiles.f)) },
    { id: 'g', built_for: null },
  ]);
  await db.destroy();
  rmSync(directory, { recursive: true });
});

test('of a migration that fails nothing stays in a file', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-migrations-'));
  const file = join(directory, 'ottavia.db');
  await givenOldDatabase(file, ['0001-initial'], ['create table application_credential (id text)']);
  const failure = await openDatabase(`sqlite:///${file}`).catch(error => error);
  expect(errorChain(failure)).toContain('"application_credential" already exists');
  const { database } = openSqlite(file, false);
  const old = new Kysely<never>({ dialect: new SqliteDialect({ database }) });
  const tables = (await old.introspection.getTables()).map(({ name }) => name);
  expect(tables).toContain('load_balancer');
  expect(tables).not.toContain('project');
  await sql`drop table application_credential`.execute(old);
  await old.destroy();
  await (await openDatabase(`sqlite:///${file}`)).destroy();
  rmSync(directory, { recursive: true });
});

const server = process.env[TEST_SERVER];
// Where statements about tables are part of the transaction, nothing is ever half done.
test.skipIf(!server?.startsWith('mysql'))(
  'a start that died before a migration was noted is made good by the next (needs a MariaDB server: npm run test:databases)',
  { timeout: 120_000 },
  async () => {
    const shapeOf = async (db: Kysely<never>) =>
      (await db.introspection.getTables()).map(({ name, columns }) => [
        name,
        columns.map(each => each.name).sort(),
      ]);
    const open = async () => {
      const { url, drop } = await createDatabase(server!);
      const db = new Kysely<never>({ dialect: findServerDialect(url)! });
      const close = async () => {
        await db.destroy();
        await drop();
      };
      return { url, db, [Symbol.asyncDispose]: close };
    };
    await using fresh = await open();
    await (await openDatabase(fresh.url)).destroy();
    const whole = await shapeOf(fresh.db);
    for (const [i, name] of Object.keys(migrations).entries()) {
      await using died = await open();
      await sql`alter database character set utf8mb4 collate utf8mb4_bin`.execute(died.db);
      await migrate(died.db, Object.keys(migrations).slice(0, i + 1));
      await sql`delete from kysely_migration where name = ${name}`.execute(died.db);
      await (await openDatabase(died.url)).destroy();
      expect(await shapeOf(died.db), name).toEqual(whole);
    }
  },
);
