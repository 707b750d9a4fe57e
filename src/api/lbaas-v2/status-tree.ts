/** The status tree of the old API: what is switched off and what is in trouble is worked out while it is answered. Source: contract lbaasv2.md 7. */
import type { LoadBalancerGraph } from '../../model/graph.ts';
import type { Listener } from '../../model/listener.ts';
import type { Resource } from '../../model/load-balancer.ts';
import type { Pool } from '../../model/pool.ts';
import { monitorOf } from '../resources/status-tree.ts';
import { type Attributes, oldOperatingStatus } from './resources.ts';

interface Node {
  shown: Attributes;
  /** Everything above it is degraded then. */
  isTroubled: boolean;
}

const FINE: readonly unknown[] = ['ONLINE', 'NO_MONITOR'];
const shownOf = (nodes: readonly Node[]): Attributes[] => nodes.map(node => node.shown);

/** With an operating status; `isAboveUp` says whether all that it is under is switched on. */
function statusNode(record: Resource, isAboveUp: boolean, children: readonly Node[], rest: Attributes): Node {
  const { id, name, provisioning_status } = record;
  const isUp = isAboveUp && record.admin_state_up;
  const own = oldOperatingStatus(record.operating_status);
  const areChildrenTroubled = children.some(child => child.isTroubled);
  const isTroubled = isUp && (areChildrenTroubled || provisioning_status === 'ERROR' || !FINE.includes(own));
  const operating_status = isUp ? (areChildrenTroubled ? 'DEGRADED' : own) : 'DISABLED';
  return { shown: { id, name, provisioning_status, operating_status, ...rest }, isTroubled };
}

/** Without one: monitors, policies and rules. */
function plainNode(record: Resource, isAboveUp: boolean, children: readonly Node[], rest: Attributes): Node {
  const { id, provisioning_status } = record;
  const isTroubled = provisioning_status === 'ERROR' || children.some(child => child.isTroubled);
  return {
    shown: { id, provisioning_status, ...rest },
    isTroubled: isTroubled && isAboveUp && record.admin_state_up,
  };
}

export function oldStatusTree(graph: LoadBalancerGraph) {
  const { load_balancer: lb, listeners, pools } = graph;
  const isUp = lb.admin_state_up;
  const listenerNodes = listeners.map(listener => listenerNode(graph, listener, isUp));
  const poolNodes = pools.map(pool => poolNode(graph, pool, isUp));
  const { shown, isTroubled } = statusNode(lb, true, [...listenerNodes, ...poolNodes], {
    listeners: shownOf(listenerNodes),
    pools: shownOf(poolNodes),
  });
  if (isTroubled) shown.operating_status = 'DEGRADED';
  return { statuses: { loadbalancer: shown } };
}

function listenerNode(graph: LoadBalancerGraph, listener: Listener, isAboveUp: boolean): Node {
  const isUp = isAboveUp && listener.admin_state_up;
  const pools = graph.pools
    .filter(pool => pool.id === listener.default_pool_id)
    .map(pool => poolNode(graph, pool, isUp));
  const policies = graph.l7policies
    .filter(policy => policy.listener_id === listener.id)
    .toSorted((a, b) => a.position - b.position)
    .map(policy => {
      const rules = graph.l7rules
        .filter(rule => rule.l7policy_id === policy.id)
        .map(rule => plainNode(rule, isUp && policy.admin_state_up, [], { type: rule.type }));
      const { name, action } = policy;
      return plainNode(policy, isUp, rules, { name, action, rules: shownOf(rules) });
    });
  return statusNode(listener, isAboveUp, [...pools, ...policies], {
    pools: shownOf(pools),
    l7policies: shownOf(policies),
  });
}

function poolNode(graph: LoadBalancerGraph, pool: Pool, isAboveUp: boolean): Node {
  const isUp = isAboveUp && pool.admin_state_up;
  const members = graph.members
    .filter(member => member.pool_id === pool.id)
    .map(member => {
      const { address, protocol_port } = member;
      return statusNode(member, isUp, [], { address, protocol_port });
    });
  const monitor = monitorOf(graph, pool);
  const monitors = monitor ? [plainNode(monitor, isUp, [], { name: monitor.name, type: monitor.type })] : [];
  return statusNode(pool, isAboveUp, [...members, ...monitors], {
    members: shownOf(members),
    healthmonitor: shownOf(monitors)[0] ?? {},
  });
}
