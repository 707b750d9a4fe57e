/** The real agent as one file, bundled once per test process, away from what the product uses. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

export interface BuiltAgent {
  path: string;
  remove(): void;
}

export async function buildAgent(): Promise<BuiltAgent> {
  const directory = mkdtempSync(join(tmpdir(), 'agent-'));
  const path = join(directory, 'agent.mjs');
  await build({
    absWorkingDir: join(import.meta.dirname, '../..'),
    entryPoints: ['src/main/agent.ts'],
    outfile: path,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    external: ['node:*'],
  });
  return { path, remove: () => rmSync(directory, { recursive: true }) };
}
