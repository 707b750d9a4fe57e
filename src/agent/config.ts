/** What amphora-agent.conf tells the agent, and the paths that follow from it. Source: contract amphora-agent.md 5.1 and 8. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ini, lastValue, parseIni } from '../lib/ini.ts';
import { Secret } from '../lib/secret.ts';
import type { Topology } from '../model/load-balancer.ts';

export interface Destination {
  host: string;
  port: number;
}

/** Every path the agent touches; nothing else in the agent spells one. */
export interface Paths {
  readonly configFile: string;
  readonly serverCertificate: string;
  readonly clientCa: string;
  readonly base: string;
  readonly certificates: string;
  readonly interfaces: string;
  readonly pluggedInterfaces: string;
  readonly userGroup: string;
  readonly pingWrapper: string;
  readonly firewallRules: string;
  readonly counters: string;
  readonly vrrp: string;
  /** Where the agent answers haproxy's questions for metrics. */
  readonly metricsSocket: string;
  /** Where programs lie that configurations and scripts call by name. */
  readonly programs: string;
}

/** What `PUT /config` changes without a restart. */
export interface HeartbeatSettings {
  readonly destinations: readonly Destination[];
  readonly intervalMs: number;
  readonly key: Secret;
}

export interface AgentConfig {
  readonly amphoraId: string;
  /** `PUT /config` changes it as well; the interface of the VIP follows when it is plugged again. */
  topology: Topology;
  readonly bindHost: string;
  readonly bindPort: number;
  readonly haproxyCommand: string;
  readonly administrativeLogFacility: number;
  readonly requestTimeoutMs: number;
  /** How often the agent looks at haproxy on its own account, to restart it and to report a change at once. */
  readonly statusCheckIntervalMs: number;
  /** How long a member that gets no more sessions keeps those it has; 0: until they end. */
  readonly memberDrainTimeoutMs: number;
  readonly debug: boolean;
  readonly heartbeat: HeartbeatSettings;
  readonly paths: Paths;
}

export function readAgentConfig(configFile: string): AgentConfig {
  try {
    return decodeAgentConfig(readFileSync(configFile, 'utf8'), configFile);
  } catch (cause) {
    throw new Error(`Cannot read the agent's configuration ${configFile}`, { cause });
  }
}

/** Throws when the text is no INI file, names no amphora or holds a number that is none. */
export function decodeAgentConfig(text: string, configFile: string): AgentConfig {
  const ini = parseIni(text);
  const option = (section: string, key: string, fallback: string) => lastValue(ini, section, key) || fallback;
  const number = (section: string, key: string, fallback: number) => {
    const value = Number(option(section, key, String(fallback)));
    if (!Number.isFinite(value) || value < 0) throw new Error(`[${section}] ${key} is not a number`);
    return value;
  };
  const amphoraId = option('amphora_agent', 'amphora_id', '');
  if (amphoraId === '') throw new Error('[amphora_agent] amphora_id is missing');
  const base = option('haproxy_amphora', 'base_path', '/var/lib/octavia');
  return {
    amphoraId,
    topology: option('controller_worker', 'loadbalancer_topology', 'SINGLE') as Topology,
    bindHost: option('haproxy_amphora', 'bind_host', '::'),
    bindPort: number('haproxy_amphora', 'bind_port', 9443),
    haproxyCommand: option('haproxy_amphora', 'haproxy_cmd', '/usr/sbin/haproxy'),
    administrativeLogFacility: number('amphora_agent', 'administrative_log_facility', 1),
    requestTimeoutMs: number('amphora_agent', 'agent_request_read_timeout', 180) * 1000,
    statusCheckIntervalMs: number('amphora_agent', 'status_check_interval', 1) * 1000,
    memberDrainTimeoutMs: number('haproxy_amphora', 'member_drain_timeout', 0) * 1000,
    debug: option('DEFAULT', 'debug', 'false').toLowerCase() === 'true',
    heartbeat: decodeHeartbeatSettings(ini, number),
    paths: Object.freeze({
      configFile,
      serverCertificate: option('amphora_agent', 'agent_server_cert', '/etc/octavia/certs/server.pem'),
      clientCa: option('amphora_agent', 'agent_server_ca', '/etc/octavia/certs/client_ca.pem'),
      base,
      certificates: option('haproxy_amphora', 'base_cert_dir', join(base, 'certs')),
      interfaces: option('amphora_agent', 'agent_server_network_dir', '/etc/octavia/interfaces'),
      pluggedInterfaces: join(base, 'plugged_interfaces'),
      userGroup: join(base, 'haproxy-default-user-group.conf'),
      pingWrapper: join(base, 'ping-wrapper.sh'),
      firewallRules: join(base, 'nftables-vip.rules'),
      counters: join(base, 'stats_counters.json'),
      vrrp: join(base, 'vrrp'),
      metricsSocket: join(base, 'agent-metrics.sock'),
      programs: '/usr/local/bin',
    }),
  };
}

function decodeHeartbeatSettings(
  ini: Ini,
  number: (section: string, key: string, fallback: number) => number,
): HeartbeatSettings {
  return Object.freeze({
    destinations: decodeDestinations(lastValue(ini, 'health_manager', 'controller_ip_port_list') ?? ''),
    intervalMs: number('health_manager', 'heartbeat_interval', 10) * 1000,
    key: new Secret(lastValue(ini, 'health_manager', 'heartbeat_key') ?? ''),
  });
}

/** An entry without a colon ends the list. Source: contract heartbeat.md 1. */
export function decodeDestinations(list: string): Destination[] {
  const destinations: Destination[] = [];
  for (const entry of list.split(',').map(part => part.trim())) {
    const colon = entry.lastIndexOf(':');
    if (colon < 0) break;
    const host = entry.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    const port = Number(entry.slice(colon + 1));
    if (host !== '' && Number.isInteger(port) && port > 0 && port < 65536) destinations.push({ host, port });
  }
  return destinations;
}

/** The files of one load balancer's haproxy. */
export interface HaproxyFiles {
  readonly directory: string;
  readonly config: string;
  readonly candidate: string;
  readonly rejected: string;
  readonly pid: string;
  readonly serversState: string;
  readonly certificates: string;
  /** The text haproxy runs right now; absent when that is not known for sure. */
  readonly applied: string;
  /** Present while haproxy should run. */
  readonly wanted: string;
  /** A further configuration file, with a control socket that no tenant reaches. */
  readonly extra: string;
  readonly adminSocket: string;
  readonly masterSocket: string;
  /** Since when which servers get no more sessions. */
  readonly drains: string;
  /** Outside the directory, so that it outlives haproxy's files. */
  readonly ledger: string;
  /** By which the agent gets into the namespace, to fill a queue there. */
  readonly corridor: string;
  /** Where haproxy answers the agent's questions for metrics. */
  readonly exporterSocket: string;
}

export function haproxyFiles(paths: Paths, loadBalancerId: string): HaproxyFiles {
  const directory = join(paths.base, loadBalancerId);
  return {
    directory,
    config: join(directory, 'haproxy.cfg'),
    candidate: join(directory, 'haproxy.cfg.new'),
    rejected: join(directory, 'haproxy.cfg.new-failed'),
    pid: join(directory, `${loadBalancerId}.pid`),
    serversState: join(directory, 'servers-state'),
    certificates: join(paths.certificates, loadBalancerId),
    applied: join(directory, 'agent-applied.cfg'),
    wanted: join(directory, 'agent-wanted'),
    extra: join(directory, 'agent.cfg'),
    adminSocket: join(directory, 'agent.sock'),
    masterSocket: join(directory, 'master.sock'),
    drains: join(directory, 'agent-drains.json'),
    ledger: join(paths.base, `agent-ledger-${loadBalancerId}.json`),
    corridor: join(directory, 'corridor.sock'),
    exporterSocket: join(directory, 'exporter.sock'),
  };
}
