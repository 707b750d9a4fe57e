/** Networks as Linux bridges of this host, which is each subnet's gateway; ports as pairs of links into namespaces. */
import { randomUUID } from 'node:crypto';
import { formatCidr, hostRange, numberToAddress, parseCidr } from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import * as ip from '../../lib/ip.ts';
import { type Log, silentLog } from '../../lib/log.ts';
import {
  deleteLinks,
  isPlugged,
  linkExists,
  listLinkNames,
  namespaceExists,
  setLinkSwitch,
} from './host-links.ts';
import { bridgeName, checkSystemId, hostLinkName, isLinkOf, peerLinkName } from './link-names.ts';
import { macAddressOf } from './mac-address.ts';
import type { CloudNetwork, Network, Port, PortSpec } from './network.ts';
import { ensurePortRow } from './port-rows.ts';
import type { AllocationPool, NetworkStore, StoredNetwork, StoredPort, StoredSubnet } from './store.ts';

const MTU = 1500;

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

export class BridgeNetwork implements Network {
  readonly #store: NetworkStore;
  readonly #systemId: string;
  readonly #log: Log;
  /** Ids of networks whose bridge this process has set up. */
  readonly #bridged = new Set<string>();
  /** By network id, while it is being set up: whoever else needs it waits for that. */
  readonly #settingUp = new Map<string, Promise<void>>();

  constructor(options: { store: NetworkStore; systemId: string; log?: Log }) {
    this.#store = options.store;
    this.#systemId = checkSystemId(options.systemId);
    this.#log = options.log ?? silentLog;
  }

  async listNetworks(): Promise<CloudNetwork[]> {
    const [networks, subnets] = await Promise.all([this.#store.listNetworks(), this.#store.listSubnets()]);
    const idsOf = (network: StoredNetwork) =>
      subnets.filter(subnet => subnet.network_id === network.id).map(subnet => subnet.id);
    return networks.map(network => ({ ...network, subnets: idsOf(network) }));
  }

  async findNetwork(id: string): Promise<CloudNetwork | undefined> {
    return (await this.listNetworks()).find(network => network.id === id);
  }

  listSubnets(): Promise<StoredSubnet[]> {
    return this.#store.listSubnets();
  }

  async findSubnet(id: string): Promise<StoredSubnet | undefined> {
    return (await this.#store.listSubnets()).find(subnet => subnet.id === id);
  }

  async subnetsOf(networkId: string): Promise<StoredSubnet[]> {
    return (await this.#store.listSubnets()).filter(subnet => subnet.network_id === networkId);
  }

  /** Finds the network by its name, else creates it; its bridge is there afterwards. */
  async ensureNetwork(spec: { name: string; project_id?: string | null }): Promise<CloudNetwork> {
    const found = (await this.#store.listNetworks()).find(network => network.name === spec.name);
    const network = found ?? {
      id: randomUUID(),
      name: spec.name,
      project_id: spec.project_id ?? null,
      mtu: MTU,
    };
    if (!found) await this.#store.insertNetwork(network);
    await this.#ensureBridge(network);
    return (await this.findNetwork(network.id))!;
  }

  /** Finds the subnet by network and name, else creates it; the host has its gateway's address afterwards. */
  async ensureSubnet(spec: SubnetSpec): Promise<StoredSubnet> {
    const network = await this.#getNetwork(spec.network_id);
    let subnet = (await this.subnetsOf(network.id)).find(candidate => candidate.name === spec.name);
    if (!subnet) {
      subnet = newSubnet(spec);
      await this.#store.insertSubnet(subnet);
    }
    // What is under way may have read the subnets before this one was there.
    await this.#settingUp.get(network.id);
    this.#bridged.delete(network.id);
    await this.#ensureBridge(network);
    return subnet;
  }

  /** Makes every bridge that is missing, as after a restart of the host. */
  async restore(): Promise<void> {
    for (const network of await this.#store.listNetworks()) await this.#ensureBridge(network);
  }

  findPort(id: string): Promise<StoredPort | undefined> {
    return this.#store.findPort(id);
  }

  findPortByName(name: string): Promise<StoredPort | undefined> {
    return this.#store.findPortByName(name);
  }

  async listPortNames(): Promise<string[]> {
    const ports = await this.#store.listPorts();
    return ports.map(port => port.name).filter(name => name !== '');
  }

  async ensurePort(spec: PortSpec): Promise<Port> {
    await this.#getNetwork(spec.network_id);
    return ensurePortRow(this.#store, spec);
  }

  async deletePort(name: string): Promise<void> {
    const port = await this.#store.findPortByName(name);
    if (!port) return;
    await deleteLinks([hostLinkName(this.#systemId, port.id)]);
    await this.#store.deletePort(port.id);
  }

  /**
   * Puts the port's interface into a network namespace of this host; success when it is there. A port that was
   * elsewhere is moved. Its link is made here, straight into the namespace: a port that is nowhere has none.
   */
  async plugPort(portId: string, namespace: string, options: PlugOptions = {}): Promise<Port> {
    const port = await this.#store.findPort(portId);
    if (!port) throw new Fault('not-found', `Cannot plug port ${portId} into ${namespace}: no such port`);
    const network = await this.#getNetwork(port.network_id);
    await this.#ensureBridge(network);
    const link = hostLinkName(this.#systemId, portId);
    const deviceId = options.deviceId ?? namespace;
    const bridge = bridgeName(this.#systemId, network.id);
    const peer = { name: options.interfaceName ?? peerLinkName(portId), mac: port.mac_address, namespace };
    if (port.device_id !== deviceId || !isPlugged(link, bridge)) {
      await deleteLinks([link]);
      // The row says whose the link is before there is one, so that an existing link is always its device's.
      if (port.device_id !== deviceId) await this.#store.updatePort(portId, { device_id: deviceId });
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
    const port = await this.#store.findPort(portId);
    if (port?.device_id !== deviceId) return;
    await deleteLinks([hostLinkName(this.#systemId, portId)]);
    await this.#store.updatePort(portId, { device_id: '' });
  }

  /** Takes all ports of a device out of its namespace, in one go. */
  async unplugDevice(deviceId: string): Promise<void> {
    await this.deleteLinksOf(deviceId);
    for (const port of await this.listPortsOf(deviceId)) {
      await this.#store.updatePort(port.id, { device_id: '' });
    }
  }

  /** Deletes the links of a device's ports, which stay the device's: its namespace is about to be made again. */
  async deleteLinksOf(deviceId: string): Promise<void> {
    await deleteLinks((await this.listPortsOf(deviceId)).map(port => hostLinkName(this.#systemId, port.id)));
  }

  /** The ports whose `device_id` this is. */
  async listPortsOf(deviceId: string): Promise<Port[]> {
    return (await this.#store.listPorts()).filter(port => port.device_id === deviceId);
  }

  /** Removes every bridge and link of this system from the host; the rows stay. */
  async purge(): Promise<void> {
    this.#bridged.clear();
    await deleteLinks(listLinkNames().filter(name => isLinkOf(this.#systemId, name)));
  }

  async #getNetwork(id: string): Promise<StoredNetwork> {
    const network = (await this.#store.listNetworks()).find(candidate => candidate.id === id);
    if (!network) throw new Fault('not-found', `Network ${id} not found`);
    return network;
  }

  #ensureBridge(network: StoredNetwork): Promise<void> {
    const underWay = this.#settingUp.get(network.id);
    if (underWay) return underWay;
    const bridge = bridgeName(this.#systemId, network.id);
    if (this.#bridged.has(network.id) && linkExists(bridge)) return Promise.resolve();
    const setUp = this.#setUpBridge(network, bridge).finally(() => this.#settingUp.delete(network.id));
    this.#settingUp.set(network.id, setUp);
    return setUp;
  }

  async #setUpBridge(network: StoredNetwork, bridge: string): Promise<void> {
    const exists = linkExists(bridge);
    const subnets = await this.subnetsOf(network.id);
    const addresses = subnets
      .filter(subnet => subnet.gateway_ip !== null)
      .map(subnet => ip.replaceAddress(`${subnet.gateway_ip}/${parseCidr(subnet.cidr).prefix}`, bridge));
    await ip.runIpBatch([
      ...(exists ? [] : [ip.addBridge(bridge, { mac: macAddressOf(network.id), mtu: network.mtu })]),
      ip.setUp(bridge),
      ...addresses,
    ]);
    setBridgeSwitches(bridge, this.#log);
    this.#bridged.add(network.id);
  }
}

/** Lets packets go from this bridge to others, and from nowhere else: the host's own forwarding switch stays as it is. */
function setBridgeSwitches(bridge: string, log: Log): void {
  setLinkSwitch('ipv4', bridge, 'forwarding', '1');
  setLinkSwitch('ipv6', bridge, 'accept_ra', '0');
  if (!setLinkSwitch('ipv6', bridge, 'force_forwarding', '1')) {
    log.debug({ bridge }, 'IPv6 is not forwarded between networks: this kernel has no switch for one link');
  }
}

function newSubnet(spec: SubnetSpec): StoredSubnet {
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
    allocation_pools: spec.allocation_pools ?? [all],
  };
}
