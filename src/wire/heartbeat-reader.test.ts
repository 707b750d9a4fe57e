import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Secret } from '../lib/secret.ts';
import { decodeHeartbeat, sealHeartbeat } from './heartbeat-codec.ts';
import { HeartbeatReader } from './heartbeat-reader.ts';

const key = new Secret('insecure');
const seal = (json: string) => sealHeartbeat(json, key);
const message = (id: string, counted: unknown, status = 'UP') => ({
  id,
  seq: 7,
  listeners: {
    '1f0e': { status: 'OPEN', stats: { tx: 1, rx: 2, conns: 3, totconns: counted, ereq: 0 } },
  },
  pools: { 'p-5:l1': { status, members: { 'm-7': status } } },
  ver: 3,
});
const text = (...args: Parameters<typeof message>) => JSON.stringify(message(...args));

/** Reads all of them one after the other, and each as it is read without any memory. */
function expectSame(...texts: string[]) {
  const reader = new HeartbeatReader([key]);
  for (const each of texts) {
    const packet = seal(each);
    expect(reader.decode(packet), each).toEqual(decodeHeartbeat(packet, [key]));
  }
}

test('one that differs in numbers only shares what it says of pools with the one before', () => {
  const reader = new HeartbeatReader([key]);
  reader.decode(seal(text('a', 1)));
  const counted = (count: number) => {
    const { pools, listeners } = reader.decode(seal(text('a', count)))!;
    expect(listeners.get('1f0e')!.stats.totconns).toBe(count);
    return pools;
  };
  expect(counted(22)).toBe(counted(333));
  expect(reader.decode(seal(text('a', 1, 'DOWN')))!.pools.get('p-5')!.status).toBe('DOWN');
});

test('one that says something else once is still known when it comes back, and else what it says now', () => {
  const reader = new HeartbeatReader([key]);
  const poolsOf = (status: string) => reader.decode(seal(text('a', 1, status)))!.pools;
  const up = poolsOf('UP');
  for (let i = 0; i < 3; i++) {
    expect(poolsOf('DOWN').get('p-5')!.status).toBe('DOWN');
    expect(poolsOf('UP')).toBe(up);
  }
  poolsOf('DOWN');
  const down = poolsOf('DOWN');
  expect(poolsOf('DOWN')).toBe(down);
});

test('a datagram that is not signed is nothing, whatever is known', () => {
  const reader = new HeartbeatReader([key]);
  reader.decode(seal(text('a', 1)));
  expect(reader.decode(sealHeartbeat(text('a', 1), new Secret('another')))).toBeUndefined();
});

test('what it remembers is bounded: the oldest goes', () => {
  const reader = new HeartbeatReader([key], 2 * text('a', 1).length);
  const poolsOf = (id: string) => reader.decode(seal(text(id, 1)))!.pools;
  poolsOf('a');
  const before = poolsOf('a');
  poolsOf('b');
  expect(poolsOf('a')).toBe(before);
  poolsOf('c');
  expect(poolsOf('a')).not.toBe(before);
});

describe('numbers that are no plain counts are read as ever', () => {
  test.each([
    '-1',
    '1.0',
    '1.5',
    '1e2',
    '1E-2',
    '01',
    '00',
    '',
    ' 5 ',
    '9007199254740993',
    '123456789012345678',
  ])('%j', number => {
    const of = (count: string) => text('a', 0).replace('"totconns":0', `"totconns":${count}`);
    expectSame(of('1'), of(number), of('2'), of(number), of('3'));
  });
});

test('a version that changes is believed', () => {
  const of = (ver: string) => text('a', 1).replace(',"ver":3', ver);
  expectSame(
    of(',"ver":3'),
    of(',"ver":2'),
    of(',"ver":1'),
    of(''),
    of(',"ver":0'),
    of(',"ver":3'),
    of(',"ver":12'),
  );
});

// Everything that a message can be made of, so that neighbours differ in a few places, often in numbers only.
const count = fc.oneof(
  { weight: 12, arbitrary: fc.nat(2000).map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('01', '-1', '1.0', '2e1', '9007199254740992', '0.5', 'null', '"5"'),
  },
);
const word = fc.constantFrom('UP', 'DOWN', 'UP 1/3', 'no \\"check\\"', 'é', '\\u0041', 'a\\\\');
const stats = fc
  .tuple(count, count, fc.boolean())
  .map(([tx, n, errors]) => `{"tx":${tx},"rx":3,"conns":${n},"totconns":4${errors ? ',"ereq":5' : ''}}`);
const listener = fc.tuple(fc.constantFrom('l1', '2'), word, stats).map(([id, w, s]) => {
  return `"${id}":{"status":"${w}","stats":${s},"pools":{"n 9":{"status":"${w}"}}}`;
});
const pool = fc
  .tuple(fc.constantFrom('p:l1', 'p:2', '7'), word, fc.array(word, { maxLength: 2 }))
  .map(([id, w, ms]) => `"${id}":{"status":"${w}","members":{${ms.map((m, i) => `"m${i}":"${m}"`)}}}`);
const json = fc
  .record({
    id: fc.constantFrom('a', 'b'),
    listeners: fc.array(listener, { maxLength: 2 }),
    pools: fc.array(pool, { maxLength: 2 }),
    tail: fc.constantFrom(
      ',"ver":3',
      ',"ver": 3',
      ',"ver":2',
      ',"ver":1',
      '',
      ',"ver":3,"load":0.5',
      ',"ver":3,"id":"c"',
    ),
    seq: count,
  })
  .map(m => `{"id":"${m.id}","seq":${m.seq},"listeners":{${m.listeners}},"pools":{${m.pools}}${m.tail}}`);
/** The same message again with other digits, or cut or broken somewhere. */
const again = fc.record({
  digits: fc.array(count, { maxLength: 6 }),
  cut: fc.option(fc.nat(300), { freq: 8 }),
  insert: fc.option(fc.tuple(fc.nat(300), fc.constantFrom('1', '"', ',', ' ', '\\', '0')), { freq: 8 }),
});

test('whatever comes one after the other, it is read as without a memory', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(json, fc.array(again, { maxLength: 4 })), { maxLength: 6 }), sequence => {
      const texts = sequence.flatMap(([first, others]) => [
        first,
        ...others.map(({ digits, cut, insert }) => {
          let next = 0;
          let made = first.replace(/(?<=:)\d+/g, was => digits[next++] ?? was);
          if (cut !== null) made = made.slice(0, cut);
          if (insert !== null) made = made.slice(0, insert[0]) + insert[1] + made.slice(insert[0]);
          return made;
        }),
      ]);
      expectSame(...texts);
    }),
    { numRuns: 300 },
  );
});
