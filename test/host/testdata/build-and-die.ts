/** Builds an instance as a controller does and is killed at once, without a chance to tidy up. */
import { NamespaceCompute } from '../../../src/drivers/compute/namespace.ts';
import { BridgeNetwork } from '../../../src/drivers/network/bridge.ts';
import { MemoryNetworkStore } from '../../../src/drivers/network/memory-store.ts';

const [dataDir, systemId, agentProgram, name, cidr] = process.argv.slice(2) as [string, string, string, string, string];
const network = new BridgeNetwork({ store: new MemoryNetworkStore(), systemId });
const compute = new NamespaceCompute({ dataDir, systemId, network, agentProgram });
const { id } = await network.ensureNetwork({ name: 'management' });
await network.ensureSubnet({ name: 'v4', network_id: id, cidr });
const { lb_network_ip } = await compute.ensureInstance({ name, networks: [id], files: [] });
process.stdout.write(`${lb_network_ip}\n`, () => process.kill(process.pid, 'SIGKILL'));
