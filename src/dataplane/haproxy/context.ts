/** What haproxy.cfg depends on besides the graph: the amphora it is for, its haproxy, and the operator's settings. */
import type { Amphora } from '../../model/amphora.ts';
import type { Listener } from '../../model/listener.ts';

/** Options of `[haproxy_amphora]` and `[amphora_agent]`, in camelCase. */
export interface HaproxySettings {
  /** `/var/lib/octavia` */
  basePath: string;
  /** `/var/lib/octavia/certs` */
  baseCertDir: string;
  connectionLogging: boolean;
  userLogFacility: number;
  administrativeLogFacility: number;
  /** Replaces `DEFAULT_USER_LOG_FORMAT`; may hold `{{ project_id }}` and `{{ lb_id }}`. */
  userLogFormat: string | null;
  /** For listeners that have no limit of their own. */
  defaultConnectionLimit: number;
  /** Entries of a stick table, such as `10k`. */
  stickSize: string;
  /** How long a WebSocket, or whatever else an HTTP connection became, may be silent; 0: as long as a request. */
  timeoutTunnelMs: number;
}

export const DEFAULT_HAPROXY_SETTINGS: HaproxySettings = {
  basePath: '/var/lib/octavia',
  baseCertDir: '/var/lib/octavia/certs',
  connectionLogging: true,
  userLogFacility: 0,
  administrativeLogFacility: 1,
  userLogFormat: null,
  defaultConnectionLimit: 50_000,
  stickSize: '10k',
  timeoutTunnelMs: 3_600_000,
};

/** What haproxy is tuned to, as `GET /details` of the agent tells it. */
export interface MachineDetails {
  cpu_count?: number;
  active_tuned_profiles?: string;
  /** In kB. */
  memory: { free: number; buffers: number; cached: number };
}

export interface RenderContext {
  /** The amphora that will run the file: two of one load balancer may have different releases of haproxy. */
  amphora: Amphora;
  /** As `GET /info` tells it: `2.6.12-1+deb12u4`. */
  haproxyVersion: string;
  /** Without it nothing is tuned to the machine. */
  details?: MachineDetails;
  settings: HaproxySettings;
  /** The names of the files with certificates, by their references into the key manager; what has none is not served. */
  certificates?: ReadonlyMap<string, string>;
}

/** Whether the haproxy of the amphora is of this release or a newer one; a version that cannot be read is an old one. */
export function hasRelease(context: RenderContext, major: number, minor: number): boolean {
  const [, has, hasMinor] = /^(\d+)\.(\d+)/.exec(context.haproxyVersion) ?? [];
  return Number(has) > major || (Number(has) === major && Number(hasMinor) >= minor);
}

/** The most that the original lets haproxy count. Source: contract dataplane.md 1. */
export const MOST_CONNECTIONS = 1_000_000;

/** Source: contract dataplane.md 1: no limit, and 0 too, mean the default. */
export function connectionLimit(
  listener: Pick<Listener, 'connection_limit'>,
  settings: HaproxySettings,
): number {
  if (listener.connection_limit > 0) return listener.connection_limit;
  return settings.defaultConnectionLimit > 0 ? settings.defaultConnectionLimit : MOST_CONNECTIONS;
}
