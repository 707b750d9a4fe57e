/** The two statuses of every resource, the status of an amphora, and the rule for when a worker owes work. */
import type { LoadBalancerGraph } from './graph.ts';

export const PROVISIONING_STATUSES = [
  'ACTIVE',
  'PENDING_CREATE',
  'PENDING_UPDATE',
  'PENDING_DELETE',
  'ERROR',
  'DELETED',
] as const;
/** Does reality match the wish; `PENDING_*` means that a worker owes work. */
export type ProvisioningStatus = (typeof PROVISIONING_STATUSES)[number];

export const OPERATING_STATUSES = [
  'ONLINE',
  'OFFLINE',
  'DEGRADED',
  'ERROR',
  'NO_MONITOR',
  'DRAINING',
] as const;
/** Does traffic flow, as the heartbeats tell it. */
export type OperatingStatus = (typeof OPERATING_STATUSES)[number];

export const AMPHORA_STATUSES = [
  'PENDING_CREATE',
  'BOOTING',
  'ALLOCATED',
  'READY',
  'PENDING_DELETE',
  'DELETED',
  'ERROR',
  'FAILOVER_STOPPED',
] as const;
/** `ERROR` and `PENDING_DELETE` are marks: the next pass of the reconciler replaces or releases the amphora. */
export type AmphoraStatus = (typeof AMPHORA_STATUSES)[number];

/**
 * The definition of work: something was accepted after what was last settled, or an amphora is marked.
 * `db/lease.ts` says the same in SQL; a test holds the two against each other.
 */
export function owesWork(graph: Pick<LoadBalancerGraph, 'load_balancer' | 'amphorae'>): boolean {
  const { load_balancer: lb, amphorae } = graph;
  if (lb.provisioning_status === 'DELETED') return false;
  return lb.generation > lb.settled_generation || amphorae.some(a => isMarked(a.status));
}

/** An amphora that the reconciler must replace or release. */
export function isMarked(status: AmphoraStatus): boolean {
  return status === 'ERROR' || status === 'PENDING_DELETE';
}
