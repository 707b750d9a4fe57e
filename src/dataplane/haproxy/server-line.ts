/** One server per member. Source: contract dataplane.md 7. */
import type { Member } from '../../model/pool.ts';
import { checkWords } from './health-check.ts';
import {
  address,
  bracketedAddress,
  type Line,
  line,
  number,
  spaced,
  type Word,
  word,
  words,
} from './quote.ts';
import type { ServedPool } from './served.ts';

/** What the servers of one backend have in common. */
export interface ServerTls {
  /** The listener ends TLS, so that a client may have a certificate of which members can be told. */
  ends: boolean;
  /** What checks offer. */
  alpn: Word | undefined;
  words: Word[];
}

/** A disabled member stays listed, so that heartbeats report it as being in maintenance. Weight 0 drains. */
export function serverLine(
  member: Member,
  { pool, monitor }: ServedPool,
  tls: ServerTls,
  own: readonly Word[],
): Line {
  const id = word(member.id);
  const parts = [
    words`server ${id} ${address(member.address)}:${number(member.protocol_port)} weight ${number(member.weight)}`,
  ];
  if (monitor !== undefined) {
    parts.push(...checkWords(monitor, tls.alpn));
    if (member.monitor_address !== null) parts.push(words`addr ${bracketedAddress(member.monitor_address)}`);
    if (member.monitor_port !== null) parts.push(words`port ${number(member.monitor_port)}`);
  }
  parts.push(...own);
  if (pool.protocol === 'PROXY') parts.push(words`send-proxy`);
  if (pool.protocol === 'PROXYV2') parts.push(tls.ends ? words`send-proxy-v2-ssl-cn` : words`send-proxy-v2`);
  if (member.backup) parts.push(words`backup`);
  if (!member.admin_state_up) parts.push(words`disabled`);
  return line`${spaced([...parts, ...tls.words])}`;
}
