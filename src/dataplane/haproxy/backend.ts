/** One backend per pool and listener that uses it. Source: contract dataplane.md 6. */

import type { Listener } from '../../model/listener.ts';
import type { LoadBalancer } from '../../model/load-balancer.ts';
import type { LbAlgorithm, Pool } from '../../model/pool.ts';
import { connectionLimit, hasRelease, type RenderContext } from './context.ts';
import type { Section } from './global.ts';
import { checkLines } from './health-check.ts';
import { backendName, peersName } from './names.ts';
import { fetchArgument, type Line, line, number, type Word, word, words } from './quote.ts';
import type { ServedListener, ServedPool } from './served.ts';
import { serverLine } from './server-line.ts';

/** SOURCE_IP_PORT belongs to other providers. */
const BALANCE: Readonly<Record<LbAlgorithm, Line>> = {
  ROUND_ROBIN: line`balance roundrobin`,
  LEAST_CONNECTIONS: line`balance leastconn`,
  SOURCE_IP: line`balance source`,
  SOURCE_IP_PORT: line`balance roundrobin`,
};

export function backendSection(
  lb: LoadBalancer,
  { listener, mode: listenerMode }: ServedListener,
  served: ServedPool,
  context: RenderContext,
): Section {
  const { pool, members, monitor } = served;
  const mode = backendMode(pool, listenerMode);
  const lines = [mode === 'http' ? line`mode http` : line`mode tcp`];
  if (mode === 'http' && hasRelease(context, 1, 6)) lines.push(line`http-reuse safe`);
  lines.push(BALANCE[pool.lb_algorithm], ...persistenceLines(lb, pool, context));
  if (monitor !== undefined) {
    if (hasRelease(context, 1, 6)) lines.push(line`load-server-state-from-file global`);
    lines.push(...checkLines(monitor, context.settings.basePath));
  }
  lines.push(
    ...headerLines(listener, pool),
    line`fullconn ${number(connectionLimit(listener, context.settings))}`,
    line`option allbackups`,
    line`timeout connect ${number(listener.timeout_member_connect)}`,
    line`timeout server ${number(listener.timeout_member_data)}`,
    ...members.map(member => serverLine(member, served)),
  );
  return { head: line`backend ${backendName(pool, listener)}`, lines };
}

/** The PROXY protocols carry whatever the listener carries. */
function backendMode(pool: Pool, listenerMode: 'tcp' | 'http'): 'tcp' | 'http' {
  if (pool.protocol === 'PROXY' || pool.protocol === 'PROXYV2') return listenerMode;
  return pool.protocol === 'HTTP' ? 'http' : 'tcp';
}

/** Source: contract dataplane.md 8.1. */
function persistenceLines(lb: LoadBalancer, pool: Pool, { settings }: RenderContext): Line[] {
  const size = word(settings.stickSize);
  const peers: Word = lb.topology === 'ACTIVE_STANDBY' ? words` peers ${peersName(lb)}` : words``;
  switch (pool.session_persistence?.type) {
    case 'SOURCE_IP':
      return [line`stick-table type ipv6 size ${size}${peers}`, line`stick on src`];
    case 'APP_COOKIE': {
      const name = fetchArgument(pool.session_persistence.cookie_name ?? '');
      return [
        line`stick-table type string len 64 size ${size}${peers}`,
        line`stick store-response res.cook(${name})`,
        line`stick match req.cook(${name})`,
      ];
    }
    case 'HTTP_COOKIE':
      return [line`cookie SRV insert indirect nocache`];
    case undefined:
      return [];
  }
}

/**
 * Source: contract dataplane.md 8.3. The last three have no line in the original, which accepts and ignores them;
 * a header that the API accepts is sent here.
 */
const INSERTED_HEADERS: readonly (readonly [name: string, pools: 'HTTP' | 'any', lines: Line])[] = [
  ['X-Forwarded-For', 'HTTP', line`option forwardfor`],
  ['X-Forwarded-Port', 'HTTP', line`http-request set-header X-Forwarded-Port %[dst_port]`],
  ['X-Forwarded-Proto', 'any', line`http-request set-header X-Forwarded-Proto http`],
  ['X-Forwarded-IP', 'HTTP', line`http-request set-header X-Forwarded-IP %[src]`],
  ['X-Client-IP', 'HTTP', line`http-request set-header X-Client-IP %[src]`],
  ['X-Real-IP', 'HTTP', line`http-request set-header X-Real-IP %[src]`],
];

function headerLines(listener: Listener, pool: Pool): Line[] {
  if (listener.protocol !== 'HTTP') return [];
  return INSERTED_HEADERS.filter(
    ([name, pools]) =>
      listener.insert_headers[name]?.toLowerCase() === 'true' &&
      (pools === 'any' || pool.protocol === 'HTTP'),
  ).map(([, , directive]) => directive);
}
