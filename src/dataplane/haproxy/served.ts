/** Which parts of a graph haproxy serves, in an order that is the same for equal graphs. */
import type { LoadBalancerGraph } from '../../model/graph.ts';
import type { HealthMonitor } from '../../model/health-monitor.ts';
import { effectivePolicies, type L7Policy, type L7Rule, poolIdsOf, rulesOf } from '../../model/l7.ts';
import type { Listener } from '../../model/listener.ts';
import type { Member, Pool } from '../../model/pool.ts';
import { isLvsProtocol } from '../../model/protocols.ts';
import type { ProvisioningStatus } from '../../model/status.ts';
import type { RenderContext } from './context.ts';
import { isLoaded, isServable, poolReferences } from './tls.ts';

/** A pool as one listener uses it. */
export interface ServedPool {
  pool: Pool;
  /** Enabled or not; none when the pool's certificates could not be loaded. */
  members: Member[];
  /** undefined when there is none, or it is disabled. */
  monitor: HealthMonitor | undefined;
}

/** A policy that can match a request. */
export interface ServedPolicy {
  policy: L7Policy;
  /** The enabled ones, at least one. */
  rules: L7Rule[];
  /** Where it redirects to; undefined when it does not, or the pool is disabled. */
  pool: ServedPool | undefined;
}

export interface ServedListener {
  listener: Listener;
  mode: 'tcp' | 'http';
  /** undefined when there is none, or it is disabled. */
  defaultPool: ServedPool | undefined;
  /** Every pool that the listener may send requests to, the default pool first. */
  pools: ServedPool[];
  /** By their positions. */
  policies: ServedPolicy[];
}

/**
 * The enabled listeners of an enabled load balancer that are not on their way out.
 * Source: contract dataplane.md 4 and 6.
 */
export function servedListeners(
  graph: LoadBalancerGraph,
  context: Pick<RenderContext, 'certificates'>,
): ServedListener[] {
  if (!graph.load_balancer.admin_state_up) return [];
  return inOrder(graph.listeners.filter(isKept))
    .filter(l => l.admin_state_up && !isLvsProtocol(l.protocol) && isServable(l, context))
    .map(listener => {
      const pools = poolIdsOf(graph, listener).flatMap(id => servedPool(graph, id, context) ?? []);
      const findPool = (id: string | null) => pools.find(({ pool }) => pool.id === id);
      return {
        listener,
        mode: listener.protocol === 'TCP' || listener.protocol === 'HTTPS' ? 'tcp' : 'http',
        defaultPool: findPool(listener.default_pool_id),
        pools,
        policies: effectivePolicies(graph, listener)
          .map(policy => ({
            policy,
            rules: inOrder(rulesOf(graph, policy).filter(rule => rule.admin_state_up)),
            pool: findPool(policy.redirect_pool_id),
          }))
          .filter(({ rules }) => rules.length > 0),
      };
    });
}

function servedPool(
  graph: LoadBalancerGraph,
  id: string,
  context: Pick<RenderContext, 'certificates'>,
): ServedPool | undefined {
  const pool = graph.pools.find(p => p.id === id);
  if (pool === undefined || !pool.admin_state_up || !isKept(pool)) return undefined;
  // Without its certificates it has nowhere to send requests to, which are then refused rather than sent to other pools.
  const isReachable = isLoaded(poolReferences(pool), context);
  return {
    pool,
    members: inOrder(graph.members.filter(m => isReachable && m.pool_id === pool.id && isKept(m))),
    monitor: graph.health_monitors.find(h => h.pool_id === pool.id && h.admin_state_up && isKept(h)),
  };
}

export function isKept(row: { provisioning_status: ProvisioningStatus }): boolean {
  return row.provisioning_status !== 'PENDING_DELETE' && row.provisioning_status !== 'DELETED';
}

/** By age, and among equals by id: the order in which the database happens to answer must not change the file. */
export function inOrder<T extends { created_at: string; id: string }>(rows: readonly T[]): T[] {
  return rows.toSorted((a, b) => compare(a.created_at, b.created_at) || compare(a.id, b.id));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
