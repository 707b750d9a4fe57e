/** The machine and the versions that a result belongs to. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { run } from '../src/lib/command.ts';
import type { Machine, Versions } from './figures.ts';

export const ROOT = join(import.meta.dirname, '..');

export function describeMachine(): Machine {
  const all = cpus();
  const system = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system,
    load_at_start: loadavg()[0]!,
  };
}

export async function describeVersions(): Promise<Versions> {
  return { ottavia: await describeCommit(), node: process.version, haproxy: await describeHaproxy() };
}

async function describeCommit(): Promise<string> {
  try {
    const git = async (...args: string[]) => (await run('git', ['-C', ROOT, ...args])).stdout.trim();
    // The results themselves are part of the repository: that they differ says nothing of what was measured.
    const changes = await git('status', '--porcelain', '--', '.', ':!bench/results');
    return `${await git('rev-parse', '--short', 'HEAD')}${changes === '' ? '' : ' with uncommitted changes'}`;
  } catch {
    // An archive without git still has its version.
    return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
  }
}

async function describeHaproxy(): Promise<string> {
  try {
    const { stdout } = await run('haproxy', ['-v']);
    return /version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
  } catch {
    // What needs it will say so; the others can be measured without.
    return 'not installed';
  }
}
