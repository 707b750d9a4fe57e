/** One server per member. Source: contract dataplane.md 7. */
import type { Member } from '../../model/pool.ts';
import { checkWords } from './health-check.ts';
import { address, bracketedAddress, type Line, line, number, spaced, word, words } from './quote.ts';
import type { ServedPool } from './served.ts';

/** A disabled member stays listed, so that heartbeats report it as being in maintenance. Weight 0 drains. */
export function serverLine(member: Member, { pool, monitor }: ServedPool): Line {
  const id = word(member.id);
  const parts = [
    words`server ${id} ${address(member.address)}:${number(member.protocol_port)} weight ${number(member.weight)}`,
  ];
  if (monitor !== undefined) {
    parts.push(...checkWords(monitor));
    if (member.monitor_address !== null) parts.push(words`addr ${bracketedAddress(member.monitor_address)}`);
    if (member.monitor_port !== null) parts.push(words`port ${number(member.monitor_port)}`);
  }
  if (pool.session_persistence?.type === 'HTTP_COOKIE') parts.push(words`cookie ${id}`);
  if (pool.protocol === 'PROXY') parts.push(words`send-proxy`);
  if (pool.protocol === 'PROXYV2') parts.push(words`send-proxy-v2`);
  if (member.backup) parts.push(words`backup`);
  if (!member.admin_state_up) parts.push(words`disabled`);
  return line`${spaced(parts)}`;
}
