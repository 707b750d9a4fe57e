/** The row half of a port: found by its name, else inserted, with addresses that nobody else has. */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  canonicalAddress,
  containsAddress,
  findCanonicalAddress,
  hostRange,
  numberToAddress,
  parseCidr,
} from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import { newPort, type PortRecord, type SubnetRecord } from '../../model/cloud-network.ts';
import { findFreeAddress } from './allocation.ts';
import { macAddressOf } from './mac-address.ts';
import { DEVICE_OWNER, type FixedIp, type PortSpec, type VipAccess } from './network.ts';
import type { NetworkStore } from './store.ts';

export type WantedIp = PortSpec['fixed_ips'][number];

/** Two processes that take addresses at once step on each other at most this often in a row. */
const MAX_ALLOCATIONS = 100;

/** The promise of `Network.ensurePort`, for the rows. */
export async function ensurePortRow(store: NetworkStore, spec: PortSpec): Promise<PortRecord> {
  const port = (await store.findPortByName(spec.name)) ?? (await insertOwnPort(store, spec));
  for (const wanted of spec.fixed_ips) {
    if (!port.fixed_ips.some(has => satisfies(has, wanted))) await addAddress(store, port, wanted);
  }
  const allowed = [...new Set([...port.allowed_addresses, ...allowedBy(spec)])];
  if (allowed.length > port.allowed_addresses.length) {
    await store.update('port', port.id, { allowed_addresses: allowed });
  }
  return { ...port, allowed_addresses: allowed };
}

/** The promise of `Network.ensureSecurityGroups`, for the rows; says whether anything was changed. */
export async function ensureGroupsOfRow(
  store: Pick<NetworkStore, 'findPort' | 'update'>,
  portId: string,
  groupIds: readonly string[],
): Promise<boolean> {
  const port = await store.findPort(portId);
  const asked_groups = [...groupIds];
  if (!port || isDeepStrictEqual(port.asked_groups, asked_groups)) return false;
  const byHand = port.security_groups.filter(id => !port.asked_groups.includes(id));
  const security_groups = [...new Set([...asked_groups, ...byHand])];
  await store.update('port', portId, { asked_groups, security_groups });
  return true;
}

/** The promise of `Network.ensureAccess`, for the rows; says whether anything was changed. */
export async function ensureAccessOfRow(
  store: Pick<NetworkStore, 'findPort' | 'update'>,
  portId: string,
  access: readonly VipAccess[],
): Promise<boolean> {
  const port = await store.findPort(portId);
  // What everybody may reach needs no rule: a port is open.
  const limits = access.flatMap(({ cidrs, ...each }) => (cidrs === null ? [] : { ...each, cidrs }));
  if (!port || isDeepStrictEqual(port.limits, limits)) return false;
  await store.update('port', portId, { limits });
  return true;
}

/**
 * Inserts the port with the addresses that are wanted; undefined when its name is taken. Throws as `Network.ensurePort`.
 */
export async function insertPortRow(
  store: NetworkStore,
  port: PortRecord,
  wanted: readonly WantedIp[],
): Promise<PortRecord | undefined> {
  for (let i = 0; i < MAX_ALLOCATIONS; i++) {
    const fixed_ips: FixedIp[] = [];
    for (const each of wanted) fixed_ips.push(await chooseAddress(store, port.network_id, each, fixed_ips));
    try {
      await store.insert('port', { ...port, fixed_ips });
      return { ...port, fixed_ips };
    } catch (error) {
      // Somebody was quicker: with the name, which is not ours to solve; or with an address, and we choose again.
      if (!(error instanceof Fault)) throw error;
      if (!port.user_made && (await store.findPortByName(port.name))) return undefined;
    }
  }
  throw new Fault(
    'conflict',
    `Cannot find a free address for port ${port.name} on network ${port.network_id}`,
  );
}

/** In one spelling: rules of a VIP hold where its very address is allowed. */
const allowedBy = ({ allowed_addresses = [] }: PortSpec): string[] => [
  ...new Set(allowed_addresses.map(canonicalAddress)),
];

async function insertOwnPort(store: NetworkStore, spec: PortSpec): Promise<PortRecord> {
  const wanted = spec.fixed_ips.length > 0 ? spec.fixed_ips : await anyAddress(store, spec.network_id);
  const id = randomUUID();
  const { name, project_id, network_id, device_id = '' } = spec;
  const port = newPort({
    ...{ id, name, project_id, network_id, device_id, device_owner: DEVICE_OWNER },
    mac_address: macAddressOf(id),
    allowed_addresses: allowedBy(spec),
  });
  return (await insertPortRow(store, port, wanted)) ?? (await store.findPortByName(name))!;
}

async function addAddress(store: NetworkStore, port: PortRecord, wanted: WantedIp): Promise<void> {
  for (let i = 0; i < MAX_ALLOCATIONS; i++) {
    const chosen = await chooseAddress(store, port.network_id, wanted, []);
    try {
      await store.insertPortAddress(port.id, chosen);
      port.fixed_ips.push(chosen);
      return;
    } catch (error) {
      // Taken between the choice and now: choose again.
      if (!(error instanceof Fault)) throw error;
    }
  }
  throw new Fault(
    'conflict',
    `Cannot find a free address for port ${port.name} on subnet ${wanted.subnet_id}`,
  );
}

async function anyAddress(store: NetworkStore, networkId: string): Promise<WantedIp[]> {
  const first = (await store.list('subnet')).find(subnet => subnet.network_id === networkId);
  return first ? [{ subnet_id: first.id }] : [];
}

/** An address in the subnet that neither a port nor `chosen` has. Throws as `Network.ensurePort`. */
export async function chooseAddress(
  store: NetworkStore,
  networkId: string,
  wanted: WantedIp,
  chosen: readonly FixedIp[],
): Promise<FixedIp> {
  const subnet = (await store.list('subnet')).find(
    candidate => candidate.id === wanted.subnet_id && candidate.network_id === networkId,
  );
  if (!subnet) throw new Fault('not-found', `Subnet ${wanted.subnet_id} not found on network ${networkId}`);
  const taken = [...(await store.listTakenAddresses(subnet.id)), ...chosen.map(each => each.ip_address)];
  if (!wanted.ip_address) {
    const free = findFreeAddress(subnet, taken);
    if (!free) throw new Fault('conflict', `No more IP addresses available on subnet ${subnet.id}`);
    return { subnet_id: subnet.id, ip_address: free };
  }
  const ip_address = findCanonicalAddress(wanted.ip_address);
  if (!ip_address || !isHostAddress(subnet, ip_address)) {
    throw new Fault('invalid', `IP address ${wanted.ip_address} is not a valid IP for subnet ${subnet.id}`);
  }
  if (taken.includes(ip_address) || ip_address === subnet.gateway_ip) {
    throw new Fault('conflict', `IP address ${ip_address} already allocated in subnet ${subnet.id}`);
  }
  return { subnet_id: subnet.id, ip_address };
}

const satisfies = (has: FixedIp, wanted: WantedIp): boolean =>
  has.subnet_id === wanted.subnet_id &&
  (!wanted.ip_address || has.ip_address === findCanonicalAddress(wanted.ip_address));

/** Inside the subnet, and neither its network nor its broadcast address. */
export function isHostAddress({ cidr }: Pick<SubnetRecord, 'cidr'>, address: string): boolean {
  if (!containsAddress(cidr, address)) return false;
  const { first: network, last: broadcast, version } = parseCidr(cidr);
  const { first, last } = hostRange(cidr);
  const isNetwork = network < first && numberToAddress(network, version) === address;
  const isBroadcast = broadcast > last && numberToAddress(broadcast, version) === address;
  return !isNetwork && !isBroadcast;
}
