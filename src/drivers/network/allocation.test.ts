import { describe, expect, test } from 'vitest';
import { chooseFreeCidr, findFreeAddress, lowerHalf } from './allocation.ts';

describe('chooseFreeCidr()', () => {
  const choose = (taken: string[], seed = 0) => chooseFreeCidr('10.64.0.0/14', { prefix: 16, taken, seed });

  test.each([
    [[], 0, '10.64.0.0/16'],
    [[], 6, '10.66.0.0/16'],
    [['10.64.3.4/32'], 0, '10.65.0.0/16'],
    [['10.64.0.0/15'], 0, '10.66.0.0/16'],
    [['10.67.0.0/16'], 3, '10.64.0.0/16'],
    [['::/0', '192.168.0.0/16'], 0, '10.64.0.0/16'],
  ])('with %j taken and seed %i chooses %s', (taken, seed, chosen) => {
    expect(choose(taken, seed)).toBe(chosen);
  });

  test('says so when all is taken', () => {
    expect(() => choose(['10.0.0.0/8'])).toThrow('Cannot choose a /16 network in 10.64.0.0/14');
  });

  test('chooses in IPv6', () => {
    expect(chooseFreeCidr('fd00::/8', { prefix: 64, taken: ['fd00::/64'], seed: 0 })).toBe('fd00:0:0:1::/64');
  });
});

describe('findFreeAddress()', () => {
  const subnet = {
    ip_version: 4 as const,
    gateway_ip: '10.0.0.1',
    allocation_pools: [
      { start: '10.0.0.1', end: '10.0.0.3' },
      { start: '10.0.0.9', end: '10.0.0.9' },
    ],
  };

  test.each([
    [[], '10.0.0.2'],
    [['10.0.0.2'], '10.0.0.3'],
    [['10.0.0.2', '10.0.0.3'], '10.0.0.9'],
    [['10.0.0.2', '10.0.0.3', '10.0.0.9'], undefined],
  ])('with %j taken finds %s', (taken, found) => {
    expect(findFreeAddress(subnet, taken)).toBe(found);
  });
});

describe('lowerHalf()', () => {
  test.each([
    ['10.0.0.0/24', '10.0.0.2', '10.0.0.127'],
    ['10.64.0.0/22', '10.64.0.2', '10.64.1.255'],
    ['fd00::/64', 'fd00::2', 'fd00::7fff:ffff:ffff:ffff'],
  ])('of %s goes from %s to %s', (cidr, start, end) => {
    expect(lowerHalf(cidr)).toEqual({ start, end });
  });
});
