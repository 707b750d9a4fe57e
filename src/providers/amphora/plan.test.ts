import { describe, expect, test } from 'vitest';
import { loadBalancerRecord } from '../../db/testing.ts';
import type { Amphora } from '../../model/amphora.ts';
import { planAmphorae } from './plan.ts';

const amphora = (id: string, role: Amphora['role'], status: Amphora['status']) =>
  ({ id, role, status }) as Amphora;

const plan = (topology: 'SINGLE' | 'ACTIVE_STANDBY', amphorae: Amphora[]) => {
  const { keep, build, release } = planAmphorae({
    load_balancer: loadBalancerRecord({ topology }),
    amphorae,
  });
  return { keep: keep.map(k => `${k.amphora.id} ${k.role}`), build, release: release.map(a => a.id) };
};

describe('planAmphorae()', () => {
  test.each([
    ['nothing yet', 'SINGLE', [], { keep: [], build: ['STANDALONE'], release: [] }],
    [
      'one in service',
      'SINGLE',
      [amphora('a', 'STANDALONE', 'ALLOCATED')],
      { keep: ['a STANDALONE'], build: [], release: [] },
    ],
    [
      'one on its way',
      'SINGLE',
      [amphora('a', 'STANDALONE', 'BOOTING')],
      { keep: ['a STANDALONE'], build: [], release: [] },
    ],
    [
      'a failed one is replaced before it goes',
      'SINGLE',
      [amphora('a', 'STANDALONE', 'ERROR')],
      { keep: [], build: ['STANDALONE'], release: ['a'] },
    ],
    [
      'the one in service is preferred, the other is surplus',
      'SINGLE',
      [amphora('a', 'STANDALONE', 'BOOTING'), amphora('b', 'STANDALONE', 'ALLOCATED')],
      { keep: ['b STANDALONE'], build: [], release: ['a'] },
    ],
    [
      'a pair with a lost half',
      'ACTIVE_STANDBY',
      [amphora('a', 'MASTER', 'ERROR'), amphora('b', 'BACKUP', 'ALLOCATED')],
      { keep: ['b BACKUP'], build: ['MASTER'], release: ['a'] },
    ],
    [
      'a single one that becomes a pair is replaced by it',
      'ACTIVE_STANDBY',
      [amphora('a', 'STANDALONE', 'ALLOCATED')],
      { keep: [], build: ['MASTER', 'BACKUP'], release: ['a'] },
    ],
    [
      'a pair that becomes single is replaced by one',
      'SINGLE',
      [amphora('a', 'MASTER', 'ALLOCATED'), amphora('b', 'BACKUP', 'ALLOCATED')],
      { keep: [], build: ['STANDALONE'], release: ['a', 'b'] },
    ],
  ] as const)('%s', (_, topology, amphorae, expected) => {
    expect(plan(topology, [...amphorae])).toEqual(expected);
  });
});
