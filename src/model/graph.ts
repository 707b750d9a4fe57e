/** One load balancer with everything under it: what the worker reads, plans from and renders. */
import type { Amphora } from './amphora.ts';
import type { HealthMonitor } from './health-monitor.ts';
import type { Listener } from './listener.ts';
import type { LoadBalancer } from './load-balancer.ts';
import type { Member, Pool } from './pool.ts';

/** Flat lists; children point to their parents by id. Rows in `PENDING_DELETE` are in it, deleted ones are not. */
export interface LoadBalancerGraph {
  load_balancer: LoadBalancer;
  listeners: Listener[];
  pools: Pool[];
  members: Member[];
  health_monitors: HealthMonitor[];
  amphorae: Amphora[];
}
