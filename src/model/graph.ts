/** One load balancer with everything under it: what the worker reads, plans from and renders. */
import type { Amphora } from './amphora.ts';
import type { HealthMonitor } from './health-monitor.ts';
import type { L7Policy, L7Rule } from './l7.ts';
import type { Listener } from './listener.ts';
import type { LoadBalancer } from './load-balancer.ts';
import type { Member, Pool } from './pool.ts';
import { isMarked } from './status.ts';

/** Flat lists; children point to their parents by id. Rows in `PENDING_DELETE` are in it, deleted ones are not. */
export interface LoadBalancerGraph {
  load_balancer: LoadBalancer;
  listeners: Listener[];
  pools: Pool[];
  members: Member[];
  health_monitors: HealthMonitor[];
  l7policies: L7Policy[];
  l7rules: L7Rule[];
  amphorae: Amphora[];
}

export function emptyGraph(load_balancer: LoadBalancer): LoadBalancerGraph {
  return {
    load_balancer,
    listeners: [],
    pools: [],
    members: [],
    health_monitors: [],
    l7policies: [],
    l7rules: [],
    amphorae: [],
  };
}

/**
 * The definition of work: something was accepted after what was last settled, or an amphora is marked.
 * `db/lease.ts` says the same in SQL; a test holds the two against each other.
 */
export function owesWork(graph: {
  load_balancer: LoadBalancer;
  amphorae: readonly Pick<Amphora, 'status'>[];
}): boolean {
  const { load_balancer: lb, amphorae } = graph;
  if (lb.provisioning_status === 'DELETED') return false;
  return lb.generation > lb.settled_generation || amphorae.some(a => isMarked(a.status));
}
