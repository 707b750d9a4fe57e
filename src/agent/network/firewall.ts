/** The packet filter of VIP ports that bypass the cloud's own (SR-IOV). Source: contract amphora-agent.md 7. */
import { existsSync } from 'node:fs';
import { run } from '../../lib/command.ts';
import type { FirewallRule } from '../../wire/agent-api.ts';
import type { Paths } from '../config.ts';
import { writeWhole } from '../files.ts';
import { findPrefix, versionOf } from './address.ts';
import { INNER_NAMESPACE } from './namespace.ts';

const TABLE = 'inet amphora_table';

const NECESSARY = [
  'icmp type destination-unreachable accept',
  'icmpv6 type { nd-neighbor-solicit, nd-router-advert, nd-neighbor-advert, packet-too-big, destination-unreachable } accept',
  'udp sport 67 udp dport 68 accept',
  'udp sport 547 udp dport 546 accept',
];

const chain = (name: string, lines: readonly string[]): string =>
  `  chain ${name} {\n${lines.map(line => `    ${line}\n`).join('')}  }\n`;

/** What holds until the first rules come. */
export function renderBaseRules(): string {
  const lines = ['type filter hook input priority filter; policy drop;', ...NECESSARY];
  return `table ${TABLE} {\n${chain('amphora_chain', lines)}}\n`;
}

/** Declared, then deleted, then filled: one transaction, whether the table was there or not. */
export function renderRules(rules: readonly FirewallRule[], vipInterface: string): string {
  const lines = [
    'type filter hook input priority filter; policy drop;',
    'ct state vmap { established : accept, related : accept, invalid : drop }',
    'iif lo accept',
    'ip saddr 127.0.0.0/8 drop',
    'ip6 saddr ::1 drop',
    ...NECESSARY,
    `iifname ${vipInterface} goto amphora_vip_chain`,
  ];
  const vipChain = chain('amphora_vip_chain', rules.map(renderRule));
  return `table ${TABLE} {}\ndelete table ${TABLE}\ntable ${TABLE} {\n${vipChain}${chain('amphora_chain', lines)}}\n`;
}

function renderRule(rule: FirewallRule): string {
  const anywhere = rule.cidr === null || rule.cidr === '0.0.0.0/0';
  const source = anywhere ? '' : `${versionOf(rule.cidr!) === 6 ? 'ip6' : 'ip'} saddr ${rule.cidr} `;
  const what =
    rule.protocol === 'VRRP' ? 'ip protocol 112' : `${rule.protocol.toLowerCase()} dport ${rule.port}`;
  return `${source}${what} accept`;
}

const PROTOCOLS = new Set(['TCP', 'UDP', 'SCTP', 'VRRP']);

/** undefined when the document is not an array of rules with exactly their three keys. Source: contract amphora-agent.md 4.7. */
export function decodeRules(document: unknown): FirewallRule[] | undefined {
  if (!Array.isArray(document)) return undefined;
  const isRule = (each: unknown): each is FirewallRule => {
    if (typeof each !== 'object' || each === null || Object.keys(each).sort().join() !== 'cidr,port,protocol')
      return false;
    const { protocol, cidr, port } = each as Record<string, unknown>;
    const portIsRight = typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65535;
    const cidrIsRight = cidr === null || findPrefix(cidr) !== undefined;
    return PROTOCOLS.has(String(protocol)) && portIsRight && cidrIsRight;
  };
  return document.every(isRule) ? document : undefined;
}

export function ensureBaseRules(paths: Paths): void {
  if (!existsSync(paths.firewallRules)) writeWhole(paths.firewallRules, renderBaseRules(), 0o600);
}

/** No rules never replace a file that is there. */
export function writeRules(paths: Paths, rules: readonly FirewallRule[], vipInterface: string): void {
  if (rules.length === 0) ensureBaseRules(paths);
  else writeWhole(paths.firewallRules, renderRules(rules, vipInterface), 0o600);
}

export async function loadRules(paths: Paths): Promise<void> {
  const nft = ['/usr/sbin/nft', '-o', '-f', paths.firewallRules];
  await run('ip', ['netns', 'exec', INNER_NAMESPACE, ...nft], { timeoutMs: 10_000 });
}
