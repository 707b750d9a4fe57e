/** A network store in memory, for tests and for a host that keeps nothing. */
import { Fault } from '../../lib/errors.ts';
import type { FixedIp } from './network.ts';
import type { NetworkStore, StoredNetwork, StoredPort, StoredSubnet } from './store.ts';

export class MemoryNetworkStore implements NetworkStore {
  readonly #networks = new Map<string, StoredNetwork>();
  readonly #subnets = new Map<string, StoredSubnet>();
  readonly #ports = new Map<string, StoredPort>();

  async listNetworks(): Promise<StoredNetwork[]> {
    return structuredClone([...this.#networks.values()]);
  }

  async insertNetwork(network: StoredNetwork): Promise<void> {
    this.#networks.set(network.id, structuredClone(network));
  }

  async deleteNetwork(id: string): Promise<void> {
    this.#networks.delete(id);
  }

  async listSubnets(): Promise<StoredSubnet[]> {
    return structuredClone([...this.#subnets.values()]);
  }

  async insertSubnet(subnet: StoredSubnet): Promise<void> {
    this.#subnets.set(subnet.id, structuredClone(subnet));
  }

  async deleteSubnet(id: string): Promise<void> {
    this.#subnets.delete(id);
  }

  async findPort(id: string): Promise<StoredPort | undefined> {
    return structuredClone(this.#ports.get(id));
  }

  async findPortByName(name: string): Promise<StoredPort | undefined> {
    return structuredClone([...this.#ports.values()].find(port => name !== '' && port.name === name));
  }

  async listPorts(): Promise<StoredPort[]> {
    return structuredClone([...this.#ports.values()]);
  }

  async insertPort(port: StoredPort): Promise<void> {
    if (await this.findPortByName(port.name)) throw new Fault('conflict', `Port name ${port.name} is taken`);
    for (const address of port.fixed_ips) this.#checkFree(address);
    this.#ports.set(port.id, structuredClone(port));
  }

  async insertPortAddress(portId: string, address: FixedIp): Promise<void> {
    this.#checkFree(address);
    this.#ports.get(portId)?.fixed_ips.push({ ...address });
  }

  async updatePort(id: string, change: { device_id?: string; allowed_addresses?: string[] }): Promise<void> {
    const port = this.#ports.get(id);
    if (port) Object.assign(port, structuredClone(change));
  }

  async deletePort(id: string): Promise<void> {
    this.#ports.delete(id);
  }

  async listTakenAddresses(subnetId: string): Promise<string[]> {
    return [...this.#ports.values()]
      .flatMap(port => port.fixed_ips)
      .filter(ip => ip.subnet_id === subnetId)
      .map(ip => ip.ip_address);
  }

  #checkFree({ subnet_id, ip_address }: FixedIp): void {
    for (const port of this.#ports.values()) {
      if (port.fixed_ips.some(ip => ip.subnet_id === subnet_id && ip.ip_address === ip_address)) {
        throw new Fault('conflict', `IP address ${ip_address} already allocated in subnet ${subnet_id}`);
      }
    }
  }
}
