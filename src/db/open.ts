/** Opens the database by its URL and brings its schema up to date. */
import { Kysely, SqliteAdapter, SqliteDialect, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { migrations } from './migrations/index.ts';
import type { Db } from './schema.ts';
import { findServerDialect } from './servers.ts';
import { openSqlite } from './sqlite.ts';

/**
 * Opens a URL as SQLAlchemy writes them: `sqlite:///absolute/path`, `sqlite://` (in memory),
 * `mysql+pymysql://user:password@host/name`, `postgresql://user:password@host/name`.
 * A file that nobody else opens need not be `isShared`. Throws one sentence with the place when it cannot be used.
 */
export async function openDatabase(url: string, { isShared = true } = {}): Promise<Db> {
  const match = /^sqlite:\/\/(?:\/(.*))?$/.exec(url);
  return match ? openFile(match[1] ? match[1] : ':memory:', isShared) : openServer(url);
}

async function openFile(path: string, isShared: boolean): Promise<Db> {
  try {
    const { database, version } = openSqlite(path, isShared);
    const db = new Kysely<never>({ dialect: new FileDialect({ database }) }) as unknown as Db;
    await migrate(db);
    version.attach(db);
    return db;
  } catch (cause) {
    const code = (cause as { errcode?: number }).errcode;
    const remedy =
      code === 26 || code === 11
        ? 'the file is damaged or is no SQLite database; restore it from a copy, or move it away to start empty'
        : code === 13
          ? 'the disk is full; free some space and start again'
          : 'see the cause';
    throw new Error(`Cannot open database ${path}: ${remedy}`, { cause });
  }
}

/** Migrations are one transaction: a process that dies in one leaves nothing of it. */
class FileDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new (class extends SqliteAdapter {
      override get supportsTransactionalDdl(): boolean {
        return true;
      }
    })();
  }
}

async function openServer(url: string): Promise<Db> {
  const dialect = findServerDialect(url);
  if (!dialect)
    throw new Error(
      `Cannot open database ${redactUrl(url)}: the URL must begin with sqlite:, mysql: or postgresql:`,
    );
  const db = new Kysely<never>({ dialect }) as unknown as Db;
  try {
    // Tables take over how their database compares text: as bytes, like the others.
    if (!isPostgres(url)) await ensureByteCollation(db);
    await migrate(db);
    return db;
  } catch (cause) {
    await db.destroy();
    throw new Error(`Cannot open database ${redactUrl(url)}: see the cause`, { cause });
  }
}

async function ensureByteCollation(db: Db): Promise<void> {
  const { rows } = await sql<{ name: string }>`select @@collation_database as name`.execute(db);
  if (rows[0]?.name === 'utf8mb4_bin') return;
  await sql.raw('alter database character set utf8mb4 collate utf8mb4_bin').execute(db);
}

/** Brings the schema to the newest migration; success when it is there. Of programs that start together one does it, and the others wait. */
async function migrate(db: Db): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}

const isPostgres = (url: string): boolean => url.startsWith('postgres');

const redactUrl = (url: string): string => url.replace(/:\/\/[^@/]*@/, '://[redacted]@');
