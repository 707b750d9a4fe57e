/** What keeps each check, start and reload of haproxy short: a file that goes along with them, where this haproxy knows its words. */
import { join } from 'node:path';
import { run } from '../../lib/command.ts';
import { writeWhole } from '../files.ts';

const TIMEOUT_MS = 10_000;

/**
 * The words of the command line that name the file; none for a haproxy that is too old or does not tell its version. From 2.6
 * on haproxy reads every certificate authority of the system at its start, for an HTTP client that only Lua scripts use: two
 * thirds of the time that a check takes, and megabytes of each process. Source: HAProxy 2.6 configuration manual,
 * "httpclient.ssl.verify".
 */
export async function ensureQuickStart(haproxyCommand: string, directory: string): Promise<string[]> {
  if (!(await knowsHttpClient(haproxyCommand))) return [];
  const file = join(directory, 'haproxy-quick-start.conf');
  writeWhole(file, 'global\n    httpclient.ssl.verify none\n');
  return ['-f', file];
}

async function knowsHttpClient(haproxyCommand: string): Promise<boolean> {
  try {
    const { stdout } = await run(haproxyCommand, ['-v'], { timeoutMs: TIMEOUT_MS });
    const [, major, minor] = /version (\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) * 1000 + Number(minor) >= 2006;
  } catch {
    // Whoever needs haproxy for more than its version will say what is wrong with it.
    return false;
  }
}
