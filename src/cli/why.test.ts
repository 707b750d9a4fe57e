import { expect, test } from 'vitest';
import type { Timeline, TimelinePass } from '../model/timeline.ts';
import type { Node } from './tree.ts';
import { explain, explainOperation, explainState } from './why.ts';

const PASS: TimelinePass = {
  ...{ id: 'p', generation: 3, started_at: '2026-01-31T12:00:00.000000', duration_ms: 1500 },
  ...{ outcome: 'failed', reason: 'Cannot reach the agent.' },
  steps: [
    { step: 'ensure VIP port', started_at: '2026-01-31T12:00:00.000000', duration_ms: 3, outcome: 'ok' },
    { step: 'apply', started_at: '', duration_ms: 1400, outcome: 'failed', subject: 'a1' },
  ],
};
const TIMELINE: Timeline = {
  ...{ loadbalancer_id: 'x', provisioning_status: 'ERROR', operating_status: 'ONLINE', state: 'failing' },
  ...{ since: '2026-01-31T11:59:00.000000', generation: 3, settled_generation: 2, failed_passes: 4 },
  ...{ error_reason: 'Cannot reach the agent.', next_try_at: '2026-01-31T12:01:00.250000' },
  ...{ passes: [PASS], under_way: null },
};
const NOW = Date.UTC(2026, 0, 31, 12, 0, 30);
const node = (label: string, operating_status: string, ...children: Node[]): Node => ({
  ...{ label, detail: 'd', provisioning_status: 'ACTIVE', operating_status, children },
});

test('a failure is told with where it broke, since when, how often, and when it is tried again', () => {
  expect(explain('web', TIMELINE, NOW)).toEqual([
    '2026-01-31 12:00:00.000  change 3  failed after 1.5 s and 2 steps, at step "apply" of a1 after 1.4 s: Cannot reach the agent',
    'web is ERROR: making it so fails since 2026-01-31 11:59:00.000 (90.0 s). Change 3 was accepted, 2 is in effect.' +
      ' 4 passes failed, the last with: Cannot reach the agent. The next try is at 2026-01-31 12:01:00.250, or at once when it is changed.',
  ]);
});

test.each<[Partial<Timeline>, string]>([
  [
    { state: 'settled', provisioning_status: 'ACTIVE', settled_generation: 3, since: null },
    'web is ACTIVE: all that was asked for is in effect. Nothing is left to do.',
  ],
  [
    { state: 'queued', provisioning_status: 'PENDING_DELETE', since: null },
    'web is PENDING_DELETE: no pass has begun yet. It is to be deleted, and will not be forgotten. A worker takes it up within seconds.',
  ],
  [
    { state: 'waiting', provisioning_status: 'PENDING_CREATE', since: null, next_try_at: null },
    'web is PENDING_CREATE: it waits for Cannot reach the agent. Change 3 was accepted, 2 is in effect. It is looked at again at once.',
  ],
  [
    { state: 'working', provisioning_status: 'PENDING_UPDATE', since: null, failed_passes: 1 },
    'web is PENDING_UPDATE: a worker is at it. Change 3 was accepted, 2 is in effect. 1 pass before failed.',
  ],
  [
    {
      ...{ state: 'working', provisioning_status: 'PENDING_UPDATE', since: null, failed_passes: 0 },
      under_way: { generation: 3, started_at: '', steps: [], current: { step: 'apply', started_at: '' } },
    },
    'web is PENDING_UPDATE: a worker is at step "apply". Change 3 was accepted, 2 is in effect.',
  ],
])('%j', (set, said) => {
  expect(explainState('web', { ...TIMELINE, ...set }, NOW)).toBe(said);
});

test('an operating status is explained by the deepest that is at fault, each once', () => {
  const pool = node('pool a', 'DEGRADED', node('member 1', 'ERROR'), node('member 2', 'ONLINE'));
  const tree = node('lb', 'DEGRADED', node('listener', 'ONLINE', pool), node('l2', 'DEGRADED', pool));
  expect(explainOperation(tree, { operating_status: 'DEGRADED' })).toEqual([
    'Its operating status is DEGRADED, because of:',
    '  member 1 (d) is ERROR',
  ]);
  expect(explainOperation(node('lb', 'OFFLINE'), { operating_status: 'OFFLINE' })).toEqual([
    'Its operating status is OFFLINE: no amphora has reported otherwise.',
  ]);
});
