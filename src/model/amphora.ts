/** The amphora: one instance that runs our agent, haproxy and keepalived for one load balancer. */
import type { AmphoraStatus } from './status.ts';

export const AMPHORA_ROLES = ['STANDALONE', 'MASTER', 'BACKUP'] as const;
export type AmphoraRole = (typeof AMPHORA_ROLES)[number];

/** How a configuration came to run. */
export type HaproxyChange = 'started' | 'reloaded' | 'runtime' | 'nothing';

/** How often an amphora's haproxy was changed in each way since the amphora was built. */
export interface HaproxyChanges {
  started: number;
  reloaded: number;
  runtime: number;
  /** The newest starts and reloads, the newest first. */
  last: { at: string; how: 'started' | 'reloaded'; reason: string }[];
}

/** Of starts and reloads. */
export const LAST_KEPT = 10;

/** `changes` with one more; `at` is a time as the API prints it. */
export function countChange(
  changes: HaproxyChanges | null,
  how: HaproxyChange,
  reason: string,
  at: string,
): HaproxyChanges {
  const { last, ...counts } = changes ?? { started: 0, reloaded: 0, runtime: 0, last: [] };
  if (how === 'nothing') return { ...counts, last };
  const kept = how === 'runtime' ? last : [{ at, how, reason }, ...last].slice(0, LAST_KEPT);
  return { ...counts, [how]: counts[how] + 1, last: kept };
}

export interface Amphora {
  id: string;
  loadbalancer_id: string | null;
  compute_id: string | null;
  /** The agent's address in the management network. */
  lb_network_ip: string | null;
  vrrp_ip: string | null;
  ha_ip: string | null;
  vrrp_port_id: string | null;
  ha_port_id: string | null;
  cert_expiration: string | null;
  cert_busy: boolean;
  /** null until the amphora is allocated. */
  role: AmphoraRole | null;
  status: AmphoraStatus;
  vrrp_interface: string | null;
  vrrp_id: number | null;
  vrrp_priority: number | null;
  cached_zone: string | null;
  image_id: string | null;
  compute_flavor: string | null;
  /** What of its load balancer's offer its instance was built with, as `builtFor` tells it; another one needs another instance. */
  built_for: string | null;
  /** A mark: the worker is to give the agent its configuration file again. */
  config_due: boolean;
  /** null until something ran in it. */
  haproxy_changes: HaproxyChanges | null;
  created_at: string;
  updated_at: string | null;
}

/**
 * The names by which an amphora's parts are found again after a crash: chosen by us before they exist.
 * Source: contract controller.md 8.1, 9.3, 9.4.
 */
export const instanceName = (amphoraId: string): string => `amphora-${amphoraId}`;
export const vrrpPortName = (amphoraId: string): string => `octavia-lb-vrrp-${amphoraId}`;
export const memberPortName = (amphoraId: string, networkId: string): string =>
  `octavia-lb-member-${amphoraId}-${networkId}`;
