/** Bundles the agent into one file that travels alone; prints its path and size. */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const outfile = join(root, 'dist', 'agent.mjs');

await build({
  absWorkingDir: root,
  entryPoints: ['src/main/agent.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // Everything but Node itself is inside: an import that is left over fails here instead of in an amphora.
  external: ['node:*'],
  legalComments: 'none',
});
console.log(`${outfile} ${statSync(outfile).size} bytes`);
