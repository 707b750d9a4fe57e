/** A standalone system on noop drivers for clients to talk to: the real program, in a directory of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { OttaviaProcess } from '../ottavia-process.ts';

export interface StandaloneCloud {
  directory: string;
  url: string;
  /** What the written openrc sets. */
  environment: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export async function startCloud(...more: string[]): Promise<StandaloneCloud> {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-clients-'));
  const args = ['standalone', '--data-dir', directory, '--listen', '127.0.0.1:0', '--drivers', 'noop'];
  const program = new OttaviaProcess([...args, ...more]);
  const stop = async () => {
    await program.end();
    rmSync(directory, { recursive: true });
  };
  try {
    const url = await program.ready();
    return { directory, url, environment: readOpenrc(join(directory, 'openrc')), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The variables that a shell has after `. openrc`. */
function readOpenrc(file: string): Record<string, string> {
  const lines = readFileSync(file, 'utf8').matchAll(/^export (OS_\w+)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name, value]) => [name!, value!.replace(/^'(.*)'$/, '$1')]));
}

/** The cloud's entry of the written clouds.yaml, to be extended by tests that need several users. */
export function readCloud(directory: string): Record<string, unknown> {
  return parse(readFileSync(join(directory, 'clouds.yaml'), 'utf8')).clouds.ottavia;
}
