/** Heartbeats that wait to be written: of each amphora the newest, with the counters of all of them. */
import type { HeartbeatStats } from '../wire/heartbeat.ts';
import type { DecodedHeartbeat } from '../wire/heartbeat-codec.ts';
import { countsDeltas } from './statistics.ts';

export interface ReceivedHeartbeat {
  /** The newest. */
  heartbeat: DecodedHeartbeat;
  receivedAtMs: number;
  /** What this and earlier heartbeats counted, by listener. */
  counted: ReadonlyMap<string, HeartbeatStats>;
}

/** As many as there are amphorae, so that it stays small while the database is away, and no counter is lost. */
export class PendingHeartbeats {
  /** In the order of the newest heartbeat; absolute counters and deltas of one amphora stand side by side. */
  #waiting = new Map<string, ReceivedHeartbeat>();

  get size(): number {
    return this.#waiting.size;
  }

  add(heartbeat: DecodedHeartbeat, receivedAtMs: number): void {
    this.#put({ heartbeat, receivedAtMs, counted: statsOf(heartbeat) });
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
    for (const received of batch) this.#put(received);
    for (const received of since.values()) this.#put(received);
  }

  #put(newest: ReceivedHeartbeat): void {
    const { heartbeat } = newest;
    const key = `${heartbeat.ver} ${heartbeat.id}`;
    const before = this.#waiting.get(key);
    this.#waiting.delete(key);
    const counted = before ? addUp(before.counted, newest.counted, countsDeltas(heartbeat)) : newest.counted;
    this.#waiting.set(key, { ...newest, counted });
  }
}

const statsOf = ({ listeners }: DecodedHeartbeat): Map<string, HeartbeatStats> =>
  new Map([...listeners].map(([id, { stats }]) => [id, stats]));

function addUp(
  earlier: ReceivedHeartbeat['counted'],
  later: ReceivedHeartbeat['counted'],
  areDeltas: boolean,
): Map<string, HeartbeatStats> {
  const sums = new Map(earlier);
  for (const [id, stats] of later) {
    const before = areDeltas ? earlier.get(id) : undefined;
    sums.set(id, before ? sumOf(before, stats) : stats);
  }
  return sums;
}

const sumOf = (a: HeartbeatStats, b: HeartbeatStats): HeartbeatStats => ({
  tx: a.tx + b.tx,
  rx: a.rx + b.rx,
  conns: b.conns,
  totconns: a.totconns + b.totconns,
  ereq: a.ereq + b.ereq,
});
