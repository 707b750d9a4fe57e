/** The row half of a port: found by its name, else inserted, with addresses that nobody else has. */
import { randomUUID } from 'node:crypto';
import {
  containsAddress,
  findCanonicalAddress,
  hostRange,
  numberToAddress,
  parseCidr,
} from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import { findFreeAddress } from './allocation.ts';
import { macAddressOf } from './mac-address.ts';
import { DEVICE_OWNER, type FixedIp, type PortSpec } from './network.ts';
import type { NetworkStore, StoredPort } from './store.ts';

type WantedIp = PortSpec['fixed_ips'][number];

/** Two processes that take addresses at once step on each other at most this often in a row. */
const MAX_ALLOCATIONS = 100;

/** The promise of `Network.ensurePort`, for the rows. */
export async function ensurePortRow(store: NetworkStore, spec: PortSpec): Promise<StoredPort> {
  const port = (await store.findPortByName(spec.name)) ?? (await insertPort(store, spec));
  for (const wanted of spec.fixed_ips) {
    if (!port.fixed_ips.some(has => satisfies(has, wanted))) await addAddress(store, port, wanted);
  }
  const allowed = [...new Set([...port.allowed_addresses, ...(spec.allowed_addresses ?? [])])];
  if (allowed.length > port.allowed_addresses.length) {
    await store.updatePort(port.id, { allowed_addresses: allowed });
  }
  return { ...port, allowed_addresses: allowed };
}

async function insertPort(store: NetworkStore, spec: PortSpec): Promise<StoredPort> {
  const wanted = spec.fixed_ips.length > 0 ? spec.fixed_ips : await anyAddress(store, spec.network_id);
  const id = randomUUID();
  for (let i = 0; i < MAX_ALLOCATIONS; i++) {
    const fixed_ips: FixedIp[] = [];
    for (const each of wanted) fixed_ips.push(await chooseAddress(store, spec.network_id, each, fixed_ips));
    const port: StoredPort = {
      id,
      name: spec.name,
      project_id: spec.project_id,
      network_id: spec.network_id,
      mac_address: macAddressOf(id),
      fixed_ips,
      device_id: spec.device_id ?? '',
      device_owner: DEVICE_OWNER,
      allowed_addresses: [...new Set(spec.allowed_addresses ?? [])],
    };
    try {
      await store.insertPort(port);
      return port;
    } catch (error) {
      // Somebody was quicker: with our name, and it is our port; or with an address, and we choose again.
      if (!(error instanceof Fault)) throw error;
      const existing = await store.findPortByName(spec.name);
      if (existing) return existing;
    }
  }
  throw new Fault(
    'conflict',
    `Cannot find a free address for port ${spec.name} on network ${spec.network_id}`,
  );
}

async function addAddress(store: NetworkStore, port: StoredPort, wanted: WantedIp): Promise<void> {
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
  const first = (await store.listSubnets()).find(subnet => subnet.network_id === networkId);
  return first ? [{ subnet_id: first.id }] : [];
}

async function chooseAddress(
  store: NetworkStore,
  networkId: string,
  wanted: WantedIp,
  chosen: readonly FixedIp[],
): Promise<FixedIp> {
  const subnets = (await store.listSubnets()).filter(candidate => candidate.network_id === networkId);
  const subnet = subnets.find(candidate => candidate.id === wanted.subnet_id);
  if (!subnet) throw new Fault('not-found', `Subnet ${wanted.subnet_id} not found on network ${networkId}`);
  const taken = [...(await store.listTakenAddresses(subnet.id)), ...chosen.map(each => each.ip_address)];
  if (!wanted.ip_address) {
    const free = findFreeAddress(subnet, taken);
    if (!free) throw new Fault('conflict', `No more IP addresses available on subnet ${subnet.id}`);
    return { subnet_id: subnet.id, ip_address: free };
  }
  const ip_address = findCanonicalAddress(wanted.ip_address);
  if (!ip_address || !isHostAddress(subnet.cidr, ip_address)) {
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

/** Inside the CIDR, and neither its network nor its broadcast address. */
function isHostAddress(cidr: string, address: string): boolean {
  if (!containsAddress(cidr, address)) return false;
  const { first: network, last: broadcast, version } = parseCidr(cidr);
  const { first, last } = hostRange(cidr);
  const isNetwork = network < first && numberToAddress(network, version) === address;
  const isBroadcast = broadcast > last && numberToAddress(broadcast, version) === address;
  return !isNetwork && !isBroadcast;
}
