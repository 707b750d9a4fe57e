/** One backend per pool and listener that uses it. Source: contract dataplane.md 6. */

import type { Listener } from '../../model/listener.ts';
import type { LoadBalancer } from '../../model/load-balancer.ts';
import type { Member, Pool } from '../../model/pool.ts';
import { balanceLines, placeWords } from './balance.ts';
import { connectionLimit, hasRelease, type RenderContext } from './context.ts';
import type { Section } from './global.ts';
import { checkLines } from './health-check.ts';
import { insertedHeaderLines } from './inserted-headers.ts';
import { backendName } from './names.ts';
import { type Line, line, number } from './quote.ts';
import type { ServedListener, ServedPool } from './served.ts';
import { serverLine } from './server-line.ts';
import { cookieWords, persistenceLines } from './session-persistence.ts';
import { listenerReferences, memberProtocols, serverTlsWords } from './tls.ts';

export function backendSection(
  lb: LoadBalancer,
  { listener, mode: listenerMode }: ServedListener,
  served: ServedPool,
  context: RenderContext,
): Section {
  const { pool, members, monitor } = served;
  const mode = backendMode(pool, listenerMode);
  const tls = {
    ends: listenerReferences(listener).bundles.length > 0,
    alpn: memberProtocols(pool, mode, context),
    words: serverTlsWords(pool, mode, context),
  };
  const places = placeWords(pool.lb_algorithm, members);
  const ownWords = (member: Member) => [
    ...cookieWords(member, pool, context),
    ...(places.get(member.id) ?? []),
  ];
  const lines = [mode === 'http' ? line`mode http` : line`mode tcp`];
  if (mode === 'http' && hasRelease(context, 1, 6)) lines.push(line`http-reuse safe`);
  lines.push(...balanceLines(pool.lb_algorithm), ...persistenceLines(lb, pool, context));
  if (monitor !== undefined) {
    if (hasRelease(context, 1, 6)) lines.push(line`load-server-state-from-file global`);
    lines.push(...checkLines(monitor, context.settings.basePath));
  }
  lines.push(
    ...insertedHeaderLines(listener, pool, context),
    line`fullconn ${number(connectionLimit(listener, context.settings))}`,
    line`option allbackups`,
    line`timeout connect ${number(listener.timeout_member_connect)}`,
    line`timeout server ${number(listener.timeout_member_data)}`,
    ...(mode === 'http' ? tunnelLines(listener, context) : []),
    ...members.map(member => serverLine(member, served, tls, ownWords(member))),
  );
  return { head: line`backend ${backendName(pool, listener)}`, lines };
}

/** The PROXY protocols carry whatever the listener carries. */
function backendMode(pool: Pool, listenerMode: 'tcp' | 'http'): 'tcp' | 'http' {
  if (pool.protocol === 'PROXY' || pool.protocol === 'PROXYV2') return listenerMode;
  return pool.protocol === 'HTTP' ? 'http' : 'tcp';
}

/**
 * Not in the original, where a WebSocket ends after the silence that is meant for requests. In mode tcp it would take the
 * place of the two timeouts that users set; those that are longer are kept here too.
 */
function tunnelLines(listener: Listener, { settings }: RenderContext): Line[] {
  const timeouts = [settings.timeoutTunnelMs, listener.timeout_client_data, listener.timeout_member_data];
  // 0 is no limit in both of the others.
  return timeouts.includes(0) ? [] : [line`timeout tunnel ${number(Math.max(...timeouts))}`];
}
