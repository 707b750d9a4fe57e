/** Failures of the database that pass by themselves or by an operator's hand: told to the user as such, not as a bug. */
import { Fault } from '../lib/errors.ts';

/** By SQLite's result code. Source: sqlite.org, "Result and Error Codes". */
const SENTENCES: Readonly<Record<number, string>> = {
  5: 'The database is busy; try again.',
  10: 'The database cannot be read or written: the disk fails.',
  13: 'The database cannot store anything: its disk is full. Nothing of this request was stored.',
};

/** By what MariaDB, PostgreSQL and their clients say. Source: the error codes in the manuals of both. */
const SERVER_SENTENCES: readonly (readonly [RegExp, string])[] = [
  [/^(ER_LOCK_DEADLOCK|ER_LOCK_WAIT_TIMEOUT|40P01|40001|55P03)$/, SENTENCES[5]!],
  [
    /^(ECONN|EPIPE|ENOENT|ETIMEDOUT|PROTOCOL_|ER_SERVER_SHUTDOWN|ER_CON_COUNT|ER_CONNECTION_KILLED|08|57P|53300|25P03|Connection terminated|Client has encountered a connection error)/,
    'The database does not answer; look whether the request was carried out, and try again.',
  ],
];

/** A fault when storage failed; undefined for every other error. */
export function findStorageFault(error: unknown): Fault | undefined {
  const { errcode, code, message } = (error ?? {}) as Record<string, unknown>;
  // The low byte is the kind; the rest tells which operation it was.
  const ofFile = typeof errcode === 'number' ? SENTENCES[errcode & 0xff] : undefined;
  const ofServer = SERVER_SENTENCES.find(([pattern]) => pattern.test(String(code ?? message)))?.[1];
  const sentence = ofFile ?? ofServer;
  return sentence === undefined ? undefined : new Fault('unavailable', sentence, { cause: error });
}

/** Whether a row was refused because another one has its key: as SQLite, MariaDB and PostgreSQL say it. */
export function isDuplicate(error: unknown): boolean {
  const { errcode, errno, code } = (error ?? {}) as Record<string, unknown>;
  return errcode === 2067 || errcode === 1555 || errno === 1062 || code === '23505';
}
