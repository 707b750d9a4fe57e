import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Member } from '../../model/pool.ts';
import { placeWords } from './balance.ts';

const placesOf = (ids: readonly string[]) => {
  const places = placeWords(
    'SOURCE_IP',
    ids.map(id => ({ id }) as Member),
  );
  return new Map([...places].map(([id, [words]]) => [id, Number(String(words).replace('id ', ''))]));
};

test('every member has a place of its own, whoever else is there', () => {
  const ids = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(ids, ids => {
      const places = placesOf(ids);
      expect(new Set(places.values()).size).toBe(ids.length);
      for (const place of places.values()) expect(place > 0 && place < 2 ** 20).toBe(true);
      // The oldest one never moves.
      expect(placesOf(ids.slice(0, 1)).get(ids[0]!)).toBe(places.get(ids[0]!));
    }),
  );
});

test('only where sources are spread', () => {
  expect(placeWords('ROUND_ROBIN', [{ id: 'm' } as Member]).size).toBe(0);
});
