/** The two documents that show a whole load balancer: the status tree, and the full tree that a creation answers. */
import type { LoadBalancerGraph } from '../../model/graph.ts';
import { poolIdsOf } from '../../model/l7.ts';
import type { Resource } from '../../model/load-balancer.ts';
import type { Pool } from '../../model/pool.ts';
import { isStaying } from '../../model/status.ts';
import { asIds } from '../resource.ts';
import { healthMonitorView } from './health-monitors.ts';
import { l7PolicyView } from './l7-policies.ts';
import { l7RuleView } from './l7-rules.ts';
import { listenerView } from './listeners.ts';
import { memberView } from './members.ts';
import { poolView } from './pools.ts';

const statusesOf = ({ id, name, operating_status, provisioning_status }: Resource) => ({
  id,
  name,
  operating_status,
  provisioning_status,
});

/** Source: contract api.md 5.6. Pools that no listener uses are not in it. */
export function statusTree(graph: LoadBalancerGraph) {
  const ofPool = (pool: Pool) => {
    const monitor = monitorOf(graph, pool);
    return {
      ...statusesOf(pool),
      health_monitor: monitor ? { ...statusesOf(monitor), type: monitor.type } : null,
      members: graph.members
        .filter(member => member.pool_id === pool.id)
        .map(member => ({
          ...statusesOf(member),
          address: member.address,
          protocol_port: member.protocol_port,
        })),
    };
  };
  return {
    statuses: {
      loadbalancer: {
        ...statusesOf(graph.load_balancer),
        listeners: graph.listeners.map(listener => ({
          ...statusesOf(listener),
          pools: poolIdsOf(graph, listener).flatMap(id =>
            graph.pools.filter(pool => pool.id === id).map(ofPool),
          ),
        })),
      },
    },
  };
}

/** Listeners and pools as a creation shows them: everything nested, nothing pointing back. Source: contract api.md 5.5. */
export function fullTree(graph: LoadBalancerGraph) {
  return {
    listeners: graph.listeners.map(listener => ({
      ...listenerView(listener),
      l7policies: graph.l7policies
        .filter(policy => policy.listener_id === listener.id)
        .toSorted((a, b) => a.position - b.position)
        .map(policy => ({
          ...l7PolicyView(policy),
          rules: graph.l7rules.filter(rule => rule.l7policy_id === policy.id).map(l7RuleView),
        })),
    })),
    pools: graph.pools.map(pool => {
      const monitor = monitorOf(graph, pool);
      return {
        ...poolView(pool),
        listeners: asIds(graph.listeners.filter(l => l.default_pool_id === pool.id).map(l => l.id)),
        members: graph.members.filter(member => member.pool_id === pool.id).map(memberView),
        healthmonitor: monitor ? healthMonitorView(monitor) : null,
      };
    }),
  };
}

/** A monitor that is on its way out gives way to its successor. */
export function monitorOf(graph: LoadBalancerGraph, pool: Pool) {
  const monitors = graph.health_monitors.filter(monitor => monitor.pool_id === pool.id);
  return monitors.find(isStaying) ?? monitors[0];
}
