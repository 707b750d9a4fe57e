/** How a client comes back to its member. Source: contract dataplane.md 8.1. */
import type { LoadBalancer } from '../../model/load-balancer.ts';
import type { Member, Pool } from '../../model/pool.ts';
import { hasRelease, type RenderContext } from './context.ts';
import { peersName } from './names.ts';
import { fetchArgument, type Line, line, type Word, word, words } from './quote.ts';

/** Whether haproxy keeps a table of who belongs where, which others can be told of. */
export function hasStickTable({ session_persistence }: Pick<Pool, 'session_persistence'>): boolean {
  return session_persistence?.type === 'SOURCE_IP' || session_persistence?.type === 'APP_COOKIE';
}

/** The directives of the backend; with HTTP_COOKIE each server may have its word too. */
export function persistenceLines(lb: LoadBalancer, pool: Pool, context: RenderContext): Line[] {
  const table = words`size ${word(context.settings.stickSize)} peers ${peersName(lb)}`;
  switch (pool.session_persistence?.type) {
    case 'SOURCE_IP':
      return [line`stick-table type ipv6 ${table}`, line`stick on src`];
    case 'APP_COOKIE': {
      const name = fetchArgument(pool.session_persistence.cookie_name ?? '');
      return [
        line`stick-table type string len 64 ${table}`,
        line`stick store-response res.cook(${name})`,
        line`stick match req.cook(${name})`,
      ];
    }
    case 'HTTP_COOKIE':
      if (!makesCookies(context)) return [line`cookie SRV insert indirect nocache`];
      return [line`cookie SRV insert indirect nocache dynamic`, line`dynamic-cookie-key ${word(pool.id)}`];
    case undefined:
      return [];
  }
}

/** The words of a member's server line. */
export function cookieWords(member: Member, pool: Pool, context: RenderContext): Word[] {
  if (pool.session_persistence?.type !== 'HTTP_COOKIE' || makesCookies(context)) return [];
  return [words`cookie ${word(member.id)}`];
}

/**
 * In the original each member has its id for a cookie, and a server with a cookie cannot be added without a reload. haproxy makes
 * cookies from a key and the members' addresses: the same ones in both amphorae of a pair, and after every reload.
 */
const makesCookies = (context: RenderContext): boolean => hasRelease(context, 1, 8);
