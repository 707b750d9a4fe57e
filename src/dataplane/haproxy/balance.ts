/** How haproxy picks a member. Source: contract dataplane.md 6. */
import { createHash } from 'node:crypto';
import type { LbAlgorithm, Member } from '../../model/pool.ts';
import { type Line, line, number, type Word, words } from './quote.ts';

/**
 * SOURCE_IP_PORT is for pools that LVS carries. In the original the sources are spread anew, and haproxy is reloaded, whenever a member
 * comes, goes or fails; consistently hashed, only that member's clients move.
 */
const BALANCE: Readonly<Record<LbAlgorithm, readonly Line[]>> = {
  ROUND_ROBIN: [line`balance roundrobin`],
  LEAST_CONNECTIONS: [line`balance leastconn`],
  SOURCE_IP: [line`balance source`, line`hash-type consistent`],
  SOURCE_IP_PORT: [line`balance roundrobin`],
};

export const balanceLines = (algorithm: LbAlgorithm): readonly Line[] => BALANCE[algorithm];

/** haproxy places a server by its number, of which it uses so many bits. */
const NUMBERS = 2 ** 20;

/** The words by which each member keeps its place, by their ids: else haproxy counts the servers from the top of the file. */
export function placeWords(algorithm: LbAlgorithm, members: readonly Member[]): Map<string, Word[]> {
  if (algorithm !== 'SOURCE_IP') return new Map();
  const taken = new Set<number>();
  return new Map(
    members.map(({ id }) => {
      let place = createHash('sha256').update(id).digest().readUInt32BE() % NUMBERS;
      while (place === 0 || taken.has(place)) place = (place + 1) % NUMBERS;
      taken.add(place);
      return [id, [words`id ${number(place)}`]];
    }),
  );
}
