/** Which parts of a graph haproxy serves, in an order that is the same for equal graphs. */
import { TerminalError } from '../../lib/errors.ts';
import type { LoadBalancerGraph } from '../../model/graph.ts';
import type { HealthMonitor } from '../../model/health-monitor.ts';
import type { Listener } from '../../model/listener.ts';
import type { Member, Pool } from '../../model/pool.ts';
import { UNSERVED_LISTENER_PROTOCOLS } from '../../model/protocols.ts';
import type { ProvisioningStatus } from '../../model/status.ts';

/** A pool as one listener uses it. */
export interface ServedPool {
  pool: Pool;
  /** Enabled or not. */
  members: Member[];
  /** undefined when there is none, or it is disabled. */
  monitor: HealthMonitor | undefined;
}

export interface ServedListener {
  listener: Listener;
  mode: 'tcp' | 'http';
  /** undefined when there is none, or it is disabled. */
  defaultPool: ServedPool | undefined;
  /** Every pool that the listener may send requests to, the default pool first. */
  pools: ServedPool[];
}

/**
 * The enabled listeners of an enabled load balancer that are not on their way out.
 * Source: contract dataplane.md 4 and 6.
 */
export function servedListeners(graph: LoadBalancerGraph): ServedListener[] {
  if (!graph.load_balancer.admin_state_up) return [];
  return inOrder(graph.listeners.filter(isKept))
    .filter(l => l.admin_state_up && !UNSERVED_LISTENER_PROTOCOLS.includes(l.protocol))
    .map(listener => {
      const defaultPool = servedPool(graph, listener.default_pool_id);
      return {
        listener,
        mode: listener.protocol === 'HTTP' ? 'http' : 'tcp',
        defaultPool,
        // Pools that l7policies redirect to follow here.
        pools: defaultPool === undefined ? [] : [defaultPool],
      };
    });
}

function servedPool(graph: LoadBalancerGraph, id: string | null): ServedPool | undefined {
  const pool = graph.pools.find(p => p.id === id);
  if (pool === undefined || !pool.admin_state_up || !isKept(pool)) return undefined;
  if (pool.tls_enabled) {
    throw new TerminalError(`Cannot serve pool ${pool.id}: TLS to its members is not supported yet`);
  }
  return {
    pool,
    members: inOrder(graph.members.filter(m => m.pool_id === pool.id && isKept(m))),
    monitor: graph.health_monitors.find(h => h.pool_id === pool.id && h.admin_state_up && isKept(h)),
  };
}

function isKept(row: { provisioning_status: ProvisioningStatus }): boolean {
  return row.provisioning_status !== 'PENDING_DELETE' && row.provisioning_status !== 'DELETED';
}

/** By age, and among equals by id: the order in which the database happens to answer must not change the file. */
export function inOrder<T extends { created_at: string; id: string }>(rows: readonly T[]): T[] {
  return rows.toSorted((a, b) => compare(a.created_at, b.created_at) || compare(a.id, b.id));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
