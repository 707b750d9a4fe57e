/** Where a network driver that is its own cloud keeps what it consists of, and who has which address. */
import type { CloudKind, CloudRecords, PortRecord } from '../../model/cloud-network.ts';
import type { FixedIp } from './network.ts';

/** Every method is one transaction. Lists are in the order of creation. */
export interface NetworkStore {
  list<K extends CloudKind>(kind: K): Promise<CloudRecords[K][]>;
  /** Throws `Fault('conflict')` when the name or an address of a port is taken; then nothing of it is kept. */
  insert<K extends CloudKind>(kind: K, record: CloudRecords[K]): Promise<void>;
  /** Throws `Fault('conflict')` when an address of a port is taken; success when the record is absent. */
  update<K extends CloudKind>(kind: K, id: string, change: Partial<CloudRecords[K]>): Promise<void>;
  /**
   * A port goes with its addresses, and floating IPs that led to it lead nowhere; a security group goes with its rules.
   * Throws `Fault('conflict')` while a network or subnet is in use; success when it is absent.
   */
  delete(kind: CloudKind, id: string): Promise<void>;
  findPort(id: string): Promise<PortRecord | undefined>;
  /** Only our own ports are found, and none without a name (`''`). */
  findPortByName(name: string): Promise<PortRecord | undefined>;
  /** Throws `Fault('conflict')` when the address is taken. */
  insertPortAddress(portId: string, address: FixedIp): Promise<void>;
  /** The addresses that ports have in the subnet. */
  listTakenAddresses(subnetId: string): Promise<string[]>;
}

/** A cloud that may be written to: its rows, and what makes the world equal to them. */
export interface NetworkCloud {
  readonly store: NetworkStore;
  /** The network that amphorae are reached on; users do not see it and cannot change it. */
  readonly managementNetworkId: string;
  /** Makes the world equal to the rows; to be called after every write. */
  apply(): Promise<void>;
  /** Address ranges in which no new subnet may lie. */
  listReservedCidrs(): Promise<string[]>;
}
