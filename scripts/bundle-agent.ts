/** Bundles the agent into one file that travels alone; prints its path and size. */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const outfile = join(root, 'dist', 'agent.mjs');

/**
 * Node's own modules, fetched rather than imported: an import of `node:http` looks at everything the module exports, which
 * loads a WebSocket client and more, a quarter of the agent's start.
 */
const fetchBuiltins: Plugin = {
  name: 'fetch-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: 'builtin' }));
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

await build({
  absWorkingDir: root,
  entryPoints: ['src/main/agent.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // Everything but Node itself is inside: an import that is left over fails here instead of in an amphora.
  plugins: [fetchBuiltins],
  legalComments: 'none',
});
console.log(`${outfile} ${statSync(outfile).size} bytes`);
