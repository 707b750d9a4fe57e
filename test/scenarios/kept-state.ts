/** Everything outside a process at one moment, as its death would leave it; kept cheaply, and opened again as often as wanted. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';
import { openDatabase } from '../../src/db/open.ts';
import type { Db } from '../../src/db/schema.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { Secret } from '../../src/lib/secret.ts';

/** A database with what it takes to copy it: what is committed counts, as after a crash. */
export interface OpenState extends AsyncDisposable {
  db: Db;
  path: string;
  cloud: NoopCloud;
  consumers: Map<string, Set<string>>;
}

export interface KeptState {
  file: Buffer;
  wal: Buffer;
  cloud: NoopCloud;
  consumers: Map<string, Set<string>>;
  /** Two states with the same one are the same. */
  digest: string;
}

/** Tells of each statement that makes writes last, before it runs and after. */
export type Watch = (moment: 'before' | 'after', statement: string) => void;

/** A place in memory for the databases of one test file; gone with it. */
export class StateStore {
  readonly #directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'ottavia-kill-'));
  #opened = 0;
  #template: Promise<string> | undefined;
  #lastFile = Buffer.alloc(0);

  async openEmpty(watch?: Watch): Promise<OpenState> {
    this.#template ??= this.#makeTemplate();
    const path = this.#freePath();
    copyFileSync(await this.#template, path);
    return this.#open(path, new NoopCloud(), new Map(), watch);
  }

  open(kept: KeptState, watch?: Watch): OpenState {
    const path = this.#freePath();
    writeFileSync(path, kept.file);
    writeFileSync(`${path}-wal`, kept.wal);
    return this.#open(path, copyCloud(kept.cloud), copy(kept.consumers), watch);
  }

  keep({ path, cloud, consumers }: OpenState): KeptState {
    const file = readFileSync(path);
    // It seldom changes: most of what is new is in the log.
    if (!file.equals(this.#lastFile)) this.#lastFile = file;
    const wal = readFileSync(`${path}-wal`);
    const digest = createHash('sha256').update(file).update(wal).update(textOf({ cloud, consumers }));
    return {
      ...{ file: this.#lastFile, wal, cloud: copyCloud(cloud), consumers: copy(consumers) },
      digest: digest.digest('hex'),
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #freePath(): string {
    return join(this.#directory, `${this.#opened++}.db`);
  }

  /** Small pages, because whole files are copied; all migrations, which cost more than anything that is tested with them. */
  async #makeTemplate(): Promise<string> {
    const path = join(this.#directory, 'template.db');
    using small = new DatabaseSync(path);
    small.exec('PRAGMA page_size = 1024; VACUUM');
    await (await openDatabase(`sqlite:///${path}`)).destroy();
    return path;
  }

  #open(path: string, cloud: NoopCloud, consumers: Map<string, Set<string>>, watch?: Watch): OpenState {
    const { database } = openSqlite(path, false);
    // Nothing here outlives the machine.
    for (const pragma of ['synchronous = OFF', 'wal_autocheckpoint = 200'])
      database.prepare(`PRAGMA ${pragma}`).all([]);
    const watched = watch ? watching(database, watch) : database;
    const db = new Kysely<never>({ dialect: new SqliteDialect({ database: watched }) }) as unknown as Db;
    const close = async () => {
      await db.destroy();
      for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    };
    return { db, path, cloud, consumers, [Symbol.asyncDispose]: close };
  }
}

/** The same database; a commit, and a write that needs none, are told of. */
function watching(database: SqliteDatabase, watch: Watch): SqliteDatabase {
  let isInTransaction = false;
  return {
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql);
      const isEnd = /^(commit|rollback)$/i.test(sql);
      const lasts = () =>
        /^commit$/i.test(sql) || (!isInTransaction && /^(insert|update|delete)\b/i.test(sql));
      return {
        ...statement,
        run(parameters) {
          const told = lasts();
          if (told) watch('before', sql.slice(0, 40));
          const result = statement.run(parameters);
          if (sql === 'begin' || isEnd) isInTransaction = !isEnd;
          if (told) watch('after', sql.slice(0, 40));
          return result;
        },
      };
    },
  };
}

const MAPS = ['networks', 'subnets', 'ports', 'instances'] as const;

function copyCloud(cloud: NoopCloud): NoopCloud {
  const fresh = new NoopCloud();
  for (const name of MAPS)
    for (const [key, value] of cloud[name]) (fresh[name] as Map<string, unknown>).set(key, copy(value));
  return fresh;
}

/** Secrets are never changed, and so shared. */
function copy<T>(value: T): T {
  if (value instanceof Map) return new Map([...value].map(([key, each]) => [key, copy(each)])) as T;
  if (value instanceof Set) return new Set(value) as T;
  if (Array.isArray(value)) return value.map(copy) as T;
  if (typeof value !== 'object' || value === null || value instanceof Secret) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, copy(each)])) as T;
}

function textOf({ cloud, consumers }: Pick<OpenState, 'cloud' | 'consumers'>): string {
  const plain = { ...Object.fromEntries(MAPS.map(name => [name, cloud[name]])), consumers };
  return JSON.stringify(plain, function (this: Record<string, unknown>, key, value) {
    const own = this[key];
    if (own instanceof Map || own instanceof Set) return [...own];
    return own instanceof Secret ? String(own.reveal()) : value;
  });
}
