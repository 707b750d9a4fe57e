/** Removes what a system made outside its data directory, found by the system id alone; works without a database. */
import { existsSync, readdirSync } from 'node:fs';
import { openDatabase } from '../db/open.ts';
import { findSystemFact } from '../db/system.ts';
import { NamespaceCompute } from '../drivers/compute/namespace.ts';
import { BridgeNetwork } from '../drivers/network/bridge.ts';
import { listLinkNames } from '../drivers/network/host-links.ts';
import { MemoryNetworkStore } from '../drivers/network/memory-store.ts';
import type { Log } from '../lib/log.ts';

export const SYSTEM_ID_FACT = 'system_id';

/** Amphorae, namespaces, links and bridges of this system; success when there are none. */
export async function purgeSystem(options: { systemId: string; dataDir: string; log: Log }): Promise<void> {
  const { systemId, dataDir, log } = options;
  // The rows that say which port is whose may be damaged or gone: links go by their names, whatever the rows say.
  const network = new BridgeNetwork({ store: new MemoryNetworkStore(), systemId, log });
  const compute = new NamespaceCompute({ dataDir, systemId, network, agentProgram: '', log });
  await compute.purge();
  await network.purge();
}

/** The ids of all systems that have something on this host now. */
export function listSystemIds(): Set<string> {
  const ids = listHostNames().map(systemIdIn);
  return new Set(ids.filter(id => id !== undefined));
}

/** Namespaces and links of the system that are still there, by name. */
export function listLeftovers(systemId: string): string[] {
  return listHostNames().filter(name => systemIdIn(name) === systemId);
}

function listHostNames(): string[] {
  return [...(existsSync('/run/netns') ? readdirSync('/run/netns') : []), ...listLinkNames()];
}

const systemIdIn = (name: string): string | undefined => /^(?:ottavia-|ob|op)([0-9a-f]{5})/.exec(name)?.[1];

/** undefined when the database is absent, damaged, or says nothing of it. */
export async function findSystemIdInDatabase(url: string): Promise<string | undefined> {
  if (!existsSync(url.slice('sqlite:///'.length))) return undefined;
  try {
    const db = await openDatabase(url);
    try {
      return await findSystemFact(db, SYSTEM_ID_FACT);
    } finally {
      await db.destroy();
    }
  } catch {
    // A damaged database is one reason to purge; its caller says what to do without it.
    return undefined;
  }
}
