/** Networks in memory: any network and subnet id exists, ports and their addresses are kept and never given twice. */
import { createHash } from 'node:crypto';
import {
  addressToNumber,
  canonicalAddress,
  containsAddress,
  hostRange,
  numberToAddress,
} from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import { type NoopCloud, type NoopPort, uuidFrom } from '../noop-cloud.ts';
import { macAddressOf } from './mac-address.ts';
import {
  type CloudNetwork,
  DEVICE_OWNER,
  type FixedIp,
  type Network,
  type Port,
  type PortSpec,
  type Subnet,
} from './network.ts';

export class NoopNetwork implements Network {
  readonly #cloud: NoopCloud;

  constructor(cloud: NoopCloud) {
    this.#cloud = cloud;
  }

  async findNetwork(id: string): Promise<CloudNetwork | undefined> {
    return structuredClone(this.#network(id));
  }

  async findSubnet(id: string): Promise<Subnet | undefined> {
    return structuredClone(this.#subnet(id));
  }

  async findPort(id: string): Promise<Port | undefined> {
    return plainPort([...this.#cloud.ports.values()].find(port => port.id === id));
  }

  async findPortByName(name: string): Promise<Port | undefined> {
    return plainPort(this.#cloud.ports.get(name));
  }

  async listNetworks(): Promise<CloudNetwork[]> {
    return structuredClone([...this.#cloud.networks.values()]);
  }

  async listSubnets(): Promise<Subnet[]> {
    return structuredClone([...this.#cloud.subnets.values()]);
  }

  async subnetsOf(networkId: string): Promise<Subnet[]> {
    return structuredClone(this.#subnetsOf(networkId));
  }

  /** Nothing is awaited in it, so that no two callers are given the same address. */
  async ensurePort(spec: PortSpec): Promise<Port> {
    const existing = this.#cloud.ports.get(spec.name);
    const id = uuidFrom(`port ${spec.name}`);
    const port: NoopPort = existing
      ? structuredClone(existing)
      : {
          id,
          name: spec.name,
          project_id: spec.project_id,
          network_id: spec.network_id,
          mac_address: macAddressOf(id),
          fixed_ips: [],
          device_id: spec.device_id ?? '',
          device_owner: DEVICE_OWNER,
          allowed_addresses: [],
        };
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
    this.#cloud.ports.set(spec.name, port);
    return plainPort(port)!;
  }

  async deletePort(name: string): Promise<void> {
    const port = this.#cloud.ports.get(name);
    if (!port) return;
    this.#cloud.ports.delete(name);
    for (const instance of this.#cloud.instances.values()) this.#cloud.unplug(instance, port);
  }

  async listPortNames(): Promise<string[]> {
    return [...this.#cloud.ports.keys()].sort();
  }

  #network(id: string): CloudNetwork | undefined {
    return this.#cloud.networks.get(id) ?? (isUuid(id) ? fabricatedNetwork(id) : undefined);
  }

  #subnet(id: string): Subnet | undefined {
    return this.#cloud.subnets.get(id) ?? (isUuid(id) ? fabricatedSubnet(id) : undefined);
  }

  #subnetsOf(networkId: string): Subnet[] {
    const ids = this.#network(networkId)?.subnets ?? [];
    return ids.map(id => this.#subnet(id)).filter(subnet => subnet !== undefined);
  }

  #wantedIps(spec: PortSpec, port: Port): PortSpec['fixed_ips'] {
    if (spec.fixed_ips.length > 0 || port.fixed_ips.length > 0) return spec.fixed_ips;
    const [first] = this.#subnetsOf(spec.network_id);
    return first ? [{ subnet_id: first.id }] : [];
  }

  #allocate(port: Port, wanted: PortSpec['fixed_ips'][number]): FixedIp {
    const subnet = this.#subnet(wanted.subnet_id);
    if (!subnet) throw new Fault('not-found', `Subnet ${wanted.subnet_id} not found`);
    // Addresses count across subnets of one network only: two fabricated subnets may share a range.
    const taken = new Set(
      [...this.#cloud.ports.values()]
        .filter(other => other.network_id === port.network_id)
        .flatMap(other => other.fixed_ips.map(ip => ip.ip_address))
        .concat(subnet.gateway_ip ?? []),
    );
    if (wanted.ip_address) {
      const ip_address = canonicalAddress(wanted.ip_address);
      // A fabricated subnet has no range that its user could know, so any address is right there.
      if (this.#cloud.subnets.has(subnet.id) && !containsAddress(subnet.cidr, ip_address)) {
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
function chooseAddress(subnet: Subnet, portName: string, taken: Set<string>): string {
  const { first, last, version } = hostRange(subnet.cidr);
  const size = last - first + 1n;
  const start = createHash('sha256').update(portName).digest().readBigUInt64BE() % size;
  for (let i = 0n; i < size && i < 65_536n; i++) {
    const address = numberToAddress(first + ((start + i) % size), version);
    if (!taken.has(address)) return address;
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

function fabricatedSubnet(id: string): Subnet {
  const digest = createHash('sha256').update(id).digest();
  const cidr = `10.${digest[0]! % 255}.0.0/16`;
  return {
    id,
    name: '',
    project_id: null,
    network_id: companion(id),
    ip_version: 4,
    cidr,
    gateway_ip: numberToAddress(addressToNumber(cidr.slice(0, -3)) + 1n, 4),
    host_routes: [],
  };
}

function isUuid(id: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
}

function plainPort(port: NoopPort | undefined): Port | undefined {
  if (!port) return undefined;
  const { allowed_addresses: _, ...plain } = structuredClone(port);
  return plain;
}
