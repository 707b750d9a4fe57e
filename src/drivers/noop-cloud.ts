/** A cloud in memory, shared by the noop drivers: several workers may use one, and a test may look at all of it. */
import { createHash } from 'node:crypto';
import { hostRange, numberToAddress } from '../lib/addresses.ts';
import type { Secret } from '../lib/secret.ts';
import { newNetwork, type PortRecord } from '../model/cloud-network.ts';
import type { PlugNetwork, PlugVip } from '../wire/agent-api.ts';
import type { AmphoraConfig } from './amphora/amphora.ts';
import { MemoryNetworkStore } from './network/memory-store.ts';
import type { CloudNetwork, Subnet } from './network/network.ts';

export type NoopPort = PortRecord;

export interface NoopInstance {
  name: string;
  compute_id: string;
  lb_network_ip: string;
  networks: string[];
  zone: string | null;
  flavor: string | null;
  apart_from: readonly string[];
  /** Path to content. */
  files: Map<string, string>;
  /** Ids of the attached ports. */
  ports: Set<string>;
  agent: NoopAgent;
}

/** What the agent of an instance was told. */
export interface NoopAgent {
  /** By VIP. */
  vips: Map<string, PlugVip>;
  /** By MAC address. */
  networks: Map<string, PlugNetwork>;
  /** PEM text, by the names of the files. */
  certificates: Map<string, Secret>;
  /** null until the first one is applied. */
  config: AmphoraConfig | null;
  /** null while keepalived does not run. */
  keepalivedConf: string | null;
  /** How often a configuration was sent that differed from the one before. */
  reloads: number;
}

/** The networks and subnets in it are those that somebody registered; any other id exists all the same, fabricated. */
export class NoopCloud extends MemoryNetworkStore {
  /** By name. */
  readonly instances = new Map<string, NoopInstance>();

  /** Registers a network with its subnets; ports in these are checked as strictly as in a real cloud. */
  addNetwork(network: CloudNetwork, subnets: Subnet[]): void {
    const { subnets: _, ...record } = network;
    this.networks.set(network.id, newNetwork({ ...record, shared: network.shared ?? true }));
    for (const subnet of subnets) {
      const { first, last, version } = hostRange(subnet.cidr);
      const all = { start: numberToAddress(first, version), end: numberToAddress(last, version) };
      const more = { description: '', enable_dhcp: true, dns_nameservers: [], allocation_pools: [all] };
      this.subnets.set(subnet.id, { ...subnet, ...more });
    }
  }

  /** Takes the port's interface out of the instance, and with it all that the agent had on it. */
  unplug(instance: NoopInstance, port: NoopPort): void {
    instance.ports.delete(port.id);
    instance.agent.networks.delete(port.mac_address);
    for (const [vip, request] of instance.agent.vips) {
      if (request.mac_address === port.mac_address) instance.agent.vips.delete(vip);
    }
  }

  /** The whole world as plain data in a fixed order: two worlds are the same when these are deeply equal. */
  snapshot() {
    return {
      ports: sortedBy([...this.ports.values()], port => port.name).map(port => ({
        ...port,
        fixed_ips: sortedBy(port.fixed_ips, ip => `${ip.subnet_id} ${ip.ip_address}`),
        allowed_addresses: [...port.allowed_addresses].sort(),
      })),
      instances: sortedBy([...this.instances.values()], instance => instance.name).map(instance => ({
        name: instance.name,
        compute_id: instance.compute_id,
        lb_network_ip: instance.lb_network_ip,
        networks: instance.networks,
        zone: instance.zone,
        flavor: instance.flavor,
        files: [...instance.files.keys()].sort(),
        ports: [...instance.ports].sort(),
        vips: Object.fromEntries(sortedBy([...instance.agent.vips], ([vip]) => vip)),
        plugged: Object.fromEntries(sortedBy([...instance.agent.networks], ([mac]) => mac)),
        config: instance.agent.config,
        certificates: sortedBy([...instance.agent.certificates], ([name]) => name).map(digest),
      })),
    };
  }
}

/** An id in the form of a UUID that depends on the text only, so that two worlds built alike are equal. */
export function uuidFrom(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function sortedBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

function digest([name, pem]: readonly [string, Secret]) {
  return { name, sha256: createHash('sha256').update(pem.reveal()).digest('hex') };
}
