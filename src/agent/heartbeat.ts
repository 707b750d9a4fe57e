/** Tells the health managers what this amphora sees: regularly, and at once when something changed. Source: contract heartbeat.md 1 to 3. */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { HEARTBEAT_VERSION, type Heartbeat } from '../wire/heartbeat.ts';
import { encodeHeartbeat } from '../wire/heartbeat-codec.ts';
import type { HeartbeatSettings } from './config.ts';
import type { Counters, Totals } from './counters.ts';
import type { Look } from './observe.ts';

/** The message for these looks, with the changes of the counters. */
export function buildHeartbeat(id: string, seq: number, looks: readonly Look[], changes: Totals): Heartbeat {
  const heartbeat: Heartbeat = { id, seq, listeners: {}, pools: {}, ver: HEARTBEAT_VERSION };
  for (const { observation } of looks) {
    for (const [listener, { status, conns }] of Object.entries(observation.listeners)) {
      const { bin, bout, stot, ereq } = changes[listener]!;
      heartbeat.listeners[listener] = { status, stats: { tx: bout, rx: bin, conns, totconns: stot, ereq } };
    }
    Object.assign(heartbeat.pools, observation.pools);
  }
  return heartbeat;
}

export class HeartbeatSender {
  readonly #amphoraId: string;
  readonly #counters: Counters;
  readonly #log: Log;
  #settings: HeartbeatSettings;
  #sequence = 0;
  #turn = 0;
  /** By address and port. */
  #sockets = new Map<string, Socket>();

  constructor(amphoraId: string, settings: HeartbeatSettings, counters: Counters, log: Log) {
    this.#amphoraId = amphoraId;
    this.#settings = settings;
    this.#counters = counters;
    this.#log = log;
  }

  set settings(settings: HeartbeatSettings) {
    this.#settings = settings;
  }

  /**
   * Sends one message to the next destination. What a message that is known not to have arrived would have counted goes
   * with the next one; any other may be lost, as datagrams are.
   */
  async send(looks: readonly Look[]): Promise<void> {
    const { destinations, key } = this.#settings;
    const destination = destinations[this.#turn++ % Math.max(destinations.length, 1)];
    if (destination === undefined) return;
    const totals: Totals = {};
    for (const { observation } of looks) {
      for (const [listener, { counters }] of Object.entries(observation.listeners))
        totals[listener] = counters;
    }
    const heartbeat = buildHeartbeat(
      this.#amphoraId,
      this.#sequence++,
      looks,
      this.#counters.changes(totals),
    );
    try {
      const address = await resolve(destination.host);
      const socket = await this.#socket(address, destination.port);
      const packet = encodeHeartbeat(heartbeat, key);
      await new Promise<void>((done, fail) => {
        socket.send(packet, error => (error ? fail(error) : done()));
      });
      this.#counters.remember(totals);
    } catch (error) {
      // What was counted was not remembered, so it goes with the next one. The refusal is of the message before.
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') this.#counters.takeBack();
      this.#log.warn({ destination: destination.host, reason: errorChain(error) }, 'heartbeat not sent');
    }
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  /** A connected one: only these are told when nobody listens at the other end, as while a controller restarts. */
  async #socket(address: string, port: number): Promise<Socket> {
    const name = `${address} ${port}`;
    const present = this.#sockets.get(name);
    if (present !== undefined) return present;
    const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
    this.#sockets.set(name, socket);
    try {
      await new Promise<void>((done, fail) => {
        socket.once('error', fail);
        socket.connect(port, address, () => done());
      });
    } catch (error) {
      this.#sockets.delete(name);
      socket.close();
      throw error;
    }
    socket.removeAllListeners('error');
    socket.on('error', error => {
      this.#counters.takeBack();
      this.#log.debug({ destination: address, reason: error.message }, 'heartbeat not delivered');
    });
    return socket;
  }
}

async function resolve(host: string): Promise<string> {
  return isIP(host) === 0 ? (await lookup(host)).address : host;
}
