/** keepalived.conf of a UDP or SCTP listener, which the kernel balances; agents parse the comments in it. Source: contract dataplane.md 11. */
import { isIP } from 'node:net';
import type { LoadBalancerGraph } from '../../model/graph.ts';
import type { HealthMonitor } from '../../model/health-monitor.ts';
import type { Listener } from '../../model/listener.ts';
import type { LbAlgorithm, Member, Pool, SessionPersistence } from '../../model/pool.ts';
import { isLvsProtocol } from '../../model/protocols.ts';
import { expandCodes } from '../haproxy/health-check.ts';
import { inOrder, isKept } from '../haproxy/served.ts';
import { type Entry, print } from './blocks.ts';
import { address, filePath, hostName, identifier, number, requestTarget, type Text, text } from './quote.ts';

/** What one listener's agent is given. */
export interface UdpListenerConfig {
  listener_id: string;
  keepalived_conf: string;
}

const ALGORITHM: Readonly<Record<LbAlgorithm, readonly Text[]>> = {
  ROUND_ROBIN: [text`lb_algo wrr`],
  LEAST_CONNECTIONS: [text`lb_algo lc`],
  SOURCE_IP: [text`lb_algo sh`],
  SOURCE_IP_PORT: [text`lb_algo sh`, text`sh-port`],
};
const DEFAULT_PERSISTENCE_SECONDS = 360;

/** One for each listener of the graph that LVS carries, the disabled ones too: agents tell by them that nothing is missing. */
export function renderUdpListeners(
  graph: LoadBalancerGraph,
  settings: { basePath: string },
): UdpListenerConfig[] {
  const listeners = inOrder(graph.listeners.filter(isKept)).filter(l => isLvsProtocol(l.protocol));
  return listeners.map(listener => ({
    listener_id: listener.id,
    keepalived_conf: renderListener(graph, listener, settings.basePath),
  }));
}

function renderListener(graph: LoadBalancerGraph, listener: Listener, basePath: string): string {
  const { load_balancer: lb } = graph;
  const pool = graph.pools.find(p => p.id === listener.default_pool_id && isKept(p));
  const vips = [lb.vip_address!, ...lb.additional_vips.map(vip => vip.ip_address!)];
  const blocks: Entry[] = [];
  if (lb.admin_state_up && listener.admin_state_up && pool !== undefined) {
    for (const version of [4, 6] as const) {
      const own = vips.filter(vip => isIP(vip) === version);
      if (own.length === 0) continue;
      const group = text`ipv${number(version)}-group`;
      const entries = own.map(vip => text`${address(vip)} ${number(listener.protocol_port)}`);
      blocks.push({ head: text`virtual_server_group ${group}`, entries });
      const served = { graph, listener, pool, version, basePath };
      blocks.push({ head: text`virtual_server group ${group}`, entries: serverEntries(served) });
    }
  }
  const head = [
    text`# Configuration for Loadbalancer ${identifier(lb.id)}`,
    about('Listener', listener.id, listener.admin_state_up),
  ];
  const parts = [head, [text`net_namespace amphora-haproxy`], ...blocks.map(block => [block])];
  return `${parts.map(part => part.flatMap(entry => print(entry)).join('\n')).join('\n\n')}\n`;
}

type Noun = 'Listener' | 'Pool' | 'Member' | 'HealthMonitor';

function about(noun: Noun, id: string, enabled: boolean): Text {
  const what = text`${identifier(noun)} ${identifier(id)}`;
  return enabled ? text`# Configuration for ${what}` : text`# ${what} is disabled`;
}

interface Served {
  graph: LoadBalancerGraph;
  listener: Listener;
  pool: Pool;
  version: 4 | 6;
  basePath: string;
}

function serverEntries(served: Served): Entry[] {
  const { graph, listener, pool, version } = served;
  const monitor = graph.health_monitors.find(h => h.pool_id === pool.id && h.admin_state_up && isKept(h));
  const entries: Entry[] = [
    ...ALGORITHM[pool.lb_algorithm],
    text`lb_kind NAT`,
    text`protocol ${identifier(listener.protocol)}`,
    ...persistenceLines(pool.session_persistence, version),
  ];
  if (monitor !== undefined) {
    // keepalived rejects a delay of 0, which the API accepts.
    const delay = number(Math.max(monitor.delay, 1));
    entries.push(text`delay_loop ${delay}`, text`delay_before_retry ${delay}`);
    entries.push(text`retry ${number(monitor.max_retries_down)}`);
    // keepalived has no word for it; agents that balance themselves read it here.
    entries.push(text`# rise ${number(monitor.max_retries)}`);
  }
  entries.push(about('Pool', pool.id, pool.admin_state_up));
  if (monitor !== undefined) entries.push(about('HealthMonitor', monitor.id, true));
  if (!pool.admin_state_up) return entries;
  const members = inOrder(graph.members.filter(m => m.pool_id === pool.id && isKept(m)));
  for (const member of members.filter(m => isIP(m.address) === version)) {
    entries.push(about('Member', member.id, member.admin_state_up));
    if (member.admin_state_up) entries.push(memberBlock(member, monitor, served));
  }
  return entries;
}

/** A granularity of the other IP version than the block's means the default there. */
function persistenceLines(persistence: SessionPersistence | null, version: 4 | 6): Text[] {
  if (persistence?.type !== 'SOURCE_IP') return [];
  const mask = persistence.persistence_granularity ?? '';
  const own = isIP(mask) === version ? mask : undefined;
  const granularity =
    version === 4 ? address(own ?? '255.255.255.255') : number(own === undefined ? 128 : prefixOf(own));
  return [
    text`persistence_timeout ${number(persistence.persistence_timeout || DEFAULT_PERSISTENCE_SECONDS)}`,
    text`persistence_granularity ${granularity}`,
  ];
}

/** keepalived takes the mask of IPv6 as a length; the API takes it as an address. */
function prefixOf(mask: string): number {
  const { hostname } = new URL(`http://[${mask}]`);
  const groups = hostname.slice(1, -1).split('::')[0]!.split(':');
  const bits = groups
    .map(group =>
      Number.parseInt(group || '0', 16)
        .toString(2)
        .padStart(16, '0'),
    )
    .join('');
  return bits.includes('0') ? bits.indexOf('0') : bits.length;
}

function memberBlock(member: Member, monitor: HealthMonitor | undefined, served: Served): Entry {
  const limit = served.listener.connection_limit;
  return {
    head: text`real_server ${address(member.address)} ${number(member.protocol_port)}`,
    entries: [
      text`weight ${number(member.weight)}`,
      // Likewise.
      ...(member.backup ? [text`# backup`] : []),
      ...(limit > 0 ? [text`uthreshold ${number(limit)}`] : []),
      ...(monitor === undefined ? [] : checkBlocks(monitor, member, served.basePath)),
    ],
  };
}

function checkBlocks(monitor: HealthMonitor, member: Member, basePath: string): Entry[] {
  const ip = address(member.monitor_address ?? member.address);
  const port = number(member.monitor_port ?? member.protocol_port);
  const timeout = number(Math.max(monitor.timeout, 1));
  const connect = [text`connect_ip ${ip}`, text`connect_port ${port}`, text`connect_timeout ${timeout}`];
  switch (monitor.type) {
    case 'UDP-CONNECT': {
      const program = text`${filePath(basePath)}/lvs/check/udp_check.sh`;
      return [miscCheck(text`${program} ${ip} ${port}`, timeout)];
    }
    case 'SCTP': {
      const program = text`amphora-health-checker sctp -t ${timeout} ${ip} ${port}`;
      return [miscCheck(program, number(Math.max(monitor.timeout, 1) + 1))];
    }
    case 'TCP':
      return [{ head: text`TCP_CHECK`, entries: connect }];
    case 'HTTP':
      // keepalived knows no other method. Source: contract dataplane.md 11.
      if ((monitor.http_method ?? 'GET') !== 'GET') return [];
      return [
        { head: text`HTTP_GET`, entries: [{ head: text`url`, entries: urlLines(monitor) }, ...connect] },
      ];
    default:
      return [];
  }
}

const miscCheck = (command: Text, timeout: Text): Entry => ({
  head: text`MISC_CHECK`,
  entries: [text`misc_path "${command}"`, text`misc_timeout ${timeout}`],
});

/** All codes in one block: the original writes a block for each, of which keepalived wants every one to match. */
function urlLines(monitor: HealthMonitor): Text[] {
  const lines = [
    text`path ${requestTarget(monitor.url_path ?? '/')}`,
    text`status_code ${expandCodes(monitor).map(number)}`,
  ];
  if (monitor.http_version === 1.1 && monitor.domain_name)
    lines.push(text`virtualhost ${hostName(monitor.domain_name)}`);
  return lines;
}
