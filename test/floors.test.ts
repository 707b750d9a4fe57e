/** Holds every import of src against the table of rooms and floors, and the agent's bundle against its fence. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { importsOf, ROOMS, violations } from './floors.ts';
import { listSources, ROOT } from './sources.ts';

const packages = Object.keys(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).dependencies);
const inSrc = listSources('src').map(path => path.slice('src/'.length));

describe('floors', () => {
  test('every import goes down', () => {
    const found = inSrc.flatMap(path =>
      violations(path, readFileSync(join(ROOT, 'src', path), 'utf8'), packages),
    );
    expect(found.join('\n')).toBe('');
    // An empty list of files would pass as well.
    expect(inSrc.length).toBeGreaterThan(30);
  });

  test('the agent is one file that holds agent, wire, model and lib, and no npm package', async () => {
    const entryPoint = ['src/main/agent.ts', 'src/agent/main.ts'].find(path => existsSync(join(ROOT, path)));
    expect(entryPoint).toBeDefined();
    const { metafile } = await build({
      absWorkingDir: ROOT,
      entryPoints: [entryPoint!],
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      metafile: true,
      logLevel: 'silent',
    });
    const strangers = Object.keys(metafile.inputs).filter(
      path => path !== entryPoint && !/^src\/(agent|wire|model|lib)\//.test(path),
    );
    expect(strangers).toEqual([]);
    expect(Object.keys(metafile.inputs).length).toBeGreaterThan(5);
  });
});

describe('a planted import is found', () => {
  const planted: [path: string, source: string, reason: string][] = [
    [
      'db/rows.ts',
      "import { api } from '../api/server.ts';",
      'db (floor 2) may not import api (floor 4), which is above it',
    ],
    [
      'api/pools.ts',
      "export * from '../worker/worker.ts';",
      'api (floor 4) may not import worker (floor 4), which is beside it',
    ],
    [
      'lib/log.ts',
      "import type { Pool } from '../model/pool.ts';",
      'lib (floor 0) may not import model (floor 0), which is beside it',
    ],
    [
      'worker/worker.ts',
      "const s = await import('../main/system.ts');",
      'worker (floor 4) may not import main (floor 5), which is above it',
    ],
    [
      'agent/agent.ts',
      "import { f } from '../dataplane/haproxy.ts';",
      'agent may import only wire, model, lib',
    ],
    ['agent/agent.ts', "import fastify from 'fastify';", 'agent may not import an npm package'],
    ['cli/cli.ts', "import { open } from '../db/open.ts';", 'cli may import only model, lib'],
    ['api/pools.ts', "import { sql } from 'kysely';", 'only db knows SQL'],
    ['main/system.ts', "import { DatabaseSync } from 'node:sqlite';", 'only db knows SQL'],
    ['queue/queue.ts', "import 'amqplib';", 'only queue/rabbitmq.ts knows the broker'],
    ['model/pool.ts', "import { isIP } from 'node:net';", 'model is pure and imports nothing'],
    [
      'api/pools.ts',
      "import { readFile } from 'fs/promises';",
      "Node's own modules are written node:fs/promises",
    ],
    [
      'api/pools.ts',
      "import { expect } from 'vitest';",
      'vitest is not among the dependencies of package.json',
    ],
    ['api/pools.ts', "import { f } from './pools.test.ts';", 'a test is imported by tests only'],
    ['api/pools.ts', "import { x } from '../../test/x.ts';", 'it leaves src'],
    ['things/x.ts', '', 'things is not a room; the table is in test/floors.ts'],
  ];
  test.each(planted)('%s: %s', (path, source, reason) => {
    const [found, ...more] = violations(path, `/** A file. */\n${source}\n`, packages);
    expect(found).toContain(reason);
    if (source) expect(found).toMatch(new RegExp(`^src/${path}:2: `));
    expect(more).toEqual([]);
  });

  test('over several lines, with the line where it ends', () => {
    expect(importsOf("import {\n  a,\n  b,\n} from './x.ts';\nexport const from = 'y';\n")).toEqual([
      { line: 4, text: "} from './x.ts';", specifier: './x.ts' },
    ]);
  });

  test('what may be imported is not complained about', () => {
    expect(
      violations('api/pools.ts', "import '../db/open.ts';\nimport 'fastify';\nimport 'node:net';", packages),
    ).toEqual([]);
    expect(
      violations('db/open.ts', "import { Kysely } from 'kysely';\nimport 'node:sqlite';", packages),
    ).toEqual([]);
    expect(
      violations('api/pools.test.ts', "import '../worker/worker.ts';\nimport 'vitest';", packages),
    ).toEqual([]);
    for (const room of Object.keys(ROOMS).filter(name => name !== 'main'))
      expect(violations('main/system.ts', `import '../${room}/x.ts';`, packages)).toEqual([]);
  });
});
