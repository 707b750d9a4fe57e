import { describe, expect, test } from 'vitest';
import { buildGraph, type GraphSketch, idOf } from '../model/graph.fixture.ts';
import type { OperatingStatus } from '../model/status.ts';
import { type HeartbeatSketch, heartbeatOf } from './heartbeat.fixture.ts';
import { applyStatuses, countListeners, operatingStatusChanges } from './operating-status.ts';

const [L1, L2] = [idOf('listener', 1), idOf('listener', 2)];
const [P1, P2] = [idOf('pool', 1), idOf('pool', 2)];
const [M1, M2] = [idOf('member', 1), idOf('member', 2)];

/** One of each, every status OFFLINE, so that a status that stays is told from one that is set. */
const offline = { operating_status: 'OFFLINE' } as const;
const basic: GraphSketch = {
  load_balancer: offline,
  listeners: [{ ...offline, default_pool_id: P1 }],
  pools: [offline],
  members: [offline],
};
const healthy: HeartbeatSketch = { listeners: { [L1]: 'OPEN' }, pools: { [P1]: ['UP', { [M1]: 'UP' }] } };

/** All statuses as they are after the heartbeat, by short name, and what was not understood. */
function statusesAfter(sketch: GraphSketch, heartbeat: HeartbeatSketch) {
  const graph = buildGraph(sketch);
  const { changes, unknown } = operatingStatusChanges(graph, heartbeatOf(heartbeat));
  const rows = new Map<string, OperatingStatus>(
    [graph.load_balancer, ...graph.listeners, ...graph.pools, ...graph.members].map(r => [
      r.id,
      r.operating_status,
    ]),
  );
  for (const { id, operating_status } of changes) {
    expect(rows.get(id), 'only what differs is changed').not.toBe(operating_status);
  }
  applyStatuses(graph, changes);
  return {
    lb: graph.load_balancer.operating_status,
    listeners: graph.listeners.map(l => l.operating_status),
    pools: graph.pools.map(p => p.operating_status),
    members: graph.members.map(m => m.operating_status),
    unknown,
  };
}

test('all is well', () => {
  expect(statusesAfter(basic, healthy)).toEqual({
    lb: 'ONLINE',
    listeners: ['ONLINE'],
    pools: ['ONLINE'],
    members: ['ONLINE'],
    unknown: [],
  });
});

test('what is so already is not written', () => {
  const graph = buildGraph({ listeners: [{}], pools: [{}], members: [{}] });
  expect(operatingStatusChanges(graph, heartbeatOf(healthy))).toEqual({ changes: [], unknown: [] });
});

// The rows of the tables of contract heartbeat.md 5.3, in their order.
describe('listeners', () => {
  const statuses = ['ACTIVE', 'PENDING_CREATE', 'PENDING_UPDATE', 'PENDING_DELETE', 'ERROR'] as const;
  test.each(statuses)('not reported, enabled, load balancer %s', provisioning_status => {
    const sketch: GraphSketch = {
      load_balancer: { ...offline, provisioning_status },
      listeners: [{ operating_status: 'ONLINE' }],
    };
    const got = statusesAfter(sketch, { listeners: { [L2]: 'OPEN' } });
    expect(got.listeners).toEqual([provisioning_status === 'ACTIVE' ? 'ERROR' : 'OFFLINE']);
    expect(got.lb, 'a listener that is missing says nothing of the load balancer').toBe('ONLINE');
  });

  test.each(statuses)('none is reported, load balancer %s: while it is pending nothing follows', status => {
    const sketch: GraphSketch = {
      load_balancer: { ...offline, provisioning_status: status },
      ...{ listeners: [{}], pools: [{}], members: [{}] },
    };
    const { listeners, pools, members, lb } = statusesAfter(sketch, { listeners: {} });
    const gone = [status === 'ACTIVE' ? 'ERROR' : 'OFFLINE', 'OFFLINE'];
    const isPending = status.startsWith('PENDING_');
    expect([...listeners, ...pools]).toEqual(isPending ? ['ONLINE', 'ONLINE'] : gone);
    expect([members, lb]).toEqual([['ONLINE'], 'ONLINE']);
  });

  test('not reported, disabled', () => {
    const sketch = { listeners: [{ admin_state_up: false }] };
    expect(statusesAfter(sketch, { listeners: {} }).listeners).toEqual(['OFFLINE']);
  });

  test.each([
    ['OPEN', 'ONLINE', 'ONLINE', 0],
    ['FULL', 'DEGRADED', 'DEGRADED', 0],
    ['DOWN', 'OFFLINE', 'ONLINE', 1],
    ['SLEEPY', 'OFFLINE', 'ONLINE', 1],
  ] as const)('%s', (word, listener, lb, unknown) => {
    const got = statusesAfter(basic, { ...healthy, listeners: { [L1]: word } });
    expect([got.listeners[0], got.lb, got.unknown.length]).toEqual([listener, lb, unknown]);
  });

  test('one that only the heartbeat knows has no influence', () => {
    expect(statusesAfter(basic, { ...healthy, listeners: { [L1]: 'OPEN', [L2]: 'FULL' } }).lb).toBe('ONLINE');
  });
});

describe('pools', () => {
  test.each([
    ['UP', 'ONLINE', 'ONLINE', 0],
    ['DOWN', 'ERROR', 'ERROR', 0],
    ['SLEEPY', 'OFFLINE', 'ONLINE', 1],
  ] as const)('%s', (word, pool, lb, unknown) => {
    const got = statusesAfter(basic, { ...healthy, pools: { [P1]: [word, { [M1]: 'UP' }] } });
    expect([got.pools[0], got.lb, got.unknown.length]).toEqual([pool, lb, unknown]);
  });

  test('reported by nobody: OFFLINE, and its members stay', () => {
    const sketch: GraphSketch = { ...basic, pools: [{}], members: [{ operating_status: 'ERROR' }] };
    const got = statusesAfter(sketch, { ...healthy, pools: {} });
    expect([got.pools, got.members, got.lb]).toEqual([['OFFLINE'], ['ERROR'], 'ONLINE']);
  });

  test('behind two listeners: the last key decides since version 2', () => {
    const sketch = { ...basic, listeners: [{}, {}] };
    const listeners = { [L1]: 'OPEN', [L2]: 'OPEN' };
    const pools: HeartbeatSketch['pools'] = {
      [`${P1}:${L1}`]: ['UP', { [M1]: 'UP' }],
      [`${P1}:${L2}`]: ['DOWN', { [M1]: 'DOWN' }],
    };
    expect(statusesAfter(sketch, { listeners, pools }).pools).toEqual(['ERROR']);
    const turned = Object.fromEntries(Object.entries(pools).toReversed());
    expect(statusesAfter(sketch, { listeners, pools: turned }).pools).toEqual(['ONLINE']);
  });
});

describe('members', () => {
  test.each([
    [undefined, 'OFFLINE', 'OFFLINE', 'ONLINE', 'ONLINE', 0],
    [undefined, 'NO_MONITOR', 'NO_MONITOR', 'ONLINE', 'ONLINE', 0],
    [undefined, 'ONLINE', 'OFFLINE', 'ONLINE', 'ONLINE', 0],
    ['UP', 'OFFLINE', 'ONLINE', 'ONLINE', 'ONLINE', 0],
    ['UP 1/3', 'OFFLINE', 'ONLINE', 'ONLINE', 'ONLINE', 0],
    ['DOWN', 'OFFLINE', 'ERROR', 'DEGRADED', 'DEGRADED', 0],
    ['DOWN 2/3', 'OFFLINE', 'ERROR', 'DEGRADED', 'DEGRADED', 0],
    ['DRAIN', 'OFFLINE', 'DRAINING', 'ONLINE', 'ONLINE', 0],
    ['MAINT', 'ONLINE', 'OFFLINE', 'ONLINE', 'ONLINE', 0],
    ['no check', 'OFFLINE', 'NO_MONITOR', 'ONLINE', 'ONLINE', 0],
    ['RESTARTING', 'DRAINING', 'DRAINING', 'ONLINE', 'ONLINE', 0],
    ['SLEEPY', 'DRAINING', 'DRAINING', 'ONLINE', 'ONLINE', 1],
  ] as const)('%s, before %s: %s', (word, before, member, pool, lb, unknown) => {
    const sketch = { ...basic, members: [{ operating_status: before }] };
    const members: Record<string, string> = word === undefined ? {} : { [M1]: word };
    const got = statusesAfter(sketch, { ...healthy, pools: { [P1]: ['UP', members] } });
    expect([got.members[0], got.pools[0], got.lb, got.unknown.length]).toEqual([member, pool, lb, unknown]);
  });

  test('a pool that is down is not made better by degrading it', () => {
    const got = statusesAfter(basic, { ...healthy, pools: { [P1]: ['DOWN', { [M1]: 'DOWN' }] } });
    expect([got.members[0], got.pools[0], got.lb]).toEqual(['ERROR', 'ERROR', 'ERROR']);
  });

  test('a pool in words nobody knows degrades nothing', () => {
    const got = statusesAfter(basic, { ...healthy, pools: { [P1]: ['SLEEPY', { [M1]: 'DOWN' }] } });
    expect([got.members[0], got.pools[0], got.lb]).toEqual(['ERROR', 'OFFLINE', 'ONLINE']);
  });
});

describe('the load balancer', () => {
  const two: GraphSketch = {
    ...basic,
    pools: [offline, offline],
    members: [offline, { ...offline, pool_id: P2 }],
  };

  test('disabled: OFFLINE', () => {
    const sketch: GraphSketch = { ...basic, load_balancer: { admin_state_up: false } };
    expect(statusesAfter(sketch, { listeners: {}, pools: {} }).lb).toBe('OFFLINE');
  });

  test('disabled: a full listener and a member that is down leave it OFFLINE, a pool that is down does not', () => {
    const sketch: GraphSketch = { ...basic, load_balancer: { ...offline, admin_state_up: false } };
    expect(statusesAfter(sketch, { ...healthy, listeners: { [L1]: 'FULL' } }).lb).toBe('OFFLINE');
    expect(statusesAfter(sketch, { ...healthy, pools: { [P1]: ['UP', { [M1]: 'DOWN' }] } }).lb).toBe(
      'OFFLINE',
    );
    expect(statusesAfter(sketch, { ...healthy, pools: { [P1]: ['DOWN', {}] } }).lb).toBe('ERROR');
  });

  test.each([
    ['the pool that is down first', ['DOWN', 'UP'], ['DOWN', 'DOWN']],
    ['the pool that is down last', ['UP', 'DOWN'], ['DOWN', 'DOWN']],
  ] as const)('in ERROR it is not lowered to DEGRADED: %s', (_what, [first, second], [m1, m2]) => {
    const got = statusesAfter(two, {
      listeners: { [L1]: 'FULL' },
      pools: { [P1]: [first, { [M1]: m1 }], [P2]: [second, { [M2]: m2 }] },
    });
    expect(got.lb).toBe('ERROR');
    expect(got.pools.toSorted()).toEqual(['DEGRADED', 'ERROR']);
  });
});

describe('old versions', () => {
  test.each([undefined, 0, 1])('%s: the first listener that reports a pool wins', ver => {
    const got = statusesAfter(
      { ...basic, listeners: [{}, {}] },
      {
        ver,
        listeners: { [L1]: 'OPEN', [L2]: 'OPEN' },
        nested: {
          [L1]: { [P1]: ['UP', { [M1]: 'UP' }] },
          [L2]: { [P1]: ['DOWN', { [M1]: 'DOWN' }] },
        },
      },
    );
    expect([got.pools, got.members, got.lb]).toEqual([['ONLINE'], ['ONLINE'], 'ONLINE']);
  });
});

describe('life', () => {
  const count = (sketch: GraphSketch, heartbeat: HeartbeatSketch) =>
    countListeners(buildGraph(sketch), heartbeatOf(heartbeat));

  test('as many listeners as are enabled, whatever their ids', () => {
    const sketch: GraphSketch = { listeners: [{}, { admin_state_up: false }, { protocol: 'UDP' }] };
    expect(count(sketch, { listeners: { a: 'OPEN', b: 'OPEN' } })).toEqual({
      reported: 2,
      expected: 2,
      alive: true,
    });
    expect(count(sketch, { listeners: { a: 'OPEN' } }).alive).toBe(false);
    expect(count(sketch, { listeners: {} }).alive).toBe(false);
  });

  test('listeners on their way out count', () => {
    const sketch: GraphSketch = { listeners: [{ provisioning_status: 'PENDING_DELETE' }] };
    expect(count(sketch, { listeners: {} }).alive).toBe(false);
  });

  test.each([
    ['PENDING_CREATE', {}, true],
    ['PENDING_UPDATE', {}, true],
    ['PENDING_DELETE', {}, true],
    ['ACTIVE', {}, false],
    ['ERROR', {}, false],
    ['ERROR', { generation: 2 }, true],
    ['ACTIVE', { admin_state_up: false }, true],
  ] as const)('none of one listener, load balancer %s %o', (provisioning_status, fields, alive) => {
    const load_balancer = { provisioning_status, ...fields };
    expect(count({ load_balancer, listeners: [{}] }, { listeners: {} }).alive).toBe(alive);
  });

  describe('a UDP listener without a member that can serve', () => {
    const udp = { protocol: 'UDP', default_pool_id: P1 } as const;
    test.each<[string, GraphSketch, number]>([
      ['no pool', { listeners: [{ ...udp, default_pool_id: null }] }, 0],
      ['no members', { listeners: [udp], pools: [{}] }, 0],
      ['a disabled member', { listeners: [udp], pools: [{}], members: [{ admin_state_up: false }] }, 0],
      ['a member', { listeners: [udp], pools: [{}], members: [{}] }, 1],
      ['TCP without a pool', { listeners: [{ protocol: 'TCP' }] }, 1],
    ])('%s', (_what, sketch, unversioned) => {
      expect(count(sketch, { ver: undefined, listeners: {} }).expected).toBe(unversioned);
      expect(count(sketch, { ver: 1, listeners: {} }).expected).toBe(1);
      expect(count(sketch, { ver: 3, listeners: {} }).expected).toBe(1);
    });
  });
});
