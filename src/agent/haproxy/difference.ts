/** What differs between two configurations besides their servers, in the words of whoever made the change. */
import type { Document, Section, Server } from './document.ts';

const LONGEST = 80;

/** undefined when only servers differ; else the most telling difference, since one change often has several. */
export function findDifference(before: Document, after: Document): string | undefined {
  for (const head of after.keys()) if (!before.has(head)) return `${describeSection(head)} added`;
  for (const head of before.keys()) if (!after.has(head)) return `${describeSection(head)} removed`;
  const telling = [...after].toSorted(([a], [b]) => Number(isGeneral(a)) - Number(isGeneral(b)));
  for (const [head, section] of telling) {
    const old = before.get(head)!;
    const what = findLine(old.lines, section.lines) ?? (hasOtherOrder(old, section) && 'order of members');
    if (what) return `${describeSection(head)}: ${what}`;
  }
  return undefined;
}

/** A pool and a listener are what the user knows of backends and frontends. */
function describeSection(head: string): string {
  return head
    .replace(/^frontend /, 'listener ')
    .replace(/^backend ([^:]+):(.+)/, 'pool $1 of listener $2')
    .replace(/^backend /, 'pool ');
}

export const describeServer = ({ backend, name }: Server): string =>
  `member ${name} of pool ${backend.split(':')[0]}`;

const isGeneral = (head: string): boolean => /^(global|defaults|peers)\b/.test(head);

function findLine(before: readonly string[], after: readonly string[]): string | undefined {
  if (before.join('\n') === after.join('\n')) return undefined;
  const added = after.find(line => !before.includes(line));
  const removed = before.find(line => !after.includes(line));
  const words = added ?? (removed === undefined ? 'order of lines' : `without ${removed}`);
  return words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words;
}

/** The sources are spread over the servers by their order. */
const hasOtherOrder = (old: Section, section: Section): boolean =>
  !isDynamic(section) && [...old.servers.keys()].join() !== [...section.servers.keys()].join();

/** A static algorithm lays its servers out once. Source: HAProxy 2.6 management guide, "add server" and "set weight". */
export const isDynamic = (section: Section): boolean =>
  section.lines.some(line => /^(balance (roundrobin|leastconn)|hash-type consistent)$/.test(line));
