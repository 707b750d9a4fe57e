/** amphora-agent.conf: how an agent is told who it is, where it listens and where its heartbeats go. */
import { TerminalError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { Topology } from '../model/load-balancer.ts';

/** Names as in the file; sections as in contract amphora-agent.md 8. */
export interface AgentSettings {
  amphora_id: string;
  topology: Topology;
  debug?: boolean;
  base_path?: string;
  base_cert_dir?: string;
  bind_host?: string;
  bind_port?: number;
  haproxy_cmd?: string;
  /** Seconds; 0 and absent: without limit. Not one of the original's, whose agents pass over it. */
  member_drain_timeout?: number;
  user_log_facility?: number;
  administrative_log_facility?: number;
  /** `host:port`, IPv6 as `[address]:port`. */
  controller_ip_port_list: readonly string[];
  /** Seconds. */
  heartbeat_interval: number;
  heartbeat_key: Secret;
  agent_server_ca?: string;
  agent_server_cert?: string;
  agent_server_network_dir?: string;
  /** Seconds. */
  agent_request_read_timeout?: number;
  agent_tls_protocol?: string;
}

/**
 * The text of the file, with the heartbeat key in it: it belongs into files of mode 0600 and into no log.
 * Throws `TerminalError` on a value that no line of it can hold.
 */
export function renderAgentConfig(settings: AgentSettings): string {
  const { user_log_facility = 0, administrative_log_facility = 1 } = settings;
  const facilities = { user_log_facility, administrative_log_facility };
  return printIni({
    DEFAULT: {
      debug: settings.debug ?? false,
      use_syslog: true,
      syslog_log_facility: `LOG_LOCAL${administrative_log_facility}`,
    },
    haproxy_amphora: {
      base_cert_dir: settings.base_cert_dir ?? '/var/lib/octavia/certs',
      base_path: settings.base_path ?? '/var/lib/octavia',
      bind_host: settings.bind_host ?? '::',
      bind_port: settings.bind_port ?? 9443,
      haproxy_cmd: settings.haproxy_cmd ?? '/usr/sbin/haproxy',
      member_drain_timeout: settings.member_drain_timeout || undefined,
      ...facilities,
    },
    health_manager: {
      controller_ip_port_list: settings.controller_ip_port_list.join(', '),
      heartbeat_interval: settings.heartbeat_interval,
      heartbeat_key: settings.heartbeat_key.reveal(),
    },
    amphora_agent: {
      agent_server_ca: settings.agent_server_ca ?? '/etc/octavia/certs/client_ca.pem',
      agent_server_cert: settings.agent_server_cert ?? '/etc/octavia/certs/server.pem',
      agent_server_network_dir: settings.agent_server_network_dir,
      agent_request_read_timeout: settings.agent_request_read_timeout ?? 180,
      amphora_id: settings.amphora_id,
      amphora_udp_driver: 'keepalived_lvs',
      agent_tls_protocol: settings.agent_tls_protocol ?? 'TLSv1.2',
      // Agents read the two here; under haproxy_amphora, where the original writes them, nobody does.
      ...facilities,
    },
    controller_worker: { loadbalancer_topology: settings.topology },
  });
}

type Section = Record<string, string | number | boolean | undefined>;

/** `key = value` with spaces, because images cut a line of it at them. Source: contract amphora-agent.md 8. */
function printIni(sections: Record<string, Section>): string {
  return Object.entries(sections)
    .map(([name, options]) => {
      const lines = Object.entries(options)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => `${key} = ${printValue(key, value!)}\n`);
      return `[${name}]\n${lines.join('')}`;
    })
    .join('\n');
}

/** As the readers of such files undo it: booleans in Python's spelling, quotes around what would lose its ends. */
function printValue(key: string, value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  const text = String(value);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line break would begin another option
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new TerminalError(`Cannot write ${key} into amphora-agent.conf: it holds control characters`);
  }
  return /^\s|\s$|^(["']).*\1$/.test(text) ? `"${text}"` : text;
}
