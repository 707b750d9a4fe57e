/** The compute seam: instances, found by the name that we gave them. */

export interface InstanceFile {
  /** Absolute path inside the instance. */
  path: string;
  content: string;
  /** Such as 0o600. */
  mode: number;
}

export interface InstanceSpec {
  /** `amphora-<id>`: the key by which the instance is found again. */
  name: string;
  /** Network ids, the management network first: its interface is eth0. */
  networks: string[];
  /** Written before the agent starts. Source: contract amphora-agent.md 8. */
  files: InstanceFile[];
  /** What a cloud has no meaning for is ignored. */
  flavor?: string | null;
  image_tag?: string | null;
  availability_zone?: string | null;
  volume_zone?: string | null;
  /** Names of instances, there or on their way, that must not die together with it. */
  apart_from?: readonly string[];
}

export interface Instance {
  name: string;
  compute_id: string;
  status: 'BUILDING' | 'ACTIVE' | 'ERROR';
  /** null while it is building. */
  lb_network_ip: string | null;
  /** The cloud's words when the status is `ERROR`. */
  fault: string | null;
  zone: string | null;
  image_id: string | null;
  flavor: string | null;
}

/** Every method may be called again after a crash and converges. */
export interface Compute {
  readonly supports: {
    /** Instances survive this process, so that a restart adopts them. */
    persistent: boolean;
  };
  /** Finds the instance by its name, else builds it; returns at once, perhaps still `BUILDING`. */
  ensureInstance(spec: InstanceSpec): Promise<Instance>;
  findInstance(name: string): Promise<Instance | undefined>;
  /** Puts the port's interface into the instance; success when it is there. Throws when the instance is absent. */
  attachPort(instanceName: string, portId: string): Promise<void>;
  /** Takes it out; success when port or instance are absent. */
  detachPort(instanceName: string, portId: string): Promise<void>;
  /** Ends the instance and all it holds, and returns when it is gone; success when it was absent. */
  deleteInstance(name: string): Promise<void>;
  /** The names of all instances of this system, for leak audits and purging. */
  listInstances(): Promise<string[]>;
}
