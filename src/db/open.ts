/** Opens the database by its URL and brings its schema up to date. */
import { DatabaseSync } from 'node:sqlite';
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely';
import { Migrator } from 'kysely/migration';
import { DataVersion } from './data-version.ts';
import { migrations } from './migrations/index.ts';
import type { Db } from './schema.ts';

/**
 * Opens `sqlite:///absolute/path` or `sqlite://` (in memory), as SQLAlchemy writes them.
 * Throws one sentence with the path when the file is no database or cannot be written.
 */
export async function openDatabase(url: string): Promise<Db> {
  const match = /^sqlite:\/\/(?:\/(.*))?$/.exec(url);
  if (!match) throw new Error(`Cannot open database ${redactUrl(url)}: only sqlite:/// URLs are supported`);
  const path = match[1] ? match[1] : ':memory:';
  try {
    const { database, version } = openSqlite(path);
    const db = new Kysely<never>({ dialect: new SqliteDialect({ database }) }) as unknown as Db;
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

/** Brings the schema to the newest migration; success when it is there. */
async function migrate(db: Db): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}

/** Gives node:sqlite the face that kysely's dialect expects, with each statement prepared once. */
function openSqlite(path: string): { database: SqliteDatabase; version: DataVersion } {
  const sqlite = new DatabaseSync(path, { timeout: 5000 });
  // FULL: an answered write survives a power cut, not only the end of the process.
  sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
  const committedByOthers = sqlite.prepare('PRAGMA data_version');
  committedByOthers.setReturnArrays(true);
  const version = new DataVersion(() => (committedByOthers.get() as unknown as [number])[0]);
  const prepared = new Map<string, SqliteStatement>();
  const database: SqliteDatabase = {
    close: () => sqlite.close(),
    prepare(sql: string) {
      let statement = prepared.get(sql);
      if (!statement) {
        statement = prepare(sqlite, sql, version);
        // A statement knows the columns of its time.
        if (prepared.size > 500 || /^(create|alter|drop)\b/i.test(sql)) prepared.clear();
        prepared.set(sql, statement);
      }
      return statement;
    },
  };
  return { database, version };
}

/** Rows become plain objects of our own: those of node:sqlite are dictionaries, which take three times as long to copy. */
function prepare(sqlite: DatabaseSync, sql: string, version: DataVersion): SqliteStatement {
  const statement = sqlite.prepare(sql);
  const columns = statement.columns().map(column => column.name);
  if (columns.length > 0) statement.setReturnArrays(true);
  const toRow = (values: unknown): Record<string, unknown> => {
    const row: Record<string, unknown> = {};
    for (let i = 0; i < columns.length; i++) row[columns[i]!] = (values as unknown[])[i];
    return row;
  };
  return {
    reader: columns.length > 0,
    all: parameters => statement.all(...(parameters as never[])).map(toRow),
    run: parameters => {
      // A full disk ends the transaction by itself; the error to tell is that one, not that nothing is left to undo.
      if (sql === 'rollback' && !sqlite.isTransaction) return { changes: 0, lastInsertRowid: 0 };
      version.note(sql);
      const { changes, lastInsertRowid } = statement.run(...(parameters as never[]));
      return { changes: Number(changes), lastInsertRowid };
    },
    *iterate(parameters) {
      for (const values of statement.iterate(...(parameters as never[]))) yield toRow(values);
    },
  };
}

const redactUrl = (url: string): string => url.replace(/:\/\/[^@/]*@/, '://[redacted]@');
