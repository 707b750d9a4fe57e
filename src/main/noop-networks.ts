/** The networks that a system on noop drivers begins with, named as those of a real one. */
import { MANAGEMENT_NETWORK, PRIVATE_NETWORK, PUBLIC_NETWORK } from '../drivers/network/default-networks.ts';
import { type NoopCloud, uuidFrom } from '../drivers/noop-cloud.ts';

const NETWORKS = [
  { name: MANAGEMENT_NETWORK, subnet: 'lb-mgmt-subnet', cidr: '10.64.0.0/22', gateway_ip: '10.64.0.1' },
  { name: PRIVATE_NETWORK, subnet: 'private-subnet', cidr: '10.64.4.0/22', gateway_ip: '10.64.4.1' },
  { name: PUBLIC_NETWORK, subnet: 'public-subnet', cidr: '10.64.8.0/22', gateway_ip: '10.64.8.1' },
];

/** Returns the id of the management network. Ids follow from the names: they are the same after a restart. */
export function addNoopNetworks(cloud: NoopCloud): string {
  for (const { name, subnet, cidr, gateway_ip } of NETWORKS) {
    const [id, subnetId] = [uuidFrom(`network ${name}`), uuidFrom(`subnet ${subnet}`)];
    const shared = name === PRIVATE_NETWORK;
    const network = { id, name, project_id: null, mtu: 1500, shared, subnets: [subnetId] };
    cloud.addNetwork(network, [
      {
        ...{ id: subnetId, name: subnet, project_id: null, network_id: id },
        ...{ ip_version: 4, cidr, gateway_ip, host_routes: [] },
      },
    ]);
    cloud.networks.get(id)!.router_external = name === PUBLIC_NETWORK;
  }
  return uuidFrom(`network ${MANAGEMENT_NETWORK}`);
}
