/** A network that is its own cloud, as far as rows tell: what every question of the seam is answered from. */
import type {
  NetworkRecord,
  PortRecord,
  SecurityGroupRecord,
  SubnetRecord,
} from '../../model/cloud-network.ts';
import { countFreeAddresses } from './allocation.ts';
import type { CloudNetwork } from './network.ts';
import type { NetworkStore } from './store.ts';

export class RowNetwork<Store extends NetworkStore = NetworkStore> {
  readonly store: Store;

  constructor(store: Store) {
    this.store = store;
  }

  async listNetworks(): Promise<CloudNetwork[]> {
    const [networks, subnets] = await Promise.all([this.store.list('network'), this.store.list('subnet')]);
    return networks.map(network => cloudNetwork(network, subnets));
  }

  async findNetwork(id: string): Promise<CloudNetwork | undefined> {
    return (await this.listNetworks()).find(network => network.id === id);
  }

  listSubnets(): Promise<SubnetRecord[]> {
    return this.store.list('subnet');
  }

  async findSubnet(id: string): Promise<SubnetRecord | undefined> {
    return (await this.listSubnets()).find(subnet => subnet.id === id);
  }

  async subnetsOf(networkId: string): Promise<SubnetRecord[]> {
    return (await this.listSubnets()).filter(subnet => subnet.network_id === networkId);
  }

  async countFreeAddresses(subnetId: string): Promise<number> {
    const subnet = await this.findSubnet(subnetId);
    return subnet ? countFreeAddresses(subnet, await this.store.listTakenAddresses(subnetId)) : 0;
  }

  async findSecurityGroup(id: string): Promise<SecurityGroupRecord | undefined> {
    return (await this.store.list('security_group')).find(group => group.id === id);
  }

  findPort(id: string): Promise<PortRecord | undefined> {
    return this.store.findPort(id);
  }

  findPortByName(name: string): Promise<PortRecord | undefined> {
    return this.store.findPortByName(name);
  }

  async releaseAddresses(name: string, subnetIds: readonly string[]): Promise<void> {
    const port = await this.store.findPortByName(name);
    const fixed_ips = port?.fixed_ips.filter(ip => !subnetIds.includes(ip.subnet_id));
    if (port && fixed_ips) await this.store.update('port', port.id, { fixed_ips });
  }

  async listPortNames(): Promise<string[]> {
    const ports = await this.store.list('port');
    return ports.filter(port => !port.user_made && port.name !== '').map(port => port.name);
  }
}

export function cloudNetwork(network: NetworkRecord, subnets: readonly SubnetRecord[]): CloudNetwork {
  const { id, name, project_id, mtu } = network;
  const own = subnets.filter(subnet => subnet.network_id === id).map(subnet => subnet.id);
  return { id, name, project_id, mtu, shared: network.shared || network.router_external, subnets: own };
}
