/** RabbitMQ: nudges between processes, and messages that somebody outside must get. The one place that knows the broker. */
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  connect,
  type Options,
  type RecoveringChannelModel,
} from 'amqplib';
import { systemClock } from '../lib/clock.ts';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Queue } from './queue.ts';
import type { BrokerHost } from './transport-url.ts';

export interface BrokerOptions {
  /** Each try takes the next one. */
  hosts: readonly BrokerHost[];
  vhost: string;
  /** undefined: without TLS. */
  tls: { ca: Buffer | undefined } | undefined;
  /** After this silence the broker counts as gone; 0: never. */
  heartbeatSeconds: number;
  log: Log;
}

const CONNECT_LIMIT_MS = 10_000;
const CLOSE_LIMIT_MS = 2000;
const RECOVERY = { initialDelay: 200, maxDelay: 5000, waitForConnect: false };

/** A connection that is made again whenever it ends; nobody waits for it who does not want to. */
class RabbitConnection {
  readonly #options: BrokerOptions;
  #model: RecoveringChannelModel | undefined;
  #isKnownAsAway = false;

  constructor(options: BrokerOptions) {
    this.#options = options;
  }

  /** Returns at once. `setup` is called with every new connection. */
  async open(setup: (model: ChannelModel) => Promise<void>): Promise<void> {
    const { tls, heartbeatSeconds: heartbeat, vhost, log } = this.#options;
    let turn = 0;
    // Read anew at every try.
    const place: Options.Connect = { protocol: tls ? 'amqps' : 'amqp', vhost, heartbeat };
    const host = () => this.#options.hosts[turn % this.#options.hosts.length]!;
    const point = () => {
      const { host: hostname, port, username, password } = host();
      Object.assign(place, { hostname, port, username, password: password.reveal() });
    };
    point();
    const socket = { timeout: CONNECT_LIMIT_MS, noDelay: true, keepAlive: true, ...tls };
    const begin = async (made: ChannelModel) => {
      // Until its setup is done nobody else listens, and an end that nobody hears would end the process.
      made.on('error', () => undefined);
      await setup(made);
    };
    const model = await connect(place, { ...socket, recovery: { ...RECOVERY, setup: begin } });
    const onAway = (error: Error) => {
      if (!this.#isKnownAsAway)
        log.warn({ host: host().host, reason: errorChain(error) }, 'no message broker');
      this.#isKnownAsAway = true;
      turn++;
      point();
    };
    model.on('connect-failed', onAway);
    model.on('disconnect', onAway);
    model.on('connect', () => {
      this.#isKnownAsAway = false;
      log.info({ host: host().host }, 'message broker connected');
    });
    // What it tells is told by the events above.
    model.on('error', () => undefined);
    this.#model = model;
  }

  async createConfirmChannel(): Promise<ConfirmChannel> {
    return await this.#model!.createConfirmChannel();
  }

  async close(): Promise<void> {
    const limit = systemClock.sleep(CLOSE_LIMIT_MS);
    await Promise.race([this.#model?.close(), limit]);
  }
}

/** Nudges that no worker took for so long are found by a sweep. */
const NUDGES: Options.AssertQueue = { durable: true, messageTtl: 60_000, maxLength: 10_000 };
/** A worker that hangs holds up no more than these. */
const PREFETCH = 16;
const ID = /^[0-9a-f-]{36}$/;

/**
 * One queue for all workers, because any of them will do: with a copy for each all but one would ask the database for a lease in
 * vain. A nudge is acknowledged when it is heard, not when its pass ends: if the worker dies, the sweep of another knows.
 */
export class RabbitQueue implements Queue {
  readonly #connection: RabbitConnection;
  readonly #name: string;
  readonly #callbacks = new Set<(loadBalancerId: string) => void>();
  /** undefined while there is no broker. */
  #channel: Channel | undefined;
  #model: ChannelModel | undefined;
  #consumer: Promise<string> | undefined;
  #isFull = false;

  private constructor(name: string, options: BrokerOptions) {
    this.#name = name;
    this.#connection = new RabbitConnection(options);
  }

  /** Returns at once, whether or not there is a broker. `name` is what the queue is called there. */
  static async open(name: string, options: BrokerOptions): Promise<RabbitQueue> {
    const queue = new RabbitQueue(name, options);
    await queue.#connection.open(model => queue.#begin(model));
    return queue;
  }

  /** Never waits: what the broker does not take is heard by this process alone. */
  async notify(loadBalancerId: string): Promise<void> {
    if (!this.#send(loadBalancerId)) setImmediate(() => this.#hear(loadBalancerId));
  }

  consume(callback: (loadBalancerId: string) => void): () => void {
    this.#callbacks.add(callback);
    this.#listen();
    return () => {
      this.#callbacks.delete(callback);
      const [channel, consumer] = [this.#channel, this.#consumer];
      if (this.#callbacks.size > 0 || !channel || !consumer) return;
      this.#consumer = undefined;
      // A channel that ends meanwhile ends its consumer too.
      consumer.then(tag => channel.cancel(tag)).catch(() => undefined);
    };
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #begin(model: ChannelModel): Promise<void> {
    const channel = await model.createChannel();
    // Told by the end of the channel, which follows.
    channel.on('error', () => undefined);
    channel.on('drain', () => {
      this.#isFull = false;
    });
    channel.on('close', () => {
      if (this.#channel !== channel) return;
      this.#channel = undefined;
      this.#consumer = undefined;
      restart(model);
    });
    await channel.assertQueue(this.#name, NUDGES);
    await channel.prefetch(PREFETCH);
    this.#isFull = false;
    this.#channel = channel;
    this.#model = model;
    this.#listen();
  }

  /** Where there is a broker, and somebody who wants to hear. */
  #listen(): void {
    const [channel, model] = [this.#channel, this.#model];
    if (!channel || !model || this.#consumer || this.#callbacks.size === 0) return;
    const onMessage = (message: ConsumeMessage | null) => {
      // The queue was removed under us.
      if (!message) return restart(model);
      if (this.#callbacks.size === 0) return channel.nack(message);
      channel.ack(message);
      const id = message.content.toString();
      if (ID.test(id)) this.#hear(id);
    };
    const consumer = channel.consume(this.#name, onMessage).then(({ consumerTag }) => consumerTag);
    this.#consumer = consumer;
    // The channel has ended, and the next one listens again.
    consumer.catch(() => undefined);
  }

  #send(id: string): boolean {
    if (!this.#channel || this.#isFull) return false;
    try {
      this.#isFull = !this.#channel.sendToQueue(this.#name, Buffer.from(id));
      return true;
    } catch {
      // The channel is just ending; that is as if it had ended.
      return false;
    }
  }

  #hear(id: string): void {
    for (const callback of this.#callbacks) callback(id);
  }
}

/** A channel that ended alone is made again with a new connection. */
function restart(model: ChannelModel): void {
  // It may have ended already.
  model.close().catch(() => undefined);
}

/** For whoever listens outside: an exchange of the kind `topic`, and a queue under the key, so that nothing is lost before he listens. */
export interface PublishedMessage {
  exchange: string;
  key: string;
  /** JSON. */
  body: string;
  /** Whether exchange and queue outlive the broker, and with them the message; they must be as others have declared them. */
  kind: 'transient' | 'durable' | 'quorum';
}

const PUBLISH_LIMIT_MS = 10_000;

export class RabbitPublisher {
  readonly #connection: RabbitConnection;
  #channel: Promise<ConfirmChannel> | undefined;
  readonly #declared = new Set<string>();

  private constructor(options: BrokerOptions) {
    this.#connection = new RabbitConnection(options);
  }

  static async open(options: BrokerOptions): Promise<RabbitPublisher> {
    const publisher = new RabbitPublisher(options);
    await publisher.#connection.open(async () => undefined);
    return publisher;
  }

  /** Returns when the broker has confirmed it; throws when it may not have it. */
  async publish(message: PublishedMessage, signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PUBLISH_LIMIT_MS)]);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const onLate = () => reject(limit.reason);
    limit.addEventListener('abort', onLate);
    if (limit.aborted) onLate();
    try {
      await Promise.race([late, this.#publish(message)]);
    } catch (cause) {
      throw new Error(`Cannot publish to exchange ${message.exchange}`, { cause });
    } finally {
      limit.removeEventListener('abort', onLate);
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #publish({ exchange, key, body, kind }: PublishedMessage): Promise<void> {
    this.#channel ??= this.#open();
    const channel = await this.#channel;
    const durable = kind !== 'transient';
    if (!this.#declared.has(`${exchange} ${key}`)) {
      await channel.assertExchange(exchange, 'topic', { durable });
      const type = kind === 'quorum' && { arguments: { 'x-queue-type': 'quorum' } };
      await channel.assertQueue(key, { durable, ...type });
      await channel.bindQueue(key, exchange, key);
      this.#declared.add(`${exchange} ${key}`);
    }
    const properties = { contentType: 'application/json', contentEncoding: 'utf-8', persistent: true };
    await new Promise<void>((confirmed, refused) => {
      channel.publish(exchange, key, Buffer.from(body), properties, error =>
        error ? refused(error) : confirmed(),
      );
    });
  }

  /** Waits for a broker; all messages meanwhile wait for the same channel. */
  async #open(): Promise<ConfirmChannel> {
    const forget = () => {
      this.#channel = undefined;
      this.#declared.clear();
    };
    try {
      const channel = await this.#connection.createConfirmChannel();
      // Whoever publishes is told.
      channel.on('error', () => undefined);
      channel.on('close', forget);
      return channel;
    } catch (error) {
      forget();
      throw error;
    }
  }
}
