/** What the network of a standalone cloud is made of, as its API spells it: networks, subnets, ports, security groups, floating IPs. */

interface Common {
  id: string;
  project_id: string | null;
  name: string;
  description: string;
}

export interface NetworkRecord extends Common {
  mtu: number;
  admin_state_up: boolean;
  /** Every project sees it and may have ports on it. */
  shared: boolean;
  /** `router:external` in the API: floating IPs come from it. */
  router_external: boolean;
  port_security_enabled: boolean;
}

/** Addresses that may be given to ports whose maker asked for none, both ends included. */
export interface AllocationPool {
  start: string;
  end: string;
}

export interface SubnetRecord extends Common {
  network_id: string;
  ip_version: 4 | 6;
  cidr: string;
  /** null: the host is not in the subnet. */
  gateway_ip: string | null;
  allocation_pools: AllocationPool[];
  host_routes: { destination: string; nexthop: string }[];
  dns_nameservers: string[];
  enable_dhcp: boolean;
}

/** A protocol port of a load balancer's VIP that only some clients reach. */
export interface PortLimit {
  protocol: 'tcp' | 'udp' | 'sctp';
  port: number;
  /** Of both IP versions; nobody reaches it over a version that has none. */
  cidrs: string[];
}

export interface PortRecord extends Common {
  network_id: string;
  /** Lower case. */
  mac_address: string;
  fixed_ips: { subnet_id: string; ip_address: string }[];
  device_id: string;
  device_owner: string;
  /** More addresses that may be used on this port. */
  allowed_addresses: string[];
  admin_state_up: boolean;
  /** Made through the API: its name is free text. Else it is ours, and its name is the key by which it is found. */
  user_made: boolean;
  /** Without any, the port is open. */
  security_groups: string[];
  /** Those of `security_groups` that a load balancer asked for; the others are its user's. */
  asked_groups: string[];
  /** They hold beside what the security groups say. */
  limits: PortLimit[];
}

export type SecurityGroupRecord = Common;

export interface SecurityGroupRuleRecord extends Omit<Common, 'name'> {
  security_group_id: string;
  direction: 'ingress' | 'egress';
  ethertype: 'IPv4' | 'IPv6';
  /** A name or a number; null: any. */
  protocol: string | null;
  /** The type, where the protocol is ICMP. */
  port_range_min: number | null;
  /** The code, where the protocol is ICMP. */
  port_range_max: number | null;
  remote_ip_prefix: string | null;
  remote_group_id: string | null;
}

export interface FloatingIpRecord extends Omit<Common, 'name'> {
  floating_network_id: string;
  floating_ip_address: string;
  /** The port on the external network that holds the address. */
  floating_port_id: string;
  /** null while it leads nowhere. */
  port_id: string | null;
  fixed_ip_address: string | null;
}

export interface CloudRecords {
  network: NetworkRecord;
  subnet: SubnetRecord;
  port: PortRecord;
  security_group: SecurityGroupRecord;
  security_group_rule: SecurityGroupRuleRecord;
  floating_ip: FloatingIpRecord;
}

export type CloudKind = keyof CloudRecords;

const COMMON = { project_id: null, name: '', description: '' };

/** Completes a network that is made without wishes. */
export const newNetwork = (set: Partial<NetworkRecord> & { id: string }): NetworkRecord => ({
  ...COMMON,
  ...{ mtu: 1500, admin_state_up: true, shared: false, router_external: false, port_security_enabled: true },
  ...set,
});

/** Completes a port that is made without wishes. */
export const newPort = (
  set: Partial<PortRecord> & Pick<PortRecord, 'id' | 'network_id' | 'mac_address'>,
): PortRecord => ({
  ...COMMON,
  ...{ fixed_ips: [], device_id: '', device_owner: '', allowed_addresses: [], admin_state_up: true },
  ...{ user_made: false, security_groups: [], asked_groups: [], limits: [] },
  ...set,
});
