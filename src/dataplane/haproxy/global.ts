/** The sections `global`, `defaults` and `peers`. */

import { peerName } from '../../lib/peer-name.ts';
import type { LoadBalancerGraph } from '../../model/graph.ts';
import { connectionLimit, hasRelease, MOST_CONNECTIONS, type RenderContext } from './context.ts';
import { peersName } from './names.ts';
import { address, type Line, line, number, type Word, word, words } from './quote.ts';
import { inOrder, type ServedListener } from './served.ts';
import { hasStickTable } from './session-persistence.ts';

export interface Section {
  head: Line;
  lines: Line[];
}

const PEER_PORT = 1025;

/**
 * Source: contract dataplane.md 1. No `hard-stop-after`: it would cut the long-lived connections of users at every
 * reload, which they would notice sooner than an old process that lives until its last connection ends.
 */
export function globalSection(
  graph: LoadBalancerGraph,
  listeners: readonly ServedListener[],
  context: RenderContext,
): Section {
  const { settings } = context;
  const directory = words`${word(settings.basePath)}/${word(graph.load_balancer.id)}`;
  const lines = [
    line`daemon`,
    line`user nobody`,
    // Not in the original, where a request with a long path is cut off before who answered it, and how.
    line`log /run/rsyslog/octavia/log len 4096 local${number(settings.userLogFacility)}`,
    line`log /run/rsyslog/octavia/log local${number(settings.administrativeLogFacility)} notice`,
    line`stats socket ${directory}.sock mode 0666 level user`,
  ];
  if (hasRelease(context, 1, 6)) lines.push(line`server-state-file ${directory}/servers-state`);
  lines.push(line`maxconn ${number(totalConnections(listeners, context))}`);
  lines.push(...threadLines(context));
  if (listeners.some(l => l.pools.some(p => p.monitor?.type === 'PING'))) {
    lines.push(line`external-check`);
    if (hasRelease(context, 2, 2)) lines.push(line`insecure-fork-wanted`);
  }
  return { head: line`global`, lines };
}

function totalConnections(listeners: readonly ServedListener[], context: RenderContext): number {
  // A scrape is three connections at once: the client's, and two of haproxy to itself. Were they not counted, nobody could
  // see the metrics of a load balancer that is full.
  const total = listeners.reduce((sum, { listener }) => {
    const each = listener.protocol === 'PROMETHEUS' ? 3 : 1;
    return sum + each * connectionLimit(listener, context.settings);
  }, 0);
  return total > 0 && total < MOST_CONNECTIONS ? total : MOST_CONNECTIONS;
}

/** The first core is left to everything else where the image isolated the others. */
function threadLines({ details }: RenderContext): Line[] {
  const isolated = details?.active_tuned_profiles?.split(/\s+/).includes('amphora') ?? false;
  const cpus = details?.cpu_count ?? 1;
  if (!isolated || cpus <= 1) return [];
  const threads = number(cpus - 1);
  return [line`nbthread ${threads}`, line`cpu-map auto:1/1-${threads} 1-${threads}`];
}

export function defaultsSection({ settings }: RenderContext): Section {
  return {
    head: line`defaults`,
    lines: [
      settings.connectionLogging ? line`log global` : line`no log`,
      line`retries 3`,
      line`option redispatch`,
      line`option splice-request`,
      line`option splice-response`,
      line`option http-keep-alive`,
    ],
  };
}

/**
 * Stick tables are shared between the amphorae of a pair. The amphora that the file is for is always among them,
 * because haproxy drops a section without the local peer. Source: contract dataplane.md 2. A single amphora has none in
 * the original and forgets its tables at each reload; here it is its own peer, because haproxy then hands them to the
 * process that takes over. The address is that of a half of a pair, so that they outlive a change of the topology; who does
 * not know the name, which is made of the amphora's id, is no peer.
 */
export function peersSection(
  graph: LoadBalancerGraph,
  listeners: readonly ServedListener[],
  context: RenderContext,
): Section | undefined {
  const isPair = graph.load_balancer.topology === 'ACTIVE_STANDBY';
  if (!isPair && !listeners.some(({ pools }) => pools.some(({ pool }) => hasStickTable(pool))))
    return undefined;
  const amphorae = inOrder(graph.amphorae).filter(
    a => a.id === context.amphora.id || (isPair && a.status === 'ALLOCATED' && a.role !== 'STANDALONE'),
  );
  return {
    head: line`peers ${peersName(graph.load_balancer)}`,
    lines: amphorae.flatMap(({ id, vrrp_ip }) =>
      vrrp_ip === null ? [] : [line`peer ${word(peerName(id))} ${peerAddress(vrrp_ip)}`],
    ),
  };
}

function peerAddress(ip: string): Word {
  return words`${address(ip)}:${number(PEER_PORT)}`;
}
