import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countChange } from '../../model/amphora.ts';
import { decodeApplied } from './applied.ts';

const changes = countChange(null, 'reloaded', 'listener l1 added', '2026-11-22T00:00:00.000000');

test('an agent of ours is believed', () => {
  const applied = { how: 'reloaded', reason: 'listener l1 added', changes };
  expect(decodeApplied({ message: 'OK', details: 'Listener l reloaded', applied })).toEqual(applied);
});

test('of an agent that does not tell, a reload is assumed', () => {
  const assumed = { how: 'reloaded', reason: expect.any(String), changes: null };
  for (const json of [undefined, null, 'OK', { message: 'OK' }, { applied: { how: 'exploded', changes } }]) {
    expect(decodeApplied(json)).toEqual(assumed);
  }
});

test('whatever an agent says, what is kept of it is small and of the right form', () => {
  const parts = fc.record(
    {
      ...{ how: fc.constantFrom('reloaded', 'runtime', 'x'), reason: fc.anything() },
      changes: fc.record({
        ...{ started: fc.anything(), reloaded: fc.nat(), runtime: fc.nat() },
        last: fc.array(fc.anything(), { maxLength: 30 }),
      }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(parts, fc.anything()), applied => {
      const { reason, changes } = decodeApplied({ applied });
      expect(typeof reason).toBe('string');
      if (changes === null) return;
      const { last, ...counts } = changes;
      for (const count of Object.values(counts)) expect(Number.isSafeInteger(count)).toBe(true);
      expect(last.length).toBeLessThanOrEqual(10);
      for (const { at, how, reason } of last) {
        expect(['started', 'reloaded']).toContain(how);
        expect(`${at}${reason}`.length).toBeLessThanOrEqual(1000);
      }
    }),
  );
});
