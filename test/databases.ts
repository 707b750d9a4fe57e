/** `npm run test:databases [kind] [path …]`: the tests of database, API and worker, on real MariaDB and PostgreSQL servers. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { TEST_SERVER } from '../src/db/testing.ts';
import { SERVER_KINDS, type ServerKind, serverObstacle, startDatabaseServer } from './database-server.ts';

const [first, ...rest] = process.argv.slice(2);
const kinds = SERVER_KINDS.filter(kind => kind.toLowerCase() === first?.toLowerCase());
const paths = kinds.length > 0 ? rest : process.argv.slice(2);

async function run(kind: ServerKind): Promise<boolean> {
  await using server = await startDatabaseServer(kind);
  const vitest = join(import.meta.dirname, '../node_modules/.bin/vitest');
  const where =
    paths.length > 0 ? paths : ['src/db', 'src/api', 'src/worker', 'src/health-manager', 'src/housekeeping'];
  const child = spawn(process.execPath, [vitest, 'run', '--project', 'unit', ...where], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, [TEST_SERVER]: server.url },
  });
  const code = await new Promise(resolve => child.once('exit', resolve));
  return code === 0;
}

let right = true;
for (const kind of kinds.length > 0 ? kinds : SERVER_KINDS) {
  const obstacle = serverObstacle(kind);
  console.log(obstacle ? `${kind}: skipped, ${obstacle}` : `${kind}:`);
  if (!obstacle) right = (await run(kind)) && right;
}
process.exitCode = right ? 0 : 1;
