/** What the amphora provider is made of: its seams, its settings, and the bracket of one pass. */
import type { HaproxySettings } from '../../dataplane/haproxy/context.ts';
import type { VrrpSettings } from '../../dataplane/keepalived/vrrp.ts';
import type { Db } from '../../db/schema.ts';
import type { AmphoraDriver } from '../../drivers/amphora/amphora.ts';
import type { CertificateAuthority } from '../../drivers/certificates/authority.ts';
import type { SecretStore } from '../../drivers/certificates/secrets.ts';
import type { Compute } from '../../drivers/compute/compute.ts';
import type { Network } from '../../drivers/network/network.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { Amphora } from '../../model/amphora.ts';
import type { Offer } from '../../model/flavor.ts';
import type { Topology } from '../../model/load-balancer.ts';
import type { AgentDetails, AgentInfo } from '../../wire/agent-api.ts';
import type { Pass } from '../provider.ts';

export interface AmphoraProviderParts {
  db: Db;
  compute: Compute;
  network: Network;
  amphora: AmphoraDriver;
  authority: CertificateAuthority;
  secrets: SecretStore;
  clock: Clock;
  log: Log;
  settings: AmphoraProviderSettings;
  /** The text of the agent's configuration file. */
  agentConfig: (amphora: Amphora, topology: Topology) => string;
  /** Which lines of their logs amphorae send to whom, for rsyslog; blank for none. */
  rsyslogConfig: string;
}

export interface AmphoraProviderSettings {
  haproxy: HaproxySettings;
  /** The interval of adverts is that of pairs to come. */
  vrrp: VrrpSettings & { advertIntervalMs: number };
  /** The management network first: amphorae boot with an interface in each. */
  bootNetworks: string[];
  /** How long one pass waits for an agent that boots before it looks again later. */
  agentWaitMs: number;
  /** Between two questions whether the agent answers. */
  agentPollMs: number;
  /** How often a silent amphora is asked whether it lives, and how long it may take to answer. */
  askTries: number;
  askLimitMs: number;
  /** How long an instance may take to boot before it is replaced. */
  bootLimitMs: number;
  garbage: GarbageSettings;
}

/** What becomes of instances and ports of ours that no row owns. */
export interface GarbageSettings {
  /** `report` only says what it would remove. */
  mode: 'remove' | 'report' | 'off';
  /** Between two looks. */
  intervalMs: number;
  /** How long nobody must have owned a thing before it goes. */
  graceMs: number;
}

/** What an agent said of itself, which cannot change while the instance lives, and what it was given. */
export interface AgentFacts {
  info: AgentInfo;
  details: AgentDetails;
  /** The names of certificate files that it is known to have; others it may have too. */
  certificates: Set<string>;
  /** Of the pass that knew it: another worker may have passed after it. */
  fence: number;
}

/** One pass with all it may use. */
export interface AmphoraPass extends Pass {
  parts: AmphoraProviderParts;
  /** By amphora id, kept between passes. */
  facts: Map<string, AgentFacts>;
  /** What flavor and zone asked for when it began. */
  offer: Offer;
}

/** Thrown inside a pass when something needs time rather than failed. */
export class NotYet extends Error {
  readonly againAfterMs: number;
  constructor(waitingFor: string, againAfterMs: number) {
    super(waitingFor);
    this.name = 'NotYet';
    this.againAfterMs = againAfterMs;
  }
}

/** Runs one recorded step, unless the lease is lost: then nothing may be changed any more. */
export function step<T>(
  pass: AmphoraPass,
  name: string,
  subject: string,
  run: () => Promise<T>,
  describe?: (result: T) => string | undefined,
): Promise<T> {
  pass.signal.throwIfAborted();
  return pass.trace.step(name, subject, run, describe);
}
