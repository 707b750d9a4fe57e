/** The tests that others wrote for Octavia, suite by suite: `npm run test:conformance` as a part of all tests. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { clientObstacle } from '../clients/python-client.ts';
import { SUITES } from './suites.ts';

const LIMIT_MS = 900_000;
const PROGRAM = join(import.meta.dirname, 'conformance.ts');

for (const { name, modules } of SUITES) {
  const obstacle = clientObstacle(...modules);
  test(name, { timeout: LIMIT_MS }, async context => {
    if (obstacle) context.skip(obstacle);
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, '', name], {
      timeout: LIMIT_MS,
      maxBuffer: 256 * 1024 * 1024,
    }).catch(error => {
      throw new Error(`${error.stdout}${error.stderr}`.slice(-20_000));
    });
    expect(stdout).toMatch(/: \d+ passed, 0 failed/);
    console.log(stdout.trim());
  });
}
