/** The traffic of a measurement: members on this host, single requests through a VIP, and a steady light load. */
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './bench-types.ts';

const ANSWER = 'ok\n';
const REQUEST_LIMIT_MS = 2000;
/** While nobody has the address yet, a connection attempt only waits for its time to run out. */
const SHORT_LIMIT_MS = 50;
const ANSWER_LIMIT_MS = 30_000;

/** A web server on the host's own address in the members' network; knows when each request came. */
export class MemberServer implements AsyncDisposable {
  readonly address: string;
  readonly arrivals: number[] = [];
  readonly #server: Server;

  private constructor(address: string, server: Server) {
    this.address = address;
    this.#server = server;
  }

  static async start(address: string): Promise<MemberServer> {
    const server = createServer((_request, response) => {
      member.arrivals.push(nowMs());
      response.end(ANSWER);
    });
    const member = new MemberServer(address, server);
    server.listen(0, address);
    await once(server, 'listening');
    return member;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The first arrival at or after this time. */
  firstSince(ms: number): number | undefined {
    return this.arrivals.find(at => at >= ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** One request on a connection of its own; undefined when the right answer came, else what came instead. */
export function ask(address: string, limitMs = REQUEST_LIMIT_MS): Promise<string | undefined> {
  return new Promise(resolve => {
    const sent = request({ host: address, port: 80, agent: false }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk;
      });
      response.on('error', error => end(error.message));
      response.on('end', () =>
        end(response.statusCode === 200 && text === ANSWER ? undefined : `status ${response.statusCode}`),
      );
    });
    const timer = setTimeout(() => end(`no answer within ${limitMs} ms`), limitMs);
    const end = (failure: string | undefined) => {
      clearTimeout(timer);
      sent.destroy();
      resolve(failure);
    };
    sent.on('error', error => end(error.message));
    sent.end();
  });
}

/** Asks through the VIP until the right answer comes; returns that moment. */
export async function awaitAnswer(address: string, everyMs: number, signal: AbortSignal): Promise<number> {
  const deadline = nowMs() + ANSWER_LIMIT_MS;
  for (;;) {
    const failure = await ask(address, SHORT_LIMIT_MS);
    if (failure === undefined) return nowMs();
    if (nowMs() > deadline)
      throw new Error(`Waited ${ANSWER_LIMIT_MS} ms for ${address} to answer: ${failure}`);
    await sleep(everyMs, undefined, { signal });
  }
}

/** Sends a request every so often, each on a connection of its own, whether or not the one before was answered. */
export class LightLoad implements AsyncDisposable {
  readonly failures: string[] = [];
  sent = 0;
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Set<Promise<void>>();

  constructor(address: string, everyMs: number) {
    this.#timer = setInterval(() => {
      this.sent++;
      const one = ask(address).then(failure => {
        this.#open.delete(one);
        if (failure !== undefined) this.failures.push(failure);
      });
      this.#open.add(one);
    }, everyMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
  }
}
