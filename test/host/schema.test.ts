/** The migrations are accepted by real PostgreSQL and MariaDB servers, started privately for the test. */
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  DummyDriver,
  Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely';
import { afterAll, beforeAll, expect, type TestContext, test } from 'vitest';
import { migrations } from '../../src/db/migrations/index.ts';

const POSTGRES = globSync('/usr/lib/postgresql/*/bin').at(-1);
const MARIADB = existsSync('/usr/sbin/mariadbd') ? '/usr/sbin/mariadbd' : undefined;
/** Both servers refuse to run as root. */
const NOBODY = 65_534;

const isRoot = process.getuid?.() === 0;

function skipUnless(context: TestContext, found: string | undefined, name: string): void {
  if (found === undefined) context.skip(`${name} is not installed`);
  if (!isRoot) context.skip('not root, so no server can be started as nobody');
}

/** The statements of all migrations in the dialect's own words. */
async function migrationStatements(dialect: 'postgres' | 'mysql'): Promise<string[]> {
  const statements: string[] = [];
  const parts =
    dialect === 'postgres'
      ? ([PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler] as const)
      : ([MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler] as const);
  const [Adapter, Introspector, QueryCompiler] = parts;
  const db = new Kysely<never>({
    dialect: {
      createAdapter: () => new Adapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: own => new Introspector(own),
      createQueryCompiler: () => new QueryCompiler(),
    },
    log: event => void statements.push(event.query.sql),
  });
  for (const migration of Object.values(migrations)) await migration.up(db);
  return statements;
}

let directory: string;

beforeAll(() => {
  directory = mkdtempSync('/tmp/ottavia-schema-');
  chownSync(directory, NOBODY, NOBODY);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function ownDirectory(name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  chownSync(path, NOBODY, NOBODY);
  return path;
}

const asNobody = { uid: NOBODY, gid: NOBODY, stdio: 'pipe', timeout: 60_000 } as const;

test('the migrations run on PostgreSQL', async context => {
  skipUnless(context, POSTGRES, 'PostgreSQL');
  const data = ownDirectory('postgres');
  execFileSync(`${POSTGRES}/initdb`, ['-D', data, '-A', 'trust', '-U', 'ottavia'], asNobody);
  // In single-user mode the server reads statements from its input, and no port is needed.
  const input = (await migrationStatements('postgres')).map(statement => `${statement};\n`).join('');
  const count =
    "select 'tables=' || count(*) from information_schema.tables where table_schema = 'public';\n";
  const output = execFileSync(`${POSTGRES}/postgres`, ['--single', '-D', data, 'postgres'], {
    ...asNobody,
    input: input + count,
  }).toString();
  expect(output).not.toMatch(/ERROR/);
  expect(output).toMatch(/tables=1\d/);
}, 90_000);

test('the migrations run on MariaDB', async context => {
  skipUnless(context, MARIADB, 'MariaDB');
  const data = ownDirectory('mariadb');
  const socket = join(data, 'socket');
  execFileSync(
    'mariadb-install-db',
    ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal'],
    asNobody,
  );
  const options = ['--no-defaults', `--datadir=${data}`, `--socket=${socket}`, '--skip-networking'];
  const server = spawn(MARIADB!, options, { uid: NOBODY, gid: NOBODY, stdio: 'ignore' });
  const ended = new Promise(resolve => server.once('exit', resolve));
  try {
    const query = (input: string) =>
      execFileSync('mariadb', ['--no-defaults', '-S', socket, '-u', 'root', '-N'], {
        input,
        stdio: 'pipe',
        timeout: 60_000,
      }).toString();
    await expect.poll(() => attempt(() => query('select 1')), { timeout: 60_000 }).toBe('1\n');
    const statements = (await migrationStatements('mysql')).map(statement => `${statement};\n`).join('');
    const count = "select count(*) from information_schema.tables where table_schema = 'ottavia';";
    expect(Number(query(`create database ottavia; use ottavia; ${statements} ${count}`))).toBeGreaterThan(10);
  } finally {
    server.kill('SIGTERM');
    await ended;
  }
}, 120_000);

function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    // The server is still starting; the caller asks again.
    return undefined;
  }
}
