/** Where a network driver that is its own cloud keeps networks, subnets, ports and who has which address. */
import type { CloudNetwork, FixedIp, Port, Subnet } from './network.ts';

/** Addresses that may be given to ports whose maker asked for none, both ends included. */
export interface AllocationPool {
  start: string;
  end: string;
}

export type StoredNetwork = Omit<CloudNetwork, 'subnets'>;
export type StoredSubnet = Subnet & { allocation_pools: AllocationPool[] };
export type StoredPort = Port & { allowed_addresses: string[] };

/** Every method is one transaction. Lists are in the order of creation. */
export interface NetworkStore {
  listNetworks(): Promise<StoredNetwork[]>;
  insertNetwork(network: StoredNetwork): Promise<void>;
  deleteNetwork(id: string): Promise<void>;
  listSubnets(): Promise<StoredSubnet[]>;
  insertSubnet(subnet: StoredSubnet): Promise<void>;
  deleteSubnet(id: string): Promise<void>;
  findPort(id: string): Promise<StoredPort | undefined>;
  /** A port without a name (`''`) is never found. */
  findPortByName(name: string): Promise<StoredPort | undefined>;
  listPorts(): Promise<StoredPort[]>;
  /** Throws `Fault('conflict')` when its name or one of its addresses is taken; then nothing of it is kept. */
  insertPort(port: StoredPort): Promise<void>;
  /** Throws `Fault('conflict')` when the address is taken. */
  insertPortAddress(portId: string, address: FixedIp): Promise<void>;
  updatePort(id: string, change: { device_id?: string; allowed_addresses?: string[] }): Promise<void>;
  /** With its addresses; success when it is absent. */
  deletePort(id: string): Promise<void>;
  /** The addresses that ports have in the subnet. */
  listTakenAddresses(subnetId: string): Promise<string[]>;
}
