/** IP addresses and CIDRs as numbers: contain, overlap, choose. Uses ipaddr.js, so the agent must not import it. */
import ipaddr from 'ipaddr.js';

export type IpVersion = 4 | 6;

/** A prefix as a range of numbers; `first` is the network address, `last` the highest (IPv4: broadcast) address. */
export interface Cidr {
  version: IpVersion;
  prefix: number;
  first: bigint;
  last: bigint;
}

const BITS: Record<IpVersion, number> = { 4: 32, 6: 128 };

/** The canonical text of an address (IPv6 lower case and compressed), or undefined when it is none. */
export function findCanonicalAddress(text: string): string | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text).toString();
  if (ipaddr.IPv6.isValid(text) && !text.includes('%')) return ipaddr.IPv6.parse(text).toRFC5952String();
  return undefined;
}

/** The canonical text of an address; throws on text that is none. */
export function canonicalAddress(text: string): string {
  const canonical = findCanonicalAddress(text);
  if (canonical === undefined) throw new Error(`Cannot read address ${text}: it is neither IPv4 nor IPv6`);
  return canonical;
}

export function versionOf(address: string): IpVersion {
  return address.includes(':') ? 6 : 4;
}

export function addressToNumber(address: string): bigint {
  const bytes = ipaddr.parse(canonicalAddress(address)).toByteArray();
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

export function numberToAddress(number: bigint, version: IpVersion): string {
  const bytes = Array.from({ length: BITS[version] / 8 }, (_, i) =>
    Number((number >> BigInt(BITS[version] - 8 - 8 * i)) & 0xffn),
  );
  return canonicalAddress(ipaddr.fromByteArray(bytes).toString());
}

/** Reads `10.0.0.0/24`; host bits are dropped. Throws on text that is no CIDR. */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf('/');
  const address = findCanonicalAddress(text.slice(0, Math.max(slash, 0)));
  const prefix = /^\d{1,3}$/.test(text.slice(slash + 1)) ? Number(text.slice(slash + 1)) : Number.NaN;
  if (address === undefined || !(prefix <= BITS[versionOf(address)]))
    throw new Error(`Cannot read CIDR ${text}`);
  const version = versionOf(address);
  const hostBits = BigInt(BITS[version] - prefix);
  const first = (addressToNumber(address) >> hostBits) << hostBits;
  return { version, prefix, first, last: first + (1n << hostBits) - 1n };
}

/** The canonical text of a CIDR, host bits dropped. */
export function formatCidr(cidr: Cidr): string {
  return `${numberToAddress(cidr.first, cidr.version)}/${cidr.prefix}`;
}

export function containsAddress(cidr: string, address: string): boolean {
  const range = parseCidr(cidr);
  if (versionOf(address) !== range.version) return false;
  const number = addressToNumber(address);
  return number >= range.first && number <= range.last;
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.version === b.version && a.first <= b.last && b.first <= a.last;
}

/** The address `offset` places after the CIDR's network address; throws when that is outside. */
export function addressAt(cidr: string, offset: bigint): string {
  const range = parseCidr(cidr);
  if (range.first + offset > range.last)
    throw new Error(`Cannot take address ${offset} of ${cidr}: it is too small`);
  return numberToAddress(range.first + offset, range.version);
}

/** The addresses a host may have in the CIDR: neither network nor (IPv4) broadcast, /31, /32 and /127, /128 excepted. */
export function hostRange(cidr: string): { first: bigint; last: bigint; version: IpVersion } {
  const { version, prefix, first, last } = parseCidr(cidr);
  if (BITS[version] - prefix <= 1) return { first, last, version };
  return { first: first + 1n, last: version === 4 ? last - 1n : last, version };
}
