/** The names of proxies and peers, which agents of every release parse or compute themselves. */
import { createHash } from 'node:crypto';
import type { Listener } from '../../model/listener.ts';
import type { LoadBalancer } from '../../model/load-balancer.ts';
import type { Pool } from '../../model/pool.ts';
import { type Word, word, words } from './quote.ts';

/** Exactly one colon: heartbeats cut the name at it. Source: contract dataplane.md 12. */
export function backendName(pool: Pick<Pool, 'id'>, listener: Pick<Listener, 'id'>): Word {
  return words`${word(pool.id)}:${word(listener.id)}`;
}

export function peersName(lb: Pick<LoadBalancer, 'id'>): Word {
  return words`${word(lb.id.replaceAll('-', ''))}_peers`;
}

/**
 * The name of an amphora among haproxy's peers, and what its agent passes to `haproxy -L`.
 * `+` and `/` are swapped against URL-safe base64 and a leading `-` becomes `x`. Source: contract amphora-agent.md 5.2.
 */
export function peerName(amphoraId: string): string {
  return createHash('sha1')
    .update(amphoraId)
    .digest('base64')
    .replaceAll('+', '_')
    .replaceAll('/', '-')
    .replace(/=+$/, '')
    .replace(/^-/, 'x');
}
