/** The heartbeat: what an amphora saw since its last one. Source: contract heartbeat.md 1 and 2. */

export const HEARTBEAT_VERSION = 3;

export interface HeartbeatStats {
  tx: number;
  rx: number;
  conns: number;
  totconns: number;
  ereq: number;
}

export interface HeartbeatListener {
  status: string;
  stats: HeartbeatStats;
}

export interface HeartbeatPool {
  status: string;
  members: Record<string, string>;
}

/** A version 3 message: counters are deltas since the previous one, `conns` is absolute. */
export interface Heartbeat {
  id: string;
  seq: number;
  listeners: Record<string, HeartbeatListener>;
  /** Keyed by `<pool>:<listener>`. */
  pools: Record<string, HeartbeatPool>;
  ver: number;
}
