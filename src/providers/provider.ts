/** The provider interface: one way to make load balancers real, chosen by the `provider` field. */
import type { Lease } from '../db/lease.ts';
import type { LoadBalancerGraph } from '../model/graph.ts';
import type { LbAlgorithm, PoolProtocol } from '../model/pool.ts';
import type { Trace } from './trace.ts';

/** What one pass of the reconciler came to. */
export type PassResult =
  /** The world equals the graph that was read, but for what has a fault of its own: that is tried again later. */
  | { done: true; faults?: ResourceFault[] }
  /** Something takes its time (an instance boots): look again after this long, without having failed. */
  | { done: false; waiting_for: string; again_after_ms: number };

/** Why a single listener or pool is not served, in a sentence for its owner. */
export interface ResourceFault {
  resource_type: 'listener' | 'pool';
  resource_id: string;
  reason: string;
}

export interface Pass {
  graph: LoadBalancerGraph;
  trace: Trace;
  /** Aborts when the lease is lost or the worker stops: nothing may be changed after that. */
  signal: AbortSignal;
  /** Every write of the pass carries it. */
  lease: Lease;
  /** Throws `LeaseLost` when the lease may be over by now, which a process that was halted learns from the signal too late. */
  checkLease(): void;
}

export interface Capability {
  name: string;
  description: string;
  /** What its value may be: any of a kind, or one of these words. */
  value: 'text' | 'boolean' | 'network' | 'networks' | readonly string[];
}

export interface Provider {
  readonly name: string;
  readonly description: string;
  readonly supports: {
    /** Whether a pool of this protocol can choose its members so. */
    lb_algorithm(pool: PoolProtocol, algorithm: LbAlgorithm): boolean;
    listener_protocols: readonly string[];
    pool_protocols: readonly string[];
    /** Encryption to members (`tls_enabled`); false when absent. */
    pool_tls?: boolean;
    /** Listeners that let only some clients in (`allowed_cidrs`); false when absent. */
    allowed_cidrs?: boolean;
    /** Policies and rules on the content of HTTP requests; false when absent. */
    l7?: boolean;
    flavor_capabilities: readonly Capability[];
    availability_zone_capabilities: readonly Capability[];
  };
  /** Makes the world equal to the graph. Idempotent; may stop after any step and be run again by another worker. */
  reconcile(pass: Pass): Promise<PassResult>;
  /** Removes from the world all that belongs to the load balancer. Idempotent; absent is success. */
  remove(pass: Pass): Promise<PassResult>;
  /** The same for what belongs to no load balancer: what is kept ready, and what was left over. Absent: there is none. */
  reconcileUnowned?(pass: Omit<Pass, 'graph'>): Promise<PassResult>;
}
