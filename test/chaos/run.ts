/** `npm run test:chaos [MariaDB|PostgreSQL]`: one run as long as OTTAVIA_CHAOS_SECONDS says; its counts go to bench/results/chaos. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVER_KINDS } from '../database-server.ts';
import { chaosOptions, runChaos } from './chaos.ts';

const named = process.argv[2]?.toLowerCase();
const database = SERVER_KINDS.find(kind => kind.toLowerCase() === named) ?? 'MariaDB';
const result = await runChaos(chaosOptions(database, 600));
const directory = join(import.meta.dirname, '../../bench/results/chaos');
mkdirSync(directory, { recursive: true });
writeFileSync(join(directory, `${database.toLowerCase()}.json`), `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify(result, null, 2));
process.exitCode = result.problems.length > 0 ? 1 : 0;
