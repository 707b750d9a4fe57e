/** Receives heartbeats, and writes what they change in batches: many amphorae, one transaction. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, isIPv6 } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { Queue } from '../queue/queue.ts';
import { HeartbeatReader } from '../wire/heartbeat-reader.ts';
import { decideHealth, type HealthRemark } from './decide.ts';
import type { HealthStore } from './health-store.ts';
import { OnceAMinute } from './once-a-minute.ts';
import { PendingHeartbeats, type ReceivedHeartbeat } from './pending.ts';

export interface HealthManagerOptions {
  bindIp: string;
  /** 0 lets the system choose; `address()` tells which. */
  bindPort: number;
  /** More than one while keys are being changed. */
  keys: Secret[];
  heartbeatIntervalMs: number;
  heartbeatTimeoutMs: number;
}

export interface HealthManagerParts {
  store: HealthStore;
  queue: Queue;
  clock: Clock;
  log: Log;
}

/** How long the first heartbeat of a batch waits for company. */
const BATCH_MS = 20;
/**
 * After many there is a pause of as many milliseconds, up to this: the more arrive, the more share a row. With the time to write
 * them it stays below a second, so that a status is never older than that.
 */
const LONGEST_PAUSE_MS = 700;
/** Of amphorae in one transaction: others who write wait for no more than some tens of milliseconds. */
const LARGEST_BATCH = 250;
/** Amphorae whose heartbeats are held while the database does not answer: with ten listeners each, some 200 MB. */
const MOST_PENDING = 50_000;
/** After a failure, doubled by each further one: a deadlock is over at once, an outage is not. */
const [FIRST_RETRY_MS, LAST_RETRY_MS] = [20, 2000];
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

export class HealthManager {
  readonly #options: HealthManagerOptions;
  readonly #parts: HealthManagerParts;
  readonly #stopping = new AbortController();
  readonly #limit = new OnceAMinute();
  readonly #pending = new PendingHeartbeats();
  readonly #reader: HeartbeatReader;
  #drained: Promise<void> | undefined;
  #socket: Socket | undefined;

  constructor(options: HealthManagerOptions, parts: HealthManagerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#reader = new HeartbeatReader(options.keys);
  }

  /** Returns when heartbeats are received. Throws when the address cannot be bound. */
  async start(): Promise<void> {
    const { bindIp, bindPort } = this.#options;
    const socket = createSocket({
      type: isIPv6(bindIp) ? 'udp6' : 'udp4',
      recvBufferSize: RECEIVE_BUFFER_BYTES,
    });
    socket.on('message', (packet, source) => this.#receive(packet, source));
    try {
      socket.bind(bindPort, bindIp);
      await once(socket, 'listening');
    } catch (cause) {
      socket.close();
      throw new Error(`Cannot receive heartbeats on ${bindIp} port ${bindPort}`, { cause });
    }
    socket.on('error', error =>
      this.#parts.log.error({ error: errorChain(error) }, 'heartbeat socket failed'),
    );
    const bytes = socket.getRecvBufferSize();
    if (bytes < RECEIVE_BUFFER_BYTES)
      this.#parts.log.info(
        { receive_buffer_bytes: bytes, wanted_bytes: RECEIVE_BUFFER_BYTES },
        'heartbeats of very many amphorae may be lost in bursts: raise net.core.rmem_max',
      );
    this.#socket = socket;
  }

  address(): AddressInfo {
    if (this.#socket === undefined)
      throw new Error('Cannot tell the address of a health manager that is not started');
    return this.#socket.address();
  }

  /** Writes what has arrived, once more if need be, and returns when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket !== undefined) {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    }
    await this.#drained;
  }

  #receive(packet: Buffer, source: RemoteInfo): void {
    const receivedAtMs = this.#parts.clock.now();
    const heartbeat = this.#reader.decode(packet);
    if (heartbeat === undefined) {
      this.#drop(source.address, 'datagrams dropped: not signed with our key, or not heartbeats');
      return;
    }
    if (this.#pending.size >= MOST_PENDING) {
      this.#drop('database', 'heartbeats dropped: more arrive than can be written');
      return;
    }
    this.#pending.add(heartbeat, receivedAtMs);
    this.#drained ??= this.#drain().finally(() => {
      this.#drained = undefined;
    });
  }

  /** One batch at a time, so that the heartbeats of an amphora are processed in their order. */
  async #drain(): Promise<void> {
    await this.#pause(BATCH_MS);
    let written = 0;
    let retryMs = FIRST_RETRY_MS;
    while (this.#pending.size > 0) {
      const batch = this.#pending.take(LARGEST_BATCH);
      try {
        await this.#process(batch);
        written += batch.length;
        retryMs = FIRST_RETRY_MS;
        const isLast = this.#pending.size < LARGEST_BATCH;
        // Between two as well, what has arrived is fetched from the socket.
        await this.#pause(isLast ? Math.min(written, LONGEST_PAUSE_MS) : 1);
        if (isLast) written = 0;
      } catch (error) {
        // The counters in them exist nowhere else: they are kept for when the database answers again.
        this.#pending.putBack(batch);
        const due = this.#limit.hit('batch', this.#parts.clock.now());
        if (due !== undefined) {
          this.#parts.log.error({ error: errorChain(error), failures: due.count }, 'cannot write heartbeats');
        }
        if (this.#stopping.signal.aborted) return;
        await this.#pause(retryMs);
        retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
      }
    }
  }

  async #process(batch: ReceivedHeartbeat[]): Promise<void> {
    const { store, queue, clock } = this.#parts;
    const nowMs = clock.now();
    const ids = [...new Set(batch.map(({ heartbeat }) => heartbeat.id))];
    let remarks: HealthRemark[] = [];
    const owing = await store.update(ids, nowMs, watched => {
      const decision = decideHealth(batch, watched, {
        nowMs,
        staleAfterMs: this.#options.heartbeatIntervalMs,
        graceMs: this.#options.heartbeatTimeoutMs,
      });
      remarks = decision.remarks;
      return decision;
    });
    for (const { amphora_id, message, fields } of remarks) {
      const due = this.#limit.hit(`${amphora_id} ${message}`, nowMs);
      if (due !== undefined) this.#parts.log.warn({ ...fields, times: due.count }, message);
    }
    for (const id of owing) await queue.notify(id);
  }

  #drop(source: string, message: string): void {
    const due = this.#limit.hit(`${source} ${message}`, this.#parts.clock.now());
    if (due !== undefined) this.#parts.log.warn({ source, dropped: due.count }, message);
  }

  async #pause(ms: number): Promise<void> {
    try {
      await this.#parts.clock.sleep(ms, this.#stopping.signal);
    } catch {
      // Stopping: what is pending is written at once.
    }
  }
}
