/** The processes inside a system's amphorae, as the host sees them: to look at them, and to end them as accidents do. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { findInit } from '../../src/drivers/compute/instance-processes.ts';
import { signalProcess } from '../../src/lib/signal.ts';
import { until } from './until.ts';

export interface AmphoraProcess {
  pid: number;
  command: string;
}

/** Ids of the amphorae that have an instance. */
export function listAmphorae(dataDir: string): string[] {
  const directory = join(dataDir, 'instances');
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map(name => name.replace(/^amphora-/, ''));
}

/** Process 1 of the amphora's instance; throws when it does not run. */
export function initOf(dataDir: string, amphoraId: string): number {
  const init = findInit(join(dataDir, 'instances', `amphora-${amphoraId}`));
  if (!init) throw new Error(`The instance of amphora ${amphoraId} does not run`);
  return init.pid;
}

/** All of them, process 1 too. */
export function processesOf(dataDir: string, amphoraId: string): AmphoraProcess[] {
  const namespace = pidNamespaceOf(initOf(dataDir, amphoraId));
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => pidNamespaceOf(pid) === namespace)
    .map(pid => ({ pid, command: commandOf(pid) }));
}

export const haproxiesOf = (dataDir: string, amphoraId: string): AmphoraProcess[] =>
  processesOf(dataDir, amphoraId).filter(({ command }) => /^(\S*\/)?haproxy /.test(command));

/** Its master and the one worker that is left when those before it have ended, as they do some time after a reload. */
export const settledHaproxy = (
  dataDir: string,
  amphoraId: string,
): Promise<{ master: number; worker: number }> => {
  let seen: AmphoraProcess[] = [];
  return until(
    'one worker of haproxy',
    () => {
      seen = haproxiesOf(dataDir, amphoraId);
      const pids = seen.map(({ pid }) => pid);
      const [worker, ...others] = pids.filter(pid => pids.includes(parentOf(pid)));
      const master = pids.find(pid => pid !== worker);
      const isAlone = pids.length === 2 && others.length === 0;
      return isAlone && worker !== undefined && master !== undefined && { master, worker };
    },
    () => seen,
  );
};

export const agentOf = (dataDir: string, amphoraId: string): AmphoraProcess | undefined =>
  processesOf(dataDir, amphoraId).find(({ command }) => command.includes('agent.mjs --config-file'));

/** Those of them that still run the same program. */
export const stillThere = (processes: readonly AmphoraProcess[]): AmphoraProcess[] =>
  processes.filter(({ pid, command }) => command !== '' && commandOf(pid) === command);

/** Resolves when they have ended, so that none is taken for its successor; those that end with another are no error. */
export async function killAll(processes: readonly AmphoraProcess[]): Promise<void> {
  if (processes.length === 0) throw new Error('There is no such process to kill');
  for (const { pid } of processes) signalProcess(pid, 'SIGKILL');
  await until('processes to end', () => stillThere(processes).length === 0);
}

/** The instance with all that runs in it: its process 1 takes the others with it, and looks ended a moment before they do. */
export async function killInstance(dataDir: string, amphoraId: string): Promise<void> {
  const processes = processesOf(dataDir, amphoraId);
  signalProcess(initOf(dataDir, amphoraId), 'SIGKILL');
  await until('the instance to end', () => stillThere(processes).length === 0);
}

function pidNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    // It ended while we looked.
    return undefined;
  }
}

/** Throws when it ended while we looked. */
function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Empty for a zombie, and for what ended while we looked. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
