import { describe, expect, test } from 'vitest';
import { loadBalancerRecord } from '../../db/testing.ts';
import type { Amphora } from '../../model/amphora.ts';
import { furtherSubnets, planAmphorae } from './plan.ts';

interface Sketch {
  /** Its size. */
  built_for?: string;
}

const amphora = (id: string, role: Amphora['role'], status: Amphora['status'], { built_for }: Sketch = {}) =>
  ({ id, role, status, built_for: built_for ?? null }) as Amphora;

const single = amphora('s', 'STANDALONE', 'ALLOCATED');
const pair = [amphora('m', 'MASTER', 'ALLOCATED'), amphora('b', 'BACKUP', 'ALLOCATED')];
const small = { built_for: 'small' };

interface Case {
  topology: 'SINGLE' | 'ACTIVE_STANDBY';
  amphorae: Amphora[];
  size?: string;
  /** Who has the VIP, where somebody was asked. */
  holder?: string;
  keep?: string[];
  build?: string[];
  release?: string[];
}

describe('planAmphorae()', () => {
  test.each<[string, Case]>([
    ['nothing yet', { topology: 'SINGLE', amphorae: [], build: ['STANDALONE'] }],
    ['one in service', { topology: 'SINGLE', amphorae: [single], keep: ['s STANDALONE'] }],
    [
      'one on its way',
      {
        topology: 'SINGLE',
        amphorae: [amphora('a', 'STANDALONE', 'BOOTING')],
        keep: ['a STANDALONE'],
      },
    ],
    [
      'a failed one is replaced before it goes',
      {
        ...{ topology: 'SINGLE', amphorae: [amphora('a', 'STANDALONE', 'ERROR')] },
        ...{ build: ['STANDALONE'], release: ['a'] },
      },
    ],
    [
      'the one in service is preferred, the other is surplus',
      {
        ...{ topology: 'SINGLE', amphorae: [amphora('a', 'STANDALONE', 'BOOTING'), single] },
        ...{ keep: ['s STANDALONE'], release: ['a'] },
      },
    ],
    [
      'a pair with a lost half',
      {
        topology: 'ACTIVE_STANDBY',
        amphorae: [amphora('a', 'MASTER', 'ERROR'), pair[1]!],
        ...{ keep: ['b BACKUP'], build: ['MASTER'], release: ['a'] },
      },
    ],
    [
      'a single one becomes the first of a pair',
      {
        ...{ topology: 'ACTIVE_STANDBY', amphorae: [single], holder: 's' },
        ...{ keep: ['s MASTER'], build: ['BACKUP'] },
      },
    ],
    [
      'one that cannot change, or does not answer, is replaced by a pair',
      {
        ...{ topology: 'ACTIVE_STANDBY', amphorae: [single] },
        ...{ build: ['MASTER', 'BACKUP'], release: ['s'] },
      },
    ],
    [
      'a pair that is there already takes nobody in',
      {
        ...{ topology: 'ACTIVE_STANDBY', amphorae: [single, ...pair], holder: 's' },
        ...{ keep: ['m MASTER', 'b BACKUP'], release: ['s'] },
      },
    ],
    [
      'of a pair the half goes on that has the VIP, whatever its role',
      {
        ...{ topology: 'SINGLE', amphorae: pair, holder: 'b' },
        ...{ keep: ['b STANDALONE'], release: ['m'] },
      },
    ],
    [
      'a pair of which nobody knows who has the VIP is replaced',
      { ...{ topology: 'SINGLE', amphorae: pair }, ...{ build: ['STANDALONE'], release: ['m', 'b'] } },
    ],
    [
      'a half that is marked does not go on',
      {
        topology: 'SINGLE',
        amphorae: [amphora('m', 'MASTER', 'PENDING_DELETE'), pair[1]!],
        holder: 'm',
        ...{ build: ['STANDALONE'], release: ['m', 'b'] },
      },
    ],
    [
      'another size is another amphora',
      {
        ...{ topology: 'SINGLE', amphorae: [single], size: 'large', holder: 's' },
        ...{ build: ['STANDALONE'], release: ['s'] },
      },
    ],
    [
      'no size of its own is another size as well',
      {
        topology: 'SINGLE',
        amphorae: [amphora('a', 'STANDALONE', 'ALLOCATED', small)],
        ...{ build: ['STANDALONE'], release: ['a'] },
      },
    ],
    [
      'another size and another topology at once',
      {
        topology: 'ACTIVE_STANDBY',
        amphorae: [amphora('a', 'STANDALONE', 'ALLOCATED', small), amphora('n', 'BACKUP', 'BOOTING')],
        holder: 'a',
        ...{ keep: ['n BACKUP'], build: ['MASTER'], release: ['a'] },
      },
    ],
    [
      'a change that is taken back before it was made',
      {
        topology: 'SINGLE',
        amphorae: [amphora('n', 'STANDALONE', 'BOOTING'), amphora('a', 'STANDALONE', 'ALLOCATED', small)],
        ...{ size: 'small', keep: ['a STANDALONE'], release: ['n'] },
      },
    ],
  ])('%s', (_, { topology, amphorae, size = null, holder, keep = [], build = [], release = [] }) => {
    const graph = { load_balancer: loadBalancerRecord({ topology }), amphorae };
    const plan = planAmphorae(graph, { built_for: size, holder });
    expect({
      keep: plan.keep.map(k => `${k.amphora.id} ${k.role}`),
      build: plan.build,
      release: plan.release.map(a => a.id),
    }).toEqual({ keep, build, release });
  });
});

test.each([
  ['SINGLE', ['in-a', 'in-b']],
  ['ACTIVE_STANDBY', ['in-a', 'in-b', 'of-vip-2']],
] as const)(
  'furtherSubnets() of %s: those of members that stay, and of VIPs that a half may lack',
  (topology, subnets) => {
    const load_balancer = {
      ...loadBalancerRecord({}),
      ...{
        topology,
        vip_subnet_id: 'of-vip',
        additional_vips: [{ subnet_id: 'of-vip-2', ip_address: null }],
      },
    } as never;
    const member = (subnet_id: string | null, provisioning_status = 'ACTIVE') =>
      ({ subnet_id, provisioning_status }) as never;
    const members = [
      ...[member('in-b'), member('in-a'), member('in-b'), member(null), member('of-vip')],
      member('gone', 'PENDING_DELETE'),
    ];
    expect(furtherSubnets({ load_balancer, members })).toEqual(subnets);
  },
);
