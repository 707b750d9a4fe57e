/** Networks in memory: any network and subnet id exists, ports and their addresses are kept and never given twice. */
import { createHash } from 'node:crypto';
import { addressToNumber, canonicalAddress, containsAddress, numberToAddress } from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import { newPort, type PortRecord, type SubnetRecord } from '../../model/cloud-network.ts';
import { type NoopCloud, uuidFrom } from '../noop-cloud.ts';
import { macAddressOf } from './mac-address.ts';
import {
  type CloudNetwork,
  DEVICE_OWNER,
  type FixedIp,
  type Network,
  type Port,
  type PortSpec,
  type VipAccess,
} from './network.ts';
import { ensureAccessOfRow, ensureGroupsOfRow } from './port-rows.ts';
import { cloudNetwork, RowNetwork } from './row-network.ts';
import type { NetworkCloud } from './store.ts';

export class NoopNetwork extends RowNetwork<NoopCloud> implements Network, NetworkCloud {
  readonly managementNetworkId: string;

  constructor(cloud: NoopCloud, managementNetworkId = '') {
    super(cloud);
    this.managementNetworkId = managementNetworkId;
  }

  async apply(): Promise<void> {}

  /** Where the first who named a fabricated subnet said it is. */
  readonly #places = new Map<string, string>();

  async listReservedCidrs(): Promise<string[]> {
    return [];
  }

  override async findNetwork(id: string): Promise<CloudNetwork | undefined> {
    return structuredClone(this.#network(id));
  }

  override async findSubnet(id: string, networkId?: string): Promise<SubnetRecord | undefined> {
    if (networkId !== undefined && !this.#places.has(id)) this.#places.set(id, networkId);
    return structuredClone(this.#subnet(id));
  }

  override async subnetsOf(networkId: string): Promise<SubnetRecord[]> {
    return structuredClone(this.#subnetsOf(networkId));
  }

  async ensureSecurityGroups(portId: string, groupIds: readonly string[]): Promise<void> {
    await ensureGroupsOfRow(this.store, portId, groupIds);
  }

  async ensureAccess(vipPortId: string, access: readonly VipAccess[]): Promise<void> {
    await ensureAccessOfRow(this.store, vipPortId, access);
  }

  /** Nothing is awaited in it, so that no two callers are given the same address. */
  async ensurePort(spec: PortSpec): Promise<Port> {
    const existing = this.store.ports.get(spec.name);
    const id = uuidFrom(`port ${spec.name}`);
    const { name, project_id, network_id, device_id = '' } = spec;
    const own = { id, name, project_id, network_id, device_id, device_owner: DEVICE_OWNER };
    const port = existing ? structuredClone(existing) : newPort({ ...own, mac_address: macAddressOf(id) });
    for (const wanted of this.#wantedIps(spec, port)) {
      const has = port.fixed_ips.some(
        ip =>
          ip.subnet_id === wanted.subnet_id &&
          (!wanted.ip_address || ip.ip_address === canonicalAddress(wanted.ip_address)),
      );
      if (!has) port.fixed_ips.push(this.#allocate(port, wanted));
    }
    const allowed = (spec.allowed_addresses ?? []).map(canonicalAddress);
    port.allowed_addresses = [...new Set([...port.allowed_addresses, ...allowed])];
    this.store.ports.set(spec.name, port);
    return structuredClone(port);
  }

  async deletePort(name: string): Promise<void> {
    const port = this.store.ports.get(name);
    if (!port) return;
    await this.store.delete('port', port.id);
    for (const instance of this.store.instances.values()) this.store.unplug(instance, port);
  }

  #network(id: string): CloudNetwork | undefined {
    const registered = this.store.networks.get(id);
    if (registered) return cloudNetwork(registered, [...this.store.subnets.values()]);
    return isUuid(id) ? fabricatedNetwork(id) : undefined;
  }

  #subnet(id: string): SubnetRecord | undefined {
    const registered = this.store.subnets.get(id);
    if (registered || !isUuid(id)) return registered;
    return fabricatedSubnet(id, this.#places.get(id) ?? companion(id));
  }

  #subnetsOf(networkId: string): SubnetRecord[] {
    const ids = this.#network(networkId)?.subnets ?? [];
    return ids.map(id => this.#subnet(id)).filter(subnet => subnet !== undefined);
  }

  #wantedIps(spec: PortSpec, port: PortRecord): PortSpec['fixed_ips'] {
    if (spec.fixed_ips.length > 0 || port.fixed_ips.length > 0) return spec.fixed_ips;
    const [first] = this.#subnetsOf(spec.network_id);
    return first ? [{ subnet_id: first.id }] : [];
  }

  #allocate(port: PortRecord, wanted: PortSpec['fixed_ips'][number]): FixedIp {
    const subnet = this.#subnet(wanted.subnet_id);
    if (!subnet) throw new Fault('not-found', `Subnet ${wanted.subnet_id} not found`);
    // Addresses count across subnets of one network only: two fabricated subnets may share a range.
    const taken = new Set(
      [...this.store.ports.values()]
        .filter(other => other.network_id === port.network_id)
        .flatMap(other => other.fixed_ips.map(ip => ip.ip_address))
        .concat(subnet.gateway_ip ?? []),
    );
    if (wanted.ip_address) {
      const ip_address = canonicalAddress(wanted.ip_address);
      // A fabricated subnet has no range that its user could know, so any address is right there, and free.
      if (!this.store.subnets.has(subnet.id)) return { subnet_id: subnet.id, ip_address };
      if (!containsAddress(subnet.cidr, ip_address)) {
        throw new Fault('invalid', `IP address ${ip_address} is not a valid IP for subnet ${subnet.id}`);
      }
      if (taken.has(ip_address)) {
        throw new Fault('conflict', `IP address ${ip_address} already allocated in subnet ${subnet.id}`);
      }
      return { subnet_id: subnet.id, ip_address };
    }
    return { subnet_id: subnet.id, ip_address: chooseAddress(subnet, port.name, taken) };
  }
}

/** Starts at a place that the port's name decides, so that the order in which ports are made does not matter. */
function chooseAddress(subnet: SubnetRecord, portName: string, taken: Set<string>): string {
  const hash = createHash('sha256').update(portName).digest().readBigUInt64BE();
  for (const pool of subnet.allocation_pools) {
    const [first, last] = [addressToNumber(pool.start), addressToNumber(pool.end)];
    const size = last - first + 1n;
    for (let i = 0n; i < size && i < 65_536n; i++) {
      const address = numberToAddress(first + ((hash + i) % size), subnet.ip_version);
      if (!taken.has(address)) return address;
    }
  }
  throw new Fault('conflict', `No more IP addresses available on subnet ${subnet.id}`);
}

/** Network and subnet of a fabricated pair know each other's id without a table: one bit apart. */
function companion(id: string): string {
  const last = Number.parseInt(id.slice(-1), 16) ^ 1;
  return id.slice(0, -1) + last.toString(16);
}

function fabricatedNetwork(id: string): CloudNetwork {
  return { id, name: '', project_id: null, mtu: 1500, subnets: [companion(id)] };
}

function fabricatedSubnet(id: string, network_id: string): SubnetRecord {
  const digest = createHash('sha256').update(id).digest();
  const start = `10.${digest[0]! % 255}.0`;
  return {
    id,
    name: '',
    project_id: null,
    network_id,
    ip_version: 4,
    cidr: `${start}.0/16`,
    gateway_ip: `${start}.1`,
    allocation_pools: [{ start: `${start}.1`, end: `${start.slice(0, -1)}255.254` }],
    host_routes: [],
    ...{ description: '', dns_nameservers: [], enable_dhcp: true },
  };
}

function isUuid(id: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
}
