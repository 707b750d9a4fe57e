import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addressAt,
  addressToNumber,
  containsAddress,
  findCanonicalAddress,
  formatCidr,
  hostRange,
  numberToAddress,
  overlaps,
  parseCidr,
} from './addresses.ts';

describe('addresses', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['10.0.0', undefined],
    ['010.0.0.1', undefined],
    ['10.0.0.256', undefined],
    ['fe80::1%eth0', undefined],
    ['', undefined],
    ['banana', undefined],
  ])('%s is written %s', (text, canonical) => {
    expect(findCanonicalAddress(text)).toBe(canonical);
  });

  test('number and text are each other’s inverse', () => {
    const versions = [[4, 32n] as const, [6, 128n] as const];
    for (const [version, bits] of versions) {
      fc.assert(
        fc.property(fc.bigInt(0n, (1n << bits) - 1n), number => {
          const text = numberToAddress(number, version);
          return addressToNumber(text) === number && findCanonicalAddress(text) === text;
        }),
      );
    }
  });

  test.each([
    ['10.1.2.3/24', '10.1.2.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:db8::5/64', '2001:db8::/64'],
    ['10.0.0.1/32', '10.0.0.1/32'],
  ])('the CIDR %s is %s', (text, canonical) => {
    expect(formatCidr(parseCidr(text))).toBe(canonical);
  });

  test.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '/24', '10.0.0.0/-1', '::/129', 'x/8'])(
    '%s is no CIDR',
    text => {
      expect(() => parseCidr(text)).toThrow(`Cannot read CIDR ${text}`);
    },
  );

  test('contains, overlaps and counts', () => {
    expect(containsAddress('10.0.0.0/24', '10.0.0.255')).toBe(true);
    expect(containsAddress('10.0.0.0/24', '10.0.1.0')).toBe(false);
    expect(containsAddress('10.0.0.0/24', '::a00:1')).toBe(false);
    expect(overlaps(parseCidr('10.0.0.0/8'), parseCidr('10.9.0.0/16'))).toBe(true);
    expect(overlaps(parseCidr('10.0.0.0/16'), parseCidr('10.1.0.0/16'))).toBe(false);
    expect(overlaps(parseCidr('0.0.0.0/0'), parseCidr('::/0'))).toBe(false);
    expect(addressAt('10.0.0.0/24', 255n)).toBe('10.0.0.255');
    expect(() => addressAt('10.0.0.0/24', 256n)).toThrow('too small');
  });

  test.each([
    ['10.0.0.0/24', '10.0.0.1', '10.0.0.254'],
    ['10.0.0.0/31', '10.0.0.0', '10.0.0.1'],
    ['10.0.0.7/32', '10.0.0.7', '10.0.0.7'],
    ['2001:db8::/126', '2001:db8::1', '2001:db8::3'],
  ])('hosts of %s go from %s to %s', (cidr, first, last) => {
    const range = hostRange(cidr);
    expect(numberToAddress(range.first, range.version)).toBe(first);
    expect(numberToAddress(range.last, range.version)).toBe(last);
  });
});
