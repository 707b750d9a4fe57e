/** Instances in memory: active at once, with the ports that were attached and the files that they were given. */
import { createHash } from 'node:crypto';
import { Fault } from '../../lib/errors.ts';
import { type NoopCloud, type NoopInstance, uuidFrom } from '../noop-cloud.ts';
import type { Compute, Instance, InstanceSpec } from './compute.ts';

export class NoopCompute implements Compute {
  readonly supports = { persistent: false };
  readonly #cloud: NoopCloud;

  constructor(cloud: NoopCloud) {
    this.#cloud = cloud;
  }

  async ensureInstance(spec: InstanceSpec): Promise<Instance> {
    const existing = this.#cloud.instances.get(spec.name);
    if (existing) return plainInstance(existing);
    const instance: NoopInstance = {
      name: spec.name,
      compute_id: uuidFrom(`instance ${spec.name}`),
      lb_network_ip: this.#chooseManagementAddress(spec.name),
      networks: [...spec.networks],
      zone: spec.availability_zone ?? null,
      flavor: spec.flavor ?? null,
      apart_from: spec.apart_from ?? [],
      files: new Map(spec.files.map(file => [file.path, file.content])),
      ports: new Set(),
      agent: {
        vips: new Map(),
        networks: new Map(),
        certificates: new Map(),
        config: null,
        keepalivedConf: null,
        reloads: 0,
      },
    };
    this.#cloud.instances.set(spec.name, instance);
    return plainInstance(instance);
  }

  async findInstance(name: string): Promise<Instance | undefined> {
    const instance = this.#cloud.instances.get(name);
    return instance && plainInstance(instance);
  }

  async attachPort(instanceName: string, portId: string): Promise<void> {
    const instance = this.#cloud.instances.get(instanceName);
    const port = [...this.#cloud.ports.values()].find(candidate => candidate.id === portId);
    if (!instance || !port) {
      const missing = instance ? 'port' : 'instance';
      throw new Fault(
        'not-found',
        `Cannot attach port ${portId} to instance ${instanceName}: no such ${missing}`,
      );
    }
    instance.ports.add(portId);
  }

  async detachPort(instanceName: string, portId: string): Promise<void> {
    const instance = this.#cloud.instances.get(instanceName);
    const port = [...this.#cloud.ports.values()].find(candidate => candidate.id === portId);
    if (instance && port) this.#cloud.unplug(instance, port);
  }

  async deleteInstance(name: string): Promise<void> {
    this.#cloud.instances.delete(name);
  }

  async listInstances(): Promise<string[]> {
    return [...this.#cloud.instances.keys()].sort();
  }

  #chooseManagementAddress(name: string): string {
    const taken = new Set([...this.#cloud.instances.values()].map(instance => instance.lb_network_ip));
    const start = createHash('sha256').update(name).digest().readUInt16BE();
    for (let i = 0; i < 65_534; i++) {
      const host = 1 + ((start + i) % 65_534);
      const address = `10.255.${host >> 8}.${host & 255}`;
      if (!taken.has(address)) return address;
    }
    throw new Error(`Cannot build instance ${name}: the management network is full`);
  }
}

function plainInstance(instance: NoopInstance): Instance {
  const { name, compute_id, lb_network_ip, zone, flavor } = instance;
  return { name, compute_id, lb_network_ip, zone, flavor, status: 'ACTIVE', fault: null, image_id: null };
}
