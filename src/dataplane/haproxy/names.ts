/** The names of proxies, which agents of every release parse. */
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
