/** `ottavia leftovers`: what the garbage collector of a standalone system finds, without touching anything. */
import { join, resolve } from 'node:path';
import { NetworkTables } from '../db/networks.ts';
import { openDatabase } from '../db/open.ts';
import { findSystemFact } from '../db/system.ts';
import { NamespaceCompute } from '../drivers/compute/namespace.ts';
import { BridgeNetwork } from '../drivers/network/bridge.ts';
import { timestamp } from '../lib/clock.ts';
import { type Leftover, listLeftovers } from '../providers/amphora/garbage.ts';
import { holdsSystem } from './data-directory.ts';
import { SYSTEM_ID_FACT } from './purge.ts';
import { readStandaloneSettings, type StandaloneOptions } from './standalone.ts';
import { StartError } from './start.ts';

/** Prints them, one in a line, whether the system runs or not. Returns the exit code. */
export async function runLeftovers(options: StandaloneOptions): Promise<number> {
  try {
    const leftovers = await findLeftovers(options);
    for (const { kind, name, is_ours } of leftovers) {
      const fate = is_ours
        ? 'its owner was deleted: the running system removes it'
        : 'no row knows it: it stays';
      process.stdout.write(`${kind} ${name}: ${fate}\n`);
    }
    if (leftovers.length === 0) process.stdout.write('Nothing is left over\n');
    return 0;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

async function findLeftovers(options: StandaloneOptions): Promise<Leftover[]> {
  const { settings } = readStandaloneSettings(options);
  const dataDir = resolve(options.dataDir);
  if (!holdsSystem(dataDir))
    throw new StartError(`Cannot look for leftovers: ${dataDir} holds no Ottavia system`);
  const url = settings.database.connection.reveal() || `sqlite:///${join(dataDir, 'ottavia.db')}`;
  const db = await openDatabase(url);
  try {
    const systemId = await findSystemFact(db, SYSTEM_ID_FACT);
    if (systemId === undefined)
      throw new StartError(`Cannot look for leftovers: the database of ${dataDir} is new`);
    const store = new NetworkTables(db, () => timestamp(Date.now()));
    const network = new BridgeNetwork({ store, systemId });
    const compute = new NamespaceCompute({ dataDir, systemId, network, agentProgram: '' });
    return await listLeftovers({ db, compute, network });
  } finally {
    await db.destroy();
  }
}
