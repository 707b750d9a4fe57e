/** The processes inside a system's amphorae, as the host sees them: to look at them, and to end them as accidents do. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { findInit, findStat } from '../../src/drivers/compute/instance-processes.ts';
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
      for (const [master, worker] of [pids, pids.toReversed()])
        if (pids.length === 2 && findStat(worker!)?.parentPid === master)
          return { master: master!, worker: worker! };
      return false;
    },
    () => seen,
  );
};

export const agentOf = (dataDir: string, amphoraId: string): AmphoraProcess | undefined =>
  processesOf(dataDir, amphoraId).find(({ command }) => command.includes('agent.mjs --config-file'));

/** Those of them that still run the same program. */
export const stillThere = (processes: readonly AmphoraProcess[]): AmphoraProcess[] =>
  processes.filter(({ pid, command }) => command !== '' && commandOf(pid) === command);

/** Resolves when none of them runs its program any more. */
export const untilEnded = (processes: readonly AmphoraProcess[]): Promise<boolean> =>
  until(
    'processes to end',
    () => stillThere(processes).length === 0,
    () => stillThere(processes),
  );

/** Resolves when the amphora has an agent that is not this one. */
export const untilAnotherAgent = (
  dataDir: string,
  amphoraId: string,
  before: AmphoraProcess,
): Promise<boolean> =>
  until('another agent', () => ![undefined, before.pid].includes(agentOf(dataDir, amphoraId)?.pid));

/** Resolves when they have ended, so that none is taken for its successor; those that end with another are no error. */
export async function killAll(processes: readonly AmphoraProcess[]): Promise<void> {
  if (processes.length === 0) throw new Error('There is no such process to kill');
  for (const { pid } of processes) signalProcess(pid, 'SIGKILL');
  await untilEnded(processes);
}

/** The instance with all that runs in it: its process 1 takes the others with it, and looks ended a moment before they do. */
export async function killInstance(dataDir: string, amphoraId: string): Promise<void> {
  const processes = processesOf(dataDir, amphoraId);
  signalProcess(initOf(dataDir, amphoraId), 'SIGKILL');
  await untilEnded(processes);
}

function pidNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    // It ended while we looked.
    return undefined;
  }
}

/** Empty for a zombie, and for what ended while we looked. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}
