/** HttpAmphora against the real agent with the real haproxy, in an instance on a bridge. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renderAgentConfig } from '../../src/dataplane/agent-config.ts';
import { isHaproxyInstalled } from '../../src/dataplane/haproxy/haproxy-check.fixture.ts';
import { amphoraContract } from '../../src/drivers/amphora/amphora.contract.ts';
import { HttpAmphora } from '../../src/drivers/amphora/http.ts';
import { LocalAuthority } from '../../src/drivers/certificates/local.ts';
import { NamespaceCompute } from '../../src/drivers/compute/namespace.ts';
import { BridgeNetwork } from '../../src/drivers/network/bridge.ts';
import { MemoryNetworkStore } from '../../src/drivers/network/memory-store.ts';
import { Secret } from '../../src/lib/secret.ts';
import { buildAgent } from './built-agent.ts';
import { hostTestsObstacle, readHostState } from './host-state.ts';

const obstacle = hostTestsObstacle ?? (isHaproxyInstalled() ? undefined : 'needs haproxy');
const EMPTY = { links: [], namespaces: [], mounts: [], processes: [], files: [] };

if (obstacle !== undefined) {
  test.skip(`HttpAmphora: ${obstacle}`, () => {});
} else {
  amphoraContract('HttpAmphora', async () => {
    const systemId = randomBytes(3).toString('hex').slice(0, 5);
    const dataDir = mkdtempSync(join(tmpdir(), 'amphora-http-'));
    const agent = await buildAgent();
    const authority = new LocalAuthority({ directory: join(dataDir, 'certificates') });
    const network = new BridgeNetwork({ store: new MemoryNetworkStore(), systemId });
    const compute = new NamespaceCompute({ dataDir, systemId, network, agentProgram: agent.path });
    const addNetwork = async (name: string, cidr: string) => {
      const { id } = await network.ensureNetwork({ name });
      await network.ensureSubnet({ name: 'v4', network_id: id, cidr });
      return id;
    };
    const drivers: HttpAmphora[] = [];
    const reopen = () => {
      const driver = new HttpAmphora({ authority });
      drivers.push(driver);
      return driver;
    };
    return {
      driver: reopen(),
      reopen,
      compute,
      network,
      managementNetworkId: await addNetwork('management', '198.18.191.0/24'),
      userNetworkId: await addNetwork('users', '198.18.192.0/24'),
      filesFor: async id => {
        const content = renderAgentConfig({
          amphora_id: id,
          topology: 'SINGLE',
          controller_ip_port_list: ['198.18.191.1:5555'],
          heartbeat_interval: 10,
          heartbeat_key: new Secret('key'),
        });
        const { pem } = await authority.issueAgentCertificate(id);
        return [
          { path: '/etc/octavia/amphora-agent.conf', content, mode: 0o600 },
          { path: '/etc/octavia/certs/server.pem', content: pem.reveal(), mode: 0o600 },
          { path: '/etc/octavia/certs/client_ca.pem', content: await authority.clientCa(), mode: 0o644 },
        ];
      },
      checksConfiguration: true,
      tearDown: async () => {
        await Promise.all(drivers.map(driver => driver.closeAll()));
        await compute.purge();
        await network.purge();
        agent.remove();
        expect(readHostState(systemId, dataDir)).toEqual(EMPTY);
        rmSync(dataDir, { recursive: true });
      },
    };
  });
}
