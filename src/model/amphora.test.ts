import { expect, test } from 'vitest';
import { countChange, type HaproxyChange, type HaproxyChanges } from './amphora.ts';

test('counts each kind, and keeps the newest ten that interrupt', () => {
  const hows: HaproxyChange[] = ['started', 'runtime', 'nothing'];
  let changes: HaproxyChanges | null = null;
  for (const how of hows) changes = countChange(changes, how, 'why', 't');
  for (let i = 0; i < 12; i++) changes = countChange(changes, 'reloaded', `why ${i}`, `t${i}`);
  const { last, ...counts } = changes!;
  expect(counts).toEqual({ started: 1, reloaded: 12, runtime: 1 });
  expect(last.map(({ reason }) => reason)).toEqual(Array.from({ length: 10 }, (_, i) => `why ${11 - i}`));
  expect(last[0]).toEqual({ at: 't11', how: 'reloaded', reason: 'why 11' });
});
