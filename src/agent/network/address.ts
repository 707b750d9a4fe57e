/** IP addresses and prefixes with nothing but Node. */
import { isIP } from 'node:net';

export type IpVersion = 4 | 6;

export const versionOf = (address: string): IpVersion => (address.includes(':') ? 6 : 4);
export const bitsOf = (address: string): number => (versionOf(address) === 6 ? 128 : 32);

export function isAddress(text: unknown): text is string {
  return typeof text === 'string' && isIP(text) !== 0 && !text.includes('%');
}

export interface Prefix {
  address: string;
  length: number;
}

/** Reads `10.0.0.5/24`; undefined when it is none. The address keeps its host bits. */
export function findPrefix(text: unknown): Prefix | undefined {
  if (typeof text !== 'string') return undefined;
  const [address, length, ...rest] = text.split('/');
  if (!isAddress(address) || rest.length > 0 || !/^\d{1,3}$/.test(length ?? '')) return undefined;
  return Number(length) <= bitsOf(address) ? { address, length: Number(length) } : undefined;
}

/** IPv6 with all its digits: the form in which interface files hold it. Source: contract amphora-agent.md 6. */
export function exploded(address: string): string {
  if (versionOf(address) === 4) return address;
  return formatGroups(toNumber(address), group => group.padStart(4, '0'));
}

/** One text for one address, whatever form it came in; short as the kernel's where nothing is compressed. */
export function canonical(address: string): string {
  return versionOf(address) === 4 ? address : formatGroups(toNumber(address), group => group);
}

/** `10.0.0.5/24` → `10.0.0.0/24`. */
export function networkOf(prefix: Prefix): string {
  const hostBits = BigInt(bitsOf(prefix.address) - prefix.length);
  const first = (toNumber(prefix.address) >> hostBits) << hostBits;
  const text =
    versionOf(prefix.address) === 4
      ? [24n, 16n, 8n, 0n].map(shift => (first >> shift) & 0xffn).join('.')
      : formatGroups(first, group => group.padStart(4, '0'));
  return `${text}/${prefix.length}`;
}

function formatGroups(number: bigint, format: (group: string) => string): string {
  const groups = Array.from({ length: 8 }, (_, i) => (number >> BigInt(112 - 16 * i)) & 0xffffn);
  return groups.map(group => format(group.toString(16))).join(':');
}

function toNumber(address: string): bigint {
  if (versionOf(address) === 4) return address.split('.').reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  if (dotted) {
    const low = toNumber(dotted[2]!);
    return toNumber(`${dotted[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  }
  const [head = '', tail] = address.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const middle = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...middle, ...right].reduce((n, group) => (n << 16n) | BigInt(`0x${group}`), 0n);
}
