/** The amphora seam: what the worker asks of one amphora's agent. */

import type { Secret } from '../../lib/secret.ts';
import type { Amphora, HaproxyChange, HaproxyChanges } from '../../model/amphora.ts';
import type { AgentDetails, AgentInfo, PlugNetwork, PlugVip } from '../../wire/agent-api.ts';

/** A file below the load balancer's certificate directory; its name ends in `.pem`. */
export interface CertificateFile {
  name: string;
  /** null when the amphora has it already, as `hasCertificate` or an earlier `apply` showed. */
  pem: Secret | null;
}

/** Everything one amphora must run for its load balancer, whole, every time. */
export interface AmphoraConfig {
  load_balancer_id: string;
  /** null when nothing is to be served: haproxy is stopped and its files are removed. */
  haproxy_cfg: string | null;
  certificates: CertificateFile[];
  /** One for each listener that LVS carries; any other that the amphora has is removed. */
  udp_listeners: { listener_id: string; keepalived_conf: string }[];
  /** Names of files that the configuration before may have used and this one does not: removed once it runs. */
  obsolete_certificates?: string[];
}

/** How a configuration came to run. */
export interface Applied {
  /** `stopped` when nothing is to be served. */
  how: HaproxyChange | 'stopped';
  reason: string | null;
  /** null when the agent does not count. */
  changes: HaproxyChanges | null;
}

/** Every method may be called again after a crash and converges; every call is bounded in time. */
export interface AmphoraDriver {
  /** undefined while the agent does not answer yet; throws when it answers with an error. */
  findInfo(amphora: Amphora): Promise<AgentInfo | undefined>;
  details(amphora: Amphora): Promise<AgentDetails>;
  /** An address that is plugged already is success. */
  plugVip(amphora: Amphora, vip: string, request: PlugVip): Promise<void>;
  plugNetwork(amphora: Amphora, request: PlugNetwork): Promise<void>;
  /**
   * Makes the amphora run this configuration; what is there already is not sent again.
   * Throws `TerminalError` with haproxy's own words when haproxy rejects it.
   */
  apply(amphora: Amphora, config: AmphoraConfig): Promise<Applied>;
  /** Has keepalived run this; null stops it, which hands the VIPs to the other one at once. */
  applyVrrp(amphora: Amphora, keepalivedConf: string | null): Promise<void>;
  hasCertificate(amphora: Amphora, loadBalancerId: string, name: string): Promise<boolean>;
  /** The name of the interface that holds this address. */
  interfaceOf(amphora: Amphora, address: string): Promise<string>;
  rotateCertificate(amphora: Amphora, pem: Secret): Promise<void>;
  /** Replaces the agent's configuration file. */
  configure(amphora: Amphora, agentConfig: string): Promise<void>;
  /** Forgets an amphora that is gone and closes what is open to it. */
  close(amphoraId: string): Promise<void>;
}
