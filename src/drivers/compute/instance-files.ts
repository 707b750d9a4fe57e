/** The directory of a namespace instance: what it is, its root's upper layer, its console. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { InstanceFile } from './compute.ts';
import {
  AGENT_IN_INSTANCE,
  CONSOLE_LIMIT_BYTES,
  NODE_IN_INSTANCE,
  OLD_ROOT_IN_INSTANCE,
  renderInit,
} from './instance-init.ts';
import { renderLogFiles } from './instance-log.ts';

/** What is remembered of an instance; once it is written, its directory is complete. */
export interface InstanceRecord {
  name: string;
  compute_id: string;
  lb_network_ip: string;
  networks: string[];
  /** Absent in those of older versions. */
  failure_domain?: string;
}

/** The host may run an agent of its own, whose files must not shine through. */
const AGENT_DIRECTORIES = ['/etc/octavia', '/var/lib/octavia'];

const recordPath = (directory: string): string => join(directory, 'instance.json');
export const initPath = (directory: string): string => join(directory, 'init');
export const consolePath = (directory: string): string => join(directory, 'console.log');

/** undefined when there is no directory or it was never completed. */
export function findRecord(directory: string): InstanceRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordPath(directory), 'utf8')) as InstanceRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`Cannot read ${recordPath(directory)}`, { cause: error });
  }
}

/** Names of instances that have a directory, complete or not. */
export function listDirectories(parent: string): string[] {
  return existsSync(parent) ? readdirSync(parent) : [];
}

/** Builds the directory from nothing; the record is written last. */
export async function writeDirectory(
  directory: string,
  record: InstanceRecord,
  parts: { files: readonly InstanceFile[]; node: string; agent: string },
): Promise<void> {
  const upper = join(directory, 'upper');
  for (const part of ['work', 'root', 'upper']) mkdirSync(join(directory, part), { recursive: true });
  for (const path of [...AGENT_DIRECTORIES, OLD_ROOT_IN_INSTANCE]) makeDirectories(upper, path);
  for (const file of [...renderLogFiles(record.name), ...parts.files]) {
    const path = insideOf(upper, file.path);
    makeDirectories(upper, dirname(file.path));
    writeFileSync(path, file.content, { mode: file.mode });
  }
  makeDirectories(upper, dirname(AGENT_IN_INSTANCE));
  await copyFile(parts.agent, join(upper, AGENT_IN_INSTANCE));
  writeFileSync(join(upper, NODE_IN_INSTANCE), '');
  const hidden = AGENT_DIRECTORIES.filter(path => existsSync(path));
  writeFileSync(
    initPath(directory),
    renderInit({ directory, hostname: record.name, node: parts.node, hidden }),
  );
  writeDurably(recordPath(directory), JSON.stringify(record));
}

/** An upper directory gives its mode to the merged one, so each gets that of the host's directory it lies over. */
function makeDirectories(upper: string, path: string): void {
  const inUpper = insideOf(upper, path);
  if (existsSync(inUpper)) return;
  if (path !== '/') makeDirectories(upper, dirname(path));
  const below = existsSync(path) ? statSync(path).mode & 0o7777 : 0o755;
  mkdirSync(inUpper, { recursive: true, mode: below });
}

function insideOf(upper: string, path: string): string {
  if (!path.startsWith('/') || normalize(path) !== path)
    throw new Error(`Cannot write ${path} into an instance`);
  return join(upper, path);
}

function writeDurably(path: string, text: string): void {
  const fd = openSync(`${path}.new`, 'w', 0o644);
  writeFileSync(fd, text);
  fsyncSync(fd);
  closeSync(fd);
  renameSync(`${path}.new`, path);
}

/** The console is appended to by the instance for ever: emptied when it grew too long. */
export function boundConsole(directory: string): void {
  try {
    if (statSync(consolePath(directory)).size > CONSOLE_LIMIT_BYTES) truncateSync(consolePath(directory));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** The end of what the instance printed, for an error's sentence. */
export function readConsoleEnd(directory: string): string {
  try {
    return readFileSync(consolePath(directory), 'utf8').slice(-500).trim();
  } catch {
    // It is there only to explain another failure.
    return '';
  }
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}
