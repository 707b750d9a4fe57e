/** What the kernel says of processes: processor time, memory, who is whose child. Source: proc(5). */
import { readdirSync, readFileSync } from 'node:fs';

const TICK_MS = 10;

/** Processor time used so far, of all threads, in user and kernel mode; in steps of 10 ms. */
export function cpuMsOf(pid: number): number {
  const fields = statFields(pid);
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export interface Process {
  pid: number;
  parentPid: number;
  args: string[];
}

export interface Memory {
  rssMib: number;
  /** The part of what is shared with other processes counted by share. */
  pssMib: number;
}

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)![1]) / 1024;
  return { rssMib: mib('Rss'), pssMib: mib('Pss') };
}

/** Every process; one that ends meanwhile is left out. */
function listProcesses(): Process[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const args = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0').slice(0, -1);
        return [{ pid: Number(name), parentPid: Number(statFields(Number(name))[1]), args }];
      } catch {
        // It has ended between the listing and the look.
        return [];
      }
    });
}

/** The process and all its descendants. */
export function listTree(pid: number): Process[] {
  const all = listProcesses();
  const found = all.filter(each => each.pid === pid);
  for (const parent of found) found.push(...all.filter(each => each.parentPid === parent.pid));
  return found;
}

/** From the third field on, as the name before may hold anything. */
function statFields(pid: number): string[] {
  const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return line.slice(line.lastIndexOf(')') + 2).split(' ');
}
