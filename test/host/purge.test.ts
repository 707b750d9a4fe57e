/** A purge leaves nothing of its own system on the host, whatever state that is in, and touches no other system. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NamespaceCompute } from '../../src/drivers/compute/namespace.ts';
import { BridgeNetwork } from '../../src/drivers/network/bridge.ts';
import { MemoryNetworkStore } from '../../src/drivers/network/memory-store.ts';
import { hostTestsObstacle, readHostState } from './host-state.ts';

const AGENT = join(import.meta.dirname, 'testdata/stand-in-agent.mjs');
const EMPTY = { links: [], namespaces: [], mounts: [], processes: [], files: [] };

async function openSystem(cidr: string) {
  const systemId = randomBytes(3).toString('hex').slice(0, 5);
  const dataDir = mkdtempSync(join(tmpdir(), 'purge-'));
  const store = new MemoryNetworkStore();
  const open = (rows = store) => {
    const network = new BridgeNetwork({ store: rows, systemId });
    return { network, compute: new NamespaceCompute({ dataDir, systemId, network, agentProgram: AGENT }) };
  };
  const { network, compute } = open();
  const { id } = await network.ensureNetwork({ name: 'net' });
  await network.ensureSubnet({ name: 'v4', network_id: id, cidr });
  for (const n of [1, 2]) {
    const name = `amphora-0000000${n}-0000-4000-8000-00000000000a`;
    await compute.ensureInstance({ name, networks: [id], files: [] });
    const ask = { name: `vip-${n}`, network_id: id, project_id: null, fixed_ips: [] };
    await compute.attachPort(name, (await network.ensurePort(ask)).id);
  }
  return { systemId, dataDir, open, look: () => readHostState(systemId, dataDir) };
}

async function purge({ network, compute }: { network: BridgeNetwork; compute: NamespaceCompute }) {
  await compute.purge();
  await network.purge();
}

test.skipIf(hostTestsObstacle)(
  `a purge removes all of one system and nothing of another ${hostTestsObstacle ?? ''}`.trim(),
  async () => {
    const [one, two] = [await openSystem('198.18.181.0/24'), await openSystem('198.18.182.0/24')];
    try {
      const before = two.look();
      expect(before.processes.length).toBeGreaterThan(0);
      await purge(one.open());
      expect(one.look()).toEqual(EMPTY);
      expect(two.look()).toEqual(before);
      await purge(one.open());
      // Rows lost, a link torn out, a namespace without an instance: the host alone tells what is left.
      const [link] = two.look().links;
      execFileSync('ip', ['link', 'delete', link!.name]);
      execFileSync('ip', ['netns', 'add', `ottavia-${two.systemId}-amphora-left-over`]);
      await purge(two.open(new MemoryNetworkStore()));
      expect(two.look()).toEqual(EMPTY);
    } finally {
      for (const system of [one, two]) {
        await purge(system.open());
        rmSync(system.dataDir, { recursive: true });
      }
    }
  },
);
