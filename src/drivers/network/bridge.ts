/** Networks as Linux bridges of this host, which is each subnet's gateway; ports as pairs of links into namespaces. */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { formatCidr, hostRange, numberToAddress, parseCidr } from '../../lib/addresses.ts';
import { run } from '../../lib/command.ts';
import { errorChain, Fault } from '../../lib/errors.ts';
import * as ip from '../../lib/ip.ts';
import { type Log, silentLog } from '../../lib/log.ts';
import { type AllocationPool, newNetwork, type SubnetRecord } from '../../model/cloud-network.ts';
import { type BridgeWish, wishedBridges } from './bridge-wish.ts';
import { readCloudRows } from './cloud-rows.ts';
import {
  deleteLinks,
  isPlugged,
  linkExists,
  listLinkNames,
  listUsedCidrs,
  namespaceExists,
  setLinkSwitch,
} from './host-links.ts';
import { bridgeName, checkSystemId, hostLinkName, isLinkOf, peerLinkName, tableName } from './link-names.ts';
import { macAddressOf } from './mac-address.ts';
import type { CloudNetwork, Network, Port, PortSpec, VipAccess } from './network.ts';
import { type PacketRules, renderPacketRules, renderTransaction } from './packet-rules.ts';
import { ensureAccessOfRow, ensureGroupsOfRow, ensurePortRow } from './port-rows.ts';
import { RowNetwork } from './row-network.ts';
import type { NetworkCloud, NetworkStore } from './store.ts';

/** By network id, why its bridge is not as it must be. */
type Failures = Map<string, unknown>;

const NFT_TIMEOUT_MS = 10_000;

export interface NetworkSpec {
  name: string;
  project_id?: string | null;
  shared?: boolean;
  router_external?: boolean;
}

export interface SubnetSpec {
  name: string;
  network_id: string;
  cidr: string;
  /** The first address of the subnet when absent; null for none, and then the host is not in the subnet. */
  gateway_ip?: string | null;
  /** All of the subnet when absent. */
  allocation_pools?: AllocationPool[];
  project_id?: string | null;
}

export interface PlugOptions {
  /** What the namespace calls the interface; `tap…` when absent. */
  interfaceName?: string;
  /** Whose port it is from now on; the name of the namespace when absent. */
  deviceId?: string;
  /** Makes the namespace first when it is absent. */
  createNamespace?: boolean;
}

export class BridgeNetwork extends RowNetwork implements Network, NetworkCloud {
  /** Set as soon as it is known. */
  managementNetworkId = '';
  readonly #systemId: string;
  readonly #log: Log;
  /** By network id, how this process has set its bridge up. */
  readonly #bridged = new Map<string, BridgeWish>();
  /** The rules that this process has set; undefined before the first ones. */
  #rules: PacketRules | undefined;
  #underWay: Promise<unknown> = Promise.resolve();
  /** What begins when that has ended. */
  #next: Promise<Failures> | undefined;

  constructor(options: { store: NetworkStore; systemId: string; log?: Log }) {
    super(options.store);
    this.#systemId = checkSystemId(options.systemId);
    this.#log = options.log ?? silentLog;
  }

  /** Finds the network by its name and project, else creates it; its bridge is there afterwards. */
  async ensureNetwork(spec: NetworkSpec): Promise<CloudNetwork> {
    const { project_id = null } = spec;
    const networks = await this.store.list('network');
    const found = networks.find(each => each.name === spec.name && each.project_id === project_id);
    const network = found ?? newNetwork({ ...spec, id: randomUUID() });
    if (!found) await this.store.insert('network', network);
    await this.#ensureBridge(network.id);
    return (await this.findNetwork(network.id))!;
  }

  /** Finds the subnet by network and name, else creates it; the host has its gateway's address afterwards. */
  async ensureSubnet(spec: SubnetSpec): Promise<SubnetRecord> {
    await this.#getNetwork(spec.network_id);
    let subnet = (await this.subnetsOf(spec.network_id)).find(candidate => candidate.name === spec.name);
    if (!subnet) {
      subnet = newSubnet(spec);
      await this.store.insert('subnet', subnet);
    }
    await this.apply();
    return subnet;
  }

  /** Makes what is missing, as after a restart of the host; one network that cannot be made does not stop the others. */
  async restore(): Promise<void> {
    for (const [network_id, error] of await this.#converge()) {
      this.#log.error({ network_id, cause: errorChain(error) }, 'cannot make a network');
    }
  }

  async apply(): Promise<void> {
    for (const [, error] of await this.#converge()) throw error;
  }

  listReservedCidrs(): Promise<string[]> {
    return listUsedCidrs();
  }

  async ensurePort(spec: PortSpec): Promise<Port> {
    await this.#getNetwork(spec.network_id);
    const port = await ensurePortRow(this.store, spec);
    await this.#refreshRules();
    return port;
  }

  async ensureSecurityGroups(portId: string, groupIds: readonly string[]): Promise<void> {
    if (await ensureGroupsOfRow(this.store, portId, groupIds)) await this.#converge();
    else await this.#refreshRules();
  }

  async ensureAccess(vipPortId: string, access: readonly VipAccess[]): Promise<void> {
    if (await ensureAccessOfRow(this.store, vipPortId, access)) await this.#converge();
  }

  async deletePort(name: string): Promise<void> {
    const port = await this.store.findPortByName(name);
    if (!port) return;
    await deleteLinks([hostLinkName(this.#systemId, port.id)]);
    await this.store.delete('port', port.id);
    await this.#refreshRules();
  }

  /**
   * Puts the port's interface into a network namespace of this host; success when it is there. A port that was
   * elsewhere is moved. Its link is made here, straight into the namespace: a port that is nowhere has none.
   */
  async plugPort(portId: string, namespace: string, options: PlugOptions = {}): Promise<Port> {
    const port = await this.store.findPort(portId);
    if (!port) throw new Fault('not-found', `Cannot plug port ${portId} into ${namespace}: no such port`);
    const network = await this.#getNetwork(port.network_id);
    await this.#ensureBridge(network.id);
    const link = hostLinkName(this.#systemId, portId);
    const deviceId = options.deviceId ?? namespace;
    const bridge = bridgeName(this.#systemId, network.id);
    const peer = { name: options.interfaceName ?? peerLinkName(portId), mac: port.mac_address, namespace };
    if (port.device_id !== deviceId || !isPlugged(link, bridge)) {
      await deleteLinks([link]);
      // The row says whose the link is before there is one, so that an existing link is always its device's.
      if (port.device_id !== deviceId) await this.store.update('port', portId, { device_id: deviceId });
      await ip.runIpBatch([
        ...(options.createNamespace && !namespaceExists(namespace) ? [ip.addNamespace(namespace)] : []),
        ip.addVeth(link, peer, network.mtu),
        ip.setMaster(link, bridge),
        ip.setUp(link),
        ...port.fixed_ips.map(fixed => ip.replaceNeighbour(fixed.ip_address, port.mac_address, bridge)),
      ]);
    }
    return { ...port, device_id: deviceId };
  }

  /** Gives a plugged port's interface the port's addresses and the default route, and brings it up. */
  async configurePort(port: Port, namespace: string, interfaceName = peerLinkName(port.id)): Promise<void> {
    const subnets = await this.subnetsOf(port.network_id);
    const pairs = port.fixed_ips.map(fixed => ({
      fixed,
      subnet: subnets.find(s => s.id === fixed.subnet_id)!,
    }));
    const addresses = pairs.map(({ fixed, subnet }) =>
      ip.replaceAddress(`${fixed.ip_address}/${parseCidr(subnet.cidr).prefix}`, interfaceName),
    );
    const gateways = new Set(
      pairs.map(({ subnet }) => subnet.gateway_ip).filter(gateway => gateway !== null),
    );
    const routes = [...gateways].map(gateway => ip.replaceDefaultRoute(gateway, interfaceName));
    await ip.runIpBatch([ip.setUp('lo'), ip.setUp(interfaceName), ...addresses, ...routes], { namespace });
  }

  /** Takes the port out of the namespace that it is in, if that is this device's; success when it is in none. */
  async unplugPort(portId: string, deviceId: string): Promise<void> {
    const port = await this.store.findPort(portId);
    if (port?.device_id !== deviceId) return;
    await deleteLinks([hostLinkName(this.#systemId, portId)]);
    await this.store.update('port', portId, { device_id: '' });
  }

  /** Takes all ports of a device out of its namespace, in one go. */
  async unplugDevice(deviceId: string): Promise<void> {
    await this.deleteLinksOf(deviceId);
    for (const port of await this.listPortsOf(deviceId)) {
      await this.store.update('port', port.id, { device_id: '' });
    }
  }

  /** Deletes the links of a device's ports, which stay the device's: its namespace is about to be made again. */
  async deleteLinksOf(deviceId: string): Promise<void> {
    await deleteLinks((await this.listPortsOf(deviceId)).map(port => hostLinkName(this.#systemId, port.id)));
  }

  /** The ports whose `device_id` this is. */
  async listPortsOf(deviceId: string): Promise<Port[]> {
    return (await this.store.list('port')).filter(port => port.device_id === deviceId);
  }

  /** Removes every bridge and link of this system from the host, and its packet filter; the rows stay. */
  async purge(): Promise<void> {
    this.#bridged.clear();
    await deleteLinks(this.#listOwnLinks());
    // Who is not root can have made no rules, and may not even look.
    if (process.getuid?.() === 0) await this.#setRules({ bridge: undefined, ip: undefined });
    this.#rules = undefined;
  }

  #listOwnLinks(): string[] {
    return listLinkNames().filter(name => isLinkOf(this.#systemId, name));
  }

  async #getNetwork(id: string): Promise<CloudNetwork> {
    const network = await this.findNetwork(id);
    if (!network) throw new Fault('not-found', `Network ${id} not found`);
    return network;
  }

  /** A bridge that others lack is not this caller's failure. */
  async #ensureBridge(networkId: string): Promise<void> {
    if (this.#bridged.has(networkId) && linkExists(bridgeName(this.#systemId, networkId))) return;
    const failures = await this.#converge();
    if (failures.has(networkId)) throw failures.get(networkId);
  }

  /** Makes bridges, their addresses and the packet filter equal to the rows, and removes what no row wants. */
  #converge(): Promise<Failures> {
    // Whoever asks while one is under way needs the one after it, which reads the rows anew. How that one ended, who
    // asked for it was told.
    this.#next ??= this.#underWay
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        const run = this.#applyRows();
        this.#underWay = run;
        return run;
      });
    return this.#next;
  }

  async #applyRows(): Promise<Failures> {
    // A link is made after its row, so that of the links that are there now, those without a row are nobody's.
    const present = this.#listOwnLinks();
    const rows = await readCloudRows(this.store);
    const wishes = wishedBridges(this.#systemId, rows);
    const failures: Failures = new Map();
    for (const wish of wishes) {
      await this.#setUpBridge(wish).catch(error => failures.set(wish.network_id, error));
    }
    const wanted = new Set([
      ...wishes.map(wish => wish.name),
      ...rows.port.map(port => hostLinkName(this.#systemId, port.id)),
    ]);
    await deleteLinks(present.filter(name => !wanted.has(name)));
    await this.#setRules(renderPacketRules(this.#systemId, rows));
    return failures;
  }

  async #setUpBridge(wish: BridgeWish): Promise<void> {
    const { network_id, name, mtu, up, addresses } = wish;
    const exists = linkExists(name);
    if (exists && isDeepStrictEqual(this.#bridged.get(network_id), wish)) return;
    this.#bridged.delete(network_id);
    const surplus = (exists ? await listAddressesOf(name) : []).filter(each => !addresses.includes(each));
    await ip.runIpBatch([
      ...(exists ? [] : [ip.addBridge(name, { mac: macAddressOf(network_id), mtu })]),
      ...surplus.map(address => ip.deleteAddress(address, name)),
      up ? ip.setUp(name) : ip.setDown(name),
      ...addresses.map(address => ip.replaceAddress(address, name)),
    ]);
    setBridgeSwitches(name, this.#log);
    this.#bridged.set(network_id, wish);
  }

  /** To be called when ports change: they count only where rules are, or may be. */
  async #refreshRules(): Promise<void> {
    const rules = this.#rules;
    if (!rules || rules.bridge !== undefined || rules.ip !== undefined) await this.#converge();
  }

  async #setRules(rules: PacketRules): Promise<void> {
    if (isDeepStrictEqual(rules, this.#rules)) return;
    this.#rules = undefined;
    const input = renderTransaction(this.#systemId, rules, await this.#listTables());
    if (input !== '') await run('nft', ['-f', '-'], { input, timeoutMs: NFT_TIMEOUT_MS });
    this.#rules = rules;
  }

  /** The families that have our table. */
  async #listTables(): Promise<string[]> {
    const { stdout } = await run('nft', ['list', 'tables'], { timeoutMs: NFT_TIMEOUT_MS });
    const own = stdout.split('\n').map(line => /^table (\w+) (\S+)$/.exec(line.trim()));
    return own.flatMap(match => (match?.[2] === tableName(this.#systemId) ? [match[1]!] : []));
  }
}

/** The addresses that somebody gave to the link, with prefix length. */
async function listAddressesOf(link: string): Promise<string[]> {
  const found = (await ip.listAddresses()).find(each => each.ifname === link)?.addr_info ?? [];
  return found.filter(info => info.scope !== 'link').map(info => `${info.local}/${info.prefixlen}`);
}

/** Lets packets go from this bridge to others, and from nowhere else: the host's own forwarding switch stays as it is. */
function setBridgeSwitches(bridge: string, log: Log): void {
  setLinkSwitch('ipv4', bridge, 'forwarding', '1');
  setLinkSwitch('ipv6', bridge, 'accept_ra', '0');
  if (!setLinkSwitch('ipv6', bridge, 'force_forwarding', '1')) {
    log.debug({ bridge }, 'IPv6 is not forwarded between networks: this kernel has no switch for one link');
  }
}

function newSubnet(spec: SubnetSpec): SubnetRecord {
  const { version, first } = parseCidr(spec.cidr);
  const range = hostRange(spec.cidr);
  const all = { start: numberToAddress(range.first, version), end: numberToAddress(range.last, version) };
  return {
    id: randomUUID(),
    name: spec.name,
    project_id: spec.project_id ?? null,
    network_id: spec.network_id,
    ip_version: version,
    cidr: formatCidr(parseCidr(spec.cidr)),
    gateway_ip: spec.gateway_ip === undefined ? numberToAddress(first + 1n, version) : spec.gateway_ip,
    host_routes: [],
    ...{ description: '', dns_nameservers: [], enable_dhcp: true },
    allocation_pools: spec.allocation_pools ?? [all],
  };
}
