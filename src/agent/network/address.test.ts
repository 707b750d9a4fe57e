import { expect, test } from 'vitest';
import { canonical, exploded, findPrefix, isAddress, networkOf } from './address.ts';

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::', '0000:0000:0000:0000:0000:0000:0000:0000'],
  ['2001:db8::1', '2001:0db8:0000:0000:0000:0000:0000:0001'],
  ['2001:DB8:1:2:3:4:5:6', '2001:0db8:0001:0002:0003:0004:0005:0006'],
  ['fe80::1:0:0:1', 'fe80:0000:0000:0000:0001:0000:0000:0001'],
  ['::ffff:10.0.0.1', '0000:0000:0000:0000:0000:ffff:0a00:0001'],
])('%s in full', (address, text) => {
  expect(exploded(address)).toBe(text);
  expect(canonical(text)).toBe(canonical(address));
});

test.each([
  ['10.0.0.5/24', '10.0.0.0/24'],
  ['10.0.0.5/32', '10.0.0.5/32'],
  ['10.0.0.5/0', '0.0.0.0/0'],
  ['255.255.255.255/1', '128.0.0.0/1'],
  ['2001:db8::5/64', '2001:0db8:0000:0000:0000:0000:0000:0000/64'],
])('the network of %s', (text, network) => {
  expect(networkOf(findPrefix(text)!)).toBe(network);
});

test.each(['10.0.0.5', '10.0.0/24', '10.0.0.5/33', 'x/24', '::1/129', '10.0.0.1/24/1', '10.0.0.1/', null, 5])(
  '%j is no prefix',
  text => {
    expect(findPrefix(text)).toBeUndefined();
  },
);

test.each([
  ['10.0.0.1', true],
  ['::1', true],
  ['fe80::1%eth0', false],
  ['10.0.0', false],
  ['', false],
  [undefined, false],
])('%j is an address: %j', (text, expected) => {
  expect(isAddress(text)).toBe(expected);
});
