/** A lock on a file that ends with the process that holds it, however that process ends. */
import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

export interface FileLock {
  release(): void;
}

const SQLITE_BUSY = 5;
const MAX_TRIES = 10;

/**
 * Takes the lock, or returns undefined when another process has it. It is an exclusive transaction on an empty SQLite
 * file, that is the kernel's own record lock: it holds between containers and network namespaces that share the file.
 */
export function takeFileLock(file: string): FileLock | undefined {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const lock = new DatabaseSync(file, { timeout: 0 });
    try {
      const before = statSync(file).ino;
      // A journal on disk would need space that a full disk does not have.
      lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      // The file may have been removed between our opening and locking it: then the lock would be on nothing.
      if (statSync(file, { throwIfNoEntry: false })?.ino === before) return { release: () => lock.close() };
      lock.close();
    } catch (cause) {
      lock.close();
      if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
      throw new Error(`Cannot lock ${file}`, { cause });
    }
  }
  throw new Error(`Cannot lock ${file}: it vanishes again and again`);
}
