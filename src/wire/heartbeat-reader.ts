/** Reads heartbeats by what the amphora said last: nearly always only numbers differ, and nothing else need be parsed. */
import type { Secret } from '../lib/secret.ts';
import type { HeartbeatStats } from './heartbeat.ts';
import { type DecodedHeartbeat, openHeartbeat, parseHeartbeat } from './heartbeat-codec.ts';

/** A message of which only the numbers may differ. */
interface Pattern {
  json: Buffer;
  /** Where a number begins, where it ends, where the next one begins, and so on; at last where the message ends. */
  edges: Uint32Array;
  /** What the newest message said. */
  heartbeat: DecodedHeartbeat;
  /** Of each listener of it, and where among the numbers they are, in the order of `COUNTS`. */
  stats: HeartbeatStats[];
  places: Uint32Array;
  seqPlace: number;
  verPlace: number;
  /** Messages since the last one that was like it. */
  misses: number;
}

const COUNTS = ['tx', 'rx', 'conns', 'totconns', 'ereq'] as const satisfies (keyof HeartbeatStats)[];
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;
/** The place of a count that is absent, of which the value is 0, comes before; a version below 2 has another shape. */
const FIRST_PLACE = 2;
const MOST_MISSES = 2;
const LONGEST_PATTERN = 64 * 1024;
/** Of all patterns together: some twenty thousand amphorae with ten listeners each. */
const MOST_LENGTH = 64 * 1024 * 1024;
/** Below it, comparing here is faster than asking for it. */
const SHORT = 100;
const [COMMA, ZERO] = [44, 48];

export class HeartbeatReader {
  readonly #keys: Secret[];
  readonly #mostLength: number;
  /** By the beginning of the message, in which all agents but the very old name the amphora. */
  readonly #patterns = new Map<string, Pattern>();
  #length = 0;
  /** Of the message that is being read. */
  readonly #numbers = [0, 0];

  constructor(keys: Secret[], mostLength = MOST_LENGTH) {
    this.#keys = keys;
    this.#mostLength = mostLength;
  }

  /** As `decodeHeartbeat`, but good only until the next heartbeat of the same amphora, which may overwrite the numbers in it. */
  decode(packet: Buffer): DecodedHeartbeat | undefined {
    const json = openHeartbeat(packet, this.#keys);
    if (json === undefined) return undefined;
    const head = json.toString('latin1', 0, Math.max(0, json.indexOf(COMMA)));
    const known = this.#patterns.get(head);
    const same = known && readByPattern(known, json, this.#numbers);
    if (same !== undefined) return same;
    const heartbeat = parseHeartbeat(json);
    if (known !== undefined) {
      // Who says something else once may come back to it, as members do that come and go; learning costs more than parsing.
      if (++known.misses < MOST_MISSES) return heartbeat;
      this.#forget(head, known);
    }
    if (heartbeat !== undefined && json.length <= LONGEST_PATTERN)
      this.#learn(head, Buffer.from(json), heartbeat);
    return heartbeat;
  }

  #learn(head: string, json: Buffer, heartbeat: DecodedHeartbeat): void {
    const pattern = makePattern(json, heartbeat);
    if (pattern === undefined) return;
    this.#patterns.set(head, pattern);
    this.#length += json.length;
    for (const [oldest, known] of this.#patterns) {
      if (this.#length <= this.#mostLength) break;
      this.#forget(oldest, known);
    }
  }

  #forget(head: string, { json }: Pattern): void {
    this.#patterns.delete(head);
    this.#length -= json.length;
  }
}

/** undefined for a message of another shape than those of today. */
function makePattern(json: Buffer, heartbeat: DecodedHeartbeat): Pattern | undefined {
  if ((heartbeat.ver ?? 0) < FIRST_PLACE) return undefined;
  // Each byte a character, so that places in both are the same.
  const text = json.toString('latin1');
  const edges: number[] = [];
  let message = '';
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    if (token.startsWith('"')) continue;
    message += text.slice(edges.at(-1) ?? 0, index) + (FIRST_PLACE + edges.length / 2);
    edges.push(index, index + token.length);
  }
  message += text.slice(edges.at(-1) ?? 0);
  edges.push(json.length);
  const numbered = parseHeartbeat(Buffer.from(message, 'latin1'));
  if (numbered === undefined) return undefined;
  const { seq: seqPlace, ver: verPlace } = numbered;
  const numbers = [...numbered.listeners.values()].flatMap(({ stats }) => COUNTS.map(name => stats[name]));
  const stats = [...heartbeat.listeners.values()].map(each => each.stats);
  const places = Uint32Array.from(numbers);
  return {
    json,
    edges: Uint32Array.from(edges),
    heartbeat,
    stats,
    places,
    seqPlace,
    verPlace: verPlace!,
    misses: 0,
  };
}

/** Makes nothing anew for each message: collecting that again would cost as much as reading. */
function readByPattern(pattern: Pattern, json: Buffer, numbers: number[]): DecodedHeartbeat | undefined {
  const { json: known, edges, heartbeat, stats, places, seqPlace, verPlace } = pattern;
  let [at, from, place] = [0, 0, FIRST_PLACE];
  for (let edge = 0; ; edge += 2) {
    const until = edges[edge]!;
    if (!isSame(known, from, until, json, at)) return undefined;
    at += until - from;
    if (until === known.length) break;
    from = edges[edge + 1]!;
    const start = at;
    let value = 0;
    while (json[at]! >= ZERO && json[at]! <= ZERO + 9) value = value * 10 + json[at++]! - ZERO;
    // No number of JSON, or not one that is exact: whoever parses it will tell.
    if (at === start || at - start > 15 || (at - start > 1 && json[start] === ZERO)) return undefined;
    numbers[place++] = value;
  }
  if (at !== json.length || numbers[verPlace] !== heartbeat.ver) return undefined;
  pattern.misses = 0;
  heartbeat.seq = numbers[seqPlace]!;
  place = 0;
  for (const each of stats) {
    each.tx = numbers[places[place++]!]!;
    each.rx = numbers[places[place++]!]!;
    each.conns = numbers[places[place++]!]!;
    each.totconns = numbers[places[place++]!]!;
    each.ereq = numbers[places[place++]!]!;
  }
  return heartbeat;
}

/** Whether what is known between two places stands in the message at a third. */
function isSame(known: Buffer, from: number, until: number, json: Buffer, at: number): boolean {
  const length = until - from;
  if (length > SHORT)
    return at + length <= json.length && json.compare(known, from, until, at, at + length) === 0;
  for (let i = 0; i < length; i++) if (json[at + i] !== known[from + i]) return false;
  return true;
}
