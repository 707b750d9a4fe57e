import { createHmac } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Secret } from '../lib/secret.ts';
import type { Heartbeat } from './heartbeat.ts';
import { decodeHeartbeat, encodeHeartbeat, sealHeartbeat } from './heartbeat-codec.ts';

const key = new Secret('insecure');
const seal = (message: unknown) => sealHeartbeat(JSON.stringify(message), key);
const decode = (message: unknown) => decodeHeartbeat(seal(message), [key]);

// The vector of contract heartbeat.md 1.
const VECTOR_JSON = '{"id": "a1", "seq": 0, "listeners": {}, "pools": {}, "ver": 3}';
const VECTOR_COMPRESSED = Buffer.from(
  '78daab56ca4c51b252504a3454d251502a4e2d04720c80ac9ccce292d4bcd4a26220bfba162850909f9f03e794a5160199c6b5001e9f11d1',
  'hex',
);
const VECTOR_MAC = 'a4f305a540041cff9c1520663e153a195b464f9d43ad6c91bc180d40e80143b5';

const heartbeat: Heartbeat = {
  id: '6a0a1c1e-0000-4000-8000-000000000001',
  seq: 67,
  listeners: { l1: { status: 'OPEN', stats: { tx: 1, rx: 2, conns: 3, totconns: 4, ereq: 5 } } },
  pools: { 'p1:l1': { status: 'UP', members: { m1: 'no check', m2: 'UP 1/3' } } },
  ver: 3,
};

describe('the envelope', () => {
  // Two compressors of level 9 need not make the same bytes of one text, and Node's does not make Python's.
  test('is made as the vector is: level 9, the same text inside, the MAC of what was compressed in hex', () => {
    const packet = sealHeartbeat(VECTOR_JSON, key);
    const [compressed, tail] = [packet.subarray(0, -64), packet.subarray(-64).toString('ascii')];
    expect(compressed.subarray(0, 2)).toEqual(VECTOR_COMPRESSED.subarray(0, 2));
    expect(inflateSync(compressed)).toEqual(inflateSync(VECTOR_COMPRESSED));
    expect(tail).toBe(createHmac('sha256', 'insecure').update(compressed).digest('hex'));
  });

  test.each([
    ['hex', Buffer.concat([VECTOR_COMPRESSED, Buffer.from(VECTOR_MAC, 'ascii')]), 120],
    ['raw', Buffer.concat([VECTOR_COMPRESSED, Buffer.from(VECTOR_MAC, 'hex')]), 88],
  ])('is opened with a %s MAC', (_form, packet, length) => {
    expect(packet).toHaveLength(length);
    expect(decodeHeartbeat(packet, [key])).toEqual({
      id: 'a1',
      seq: 0,
      ver: 3,
      listeners: new Map(),
      pools: new Map(),
    });
  });

  test('is opened with any of the keys, and with no other', () => {
    const packet = encodeHeartbeat(heartbeat, key);
    expect(decodeHeartbeat(packet, [new Secret('old'), key])?.id).toBe(heartbeat.id);
    expect(decodeHeartbeat(packet, [new Secret('old')])).toBeUndefined();
    expect(decodeHeartbeat(packet, [])).toBeUndefined();
  });

  test('is refused after any single byte changed', () => {
    const packet = encodeHeartbeat(heartbeat, key);
    for (let i = 0; i < packet.length; i++) {
      const damaged = Buffer.from(packet);
      damaged[i] = damaged[i]! ^ (1 << (i % 8));
      expect(decodeHeartbeat(damaged, [key]), `byte ${i}`).toBeUndefined();
    }
  });

  test('is found in a datagram that is a slice of a larger buffer', () => {
    const packet = encodeHeartbeat(heartbeat, key);
    const larger = Buffer.concat([Buffer.alloc(7), packet, Buffer.alloc(7)]);
    expect(decodeHeartbeat(larger.subarray(7, 7 + packet.length), [key])?.seq).toBe(67);
  });

  test('a signed bomb is refused without inflating it whole', () => {
    const bomb = deflateSync(Buffer.alloc(64 * 1024 * 1024, 0x20), { level: 9 });
    const packet = Buffer.concat([bomb, createHmac('sha256', 'insecure').update(bomb).digest()]);
    expect(packet.length).toBeLessThan(65_507);
    expect(decodeHeartbeat(packet, [key])).toBeUndefined();
  });

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        expect(decodeHeartbeat(Buffer.from(bytes), [key])).toBeUndefined();
      }),
    );
  });

  test('the JSON of a heartbeat survives as it is', () => {
    const packet = encodeHeartbeat(heartbeat, key);
    expect(JSON.parse(inflateSync(packet.subarray(0, -64)).toString())).toEqual(heartbeat);
  });
});

describe('the versions', () => {
  const stats = { tx: 1, rx: 2, conns: 3, totconns: 4, ereq: 5 };
  const pool = (status: string) => ({ status, members: { m1: status } });

  test.each([2, 3])('%i: pools on top, the last key of a pool wins', ver => {
    const decoded = decode({
      id: 'a',
      seq: 1,
      listeners: { l1: { status: 'OPEN', stats }, l2: { status: 'FULL', stats } },
      pools: { 'p:l1': pool('UP'), 'p:l2': pool('DOWN'), lvs: pool('UP') },
      ver,
    });
    expect(decoded).toEqual({
      id: 'a',
      seq: 1,
      ver,
      listeners: new Map([
        ['l1', { status: 'OPEN', stats }],
        ['l2', { status: 'FULL', stats }],
      ]),
      pools: new Map([
        ['p', { status: 'DOWN', members: new Map([['m1', 'DOWN']]) }],
        ['lvs', { status: 'UP', members: new Map([['m1', 'UP']]) }],
      ]),
    });
  });

  test.each([undefined, 0, 1])('%s: pools below the listeners, the first listener wins', ver => {
    const decoded = decode({
      id: 'a',
      listeners: {
        l1: { status: 'OPEN', stats, pools: { p: pool('UP') } },
        l2: { status: 'DOWN', stats, pools: { p: pool('DOWN'), q: pool('DOWN') } },
      },
      pools: { ignored: pool('UP') },
      ...(ver === undefined ? {} : { ver }),
    });
    expect(decoded?.ver).toBe(ver);
    expect(decoded?.seq).toBe(0);
    expect([...decoded!.listeners.keys()]).toEqual(['l1', 'l2']);
    expect([...decoded!.pools].map(([id, p]) => [id, p.status])).toEqual([
      ['p', 'UP'],
      ['q', 'DOWN'],
    ]);
  });

  test('Mitaka sent no count of request errors', () => {
    const listeners = { l1: { status: 'OPEN', stats: { tx: 1, rx: 2, conns: 3, totconns: 4 }, pools: {} } };
    expect(decode({ id: 'a', seq: 0, listeners })?.listeners.get('l1')?.stats.ereq).toBe(0);
  });
});

describe('content that is signed but not a heartbeat', () => {
  const stats = { tx: 1, rx: 2, conns: 3, totconns: 4, ereq: 5 };
  test.each([
    ['an array', []],
    ['null', null],
    ['no id', { listeners: {} }],
    ['an id that is no string', { id: 5, listeners: {} }],
    ['no listeners', { id: 'a', ver: 3 }],
    ['listeners as an array', { id: 'a', listeners: [] }],
    ['a version in words', { id: 'a', listeners: {}, ver: '3' }],
    ['a version of a half', { id: 'a', listeners: {}, ver: 2.5 }],
    ['a listener without a status', { id: 'a', listeners: { l: { stats } } }],
    ['a listener without counters', { id: 'a', listeners: { l: { status: 'OPEN' } } }],
    ['a counter in words', { id: 'a', listeners: { l: { status: 'OPEN', stats: { ...stats, tx: '1' } } } }],
    ['a negative counter', { id: 'a', listeners: { l: { status: 'OPEN', stats: { ...stats, tx: -1 } } } }],
    ['pools as null', { id: 'a', listeners: {}, pools: [], ver: 3 }],
    ['a pool without a status', { id: 'a', listeners: {}, pools: { p: { members: {} } }, ver: 3 }],
    [
      'a member that is a number',
      { id: 'a', listeners: {}, pools: { p: { status: 'UP', members: { m: 1 } } }, ver: 3 },
    ],
  ])('%s', (_what, message) => {
    expect(decode(message)).toBeUndefined();
  });

  test('text that is not JSON', () => {
    expect(decodeHeartbeat(sealHeartbeat('{"id": ', key), [key])).toBeUndefined();
  });

  test('any JSON never throws', () => {
    fc.assert(
      fc.property(fc.json(), json => {
        decodeHeartbeat(sealHeartbeat(json, key), [key]);
      }),
    );
  });

  test('a member called __proto__ is a member like any other', () => {
    const json =
      '{"id":"a","listeners":{},"pools":{"p:l":{"status":"UP","members":{"__proto__":"UP"}}},"ver":3}';
    const decoded = decodeHeartbeat(sealHeartbeat(json, key), [key]);
    expect([...decoded!.pools.get('p')!.members]).toEqual([['__proto__', 'UP']]);
  });
});
