import { describe, expect, test } from 'vitest';
import { decodeRules, renderBaseRules, renderRules } from './firewall.ts';

test('rules become lines of the chain of the VIP', () => {
  const text = renderRules(
    [
      { protocol: 'TCP', cidr: null, port: 80 },
      { protocol: 'TCP', cidr: '0.0.0.0/0', port: 81 },
      { protocol: 'UDP', cidr: '10.0.0.0/8', port: 53 },
      { protocol: 'SCTP', cidr: '2001:db8::/64', port: 9 },
      { protocol: 'VRRP', cidr: '10.0.0.6/32', port: 112 },
    ],
    'eth1',
  );
  expect(text.startsWith('table inet amphora_table {}\ndelete table inet amphora_table\n')).toBe(true);
  expect(text).toContain(`  chain amphora_vip_chain {
    tcp dport 80 accept
    tcp dport 81 accept
    ip saddr 10.0.0.0/8 udp dport 53 accept
    ip6 saddr 2001:db8::/64 sctp dport 9 accept
    ip saddr 10.0.0.6/32 ip protocol 112 accept
  }`);
  expect(text).toContain('policy drop');
  expect(text).toContain('iifname eth1 goto amphora_vip_chain');
});

test('before the first rules only what a host needs comes in', () => {
  expect(renderBaseRules()).toContain('policy drop');
  expect(renderBaseRules()).not.toContain('dport 80');
});

describe('decodeRules()', () => {
  const rule = { protocol: 'TCP', cidr: '10.0.0.0/8', port: 80 };
  test('takes what the contract allows', () => {
    expect(decodeRules([rule, { ...rule, cidr: null }])).toHaveLength(2);
    expect(decodeRules([])).toEqual([]);
  });
  test.each([
    [{}],
    ['text'],
    [[null]],
    [[{ protocol: 'TCP', port: 80 }]],
    [[{ ...rule, more: 1 }]],
    [[{ ...rule, protocol: 'ICMP' }]],
    [[{ ...rule, port: 0 }]],
    [[{ ...rule, port: 65536 }]],
    [[{ ...rule, port: '80' }]],
    [[{ ...rule, cidr: '10.0.0.0/8 accept' }]],
  ])('refuses %j', document => {
    expect(decodeRules(document)).toBeUndefined();
  });
});
