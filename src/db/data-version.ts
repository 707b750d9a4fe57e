/** Tells whether anything was written since an answer was made, so that it may be given again as long as nothing was. */
import type { Db } from './schema.ts';

/** Written all the time, and shown by no answer that is remembered. */
const UNSHOWN = new Set([
  ...['lease', 'pass', 'listener_statistics', 'amphora_health', 'token', 'system', 'announced', 'outbox'],
]);

/** Of each open database that can tell; those that several processes write to cannot. */
const sources = new WeakMap<Db, DataVersion>();

/**
 * Raised before each statement that writes runs. The database's one connection is held by a transaction until its end, so
 * whoever reads the version and then the rows sees rows at least as new as the version; rows that are newer only cost
 * one more look.
 */
export class DataVersion {
  #own = 0;
  readonly #others: () => number;

  /** `others` counts what other connections to the same file have committed. */
  constructor(others: () => number) {
    this.#others = others;
  }

  /** To be called with every statement that does not read. */
  note(sql: string): void {
    if (/^(begin|commit|rollback|savepoint|release)\b/i.test(sql)) return;
    const table = /^(?:insert into|update|delete from) "?(\w+)/i.exec(sql)?.[1];
    if (table === undefined || !UNSHOWN.has(table)) this.#own++;
  }

  /** Equal as long as nothing that is shown has changed. */
  read(): string {
    return `${this.#own}.${this.#others()}`;
  }

  attach(db: Db): void {
    sources.set(db, this);
  }
}

/** undefined where nobody can tell without asking for the rows themselves. */
export const findDataVersion = (db: Db): string | undefined => sources.get(db)?.read();
