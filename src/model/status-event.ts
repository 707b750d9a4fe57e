/** The message about a status of a load balancer, or of something under it, that has changed. */
import type { LoadBalancer } from './load-balancer.ts';
import type { OperatingStatus, ProvisioningStatus } from './status.ts';

/** Both statuses of one thing. */
export interface Statuses {
  /** DELETED once it is gone. */
  provisioning_status: ProvisioningStatus;
  operating_status: OperatingStatus;
}

export type LoadBalancerFacts = Pick<LoadBalancer, (typeof LOAD_BALANCER_FACTS)[number]>;

/** Source: contract controller.md 13. */
export const LOAD_BALANCER_FACTS = [
  ...([
    'description',
    'admin_state_up',
    'flavor_id',
    'availability_zone',
    'vip_address',
    'vip_network_id',
  ] as const),
  ...(['vip_port_id', 'vip_subnet_id', 'vip_qos_policy_id', 'vip_sg_ids', 'additional_vips'] as const),
] as const;

export interface StatusEvent extends Statuses {
  /** The same when it is delivered again. */
  id: string;
  /** Naive UTC. */
  time: string;
  /** Counts the events of the load balancer; a receiver knows by it what is older and what came twice. */
  sequence: number;
  loadbalancer_id: string;
  project_id: string | null;
  resource_type: 'loadbalancer' | 'listener' | 'pool' | 'member' | 'healthmonitor' | 'l7policy' | 'l7rule';
  resource_id: string;
  /** Empty for one that has no row any more. */
  name: string;
  /** What the load balancer is, in the words of the provider interface; null for what is under it, and for one that has no row any more. */
  load_balancer: LoadBalancerFacts | null;
  /** null for what is new. */
  previous: Statuses | null;
  /** Why the load balancer could not be made real at the last try. */
  error_reason: string | null;
}
