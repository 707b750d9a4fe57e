/** What a system under test has on the host, to compare before and after; and the check whether host tests can run. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Why tests that make namespaces cannot run here, or undefined when they can. */
export const hostTestsObstacle: string | undefined =
  process.platform !== 'linux'
    ? 'needs Linux'
    : process.getuid?.() !== 0
      ? 'needs root, to make namespaces and links'
      : undefined;

export interface HostState {
  links: { name: string; master: string | undefined }[];
  namespaces: string[];
  mounts: string[];
  processes: string[];
  files: string[];
}

/**
 * All that carries the system id in its name, or lies or works in the data directory (where there is one); sorted.
 * Both must be random: processes are told by their command lines, and those of strangers may hold any common word.
 */
export function readHostState(systemId: string, dataDir?: string): HostState {
  const links: { ifname: string; master?: string }[] = JSON.parse(
    execFileSync('ip', ['-json', 'link', 'show']).toString(),
  );
  const isOurs = (text: string) =>
    text.includes(`ottavia-${systemId}`) || (dataDir !== undefined && text.includes(dataDir));
  return {
    links: links
      .filter(link => new RegExp(`^o[bp]${systemId}`).test(link.ifname))
      .map(link => ({ name: link.ifname, master: link.master }))
      .sort((a, b) => a.name.localeCompare(b.name)),
    namespaces: namesIn('/run/netns').filter(isOurs),
    mounts: readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(isOurs).sort(),
    // A process that was just forked looks like its parent until it runs another program.
    processes: [
      ...new Set(
        namesIn('/proc')
          .filter(name => /^\d+$/.test(name) && name !== String(process.pid))
          .map(commandOf)
          .filter(isOurs),
      ),
    ].sort(),
    files: dataDir === undefined ? [] : namesIn(join(dataDir, 'instances')),
  };
}

/** Processes whose network namespace is this one. */
export function processesIn(namespaceInode: string): number[] {
  return namesIn('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`) === `net:[${namespaceInode}]`;
      } catch {
        // It ended while we looked.
        return false;
      }
    });
}

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory).sort() : []);

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    // It ended while we looked.
    return '';
  }
}
