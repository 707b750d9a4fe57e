/** Failures of the database that pass by themselves or by an operator's hand: told to the user as such, not as a bug. */
import { Fault } from '../lib/errors.ts';

/** By SQLite's result code. Source: sqlite.org, "Result and Error Codes". */
const SENTENCES: Readonly<Record<number, string>> = {
  5: 'The database is busy; try again.',
  10: 'The database cannot be read or written: the disk fails.',
  13: 'The database cannot store anything: its disk is full. Nothing of this request was stored.',
};

/** A fault when storage failed; undefined for every other error. */
export function findStorageFault(error: unknown): Fault | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  // The low byte is the kind; the rest tells which operation it was.
  const sentence = typeof code === 'number' ? SENTENCES[code & 0xff] : undefined;
  return sentence === undefined ? undefined : new Fault('unavailable', sentence, { cause: error });
}

/** Whether a row was refused because another one has its key: as SQLite, MariaDB and PostgreSQL say it. */
export function isDuplicate(error: unknown): boolean {
  const { errcode, errno, code } = (error ?? {}) as Record<string, unknown>;
  return errcode === 2067 || errcode === 1555 || errno === 1062 || code === '23505';
}
