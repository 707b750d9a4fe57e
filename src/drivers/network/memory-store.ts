/** A network store in memory, for tests and for clouds that keep nothing. */
import { Fault } from '../../lib/errors.ts';
import type {
  CloudKind,
  CloudRecords,
  FloatingIpRecord,
  NetworkRecord,
  PortRecord,
  SecurityGroupRecord,
  SecurityGroupRuleRecord,
  SubnetRecord,
} from '../../model/cloud-network.ts';
import type { FixedIp } from './network.ts';
import type { NetworkStore } from './store.ts';

/** Nothing is awaited between looking and writing, so that no two callers are given the same. */
export class MemoryNetworkStore implements NetworkStore {
  /** By id, all but the ports. */
  readonly networks = new Map<string, NetworkRecord>();
  readonly subnets = new Map<string, SubnetRecord>();
  /** Our own by name, those of users by id. */
  readonly ports = new Map<string, PortRecord>();
  readonly #groups = new Map<string, SecurityGroupRecord>();
  readonly #rules = new Map<string, SecurityGroupRuleRecord>();
  readonly #floatingIps = new Map<string, FloatingIpRecord>();
  readonly #tables = {
    network: this.networks,
    subnet: this.subnets,
    port: this.ports,
    security_group: this.#groups,
    security_group_rule: this.#rules,
    floating_ip: this.#floatingIps,
  };

  async list<K extends CloudKind>(kind: K): Promise<CloudRecords[K][]> {
    return structuredClone([...this.#table(kind).values()]);
  }

  async insert<K extends CloudKind>(kind: K, record: CloudRecords[K]): Promise<void> {
    const key = kind === 'port' ? keyOf(record as PortRecord) : record.id;
    if (kind === 'port') {
      if (this.ports.has(key)) throw new Fault('conflict', `Port name ${key} is taken`);
      for (const address of (record as PortRecord).fixed_ips) this.#checkFree(address);
    }
    this.#table(kind).set(key, structuredClone(record));
  }

  async update<K extends CloudKind>(kind: K, id: string, change: Partial<CloudRecords[K]>): Promise<void> {
    const record = this.#find(kind, id);
    for (const address of (change as Partial<PortRecord>).fixed_ips ?? []) this.#checkFree(address, id);
    if (record) Object.assign(record, structuredClone(change));
  }

  async delete(kind: CloudKind, id: string): Promise<void> {
    const inUse =
      (kind === 'network' &&
        [...this.subnets.values(), ...this.ports.values()].some(x => x.network_id === id)) ||
      (kind === 'subnet' && this.#listTaken(id).length > 0);
    if (inUse) throw new Fault('conflict', `Cannot delete ${kind} ${id}: it is in use`);
    const record = this.#find(kind, id);
    if (record) this.#table(kind).delete(kind === 'port' ? keyOf(record as PortRecord) : id);
    for (const rule of this.#rules.values()) {
      if (rule.security_group_id === id || rule.remote_group_id === id) this.#rules.delete(rule.id);
    }
    for (const floating of this.#floatingIps.values()) {
      if (floating.port_id === id) Object.assign(floating, { port_id: null, fixed_ip_address: null });
    }
  }

  async findPort(id: string): Promise<PortRecord | undefined> {
    return structuredClone(this.#find('port', id));
  }

  async findPortByName(name: string): Promise<PortRecord | undefined> {
    const port = this.ports.get(name);
    return port && !port.user_made && port.name === name ? structuredClone(port) : undefined;
  }

  async insertPortAddress(portId: string, address: FixedIp): Promise<void> {
    this.#checkFree(address);
    this.#find('port', portId)?.fixed_ips.push({ ...address });
  }

  async listTakenAddresses(subnetId: string): Promise<string[]> {
    return this.#listTaken(subnetId);
  }

  #table<K extends CloudKind>(kind: K): Map<string, CloudRecords[K]> {
    return this.#tables[kind] as never;
  }

  #find<K extends CloudKind>(kind: K, id: string): CloudRecords[K] | undefined {
    const table = this.#table(kind);
    return kind === 'port' ? [...table.values()].find(record => record.id === id) : table.get(id);
  }

  #listTaken(subnetId: string): string[] {
    const addresses = [...this.ports.values()].flatMap(port => port.fixed_ips);
    return addresses.filter(ip => ip.subnet_id === subnetId).map(ip => ip.ip_address);
  }

  #checkFree({ subnet_id, ip_address }: FixedIp, exceptPortId?: string): void {
    const isTaken = [...this.ports.values()].some(
      port =>
        port.id !== exceptPortId &&
        port.fixed_ips.some(ip => ip.subnet_id === subnet_id && ip.ip_address === ip_address),
    );
    if (isTaken)
      throw new Fault('conflict', `IP address ${ip_address} already allocated in subnet ${subnet_id}`);
  }
}

const keyOf = (port: PortRecord): string => (port.user_made || port.name === '' ? port.id : port.name);
