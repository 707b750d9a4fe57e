/** Which address a port gets and which CIDR a new subnet gets; pure. */
import {
  addressToNumber,
  type Cidr,
  formatCidr,
  numberToAddress,
  overlaps,
  parseCidr,
} from '../../lib/addresses.ts';
import type { AllocationPool, SubnetRecord } from '../../model/cloud-network.ts';

/** The lowest free address of the subnet's pools, or undefined when all are taken. */
export function findFreeAddress(
  subnet: Pick<SubnetRecord, 'allocation_pools' | 'gateway_ip' | 'ip_version'>,
  taken: readonly string[],
): string | undefined {
  const used = new Set([...taken, subnet.gateway_ip]);
  for (const pool of subnet.allocation_pools) {
    const end = addressToNumber(pool.end);
    for (let number = addressToNumber(pool.start); number <= end; number++) {
      const address = numberToAddress(number, subnet.ip_version);
      if (!used.has(address)) return address;
    }
  }
  return undefined;
}

/** How many addresses of the subnet's pools nobody has. */
export function countFreeAddresses(
  subnet: Pick<SubnetRecord, 'allocation_pools' | 'gateway_ip'>,
  taken: readonly string[],
): number {
  const used = [...new Set([...taken, ...(subnet.gateway_ip === null ? [] : [subnet.gateway_ip])])];
  const numbers = used.map(addressToNumber);
  const inPools = subnet.allocation_pools.map(pool => {
    const [start, end] = [addressToNumber(pool.start), addressToNumber(pool.end)];
    return Number(end - start) + 1 - numbers.filter(number => number >= start && number <= end).length;
  });
  return inPools.reduce((sum, count) => sum + count, 0);
}

/** The lower half of a CIDR without its network address and gateway; the upper half is left to be chosen by hand. */
export function lowerHalf(cidr: string): AllocationPool {
  const { version, first, last } = parseCidr(cidr);
  const middle = first + (last - first) / 2n;
  return { start: numberToAddress(first + 2n, version), end: numberToAddress(middle, version) };
}

/**
 * A CIDR of this prefix within `range` that overlaps none of `taken`, looked for from a place that `seed` decides, so that
 * systems on hosts that will be joined later seldom choose alike. Throws when there is none.
 */
export function chooseFreeCidr(
  range: string,
  options: { prefix: number; taken: readonly string[]; seed: number },
): string {
  const { version, first, last } = parseCidr(range);
  const taken = options.taken.map(parseCidr);
  const size = 1n << BigInt((version === 4 ? 32 : 128) - options.prefix);
  const places = (last - first + 1n) / size;
  for (let i = 0n; i < places && i < 65_536n; i++) {
    const start = first + ((BigInt(options.seed) + i) % places) * size;
    const candidate: Cidr = { version, prefix: options.prefix, first: start, last: start + size - 1n };
    if (!taken.some(other => overlaps(candidate, other))) return formatCidr(candidate);
  }
  throw new Error(`Cannot choose a /${options.prefix} network in ${range}: the host uses all of it`);
}
