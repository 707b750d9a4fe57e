/** SQLite as kysely's dialect expects it, on the module that is built into Node. */
import { DatabaseSync } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import { DataVersion } from './data-version.ts';

/** Gives node:sqlite the face that kysely's dialect expects, with each statement prepared once. */
export function openSqlite(
  path: string,
  isShared: boolean,
): { database: SqliteDatabase; version: DataVersion } {
  const sqlite = new DatabaseSync(path, { timeout: 5000 });
  // FULL: an answered write survives a power cut, not only the end of the process.
  sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
  const committedByOthers = sqlite.prepare('PRAGMA data_version');
  committedByOthers.setReturnArrays(true);
  const version = new DataVersion(() => (isShared ? (committedByOthers.get() as unknown as [number])[0] : 0));
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
