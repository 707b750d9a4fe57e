/** The load balancer: the root of everything, and the VIP that users connect to. */
import type { OperatingStatus, ProvisioningStatus } from './status.ts';

export const TOPOLOGIES = ['SINGLE', 'ACTIVE_STANDBY'] as const;
export type Topology = (typeof TOPOLOGIES)[number];

/** What every resource of the API carries. Times are naive UTC, `YYYY-MM-DDTHH:MM:SS.ffffff`. */
export interface Resource {
  id: string;
  project_id: string | null;
  name: string;
  admin_state_up: boolean;
  provisioning_status: ProvisioningStatus;
  operating_status: OperatingStatus;
  tags: string[];
  created_at: string;
  /** null until the first status change after the creation. */
  updated_at: string | null;
  /** The load balancer's generation when this row was last written by a user: settled once that generation is. */
  generation: number;
}

export interface AdditionalVip {
  subnet_id: string;
  ip_address: string | null;
  port_id: string | null;
}

export interface LoadBalancer extends Resource {
  description: string;
  vip_address: string | null;
  vip_port_id: string | null;
  vip_subnet_id: string | null;
  vip_network_id: string | null;
  vip_qos_policy_id: string | null;
  vip_sg_ids: string[];
  vip_vnic_type: 'normal' | 'direct';
  additional_vips: AdditionalVip[];
  /** The VIP port is ours and goes with the load balancer; a port that the user brought stays. */
  vip_port_owned: boolean;
  provider: string;
  flavor_id: string | null;
  availability_zone: string | null;
  topology: Topology;
  /** The newest generation that the world was made equal to; work is owed while it is below `generation`. */
  settled_generation: number;
  /** Why the last pass failed, in a sentence for the user; null when it did not. */
  error_reason: string | null;
}

/** What the VIP's port tells once it exists. */
export type VipFacts = Pick<LoadBalancer, 'vip_port_id' | 'vip_address' | 'additional_vips'>;

/** The name of the port that holds the VIP. Source: contract controller.md 9.2. */
export const vipPortName = (loadBalancerId: string): string => `octavia-lb-${loadBalancerId}`;
