/** Where the files of one UDP or SCTP listener are. Source: contract amphora-agent.md 5.1. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Paths } from '../config.ts';
import { isAbsence } from '../files.ts';

export interface LvsFiles {
  readonly config: string;
  readonly pid: string;
  readonly vrrpPid: string;
  readonly checkPid: string;
  /** Present while the listener should be served. */
  readonly wanted: string;
}

const NAME = 'octavia-keepalivedlvs-';

export function lvsFiles(paths: Paths, listenerId: string): LvsFiles {
  const start = join(paths.base, 'lvs', `${NAME}${listenerId}`);
  return {
    config: `${start}.conf`,
    pid: `${start}.pid`,
    vrrpPid: `${start}.vrrp.pid`,
    checkPid: `${start}.check.pid`,
    wanted: `${start}.wanted`,
  };
}

/** Every listener that has a configuration here. */
export function listLvsListeners(paths: Paths): string[] {
  const directory = join(paths.base, 'lvs');
  try {
    return readdirSync(directory)
      .flatMap(name => new RegExp(`^${NAME}(.*)\\.conf$`).exec(name)?.[1] ?? [])
      .sort();
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}
