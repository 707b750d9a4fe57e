/** The data directory of a standalone system: whose it is, who runs on it, and which files in it are ours. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type FileLock, takeFileLock } from '../db/file-lock.ts';

/** What payloads of the key manager are encrypted with. */
export const SECRETS_KEY_FILE = 'secrets.key';

/** Everything we put there; a purge removes these and nothing else. */
const OUR_FILES = [
  'ottavia.db',
  'ottavia.db-wal',
  'ottavia.db-shm',
  'ottavia.db-journal',
  'ca',
  SECRETS_KEY_FILE,
  'instances',
  'openrc',
  'openrc.new',
  'clouds.yaml',
  'clouds.yaml.new',
  'pid',
  'system-id',
  'lock',
];

/** What the certificate authority or the key manager was making when the process died. */
const isHalfMade = (name: string): boolean =>
  name.startsWith('.ca-') || name.startsWith(`${SECRETS_KEY_FILE}.`);

/** Somebody else runs on the directory. */
export class DirectoryInUse extends Error {}

export class DataDirectory {
  readonly path: string;
  readonly #lock: FileLock;
  /** Made by this very opening: a start that fails removes it again. */
  readonly #madeDirectory: boolean;

  private constructor(path: string, lock: FileLock, madeDirectory: boolean) {
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

  /**
   * The id that is known, else a new one that is not among `taken`; it is in its file afterwards. Called before anything
   * that bears the id is made, so that a purge finds all of it.
   */
  ensureSystemId(known: string | undefined, taken: ReadonlySet<string>): string {
    let id = known;
    while (id === undefined || (known === undefined && taken.has(id)))
      id = randomBytes(3).toString('hex').slice(0, 5);
    if (this.findSystemId() === undefined)
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
    this.#lock.release();
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
    for (const name of [...OUR_FILES, ...readdirSync(this.path).filter(isHalfMade)]) {
      if (!name.startsWith('lock')) rmSync(join(this.path, name), { recursive: true, force: true });
    }
    // The lock goes last: until here nobody may start.
    for (const name of OUR_FILES) rmSync(join(this.path, name), { force: true });
    this.#lock.release();
    return existsSync(this.path) ? readdirSync(this.path) : [];
  }
}

/** Whether something of ours is in the directory. */
export function holdsSystem(path: string): boolean {
  return existsSync(join(path, 'system-id')) || existsSync(join(path, 'ottavia.db'));
}

function takeLock(path: string): FileLock {
  const lock = takeFileLock(join(path, 'lock'));
  if (lock) return lock;
  throw new DirectoryInUse(
    `Cannot use data directory ${path}: another Ottavia${runner(path)} runs on it. ` +
      'Stop that one first, or choose another directory with --data-dir',
  );
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
