/** What the database, the lists and the quotas are tested for holds on real MariaDB and PostgreSQL servers as well. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { SERVER_KINDS, serverObstacle } from './database-server.ts';

const LIMIT_MS = 300_000;
const PROGRAM = join(import.meta.dirname, 'databases.ts');
/** Those that lean on SQL the most; `npm run test:databases` runs all of them. */
const PATHS = ['src/db', 'src/worker', 'src/api/list.test.ts', 'src/api/resources/quotas.test.ts'];

for (const kind of SERVER_KINDS) {
  const obstacle = serverObstacle(kind);
  const run = async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, kind, ...PATHS], {
      timeout: LIMIT_MS,
      maxBuffer: 64 * 1024 * 1024,
      // Its own runner, which must not take this one's settings for its own.
      env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1' },
    }).catch(error => {
      throw new Error(`${error.stdout}${error.stderr}`);
    });
    expect(stdout).toMatch(/Tests +\d+ passed/);
  };
  test(`${kind} answers as SQLite does`, { timeout: LIMIT_MS }, async context => {
    if (obstacle) context.skip(obstacle);
    await run();
  });
}
