/** Instances as namespaces of this host: own network, mounts, processes and root, with a real agent inside. */
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { errorChain, Fault } from '../../lib/errors.ts';
import { deleteNamespace, runIpBatch } from '../../lib/ip.ts';
import { type Log, silentLog } from '../../lib/log.ts';
import type { BridgeNetwork } from '../network/bridge.ts';
import { listNamespaces, NAMESPACE_DIRECTORY, namespaceExists } from '../network/host-links.ts';
import { checkSystemId } from '../network/link-names.ts';
import type { Port } from '../network/network.ts';
import type { Compute, Instance, InstanceSpec } from './compute.ts';
import {
  boundConsole,
  findRecord,
  type InstanceRecord,
  listDirectories,
  removeDirectory,
  writeDirectory,
} from './instance-files.ts';
import { endProcesses, findInit, startInit, wasStarted } from './instance-processes.ts';

export interface NamespaceComputeOptions {
  /** Instances live in `instances` below it. */
  dataDir: string;
  systemId: string;
  network: BridgeNetwork;
  /** The agent as one bundled file; each instance gets a copy. */
  agentProgram: string;
  /** Names of what may fail as a whole; of this host they are only names. */
  failureDomains?: readonly string[];
  /** The node program that runs it; this process's own when absent. */
  node?: string;
  log?: Log;
}

export class NamespaceCompute implements Compute {
  readonly supports = { persistent: true };
  readonly #options: NamespaceComputeOptions;
  readonly #parent: string;
  readonly #network: BridgeNetwork;
  readonly #log: Log;
  /** By instance: chosen before anything of it is built, so that two that are built at once know of each other. */
  readonly #domains = new Map<string, string>();

  constructor(options: NamespaceComputeOptions) {
    checkSystemId(options.systemId);
    this.#options = options;
    this.#parent = join(resolve(options.dataDir), 'instances');
    this.#network = options.network;
    this.#log = options.log ?? silentLog;
  }

  /** The outer network namespace of an instance, for those who want to look into it. */
  namespaceOf(instanceName: string): string {
    return `ottavia-${this.#options.systemId}-${instanceName}`;
  }

  async ensureInstance(spec: InstanceSpec): Promise<Instance> {
    checkName(spec.name);
    let record = findRecord(this.#directory(spec.name));
    try {
      if (!record) {
        await this.#clear(spec.name);
        record = await this.#build(spec);
      }
      if (!findInit(this.#directory(spec.name))) await this.#start(record);
    } catch (cause) {
      throw new Error(`Cannot build instance ${spec.name}`, { cause });
    }
    return this.#describe(record);
  }

  async findInstance(name: string): Promise<Instance | undefined> {
    checkName(name);
    const directory = this.#directory(name);
    const record = findRecord(directory);
    // Whoever built it died before its start: not an instance yet, and for `ensureInstance` to complete.
    if (!record || !wasStarted(directory)) return undefined;
    boundConsole(directory);
    return this.#describe(record);
  }

  async attachPort(instanceName: string, portId: string): Promise<void> {
    const record = findRecord(this.#directory(instanceName));
    if (!record) {
      throw new Fault(
        'not-found',
        `Cannot attach port ${portId} to instance ${instanceName}: no such instance`,
      );
    }
    await this.#network.plugPort(portId, this.namespaceOf(instanceName), { deviceId: record.compute_id });
  }

  async detachPort(instanceName: string, portId: string): Promise<void> {
    const record = findRecord(this.#directory(instanceName));
    if (record) await this.#network.unplugPort(portId, record.compute_id);
  }

  async deleteInstance(name: string): Promise<void> {
    checkName(name);
    try {
      const record = findRecord(this.#directory(name));
      await endProcesses(this.#directory(name));
      if (record) await this.#network.unplugDevice(record.compute_id);
      for (const port of await this.#ownPortNames(name)) await this.#network.deletePort(port);
      await this.#deleteNamespace(name);
      removeDirectory(this.#directory(name));
      this.#domains.delete(name);
    } catch (cause) {
      throw new Error(`Cannot delete instance ${name}`, { cause });
    }
  }

  async listInstances(): Promise<string[]> {
    const named = this.#listNamespaces().filter(name => name.startsWith('amphora-'));
    return [...new Set([...listDirectories(this.#parent), ...named])].sort();
  }

  /** Starts every complete instance that does not run, with its root and ports as they were: the host was restarted. */
  async restore(): Promise<void> {
    for (const name of await this.listInstances()) {
      try {
        const record = findRecord(this.#directory(name));
        if (!record || findInit(this.#directory(name))) continue;
        this.#log.info({ instance: name }, 'starting an instance that does not run');
        await this.#start(record);
      } catch (error) {
        // Its deletion was cut off half-way and goes on, or its silence gets it replaced: no reason to keep all others waiting.
        this.#log.warn({ instance: name, reason: errorChain(error) }, 'the instance cannot be started');
      }
    }
  }

  /** Deletes all instances of this system, their directory, and any namespace that has its id in the name. */
  async purge(): Promise<void> {
    for (const name of await this.listInstances()) await this.deleteInstance(name);
    for (const name of this.#listNamespaces()) await this.#deleteNamespace(name);
    removeDirectory(this.#parent);
  }

  async #build(spec: InstanceSpec): Promise<InstanceRecord> {
    const failure_domain = this.#chooseDomain(spec);
    const ports: Port[] = [];
    for (const [index, network_id] of spec.networks.entries()) {
      const name = ownPortName(spec.name, index);
      ports.push(await this.#network.ensurePort({ name, network_id, project_id: null, fixed_ips: [] }));
    }
    const lb_network_ip = ports[0]?.fixed_ips[0]?.ip_address;
    if (!lb_network_ip)
      throw new Error(`Network ${spec.networks[0]} gives no address to manage the instance by`);
    const record = {
      ...{ name: spec.name, compute_id: randomUUID(), lb_network_ip, networks: [...spec.networks] },
      failure_domain,
    };
    await writeDirectory(this.#directory(spec.name), record, {
      files: spec.files,
      node: this.#options.node ?? process.execPath,
      agent: this.#options.agentProgram,
    });
    return record;
  }

  #chooseDomain({ name, apart_from = [] }: InstanceSpec): string {
    const { failureDomains: all = ['1', '2'] } = this.#options;
    const taken = apart_from.map(
      other => findRecord(this.#directory(other))?.failure_domain ?? this.#domains.get(other),
    );
    const chosen = all.find(each => !taken.includes(each)) ?? all[0]!;
    this.#domains.set(name, chosen);
    return chosen;
  }

  /** Whatever is left of an earlier start is removed first, because half a namespace looks like a whole one. */
  async #start(record: InstanceRecord): Promise<void> {
    const directory = this.#directory(record.name);
    const namespace = this.namespaceOf(record.name);
    if (wasStarted(directory) || namespaceExists(namespace)) {
      await endProcesses(directory);
      await this.#network.deleteLinksOf(record.compute_id);
      await this.#deleteNamespace(record.name);
    }
    const own = await Promise.all(
      record.networks.map((_, index) => this.#network.findPortByName(ownPortName(record.name, index))),
    );
    for (const [index, port] of own.entries()) {
      if (!port) throw new Error(`Port ${ownPortName(record.name, index)} is gone`);
      await this.#network.plugPort(port.id, namespace, {
        interfaceName: `eth${index}`,
        deviceId: record.compute_id,
        createNamespace: index === 0,
      });
    }
    const ownIds = new Set(own.map(port => port?.id));
    const others = (await this.#network.listPortsOf(record.compute_id)).filter(port => !ownIds.has(port.id));
    for (const port of others) {
      await this.#network.plugPort(port.id, namespace, { deviceId: record.compute_id });
    }
    await Promise.all(own.map((port, index) => this.#network.configurePort(port!, namespace, `eth${index}`)));
    // The last step: an instance whose process 1 runs counts as started, and must lack nothing when we die right now.
    await startInit(directory, join(NAMESPACE_DIRECTORY, namespace));
  }

  /** Removes what a building that never got as far as its record has left. */
  async #clear(name: string): Promise<void> {
    if (!(await this.listInstances()).includes(name)) return;
    await endProcesses(this.#directory(name));
    await this.#deleteNamespace(name);
    removeDirectory(this.#directory(name));
  }

  async #deleteNamespace(name: string): Promise<void> {
    const namespace = this.namespaceOf(name);
    if (namespaceExists(namespace)) await runIpBatch([deleteNamespace(namespace)]);
  }

  #listNamespaces(): string[] {
    const prefix = this.namespaceOf('');
    return listNamespaces()
      .filter(name => name.startsWith(prefix))
      .map(name => name.slice(prefix.length));
  }

  async #ownPortNames(name: string): Promise<string[]> {
    const first = ownPortName(name, 0);
    return (await this.#network.listPortNames()).filter(
      port => port === first || port.startsWith(`${first}-eth`),
    );
  }

  #describe(record: InstanceRecord): Instance {
    const runs = findInit(this.#directory(record.name)) !== undefined;
    return {
      name: record.name,
      compute_id: record.compute_id,
      status: runs ? 'ACTIVE' : 'ERROR',
      lb_network_ip: record.lb_network_ip,
      fault: runs ? null : 'Its process 1 does not run',
      zone: record.failure_domain ?? null,
      image_id: null,
      flavor: null,
    };
  }

  #directory(name: string): string {
    return join(this.#parent, name);
  }
}

/** The port of the instance's own on its n-th network: gone with the instance. */
function ownPortName(instanceName: string, index: number): string {
  return index === 0 ? `mgmt-${instanceName}` : `mgmt-${instanceName}-eth${index}`;
}

/** The name becomes part of paths and of a namespace's name. */
function checkName(name: string): void {
  if (!/^[a-z0-9][a-z0-9-]{0,100}$/.test(name))
    throw new Error(`Cannot use ${JSON.stringify(name)} as instance name`);
}
