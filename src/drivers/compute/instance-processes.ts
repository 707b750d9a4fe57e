/** The processes of a namespace instance as the host sees them: start, find, end. Its process 1 carries all others. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { signalProcess } from '../../lib/signal.ts';
import { consolePath, initPath, readConsoleEnd } from './instance-files.ts';

const START_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 10_000;

/** Process 1 of the instance and the launcher that waits for it, while process 1 lives. */
export interface RunningInit {
  pid: number;
  launcherPid: number;
}

/** Process 1 noted itself there once, whether it lives or not. */
export const wasStarted = (directory: string): boolean => existsSync(join(directory, 'pid'));

/** undefined when the instance does not run. A process that was given the same id later is not taken for it. */
export function findInit(directory: string): RunningInit | undefined {
  const noted = parseStat(readText(join(directory, 'pid')));
  if (!noted) return undefined;
  const present = findStat(noted.pid);
  if (present?.startTime !== noted.startTime || !belongsTo(noted.pid, directory)) return undefined;
  return { pid: noted.pid, launcherPid: noted.parentPid };
}

/** Resolves when process 1 has made its root; it outlives this process. */
export async function startInit(directory: string, namespacePath: string): Promise<void> {
  const log = openSync(consolePath(directory), 'a', 0o600);
  const child = spawn(
    'nsenter',
    [
      ...[`--net=${namespacePath}`, 'unshare', '--mount', '--pid', '--uts', '--ipc', '--fork'],
      ...['--propagation', 'private', '/bin/sh', initPath(directory), directory],
    ],
    {
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
      cwd: '/',
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME: '/root',
        LANG: 'C.UTF-8',
      },
    },
  );
  closeSync(log);
  const pipe = child.stdio[3]!;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string, cause?: unknown) =>
        reject(new Error(`${why}; its console says: ${readConsoleEnd(directory)}`, { cause }));
      const timer = setTimeout(() => fail(`not ready after ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
      child.once('error', error => fail(error.message, error));
      child.once('exit', code => fail(`process 1 ended with ${code}`));
      pipe.once('data', () => resolve());
      child.once('exit', () => clearTimeout(timer));
      pipe.once('data', () => clearTimeout(timer));
    });
  } finally {
    pipe.destroy();
    child.unref();
  }
}

/** Ends every process of the instance and returns when they are gone; the kernel ends all with process 1. */
export async function endProcesses(directory: string): Promise<void> {
  const init = findInit(directory);
  // Without a note of process 1 the launcher may be on its way to write one: found by the argument that all have.
  const pids = init ? [init.pid, init.launcherPid] : findByArgument(directory);
  for (const pid of init ? [init.pid] : pids) signalProcess(pid, 'SIGKILL');
  const deadline = performance.now() + END_TIMEOUT_MS;
  while (pids.some(pid => belongsTo(pid, directory))) {
    if (performance.now() > deadline)
      throw new Error(`Cannot end processes ${pids.join(', ')} of ${directory}`);
    await delay(2);
  }
  if (!init && pids.length > 0) await endProcesses(directory);
}

function findByArgument(directory: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => belongsTo(pid, directory));
}

/** False for a zombie: it has no arguments any more, and nothing but its id. */
function belongsTo(pid: number, directory: string): boolean {
  return readText(`/proc/${pid}/cmdline`)?.split('\0').includes(directory) ?? false;
}

/** undefined when there is no such process. */
export const findStat = (pid: number) => parseStat(readText(`/proc/${pid}/stat`));

/** The line of `/proc/<pid>/stat`; the name in brackets may hold anything. Source: proc(5). */
function parseStat(line: string | undefined) {
  const match = /^(\d+) \(.*\) (.*)$/s.exec(line?.trim() ?? '');
  const fields = match?.[2]?.split(' ') ?? [];
  if (!match || fields.length < 20) return undefined;
  return { pid: Number(match[1]), parentPid: Number(fields[1]), startTime: fields[19]! };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
