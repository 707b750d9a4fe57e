/** Ports of the network API. */
import { randomUUID } from 'node:crypto';
import { findFreeAddress } from '../drivers/network/allocation.ts';
import { macAddressOf } from '../drivers/network/mac-address.ts';
import type { FixedIp } from '../drivers/network/network.ts';
import { chooseAddress, insertPortRow, isHostAddress, type WantedIp } from '../drivers/network/port-rows.ts';
import { Fault } from '../lib/errors.ts';
import type { Caller } from '../model/caller.ts';
import { type NetworkRecord, newPort, type PortRecord } from '../model/cloud-network.ts';
import { absent, conflict, forbidden, invalid, NetworkFault } from './network-api-errors.ts';
import {
  address,
  type Body,
  flag,
  listOf,
  macAddress,
  nullable,
  objectOf,
  oneOf,
  prefix,
  text,
  uuid,
} from './network-api-fields.ts';
import { commonView, getNetwork, isOwner, type Resource, type Write } from './network-api-resource.ts';

/** The device owner of a port that holds a floating IP's address. */
export const FLOATING_IP_OWNER = 'network:floatingip';

type Wish = { subnet_id?: string; ip_address?: string };

/** What may change of a port that something is built on. */
const FREE = new Set(['description', 'security_groups', 'admin_state_up', 'qos_policy_id']);

export const ports: Resource<'port'> = {
  kind: 'port',
  path: 'ports',
  singular: 'port',
  plural: 'ports',
  title: 'Port',
  fields: {
    name: { kind: text, default: '', put: true },
    description: { kind: text, default: '', put: true },
    network_id: { kind: uuid, required: true },
    admin_state_up: { kind: flag, default: true, put: true },
    mac_address: { kind: macAddress, put: true },
    fixed_ips: { kind: listOf(objectOf({ subnet_id: uuid, ip_address: address })), put: true },
    device_id: { kind: text, default: '', put: true },
    device_owner: { kind: text, default: '', put: true },
    allowed_address_pairs: {
      kind: listOf(objectOf({ ip_address: prefix, mac_address: macAddress }, ['ip_address'])),
      default: [],
      put: true,
    },
    security_groups: { kind: listOf(uuid), default: [], put: true },
    // All that there is: clients say it all the same.
    port_security_enabled: { kind: flag },
    'binding:vnic_type': { kind: oneOf('normal') },
    qos_policy_id: { kind: nullable(oneOf(null)), put: true },
  },
  view: ({ allowed_addresses, user_made: _, asked_groups: _1, limits: _2, ...port }) => ({
    ...commonView(port),
    status: port.device_id === '' ? 'DOWN' : 'ACTIVE',
    allowed_address_pairs: allowed_addresses.map(ip_address => ({
      ip_address,
      mac_address: port.mac_address,
    })),
    port_security_enabled: true,
    'binding:vnic_type': 'normal',
    qos_policy_id: null,
  }),
  isVisible: (port, caller, rows) => {
    const network = rows.network.find(each => each.id === port.network_id);
    return network !== undefined && isOwner(network, caller);
  },
  async create(body, write) {
    const network = getNetwork(String(body.network_id), write);
    const id = randomUUID();
    const { attributes, wishes } = attributesOf(body, network, write, 'create_port');
    const port = newPort({
      mac_address: macAddressOf(id),
      ...attributes,
      ...{ id, network_id: network.id, user_made: true },
    });
    checkMac(port, write);
    const wanted = (wishes ?? anyAddress(network.id, write)).map(wish => ({
      ...wish,
      subnet_id: subnetOf(wish, network.id, write),
    }));
    await inNeutronsWords(wanted, () => insertPortRow(write.cloud.store, port, wanted));
    return id;
  },
  async update(port, body, write) {
    const network = write.rows.network.find(each => each.id === port.network_id)!;
    const { attributes: change, wishes } = attributesOf(body, network, write, 'update_port');
    // What a load balancer has built on is not changed under it.
    const firm = Object.keys(body).filter(name => !FREE.has(name));
    if (firm.length > 0) checkNotOurs(port, `its ${firm.join(', ')} cannot be changed`, write);
    checkMac({ ...port, ...change }, write);
    const fixed_ips = wishes && (await newAddresses(port, wishes, write));
    const set = { ...change, ...(fixed_ips && { fixed_ips }) };
    await inNeutronsWords(fixed_ips ?? [], () => write.cloud.store.update('port', port.id, set));
  },
  async remove(port, write) {
    checkNotOurs(port, 'it cannot be deleted directly via the port API', write);
    await write.cloud.store.delete('port', port.id);
  },
};

/** Throws 409 for a port that load balancing or a floating IP owns. */
function checkNotOurs(port: PortRecord, what: string, { rows }: Write): void {
  const floating = rows.floating_ip.some(each => each.floating_port_id === port.id);
  if (!port.user_made || floating)
    throw conflict(
      'ServicePortInUse',
      `Port ${port.id} belongs to ${port.device_owner} ${port.device_id}: ${what}.`,
    );
}

/** The body as fields of the record, with what others than a network's owner may not say refused. */
function attributesOf(
  body: Body,
  network: NetworkRecord,
  { caller, rows }: Write,
  rule: string,
): { attributes: Partial<PortRecord>; wishes: Wish[] | undefined } {
  const {
    allowed_address_pairs: pairs,
    port_security_enabled: secure,
    'binding:vnic_type': _,
    qos_policy_id: _1,
    fixed_ips,
    ...rest
  } = body;
  const attributes = rest as Partial<PortRecord>;
  const wishes = fixed_ips as Wish[] | undefined;
  if (secure === false)
    throw invalid(
      'Invalid input for port_security_enabled. Reason: leave security_groups empty for an open port.',
    );
  checkPolicy(caller, network, rule, {
    'fixed_ips:ip_address': wishes?.some(wish => wish.ip_address !== undefined) ?? false,
    mac_address: attributes.mac_address !== undefined,
    allowed_address_pairs: !!(pairs as unknown[] | undefined)?.length,
    device_owner: attributes.device_owner?.startsWith('network:') ?? false,
  });
  for (const id of attributes.security_groups ?? []) {
    const group = rows.security_group.find(each => each.id === id);
    if (!group || !isOwner(group, caller)) throw absent('Security group', id);
  }
  if (attributes.security_groups) attributes.security_groups = [...new Set(attributes.security_groups)];
  if (pairs !== undefined) {
    const addresses = (pairs as { ip_address: string }[]).map(pair =>
      pair.ip_address.replace(/\/(32|128)$/, ''),
    );
    attributes.allowed_addresses = [...new Set(addresses)];
  }
  return { attributes, wishes };
}

function checkPolicy(
  caller: Caller,
  network: NetworkRecord,
  rule: string,
  said: Record<string, boolean>,
): void {
  if (isOwner(network, caller)) return;
  const refused = Object.keys(said).find(name => said[name]);
  if (refused) throw forbidden(`${rule}:${refused}`);
}

function checkMac({ id, network_id, mac_address }: PortRecord, { rows }: Write): void {
  const other = rows.port.find(
    each => each.id !== id && each.network_id === network_id && each.mac_address === mac_address,
  );
  if (other)
    throw conflict(
      'MacAddressInUse',
      `Unable to complete operation for network ${network_id}. The mac address ${mac_address} is in use.`,
    );
}

/** In the first subnet that has an address left, IPv4 before IPv6. */
function anyAddress(networkId: string, { rows }: Write): Wish[] {
  const candidates = rows.subnet
    .filter(subnet => subnet.network_id === networkId)
    .toSorted((a, b) => a.ip_version - b.ip_version);
  const taken = (subnetId: string) =>
    rows.port.flatMap(port =>
      port.fixed_ips.filter(ip => ip.subnet_id === subnetId).map(ip => ip.ip_address),
    );
  const subnet =
    candidates.find(each => findFreeAddress(each, taken(each.id)) !== undefined) ?? candidates[0];
  return subnet ? [{ subnet_id: subnet.id }] : [];
}

function subnetOf(wish: Wish, networkId: string, { rows }: Write): string {
  const own = rows.subnet.filter(subnet => subnet.network_id === networkId);
  if (wish.subnet_id !== undefined) {
    if (!rows.subnet.some(subnet => subnet.id === wish.subnet_id)) throw absent('Subnet', wish.subnet_id);
    if (!own.some(subnet => subnet.id === wish.subnet_id))
      throw invalid(
        `Failed to create port on network ${networkId}, because fixed_ips included invalid subnet ${wish.subnet_id}.`,
        'InvalidInput',
      );
    return wish.subnet_id;
  }
  const fitting = own.find(subnet => wish.ip_address !== undefined && isHostAddress(subnet, wish.ip_address));
  if (!fitting)
    throw invalid(
      `IP address ${wish.ip_address ?? ''} is not a valid IP for any of the subnets on network ${networkId}.`,
      'InvalidIpForNetwork',
    );
  return fitting.id;
}

/** Keeps what the port has already and is wanted; chooses the rest. */
async function newAddresses(port: PortRecord, wishes: readonly Wish[], write: Write): Promise<FixedIp[]> {
  const chosen: FixedIp[] = [];
  for (const wish of wishes) {
    const subnet_id = subnetOf(wish, port.network_id, write);
    const kept = port.fixed_ips.find(
      has =>
        has.subnet_id === subnet_id &&
        (wish.ip_address ?? has.ip_address) === has.ip_address &&
        !chosen.includes(has),
    );
    const wanted = { ...wish, subnet_id };
    const choose = () => chooseAddress(write.cloud.store, port.network_id, wanted, chosen);
    chosen.push(kept ?? (await inNeutronsWords([wanted], choose)));
  }
  return chosen;
}

/** Runs what gives addresses to ports, and names its refusals as Neutron does. */
export async function inNeutronsWords<T>(wanted: readonly WantedIp[], run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Fault) || error instanceof NetworkFault) throw error;
    const byHand = wanted.some(wish => wish.ip_address);
    const type =
      error.kind === 'invalid'
        ? 'InvalidIpForSubnet'
        : byHand
          ? 'IpAddressAlreadyAllocated'
          : 'IpAddressGenerationFailure';
    throw new NetworkFault(error.kind, type, `${error.message}.`, { cause: error });
  }
}
