/** Drives one amphora's agent over its REST API 1.0 with mutual TLS. Source: contract amphora-agent.md 3, 9 and 10. */
import { createHash } from 'node:crypto';
import { TerminalError } from '../../lib/errors.ts';
import type { Secret } from '../../lib/secret.ts';
import type { Amphora } from '../../model/amphora.ts';
import {
  AGENT_API_VERSION,
  type AgentDetails,
  type AgentInfo,
  type PlugNetwork,
  type PlugVip,
} from '../../wire/agent-api.ts';
import {
  AgentConnection,
  type AgentConnectionOptions,
  type AgentReply,
  isNotAnswering,
} from './agent-connection.ts';
import type { AmphoraConfig, AmphoraDriver, Applied, CertificateFile } from './amphora.ts';
import { decodeApplied } from './applied.ts';
import { applyUdpListeners } from './udp-listeners.ts';

export type HttpAmphoraOptions = Omit<AgentConnectionOptions, 'amphoraId' | 'address'>;

/** How long an agent that should be asked again soon may take: one that boots often swallows packets. */
const FIND_TIMEOUT_MS = 3_000;
const VRRP_TIMEOUT_MS = 15_000;

export class HttpAmphora implements AmphoraDriver {
  readonly #options: HttpAmphoraOptions;
  /** By amphora id. */
  readonly #connections = new Map<string, AgentConnection>();

  constructor(options: HttpAmphoraOptions) {
    this.#options = options;
  }

  async findInfo(amphora: Amphora): Promise<AgentInfo | undefined> {
    if (amphora.lb_network_ip === null) return undefined;
    const connection = this.#connection(amphora);
    const signal = AbortSignal.timeout(FIND_TIMEOUT_MS);
    try {
      const version = await connection.findApiVersion(signal);
      if (version === undefined) return undefined;
      if (version !== AGENT_API_VERSION) {
        throw new TerminalError(
          `Amphora ${amphora.id} speaks agent API ${version}, which this controller does not`,
        );
      }
      const reply = await connection.request({ method: 'GET', path: 'info', signal, tolerated: [404] });
      if (reply.status === 404 && reply.json === undefined) return undefined;
      return connection.check(reply).json as AgentInfo;
    } catch (error) {
      // It boots, or it is gone: which of the two, its caller knows by the time that passed.
      if (isNotAnswering(error)) return undefined;
      throw error;
    }
  }

  async details(amphora: Amphora): Promise<AgentDetails> {
    const reply = await this.#connection(amphora).request({ method: 'GET', path: 'details' });
    return reply.json as AgentDetails;
  }

  async plugVip(amphora: Amphora, vip: string, request: PlugVip): Promise<void> {
    // 409: its interface is in the inner namespace already.
    const path = `plug/vip/${encodeURI(vip)}`;
    await this.#connection(amphora).request({ method: 'POST', path, json: request, tolerated: [409] });
  }

  async plugNetwork(amphora: Amphora, request: PlugNetwork): Promise<void> {
    const path = 'plug/network';
    await this.#connection(amphora).request({ method: 'POST', path, json: request, tolerated: [409] });
  }

  async apply(amphora: Amphora, config: AmphoraConfig): Promise<Applied> {
    const connection = this.#connection(amphora);
    const { load_balancer_id: id, haproxy_cfg } = config;
    for (const file of config.certificates) await this.#sendCertificate(connection, id, file);
    try {
      // Before the others are started: who starts last announces the VIP.
      if (haproxy_cfg !== null) await this.#sendHaproxy(connection, amphora, id, haproxy_cfg);
    } finally {
      await applyUdpListeners(connection, amphora, config.udp_listeners);
    }
    if (haproxy_cfg === null) {
      await connection.request({ method: 'DELETE', path: `listeners/${id}`, tolerated: [404] });
      return { how: 'stopped', reason: null, changes: null };
    }
    const { json } = await connection.request({ method: 'PUT', path: `loadbalancer/${id}/reload` });
    for (const name of config.obsolete_certificates ?? [])
      await connection.request({ method: 'DELETE', path: certificatePath(id, name), tolerated: [404] });
    return decodeApplied(json);
  }

  async applyVrrp(amphora: Amphora, body: string | null): Promise<void> {
    const connection = this.#connection(amphora);
    if (body !== null) await connection.request({ method: 'PUT', path: 'vrrp/upload', body });
    // Where it runs already, starting it has it read its configuration again.
    const path = `vrrp/${body === null ? 'stop' : 'start'}`;
    await connection.request({ method: 'PUT', path, signal: AbortSignal.timeout(VRRP_TIMEOUT_MS) });
  }

  async hasCertificate(amphora: Amphora, loadBalancerId: string, name: string): Promise<boolean> {
    const path = certificatePath(loadBalancerId, name);
    const { status } = await this.#connection(amphora).request({ method: 'GET', path, tolerated: [404] });
    return status === 200;
  }

  async interfaceOf(amphora: Amphora, address: string): Promise<string> {
    const path = `interface/${encodeURI(address)}`;
    const { json } = await this.#connection(amphora).request({ method: 'GET', path });
    const name = (json as { interface?: unknown } | undefined)?.interface;
    if (typeof name !== 'string')
      throw new Error(`Cannot find the interface of ${address} in amphora ${amphora.id}`);
    return name;
  }

  async rotateCertificate(amphora: Amphora, pem: Secret): Promise<void> {
    await this.#connection(amphora).request({ method: 'PUT', path: 'certificate', body: pem.reveal() });
  }

  async configure(amphora: Amphora, agentConfig: string): Promise<void> {
    // Agents of the oldest images have no such call, and keep what they were built with.
    const request = { method: 'PUT', path: 'config', body: agentConfig, tolerated: [404] } as const;
    await this.#connection(amphora).request(request);
  }

  async close(amphoraId: string): Promise<void> {
    const connection = this.#connections.get(amphoraId);
    this.#connections.delete(amphoraId);
    await connection?.close();
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#connections.keys()].map(id => this.close(id)));
  }

  async #sendCertificate(connection: AgentConnection, id: string, file: CertificateFile): Promise<void> {
    if (file.pem === null) return;
    const path = certificatePath(id, file.name);
    const present = await connection.request({ method: 'GET', path, tolerated: [404] });
    const sum = (present.json as { md5sum?: unknown } | undefined)?.md5sum;
    const body = file.pem.reveal();
    if (present.status === 200 && sum === md5(body)) return;
    await connection.request({ method: 'PUT', path, body });
  }

  /**
   * The reload is always asked for afterwards, because the configuration that is there need not be the one that runs: whoever sent
   * it may have died before. An agent that runs it already has nothing to do.
   */
  async #sendHaproxy(connection: AgentConnection, amphora: Amphora, id: string, cfg: string): Promise<void> {
    const path = `loadbalancer/${id}/haproxy`;
    const present = await connection.request({ method: 'GET', path, tolerated: [404] });
    if (present.status !== 200 || present.etag !== md5(cfg)) {
      const upload = `loadbalancer/${amphora.id}/${id}/haproxy`;
      const sent = await connection.request({ method: 'PUT', path: upload, body: cfg, tolerated: [400] });
      if (sent.status === 400) throw rejected(amphora, id, sent);
    }
  }

  #connection(amphora: Amphora): AgentConnection {
    const { id, lb_network_ip: address } = amphora;
    if (address === null) throw new Error(`Cannot reach amphora ${id}: it has no address yet`);
    const present = this.#connections.get(id);
    if (present?.address === address) return present;
    void present?.close().catch(() => {
      // What was open to an address that is not its own any more; nothing depends on how it ends.
    });
    const connection = new AgentConnection({ ...this.#options, amphoraId: id, address });
    this.#connections.set(id, connection);
    return connection;
  }
}

const certificatePath = (id: string, name: string): string =>
  `loadbalancer/${id}/certificates/${encodeURIComponent(name)}`;

function rejected(amphora: Amphora, id: string, reply: AgentReply): TerminalError {
  const { details, message } = (reply.json ?? {}) as { details?: unknown; message?: unknown };
  return new TerminalError(
    `Amphora ${amphora.id} rejects the haproxy configuration of load balancer ${id}: ${details ?? message ?? reply.text}`,
  );
}

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
