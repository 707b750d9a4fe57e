/** Agents in memory: each remembers what was plugged and which configuration it was given last. */
import { isDeepStrictEqual } from 'node:util';
import type { Secret } from '../../lib/secret.ts';
import { type Amphora, instanceName } from '../../model/amphora.ts';
import type { AgentDetails, AgentInfo, PlugNetwork, PlugVip } from '../../wire/agent-api.ts';
import type { NoopAgent, NoopCloud, NoopInstance } from '../noop-cloud.ts';
import type { AmphoraConfig, AmphoraDriver, Applied, CertificateFile } from './amphora.ts';

export class NoopAmphora implements AmphoraDriver {
  readonly #cloud: NoopCloud;

  constructor(cloud: NoopCloud) {
    this.#cloud = cloud;
  }

  async findInfo(amphora: Amphora): Promise<AgentInfo | undefined> {
    return this.#findInstance(amphora) && infoOf(amphora);
  }

  async details(amphora: Amphora): Promise<AgentDetails> {
    const { agent } = this.#instance(amphora, 'read details');
    return {
      ...infoOf(amphora),
      networks: {},
      active: true,
      haproxy_count: agent.config?.haproxy_cfg ? 1 : 0,
      lvs_listener_process_count: agent.config?.udp_listeners.length ?? 0,
      cpu_count: 1,
      cpu: { total: 0, user: '0', system: '0', soft_irq: '0' },
      memory: { total: 1_048_576, free: 524_288, buffers: 0, cached: 0, swap_used: 0, shared: 0, slab: 0 },
      disk: { used: 0, available: 1_073_741_824 },
      load: ['0.00', '0.00', '0.00'],
      active_tuned_profiles: '',
      topology: 'SINGLE',
      topology_status: 'OK',
      changes_topology: true,
      listeners: [],
      packages: {},
    };
  }

  async plugVip(amphora: Amphora, vip: string, request: PlugVip): Promise<void> {
    const instance = this.#instance(amphora, `plug VIP ${vip}`);
    this.#checkAttached(instance, request.mac_address);
    instance.agent.vips.set(vip, structuredClone(request));
  }

  async plugNetwork(amphora: Amphora, request: PlugNetwork): Promise<void> {
    const instance = this.#instance(amphora, `plug interface ${request.mac_address}`);
    this.#checkAttached(instance, request.mac_address);
    const { vip_net_info } = request;
    if (vip_net_info) {
      const { vip, ...plugged } = structuredClone(vip_net_info);
      instance.agent.vips.set(vip, plugged);
      // What the VIP's port has of its own, `plugVip` has said.
      if (!request.fixed_ips?.length) return void instance.agent.networks.delete(request.mac_address);
    }
    instance.agent.networks.set(request.mac_address, structuredClone(request));
  }

  async apply(amphora: Amphora, config: AmphoraConfig): Promise<Applied> {
    const { agent } = this.#instance(amphora, `apply load balancer ${config.load_balancer_id}`);
    const { obsolete_certificates = [], ...wanted } = config;
    const changed = config.certificates.filter(file => !isPresent(amphora, agent, file));
    for (const { name, pem } of changed) agent.certificates.set(name, pem!);
    for (const name of obsolete_certificates) agent.certificates.delete(name);
    if (config.haproxy_cfg === null) agent.certificates.clear();
    const certificates = config.certificates.map(({ name }) => ({ name, pem: null }));
    const next = { ...wanted, certificates };
    if (changed.length === 0 && isDeepStrictEqual(agent.config, next))
      return { how: 'nothing', reason: null, changes: null };
    agent.config = next;
    agent.reloads++;
    return { how: 'reloaded', reason: 'another configuration', changes: null };
  }

  async applyVrrp(amphora: Amphora, keepalivedConf: string | null): Promise<void> {
    this.#instance(amphora, 'configure keepalived').agent.keepalivedConf = keepalivedConf;
  }

  async hasCertificate(amphora: Amphora, _loadBalancerId: string, name: string): Promise<boolean> {
    return this.#instance(amphora, `look for certificate ${name}`).agent.certificates.has(name);
  }

  async interfaceOf(amphora: Amphora, address: string): Promise<string> {
    const { agent } = this.#instance(amphora, `find the interface of ${address}`);
    for (const [vip, request] of agent.vips)
      if (vip === address || request.vrrp_ip === address) return 'eth1';
    const plugged = [...agent.networks.values()];
    const index = plugged.findIndex(request => request.fixed_ips?.some(ip => ip.ip_address === address));
    if (index < 0)
      throw new Error(`Cannot find the interface of ${address} in amphora ${amphora.id}: none has it`);
    return `eth${index + 2}`;
  }

  async rotateCertificate(amphora: Amphora, pem: Secret): Promise<void> {
    this.#instance(amphora, 'rotate certificate').files.set('/etc/octavia/certs/server.pem', pem.reveal());
  }

  async configure(amphora: Amphora, agentConfig: string): Promise<void> {
    this.#instance(amphora, 'configure').files.set('/etc/octavia/amphora-agent.conf', agentConfig);
  }

  /** Only who knows the right address reaches an agent. */
  #findInstance(amphora: Amphora): NoopInstance | undefined {
    const instance = this.#cloud.instances.get(instanceName(amphora.id));
    return instance?.lb_network_ip === amphora.lb_network_ip ? instance : undefined;
  }

  async close(): Promise<void> {}

  #instance(amphora: Amphora, action: string): NoopInstance {
    const instance = this.#findInstance(amphora);
    if (!instance) throw new Error(`Cannot ${action} on amphora ${amphora.id}: its agent does not answer`);
    return instance;
  }

  #checkAttached(instance: NoopInstance, macAddress: string): void {
    const ports = [...this.#cloud.ports.values()].filter(port => instance.ports.has(port.id));
    if (!ports.some(port => port.mac_address === macAddress)) {
      throw new Error(
        `Cannot plug ${macAddress} in instance ${instance.name}: No suitable network interface found`,
      );
    }
  }
}

function infoOf(amphora: Amphora): AgentInfo {
  return {
    hostname: instanceName(amphora.id),
    haproxy_version: '2.6.12-1',
    api_version: '1.0',
    keepalived_version: '2.2.7-1',
    ipvsadm_version: '1.31-1',
  };
}

function isPresent(amphora: Amphora, { certificates }: NoopAgent, { name, pem }: CertificateFile): boolean {
  const present = certificates.get(name);
  if (!present && !pem) throw new Error(`Amphora ${amphora.id} does not have the certificate ${name}`);
  // Secrets hide their value from a comparison.
  return !pem || present?.reveal() === pem.reveal();
}
