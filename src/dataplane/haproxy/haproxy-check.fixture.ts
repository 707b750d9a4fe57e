/** Asks the real haproxy what it thinks of a configuration. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../lib/command.ts';

export function isHaproxyInstalled(): boolean {
  try {
    execFileSync('haproxy', ['-v'], { timeout: 20_000 });
    return true;
  } catch {
    // Whatever keeps it from answering, the tests that need it cannot run.
    return false;
  }
}

/** Throws with haproxy's words when it rejects the text; everything written lies below `directory`. */
export async function checkConfig(text: string, directory: string, peer = 'local'): Promise<void> {
  const own = mkdtempSync(join(directory, 'check-'));
  try {
    writeFileSync(join(own, 'haproxy.cfg'), text);
    await run('haproxy', ['-c', '-L', peer, '-f', join(own, 'haproxy.cfg')], { timeoutMs: 120_000 });
  } finally {
    rmSync(own, { recursive: true });
  }
}
