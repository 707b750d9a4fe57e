/** Which operating statuses old clients are told, and whom trouble below degrades. */
import { expect, test } from 'vitest';
import { buildGraph, type GraphSketch } from '../../model/graph.fixture.ts';
import { oldStatusTree } from './status-tree.ts';

/** The first of each kind: load balancer, listener, pool, member. */
function statuses(set: GraphSketch) {
  const graph = buildGraph({ listeners: [{}], pools: [{}], members: [{}], ...set });
  graph.listeners[0]!.default_pool_id = graph.pools[0]!.id;
  // biome-ignore lint/suspicious/noExplicitAny: the tree is read as a client reads it
  const lb = oldStatusTree(graph).statuses.loadbalancer as any;
  const [listener] = lb.listeners;
  const [pool] = listener.pools;
  return [lb, listener, pool, pool.members[0]].map(node => node.operating_status).join(' ');
}

test.each<[what: string, set: GraphSketch, seen: string]>([
  ['all is well', {}, 'ONLINE ONLINE ONLINE ONLINE'],
  ['nobody looks', { members: [{ operating_status: 'NO_MONITOR' }] }, 'ONLINE ONLINE ONLINE NO_MONITOR'],
  ['a member drains', { members: [{ operating_status: 'DRAINING' }] }, 'ONLINE ONLINE ONLINE ONLINE'],
  ['a member is down', { members: [{ operating_status: 'ERROR' }] }, 'DEGRADED DEGRADED DEGRADED OFFLINE'],
  ['a pool is down', { pools: [{ operating_status: 'OFFLINE' }] }, 'DEGRADED DEGRADED OFFLINE ONLINE'],
  ['a listener failed', { listeners: [{ provisioning_status: 'ERROR' }] }, 'DEGRADED ONLINE ONLINE ONLINE'],
  [
    'a monitor failed',
    { health_monitors: [{ provisioning_status: 'ERROR' }] },
    'DEGRADED DEGRADED DEGRADED ONLINE',
  ],
  [
    'a rule failed',
    { l7policies: [{}], l7rules: [{ provisioning_status: 'ERROR' }] },
    'DEGRADED DEGRADED ONLINE ONLINE',
  ],
  [
    'the load balancer failed',
    { load_balancer: { provisioning_status: 'ERROR' } },
    'DEGRADED ONLINE ONLINE ONLINE',
  ],
  [
    'a member is off',
    { members: [{ admin_state_up: false, operating_status: 'OFFLINE' }] },
    'ONLINE ONLINE ONLINE DISABLED',
  ],
  ['a listener is off', { listeners: [{ admin_state_up: false }] }, 'ONLINE DISABLED DISABLED DISABLED'],
  ['all of it is off', { load_balancer: { admin_state_up: false } }, 'DISABLED DISABLED DISABLED DISABLED'],
])('when %s', (_what, set, seen) => {
  expect(statuses(set)).toBe(seen);
});

test('has the shape of the old tree, with pools that no listener uses beside the others', () => {
  const graph = buildGraph({
    listeners: [{ name: 'l' }],
    pools: [{}],
    l7policies: [{ name: 'p' }],
    l7rules: [{}],
  });
  const { provisioning_status, operating_status } = {
    provisioning_status: 'ACTIVE',
    operating_status: 'ONLINE',
  };
  const [listener, pool, policy, rule] = [
    graph.listeners[0]!,
    graph.pools[0]!,
    graph.l7policies[0]!,
    graph.l7rules[0]!,
  ];
  listener.default_pool_id = null;
  expect(oldStatusTree(graph).statuses.loadbalancer).toEqual({
    ...{ id: graph.load_balancer.id, name: graph.load_balancer.name, provisioning_status, operating_status },
    pools: [{ id: pool.id, name: '', provisioning_status, operating_status, members: [], healthmonitor: {} }],
    listeners: [
      {
        ...{ id: listener.id, name: 'l', provisioning_status, operating_status, pools: [] },
        l7policies: [
          {
            ...{ id: policy.id, name: 'p', provisioning_status, action: policy.action },
            rules: [{ id: rule.id, provisioning_status, type: rule.type }],
          },
        ],
      },
    ],
  });
});
