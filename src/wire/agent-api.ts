/** The agent's REST API 1.0: paths, requests and replies. Source: contract amphora-agent.md 3 and 4. */

import type { HaproxyChange, HaproxyChanges } from '../model/amphora.ts';

export const AGENT_API_VERSION = '1.0';
export const AGENT_PORT = 9443;

export interface HostRouteInfo {
  destination: string;
  nexthop: string;
}

export interface AdditionalVipInfo {
  ip_address: string;
  subnet_cidr: string;
  gateway: string | null;
  host_routes: HostRouteInfo[];
}

/** `POST /plug/vip/<vip>`. */
export interface PlugVip {
  subnet_cidr: string;
  gateway: string | null;
  /** Lower case. */
  mac_address: string;
  mtu?: number;
  vrrp_ip?: string;
  host_routes?: HostRouteInfo[];
  additional_vips?: AdditionalVipInfo[];
  is_sriov?: boolean;
}

export interface FixedIpInfo {
  ip_address: string;
  subnet_cidr: string;
  host_routes: HostRouteInfo[];
  gateway?: string | null;
}

/** `POST /plug/network`. */
export interface PlugNetwork {
  mac_address: string;
  fixed_ips?: FixedIpInfo[] | null;
  mtu?: number;
  is_sriov?: boolean;
  /** Only when the port is the VRRP port itself: rewrite the VIP's interface with these addresses added. */
  vip_net_info?: PlugVip & { vip: string };
}

/** One element of `PUT /interface/<ip>/rules`. */
export interface FirewallRule {
  protocol: 'TCP' | 'UDP' | 'SCTP' | 'VRRP';
  cidr: string | null;
  port: number;
}

/** `GET /info`. */
export interface AgentInfo {
  hostname: string;
  haproxy_version: string;
  api_version: string;
  keepalived_version: string;
  ipvsadm_version: string;
}

/**
 * `GET /details`. Strings where the original has strings; what its agents tell since 12.0 only is optional.
 * Source: contract amphora-agent.md 1.
 */
export interface AgentDetails extends AgentInfo {
  networks: Record<string, { network_tx: number; network_rx: number }>;
  active: true;
  haproxy_count: number;
  lvs_listener_process_count: number;
  cpu_count?: number;
  cpu: { total: number; user: string; system: string; soft_irq: string };
  /** In kB. */
  memory: {
    total: number;
    free: number;
    buffers: number;
    cached: number;
    swap_used: number;
    shared: number;
    slab: number;
  };
  /** In bytes, of the root file system. */
  disk: { used: number; available: number };
  load: [string, string, string];
  active_tuned_profiles?: string;
  topology: 'SINGLE';
  topology_status: 'OK';
  /** Of agents of ours: they take another topology while they serve. */
  changes_topology?: true;
  listeners: string[];
  packages: Record<string, never>;
}

/** What agents of ours add to their answer to `PUT …/reload` and `start`, as `applied`; the original's do not. */
export interface AgentApplied {
  how: HaproxyChange;
  reason: string;
  /** This one included. */
  changes: HaproxyChanges;
}

/** One element of `GET /listeners`. */
export interface AgentListener {
  status: 'ACTIVE' | 'OFFLINE' | 'ERROR';
  uuid: string;
  type: string;
}
