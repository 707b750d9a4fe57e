/** What the routes work with. */
import type { Log } from '../lib/log.ts';
import type { AgentConfig } from './config.ts';
import type { Haproxy } from './haproxy/process.ts';
import type { Keepalived } from './keepalived/process.ts';
import type { Lvs } from './lvs/lvs.ts';
import type { Interfaces } from './network/interfaces.ts';

export interface AgentParts {
  config: AgentConfig;
  log: Log;
  haproxy: Haproxy;
  keepalived: Keepalived;
  lvs: Lvs;
  interfaces: Interfaces;
  /** Something that heartbeats show may have changed. */
  noteChange(): void;
  /** The configuration file was replaced. */
  rereadSettings(): void;
  /** The agent's own certificate was replaced. */
  rereadCertificate(): void;
}
