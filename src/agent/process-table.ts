/** Daemons known by their pid files: alive or not, and ending them. It replaces an init system, and outlives the agent. */
import { readdirSync, readFileSync } from 'node:fs';
import { signalProcess } from '../lib/signal.ts';
import { findText } from './files.ts';
import { awaitCondition } from './wait.ts';

/**
 * The id in the pid file when that process runs and was started with `argument`: a pid file that outlived its process may name
 * somebody else's.
 */
export function findDaemon(pidFile: string, argument: string): number | undefined {
  const pid = Number.parseInt(findText(pidFile) ?? '', 10);
  if (!(pid > 1)) return undefined;
  if (!isAlive(pid)) return undefined;
  const words = commandLine(pid);
  // A process that replaces its program, as haproxy's master does at a reload, has no words for a moment.
  return words.length === 0 || words.includes(argument) ? pid : undefined;
}

/** A zombie has ended: nothing of it is left but its id. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    // No such process: the very question.
    return false;
  }
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      .split('\0')
      .filter(word => word !== '');
  } catch {
    // It ended since it was seen alive.
    return ['(gone)'];
  }
}

/** How often the process has given up its processor to wait for something. Source: proc(5). */
export function countTurns(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1]);
  } catch {
    // It ended since it was listed.
    return 0;
  }
}

const GRACE_MS = 5_000;

/** Every process that was started with `argument`, and their children that run the same program. */
export function listStartedWith(argument: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter(pid => pid > 1 && commandLine(pid).includes(argument) && isAlive(pid));
}

/** Asks the process to end, then forces it; returns when it is gone. */
export async function endProcess(pid: number, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  signalProcess(pid, signal);
  if (await awaitCondition(() => !isAlive(pid), GRACE_MS)) return;
  signalProcess(pid, 'SIGKILL');
  if (!(await awaitCondition(() => !isAlive(pid), GRACE_MS))) {
    throw new Error(`Cannot end process ${pid}: it is still there ${2 * GRACE_MS} ms later`);
  }
}
