/** Heartbeats that wait to be written: of each amphora the newest, with the counters of all of them. */
import type { HeartbeatStats } from '../wire/heartbeat.ts';
import type { DecodedHeartbeat } from '../wire/heartbeat-codec.ts';
import { countsDeltas } from './statistics.ts';

export interface ReceivedHeartbeat {
  /** The newest. */
  heartbeat: DecodedHeartbeat;
  receivedAtMs: number;
  /** What this and earlier heartbeats counted, by listener. */
  counted: Map<string, HeartbeatStats>;
}

/** As many as there are amphorae, so that it stays small while the database is away, and no counter is lost. */
export class PendingHeartbeats {
  /** In the order of the newest heartbeat; absolute counters and deltas of one amphora stand side by side. */
  #waiting = new Map<string, ReceivedHeartbeat>();

  get size(): number {
    return this.#waiting.size;
  }

  add(heartbeat: DecodedHeartbeat, receivedAtMs: number): void {
    const sums = this.#renew(heartbeat, receivedAtMs);
    const areDeltas = countsDeltas(heartbeat);
    for (const [id, { stats }] of heartbeat.listeners) count(sums, id, stats, areDeltas);
  }

  /** Takes the oldest out. */
  take(most: number): ReceivedHeartbeat[] {
    const taken: ReceivedHeartbeat[] = [];
    for (const [key, received] of this.#waiting) {
      if (taken.length === most) break;
      this.#waiting.delete(key);
      taken.push(received);
    }
    return taken;
  }

  /** What could not be written goes before what has arrived since. */
  putBack(batch: readonly ReceivedHeartbeat[]): void {
    const since = this.#waiting;
    this.#waiting = new Map();
    for (const { heartbeat, receivedAtMs, counted } of [...batch, ...since.values()]) {
      const sums = this.#renew(heartbeat, receivedAtMs);
      for (const [id, stats] of counted) count(sums, id, stats, countsDeltas(heartbeat));
    }
  }

  /** Makes it the newest of its amphora; returns the sums that its counters go into. */
  #renew(heartbeat: DecodedHeartbeat, receivedAtMs: number): ReceivedHeartbeat['counted'] {
    const key = countsDeltas(heartbeat) ? heartbeat.id : `absolute ${heartbeat.id}`;
    const counted = this.#waiting.get(key)?.counted ?? new Map<string, HeartbeatStats>();
    this.#waiting.delete(key);
    this.#waiting.set(key, { heartbeat, receivedAtMs, counted });
    return counted;
  }
}

function count(
  sums: Map<string, HeartbeatStats>,
  id: string,
  stats: HeartbeatStats,
  areDeltas: boolean,
): void {
  const sum = areDeltas ? sums.get(id) : undefined;
  if (sum === undefined) {
    // A copy: whoever read the heartbeat may use its counters again.
    sums.set(id, { ...stats });
    return;
  }
  sum.tx += stats.tx;
  sum.rx += stats.rx;
  sum.conns = stats.conns;
  sum.totconns += stats.totconns;
  sum.ereq += stats.ereq;
}
