/** Which member the next flows go to: a ring of slots that the kernel walks along, or picks from by a hash. */

const MOST_SLOTS = 1024;
/** As many as IPVS has. */
const HASH_SLOTS = 256;

/** The owner of each slot, by weight, so that every run of slots is as mixed as can be. */
export function roundRobin(weights: readonly number[]): number[] {
  const divisor = weights.reduce(gcd, 0);
  const scale = Math.max(1, weights.reduce((sum, each) => sum + each / divisor, 0) / MOST_SLOTS);
  const shares = weights.map(weight => Math.max(1, Math.round(weight / divisor / scale)));
  const total = shares.reduce((sum, each) => sum + each, 0);
  const credit = shares.map(() => 0);
  return Array.from({ length: total }, () => {
    for (const [i, share] of shares.entries()) credit[i]! += share;
    const owner = credit.indexOf(Math.max(...credit));
    credit[owner]! -= total;
    return owner;
  });
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/**
 * The next flows under least connections, given how many each member has now: each goes where there are fewest by weight. Exact until
 * flows end, which the next look sees.
 */
export function leastConnections(weights: readonly number[], flows: readonly number[]): number[] {
  const loads = [...flows];
  const count = Math.min(MOST_SLOTS, 64 * weights.length);
  return Array.from({ length: count }, () => {
    let best = 0;
    for (let i = 1; i < weights.length; i++) {
      if ((loads[i]! + 1) / weights[i]! < (loads[best]! + 1) / weights[best]!) best = i;
    }
    loads[best]!++;
    return best;
  });
}

/**
 * Each slot belongs to the member that scores highest there ("rendezvous hashing"), so that one that comes or goes moves no client
 * between two others.
 */
export function hashed(members: readonly { key: string; weight: number }[]): number[] {
  return Array.from({ length: HASH_SLOTS }, (_, slot) => {
    const scores = members.map(({ key, weight }) => -weight / Math.log(unitHash(`${slot} ${key}`)));
    return scores.indexOf(Math.max(...scores));
  });
}

/** FNV-1a with a final mix, as a number between 0 and 1, neither included. */
function unitHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 + 2 ** -33;
}
