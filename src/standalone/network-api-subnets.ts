/** Subnets of the network API. */
import { randomUUID } from 'node:crypto';
import { isHostAddress } from '../drivers/network/port-rows.ts';
import {
  addressToNumber,
  containsAddress,
  formatCidr,
  hostRange,
  numberToAddress,
  overlaps,
  parseCidr,
} from '../lib/addresses.ts';
import type { AllocationPool, SubnetRecord } from '../model/cloud-network.ts';
import { conflict, forbidden, invalid } from './network-api-errors.ts';
import {
  address,
  cidr,
  flag,
  integer,
  listOf,
  nullable,
  objectOf,
  oneOf,
  text,
  uuid,
} from './network-api-fields.ts';
import { checkNotManagement } from './network-api-networks.ts';
import { commonView, getNetwork, isOwner, type Resource, type Write } from './network-api-resource.ts';

const pools = listOf(objectOf({ start: address, end: address }, ['start', 'end']));
const routes = listOf(objectOf({ destination: cidr, nexthop: address }, ['destination', 'nexthop']));
const absentOnly = nullable(oneOf(null));

export const subnets: Resource<'subnet'> = {
  kind: 'subnet',
  path: 'subnets',
  singular: 'subnet',
  plural: 'subnets',
  title: 'Subnet',
  fields: {
    name: { kind: text, default: '', put: true },
    description: { kind: text, default: '', put: true },
    network_id: { kind: uuid, required: true },
    cidr: { kind: cidr, required: true },
    ip_version: { kind: integer(4, 6) },
    gateway_ip: { kind: nullable(address), put: true },
    allocation_pools: { kind: pools, put: true },
    enable_dhcp: { kind: flag, default: true, put: true },
    dns_nameservers: { kind: listOf(address), default: [], put: true },
    host_routes: { kind: routes, default: [], put: true },
    // Clients name these where they mean none.
    subnetpool_id: { kind: absentOnly },
    ipv6_ra_mode: { kind: absentOnly },
    ipv6_address_mode: { kind: absentOnly },
  },
  view: subnet => ({
    ...commonView(subnet),
    ...subnetExtras,
  }),
  isVisible: (subnet, caller, rows) => {
    const network = rows.network.find(each => each.id === subnet.network_id);
    return network !== undefined && (network.shared || isOwner(network, caller));
  },
  async create(body, write) {
    const network = getNetwork(String(body.network_id), write);
    if (!isOwner(network, write.caller)) throw forbidden('create_subnet');
    checkNotManagement(network.id, write);
    const { version } = parseCidr(String(body.cidr));
    if (body.ip_version !== undefined && body.ip_version !== version)
      throw invalid(
        `Invalid input for operation: CIDR ${body.cidr} is not of IP version ${body.ip_version}.`,
        'InvalidInput',
      );
    const { subnetpool_id: _, ipv6_ra_mode: _1, ipv6_address_mode: _2, ...attributes } = body;
    const draft = { ...attributes, id: randomUUID(), ip_version: version } as unknown as SubnetRecord;
    if (hostCount(draft.cidr) < 2n)
      throw invalid(`Invalid input for operation: ${draft.cidr} has no room for ports.`, 'InvalidInput');
    if (body.gateway_ip === undefined) draft.gateway_ip = firstAddress(draft.cidr);
    draft.allocation_pools ??= poolsAround(draft.cidr, draft.gateway_ip);
    checkSubnet(draft);
    await checkFree(draft, write);
    await write.cloud.store.insert('subnet', draft);
    return draft.id;
  },
  async update(subnet, change, write) {
    checkNotManagement(subnet.network_id, write);
    const set = change as Partial<SubnetRecord>;
    checkSubnet({ ...subnet, ...set });
    const gateway = set.gateway_ip;
    const holder =
      gateway &&
      gateway !== subnet.gateway_ip &&
      write.rows.port.find(port =>
        port.fixed_ips.some(ip => ip.subnet_id === subnet.id && ip.ip_address === gateway),
      );
    if (holder)
      throw conflict(
        'GatewayIpInUse',
        `Current gateway ip ${gateway} already in use by port ${holder.id}. Unable to update.`,
      );
    await write.cloud.store.update('subnet', subnet.id, set);
  },
  async remove(subnet, write) {
    checkNotManagement(subnet.network_id, write);
    const port = write.rows.port.find(each => each.fixed_ips.some(ip => ip.subnet_id === subnet.id));
    if (port)
      throw conflict(
        'SubnetInUse',
        `Unable to complete operation on subnet ${subnet.id}: One or more ports have an IP allocation from this subnet, such as ${port.id}.`,
      );
    await write.cloud.store.delete('subnet', subnet.id);
  },
};

const subnetExtras = { ipv6_ra_mode: null, ipv6_address_mode: null, subnetpool_id: null, service_types: [] };

const hostCount = (range: string): bigint => {
  const { first, last } = hostRange(range);
  return last - first + 1n;
};

function firstAddress(range: string): string {
  const { first, version } = parseCidr(range);
  return numberToAddress(first + 1n, version);
}

/** All addresses but the gateway's. */
function poolsAround(range: string, gateway: string | null): AllocationPool[] {
  const { first, last, version } = hostRange(range);
  const at = gateway !== null && containsAddress(range, gateway) ? addressToNumber(gateway) : first - 1n;
  const parts =
    at < first || at > last
      ? [[first, last]]
      : [
          [first, at - 1n],
          [at + 1n, last],
        ];
  return parts
    .filter(([start, end]) => start! <= end!)
    .map(([start, end]) => ({
      start: numberToAddress(start!, version),
      end: numberToAddress(end!, version),
    }));
}

/** What can be told from the subnet alone. */
function checkSubnet(subnet: SubnetRecord): void {
  const { gateway_ip, allocation_pools, ip_version } = subnet;
  if (gateway_ip !== null && !isHostAddress(subnet, gateway_ip))
    throw invalid(
      `Invalid input for operation: Gateway is not valid on subnet ${subnet.cidr}.`,
      'InvalidInput',
    );
  const ranges = allocation_pools.map(({ start, end }) => {
    const text = `${start}-${end}`;
    if (!isHostAddress(subnet, start) || !isHostAddress(subnet, end))
      throw invalid(
        `The allocation pool ${text} spans beyond the subnet cidr ${subnet.cidr}.`,
        'OutOfBoundsAllocationPool',
      );
    const [first, last] = [addressToNumber(start), addressToNumber(end)];
    if (first > last) throw invalid(`The allocation pool ${text} is not valid.`, 'InvalidAllocationPool');
    return { text, range: { version: ip_version, prefix: 0, first, last } };
  });
  for (const [i, one] of ranges.entries()) {
    const other = ranges.slice(i + 1).find(each => overlaps(each.range, one.range));
    if (other)
      throw conflict(
        'OverlappingAllocationPools',
        `Found overlapping allocation pools: ${one.text} ${other.text} for subnet ${subnet.cidr}.`,
      );
    const gateway = gateway_ip === null ? -1n : addressToNumber(gateway_ip);
    if (gateway >= one.range.first && gateway <= one.range.last)
      throw conflict(
        'GatewayConflictWithAllocationPools',
        `Gateway ip ${gateway_ip} conflicts with allocation pool ${one.text}.`,
      );
  }
}

/** No other subnet of the network may overlap, nor, where the host is in it, anything that the host uses. */
async function checkFree(draft: SubnetRecord, { rows, cloud }: Write): Promise<void> {
  const range = parseCidr(draft.cidr);
  const reserved = draft.gateway_ip === null ? [] : await cloud.listReservedCidrs();
  const own = rows.subnet.filter(each => each.network_id === draft.network_id).map(each => each.cidr);
  const taken = [...own, ...reserved].map(parseCidr).find(each => overlaps(each, range));
  if (taken)
    throw invalid(
      `Invalid input for operation: Requested subnet with cidr: ${draft.cidr} for network: ${draft.network_id} overlaps with ${formatCidr(taken)}.`,
      'InvalidInput',
    );
}
