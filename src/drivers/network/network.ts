/** The network seam: networks, subnets and ports; our own ports are found by the name that we gave them. */
import type { PortLimit } from '../../model/cloud-network.ts';

export interface CloudNetwork {
  id: string;
  name: string;
  project_id: string | null;
  mtu: number;
  subnets: string[];
  /** Every project may use it; absent where the network does not tell. */
  shared?: boolean;
}

export interface HostRoute {
  destination: string;
  nexthop: string;
}

export interface Subnet {
  id: string;
  name: string;
  project_id: string | null;
  network_id: string;
  ip_version: 4 | 6;
  cidr: string;
  gateway_ip: string | null;
  host_routes: HostRoute[];
}

export interface FixedIp {
  subnet_id: string;
  ip_address: string;
}

export interface Port {
  id: string;
  name: string;
  project_id: string | null;
  network_id: string;
  /** Lower case. */
  mac_address: string;
  fixed_ips: FixedIp[];
  device_id: string;
  device_owner: string;
  qos_policy_id?: string | null;
}

export interface PortSpec {
  /** The key by which the port is found again. */
  name: string;
  network_id: string;
  project_id: string | null;
  /** Without an `ip_address` the network chooses one; an empty list takes one address from the network's first subnet. */
  fixed_ips: { subnet_id: string; ip_address?: string | null }[];
  device_id?: string;
  /** More addresses that may be used on this port: the VIPs. */
  allowed_addresses?: string[];
}

/** A protocol port of a VIP, and where its clients may come from; null: anywhere. */
export type VipAccess = Omit<PortLimit, 'cidrs'> & { cidrs: string[] | null };

/** The device owner of every port of ours. Source: contract controller.md 9.1. */
export const DEVICE_OWNER = 'Octavia';

/** Every method may be called again after a crash and converges. */
export interface Network {
  findNetwork(id: string): Promise<CloudNetwork | undefined>;
  /** `networkId` is where its user says it is, for the network in memory, which believes him. */
  findSubnet(id: string, networkId?: string): Promise<Subnet | undefined>;
  findPort(id: string): Promise<Port | undefined>;
  /** Absent where the network knows no such thing; then the API refuses to name one. */
  findQosPolicy?(id: string): Promise<{ id: string } | undefined>;
  findSecurityGroup?(id: string): Promise<{ id: string; project_id?: string | null } | undefined>;
  listNetworks(): Promise<CloudNetwork[]>;
  listSubnets(): Promise<Subnet[]>;
  /** Of one network id: what was created, in that order. */
  subnetsOf(networkId: string): Promise<Subnet[]>;
  /** How many addresses the subnet can still give to ports. */
  countFreeAddresses(subnetId: string): Promise<number>;
  /**
   * Finds our port by its name, else creates it; adds missing fixed and allowed addresses.
   * Throws `Fault('conflict')` when the address is in use, `Fault('invalid')` when it lies outside the subnet.
   */
  ensurePort(spec: PortSpec): Promise<Port>;
  /** Gives back what our port has in these subnets. Success when the port is absent. */
  releaseAddresses(name: string, subnetIds: readonly string[]): Promise<void>;
  findPortByName(name: string): Promise<Port | undefined>;
  /**
   * The port, ours or a user's, is in these security groups in place of those that were asked for last time; groups that a
   * user put it in by hand stay. Success when the port is absent.
   */
  ensureSecurityGroups(portId: string, groupIds: readonly string[]): Promise<void>;
  /**
   * The addresses of this port are reached as it is said here, on whichever port they are used, in place of what was said last
   * time; nothing is said of other protocol ports. It holds beside security groups. Success when the port is absent.
   */
  ensureAccess(vipPortId: string, access: readonly VipAccess[]): Promise<void>;
  /** Success when it is absent. */
  deletePort(name: string): Promise<void>;
  /** The names of all ports of ours, for leak audits. */
  listPortNames(): Promise<string[]>;
}
