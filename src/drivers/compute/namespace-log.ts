/** The access log of namespace instances, read where their roots lie on this host. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type AccessLog, LOG_START, type LogLine, type LogPosition } from './access-log.ts';
import { CONNECTION_SEVERITY, HAPROXY_LOG, OLDER_HAPROXY_LOG } from './instance-log.ts';

/** The most that one read takes into memory. */
const READ_BYTES = 1024 * 1024;
const FIRST_TAIL_BYTES = 64 * 1024;

interface OpenFile {
  handle: FileHandle;
  id: string;
  size: number;
}

export class NamespaceLog implements AccessLog {
  readonly #parent: string;

  /** Instances live in `instances` below the data directory. */
  constructor(dataDir: string) {
    this.#parent = join(resolve(dataDir), 'instances');
  }

  async read(instanceName: string, from: { limit: number } | { after: LogPosition }) {
    const upper = join(this.#parent, instanceName, 'upper');
    // The newer one first: what is rotated in between is then opened twice instead of not at all.
    const newer = await openFile(join(upper, HAPROXY_LOG));
    const older = await openFile(join(upper, OLDER_HAPROXY_LOG));
    const opened = [older, newer].filter(file => file !== undefined);
    try {
      const files = opened.filter((file, i) => file.id !== opened[i + 1]?.id);
      return 'after' in from ? await readAfter(files, from.after) : await readNewest(files, from.limit);
    } finally {
      await Promise.all(opened.map(({ handle }) => handle.close()));
    }
  }
}

/** Only a regular file, and without following a link out of the instance; undefined when there is none. */
async function openFile(path: string): Promise<OpenFile | undefined> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { ino, birthtimeMs, size } = await handle.stat();
    // The number alone is soon another file's.
    return { handle, id: `${ino} ${birthtimeMs}`, size };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`Cannot read the log ${path}`, { cause });
  }
}

async function readNewest(files: readonly OpenFile[], limit: number) {
  const lines: LogLine[] = [];
  let position = LOG_START;
  for (const file of files.toReversed()) {
    const { found, end } = await readTail(file, limit - lines.length);
    lines.unshift(...found);
    if (position === LOG_START) position = { file: file.id, offset: end };
    if (lines.length >= limit) break;
  }
  return { lines, position };
}

/** More and more of its end, until there are lines enough. */
async function readTail(file: OpenFile, limit: number): Promise<{ found: LogLine[]; end: number }> {
  for (let bytes = FIRST_TAIL_BYTES; ; bytes *= 4) {
    const start = Math.max(0, file.size - bytes);
    const { text, end } = await readWhole(file, start, file.size);
    // The first line is whole only where the file begins.
    const found = linesOf(start === 0 ? text : text.slice(text.indexOf('\n') + 1)).slice(-limit);
    if (found.length >= limit || start === 0) return { found: limit > 0 ? found : [], end };
  }
}

/** What follows in the same file, then in the one after it; a file that is there no more has been read past. */
async function readAfter(files: readonly OpenFile[], after: LogPosition) {
  const known = files.findIndex(({ id }) => id === after.file);
  let position = after;
  for (const file of files.slice(Math.max(known, 0))) {
    const start = file.id === after.file && after.offset <= file.size ? after.offset : 0;
    const until = Math.min(file.size, start + READ_BYTES);
    const { text, end } = await readWhole(file, start, until);
    position = { file: file.id, offset: end };
    const lines = linesOf(text);
    if (lines.length > 0 || until < file.size) return { lines, position };
  }
  return { lines: [], position };
}

/** Whole lines only; `end` is where the last of them ends. */
async function readWhole({ handle }: OpenFile, start: number, until: number) {
  const buffer = Buffer.alloc(until - start);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
  const length = buffer.subarray(0, bytesRead).lastIndexOf('\n') + 1;
  return { text: buffer.toString('utf8', 0, length), end: start + length };
}

function linesOf(text: string): LogLine[] {
  return text.split('\n').flatMap(line => {
    const [, time, severity, said] = /^(\S+)\+00:00 \w+\.(\w+) \S+ ?(.*)$/.exec(line) ?? [];
    return severity === CONNECTION_SEVERITY ? [{ time: time!, text: said! }] : [];
  });
}
