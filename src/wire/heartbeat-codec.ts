/** Heartbeats as bytes: compressed JSON followed by its MAC, written in today's form and read in every form since Mitaka. */
import { type BinaryToTextEncoding, createHmac, timingSafeEqual } from 'node:crypto';
import { constants, deflateSync, inflateSync } from 'node:zlib';
import type { Secret } from '../lib/secret.ts';
import type { Heartbeat, HeartbeatListener, HeartbeatStats } from './heartbeat.ts';

/** What haproxy or LVS says of one pool and its members. */
export interface DecodedPool {
  status: string;
  members: Map<string, string>;
}

/** A heartbeat of any version in one shape; maps, because the ids in it were chosen by whoever sent it. */
export interface DecodedHeartbeat {
  id: string;
  seq: number;
  /** undefined before Rocky: read as 0 for the statuses, as 2 for the counters. Source: contract heartbeat.md 8. */
  ver: number | undefined;
  listeners: Map<string, HeartbeatListener>;
  /** By plain pool id, whichever listeners it was reported behind. */
  pools: Map<string, DecodedPool>;
}

/** How long a MAC is at the end of a datagram: hex characters since Rocky, raw bytes before. Each is compared as what it is. */
const MAC_LENGTHS = { hex: 64, binary: 32 } as const satisfies Partial<Record<BinaryToTextEncoding, number>>;
/** The largest datagram compresses some ten times; more than this was made to hurt. */
const LIMIT = { maxOutputLength: 4 * 1024 * 1024 };
/** What nearly every message inflates to at most: a larger piece of memory for each costs more than all the rest of inflating. */
const MOST_RATIO = 4;

/** The datagram of one heartbeat. Source: contract heartbeat.md 1. */
export function encodeHeartbeat(heartbeat: Heartbeat, key: Secret): Buffer {
  return sealHeartbeat(JSON.stringify(heartbeat), key);
}

/** The envelope around a message that is JSON text already. */
export function sealHeartbeat(json: string, key: Secret): Buffer {
  const compressed = deflateSync(json, { level: constants.Z_BEST_COMPRESSION });
  return Buffer.concat([compressed, mac(compressed, key, 'hex')]);
}

/**
 * The heartbeat in a datagram that was signed with one of the keys; undefined when the signature or the content is
 * not what a heartbeat must be. Never throws, whatever the bytes.
 */
export function decodeHeartbeat(packet: Buffer, keys: Secret[]): DecodedHeartbeat | undefined {
  const json = openHeartbeat(packet, keys);
  return json && parseHeartbeat(json);
}

/** The text in a datagram, when it was signed with one of the keys. */
export function openHeartbeat(packet: Buffer, keys: Secret[]): Buffer | undefined {
  const compressed = openEnvelope(packet, keys, 'hex') ?? openEnvelope(packet, keys, 'binary');
  try {
    return compressed && inflateSync(compressed, { ...LIMIT, chunkSize: MOST_RATIO * compressed.length });
  } catch {
    // What does not inflate is not a heartbeat, which is all that the caller wants to know.
    return undefined;
  }
}

/** The heartbeat that the text is; undefined when it is none. */
export function parseHeartbeat(json: Buffer): DecodedHeartbeat | undefined {
  try {
    return readMessage(JSON.parse(json.toString('utf8')));
  } catch {
    // The same of what does not parse.
    return undefined;
  }
}

function mac(data: Uint8Array, key: Secret, form: keyof typeof MAC_LENGTHS): Buffer {
  // The key as text, which is read as UTF-8: one of bytes takes four times as long. The digest is made faster as text, too.
  return Buffer.from(createHmac('sha256', key.reveal()).update(data).digest(form), 'latin1');
}

/** The signed bytes before the MAC. */
function openEnvelope(packet: Buffer, keys: Secret[], form: keyof typeof MAC_LENGTHS): Buffer | undefined {
  const length = packet.length - MAC_LENGTHS[form];
  if (length <= 0) return undefined;
  const [compressed, received] = [packet.subarray(0, length), packet.subarray(length)];
  return keys.some(key => timingSafeEqual(mac(compressed, key, form), received)) ? compressed : undefined;
}

type JsonObject = Record<string, unknown>;

function readMessage(message: unknown): DecodedHeartbeat | undefined {
  if (!isObject(message) || typeof message.id !== 'string' || message.id === '') return undefined;
  const { ver, seq = 0 } = message;
  if (ver !== undefined && !isCount(ver)) return undefined;
  if (!isCount(seq)) return undefined;
  const nested = (ver ?? 0) < 2;

  const listeners = new Map<string, HeartbeatListener>();
  const pools = new Map<string, DecodedPool>();
  if (!isObject(message.listeners)) return undefined;
  for (const [id, value] of Object.entries(message.listeners)) {
    if (!isObject(value) || typeof value.status !== 'string') return undefined;
    const stats = readStats(value.stats);
    if (stats === undefined) return undefined;
    listeners.set(id, { status: value.status, stats });
    // The first listener that reports a shared pool wins. Source: contract heartbeat.md 5.3.
    if (nested && !readPools(value.pools ?? {}, pools, 'first')) return undefined;
  }
  // A pool behind two listeners appears as `pool:one` and `pool:two`; the last wins. Source: contract heartbeat.md 8.
  if (!nested && !readPools(message.pools ?? {}, pools, 'last')) return undefined;
  return { id: message.id, seq, ver, listeners, pools };
}

/** Mitaka sent no `ereq`; a counter that is absent counted nothing. */
function readStats(value: unknown): HeartbeatStats | undefined {
  if (!isObject(value)) return undefined;
  const { tx = 0, rx = 0, conns = 0, totconns = 0, ereq = 0 } = value;
  if (!isCount(tx) || !isCount(rx) || !isCount(conns) || !isCount(totconns) || !isCount(ereq))
    return undefined;
  return { tx, rx, conns, totconns, ereq };
}

function readPools(value: unknown, into: Map<string, DecodedPool>, wins: 'first' | 'last'): boolean {
  if (!isObject(value)) return false;
  for (const [key, pool] of Object.entries(value)) {
    if (!isObject(pool) || typeof pool.status !== 'string') return false;
    const members = readMembers(pool.members ?? {});
    if (members === undefined) return false;
    const end = key.lastIndexOf(':');
    const id = end < 0 ? key : key.slice(0, end);
    if (wins === 'last' || !into.has(id)) into.set(id, { status: pool.status, members });
  }
  return true;
}

function readMembers(value: unknown): Map<string, string> | undefined {
  if (!isObject(value)) return undefined;
  const members = new Map<string, string>();
  for (const [id, status] of Object.entries(value)) {
    if (typeof status !== 'string') return undefined;
    members.set(id, status);
  }
  return members;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
