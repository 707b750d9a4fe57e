/** The networks of a standalone system: one to reach the amphorae on, one for its users, one for floating IPs. */
import { chooseFreeCidr, lowerHalf } from './allocation.ts';
import type { BridgeNetwork, NetworkSpec } from './bridge.ts';
import { listUsedCidrs } from './host-links.ts';
import type { CloudNetwork, Subnet } from './network.ts';

export const MANAGEMENT_NETWORK = 'lb-mgmt-net';
export const PRIVATE_NETWORK = 'private';
export const PUBLIC_NETWORK = 'public';

/** Rarely used by others: seldom an office's or a cloud's own addresses, and not those of container programs. */
const RANGE = '10.64.0.0/10';
const PREFIX = 22;

export interface DefaultNetworks {
  management: { network: CloudNetwork; subnet: Subnet };
  private: { network: CloudNetwork; subnet: Subnet };
  public: { network: CloudNetwork; subnet: Subnet };
}

/**
 * Finds or creates them, with their bridges. CIDRs that are not given are chosen at the first start such that nothing of
 * the host's overlaps; half of each is left to addresses that are chosen by hand.
 */
export async function ensureDefaultNetworks(
  network: BridgeNetwork,
  systemId: string,
  cidrs: { management?: string; private?: string; public?: string } = {},
): Promise<DefaultNetworks> {
  const seed = Number.parseInt(systemId, 16);
  const management = { name: MANAGEMENT_NETWORK };
  const ours = { name: PRIVATE_NETWORK, shared: true };
  const outside = { name: PUBLIC_NETWORK, router_external: true };
  return {
    management: await ensureOne(network, management, 'lb-mgmt-subnet', seed * 2, cidrs.management),
    private: await ensureOne(network, ours, 'private-subnet', seed * 2 + 1, cidrs.private),
    public: await ensureOne(network, outside, 'public-subnet', seed * 2 + 2, cidrs.public),
  };
}

async function ensureOne(
  bridge: BridgeNetwork,
  spec: NetworkSpec,
  subnetName: string,
  seed: number,
  wanted: string | undefined,
) {
  const network = await bridge.ensureNetwork(spec);
  const present = (await bridge.subnetsOf(network.id)).find(subnet => subnet.name === subnetName);
  const cidr = present?.cidr ?? wanted ?? (await chooseCidr(bridge, seed));
  const subnet = await bridge.ensureSubnet({
    name: subnetName,
    network_id: network.id,
    cidr,
    allocation_pools: [lowerHalf(cidr)],
  });
  return { network: (await bridge.findNetwork(network.id))!, subnet };
}

async function chooseCidr(bridge: BridgeNetwork, seed: number): Promise<string> {
  const own = (await bridge.listSubnets()).map(subnet => subnet.cidr);
  return chooseFreeCidr(RANGE, { prefix: PREFIX, taken: [...(await listUsedCidrs()), ...own], seed });
}
