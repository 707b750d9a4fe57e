/** The data directory of a standalone system: whose it is, who runs on it, and which files in it are ours. */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Everything we put there; a purge removes these and nothing else. */
const OUR_FILES = [
  'ottavia.db',
  'ottavia.db-wal',
  'ottavia.db-shm',
  'ottavia.db-journal',
  'ca',
  'instances',
  'openrc',
  'openrc.new',
  'clouds.yaml',
  'clouds.yaml.new',
  'pid',
  'system-id',
  'lock',
  'lock-journal',
];

const LOCKED = 5;

/** Somebody else runs on the directory. */
export class DirectoryInUse extends Error {}

export class DataDirectory {
  readonly path: string;
  readonly #lock: DatabaseSync;
  /** Made by this very opening: a start that fails removes it again. */
  readonly #madeDirectory: boolean;

  private constructor(path: string, lock: DatabaseSync, madeDirectory: boolean) {
    this.path = path;
    this.#lock = lock;
    this.#madeDirectory = madeDirectory;
  }

  /** Makes the directory when it is absent, and takes the lock on it; throws `DirectoryInUse` when another process has it. */
  static open(given: string): DataDirectory {
    const path = resolve(given);
    const madeDirectory = mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined;
    try {
      const directory = new DataDirectory(path, takeLock(path), madeDirectory);
      writeFileSync(join(path, 'pid'), `${process.pid}\n`);
      return directory;
    } catch (error) {
      if (madeDirectory) rmSync(path, { recursive: true, force: true });
      throw error;
    }
  }

  /** The id in the directory's own file, which outlives a damaged database; undefined before the first start. */
  findSystemId(): string | undefined {
    const file = join(this.path, 'system-id');
    if (!existsSync(file)) return undefined;
    const id = readFileSync(file, 'utf8').trim();
    if (!/^[0-9a-f]{5}$/.test(id))
      throw new Error(`Cannot read the system id in ${file}: it is not five hexadecimal characters`);
    return id;
  }

  /** Written before anything that bears the id is made, so that a purge finds all of it. */
  makeSystemId(isTaken: (id: string) => boolean): string {
    let id: string;
    do id = randomBytes(3).toString('hex').slice(0, 5);
    while (isTaken(id));
    writeFileSync(join(this.path, 'system-id'), `${id}\n`, { flush: true });
    return id;
  }

  /** `sqlite:///…`, as SQLAlchemy writes it. */
  databaseUrl(): string {
    return `sqlite:///${join(this.path, 'ottavia.db')}`;
  }

  /** Lets others run on it; everything stays. */
  close(): void {
    rmSync(join(this.path, 'pid'), { force: true });
    this.#lock.close();
  }

  /** Removes our files, and the directory when nothing else is in it; returns what else is. Closes it as well. */
  remove(): string[] {
    const left = this.#removeFiles();
    if (left.length === 0) rmdirSync(this.path);
    return left;
  }

  /** After a first start that failed: as if it had never been. Closes it as well. */
  undo(): void {
    this.#removeFiles();
    if (this.#madeDirectory) rmSync(this.path, { recursive: true, force: true });
  }

  #removeFiles(): string[] {
    for (const name of OUR_FILES) {
      if (!name.startsWith('lock')) rmSync(join(this.path, name), { recursive: true, force: true });
    }
    // The lock goes last: until here nobody may start.
    for (const name of OUR_FILES) rmSync(join(this.path, name), { force: true });
    this.#lock.close();
    return existsSync(this.path) ? readdirSync(this.path) : [];
  }
}

/** Whether something of ours is in the directory. */
export function holdsSystem(path: string): boolean {
  return existsSync(join(path, 'system-id')) || existsSync(join(path, 'ottavia.db'));
}

/**
 * An exclusive transaction on an empty SQLite file: the kernel's own record lock, which ends with the process however it
 * ends, and which also holds between containers and network namespaces that share the directory.
 */
function takeLock(path: string): DatabaseSync {
  const file = join(path, 'lock');
  for (let tries = 0; tries < 10; tries++) {
    const lock = new DatabaseSync(file, { timeout: 0 });
    try {
      const before = statSync(file).ino;
      lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      // A purge may have removed the file between our opening and locking it: then the lock would be on nothing.
      if (statSync(file, { throwIfNoEntry: false })?.ino === before) return lock;
      lock.close();
    } catch (cause) {
      lock.close();
      if ((cause as { errcode?: number }).errcode !== LOCKED) throw cause;
      throw new DirectoryInUse(
        `Cannot use data directory ${path}: another Ottavia${runner(path)} runs on it. ` +
          'Stop that one first, or choose another directory with --data-dir',
        { cause },
      );
    }
  }
  throw new Error(`Cannot lock data directory ${path}: the lock file vanishes again and again`);
}

/** Who runs there, as far as its file tells; a hint only, the lock is the truth. */
function runner(path: string): string {
  try {
    return ` (process ${Number(readFileSync(join(path, 'pid'), 'utf8'))})`;
  } catch {
    // It may be just starting, or run as another user: the sentence says enough without the number.
    return '';
  }
}
