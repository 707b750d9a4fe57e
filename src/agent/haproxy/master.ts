/** haproxy's master process and its workers: which there are, and whether a new one has taken over. */
import type { HaproxyFiles } from '../config.ts';
import { isAlive } from '../process-table.ts';
import { awaitCondition } from '../wait.ts';
import { ask } from './socket.ts';

const MASTER_TIMEOUT_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;

export interface Processes {
  reloads: number;
  /** Those since the last good one. */
  failedReloads: number;
  /** Ids of workers that only wait for their last connection. */
  oldWorkers: number[];
}

/** Source: HAProxy 2.6 management guide, "show proc". */
export async function findProcesses(files: HaproxyFiles): Promise<Processes | undefined> {
  try {
    const shown = await ask(files.masterSocket, 'show proc', MASTER_TIMEOUT_MS);
    const found = /\bmaster\s+(\d+)(?: \[failed: (\d+)\])?/.exec(shown);
    if (found === null) return undefined;
    const old = /# old workers\n([^#]*)/.exec(shown)?.[1] ?? '';
    return {
      reloads: Number(found[1]),
      failedReloads: Number(found[2] ?? 0),
      oldWorkers: [...old.matchAll(/^(\d+)\s+worker\b/gm)].map(([, pid]) => Number(pid)),
    };
  } catch {
    // A master that is busy reloading does not answer; it is asked again.
    return undefined;
  }
}

export async function findWorker(files: HaproxyFiles): Promise<string | undefined> {
  try {
    return /^Pid: (\d+)$/m.exec(await ask(files.adminSocket, 'show info', MASTER_TIMEOUT_MS))?.[1];
  } catch {
    // No worker listens there: the answer to the question.
    return undefined;
  }
}

/**
 * Both, as soon as they answer. A master that is still starting after the reload before, while its worker serves already, loses a
 * signal that it is sent.
 */
export async function awaitBoth(files: HaproxyFiles, timeoutMs: number) {
  const found: { processes?: Processes; worker?: string } = {};
  await awaitCondition(async () => {
    found.processes ??= await findProcesses(files);
    found.worker ??= await findWorker(files);
    return found.processes !== undefined && found.worker !== undefined;
  }, timeoutMs);
  return found;
}

/**
 * How long to hold a reload back. Each one leaves a process behind that lives until its last connection ends, and takes some ten
 * megabytes: the more there are, the longer changes are collected for the next reload. One change in a while waits for nothing.
 */
export function pauseBeforeReloadMs(oldWorkers: number, sinceLastReloadMs: number): number {
  return Math.max(0, Math.min(oldWorkers ** 2 * 20, LONGEST_PAUSE_MS) - sinceLastReloadMs);
}

export interface Before {
  master: number;
  worker?: string;
  reloads?: number;
}

/**
 * Waits until another worker than the one before answers. Ends early with a sentence when the master gave the reload up, which
 * `explain` makes, or is gone.
 */
export async function awaitWorker(
  files: HaproxyFiles,
  before: Before,
  timeoutMs: number,
  explain: () => Promise<string>,
): Promise<void> {
  let failure: string | undefined;
  const isDecided = async (): Promise<boolean> => {
    const worker = await findWorker(files);
    if (worker !== undefined && worker !== before.worker) return true;
    if (!isAlive(before.master)) failure = 'haproxy ended';
    else if (before.reloads !== undefined) {
      const now = await findProcesses(files);
      if (now !== undefined && now.reloads > before.reloads && now.failedReloads > 0)
        failure = await explain();
    }
    return failure !== undefined;
  };
  if (!(await awaitCondition(isDecided, timeoutMs)))
    failure = `haproxy does not answer after ${timeoutMs} ms`;
  if (failure !== undefined) throw new Error(failure);
}
