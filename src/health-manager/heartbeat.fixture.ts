/** Heartbeats out of the few words that a test is about, through the real codec. */
import { Secret } from '../lib/secret.ts';
import { idOf } from '../model/graph.fixture.ts';
import type { HeartbeatStats } from '../wire/heartbeat.ts';
import { type DecodedHeartbeat, decodeHeartbeat, sealHeartbeat } from '../wire/heartbeat-codec.ts';

type PoolSketch = readonly [status: string, members: Record<string, string>];

export interface HeartbeatSketch {
  id?: string;
  /** 3 unless it is there; undefined leaves it out of the message. */
  ver?: number | undefined;
  /** Status by id. */
  listeners: Record<string, string>;
  /** By `pool` or `pool:listener`, as the message has them. */
  pools?: Record<string, PoolSketch>;
  /** Pools by listener, for versions below 2. */
  nested?: Record<string, Record<string, PoolSketch>>;
  stats?: Record<string, Partial<HeartbeatStats>>;
}

export const HEARTBEAT_KEY = new Secret('insecure');

export function packetOf(sketch: HeartbeatSketch): Buffer {
  const ver = 'ver' in sketch ? sketch.ver : 3;
  const pools = (named: Record<string, PoolSketch> = {}) =>
    Object.fromEntries(Object.entries(named).map(([id, [status, members]]) => [id, { status, members }]));
  const listeners = Object.entries(sketch.listeners).map(([id, status]) => {
    const stats = { tx: 0, rx: 0, conns: 0, totconns: 0, ereq: 0, ...sketch.stats?.[id] };
    return [id, { status, stats, ...(sketch.nested && { pools: pools(sketch.nested[id]) }) }];
  });
  const message = {
    id: sketch.id ?? idOf('amphora', 1),
    seq: 0,
    listeners: Object.fromEntries(listeners),
    ...(sketch.nested ? {} : { pools: pools(sketch.pools) }),
    ver,
  };
  return sealHeartbeat(JSON.stringify(message), HEARTBEAT_KEY);
}

export function heartbeatOf(sketch: HeartbeatSketch): DecodedHeartbeat {
  return decodeHeartbeat(packetOf(sketch), [HEARTBEAT_KEY])!;
}
