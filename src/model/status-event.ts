/** The message about a status of a load balancer, or of something under it, that has changed. */
import type { OperatingStatus, ProvisioningStatus } from './status.ts';

/** Both statuses of one thing. */
export interface Statuses {
  /** DELETED once it is gone. */
  provisioning_status: ProvisioningStatus;
  operating_status: OperatingStatus;
}

export interface StatusEvent extends Statuses {
  /** The same when it is delivered again. */
  id: string;
  /** Naive UTC. */
  time: string;
  /** Counts the events of the load balancer; a receiver knows by it what is older and what came twice. */
  sequence: number;
  loadbalancer_id: string;
  project_id: string | null;
  resource_type: 'loadbalancer' | 'listener' | 'pool' | 'member';
  resource_id: string;
  name: string;
  /** null for what is new. */
  previous: Statuses | null;
  /** Why the load balancer could not be made real at the last try. */
  error_reason: string | null;
}
