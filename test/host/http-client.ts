/** Clients of a VIP: one request, many in turn, and load that counts every request and looks at every body. */
import { Agent, get, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { get as getOverTls } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from './until.ts';

const REQUEST_LIMIT_MS = 10_000;
const PAUSE_MS = 2;

export interface Answer {
  status: number;
  body: string;
  headers: IncomingHttpHeaders;
}

/** A connection of its own for each request, unless an agent is given. Redirects are not followed. */
export function ask(
  url: string,
  options: { agent?: Agent; limitMs?: number; headers?: OutgoingHttpHeaders } = {},
): Promise<Answer> {
  const { limitMs = REQUEST_LIMIT_MS, headers } = options;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(limitMs);
    const start = url.startsWith('https:') ? getOverTls : get;
    // Members sign their certificates themselves.
    const tls = { rejectUnauthorized: false };
    const asked = start(url, { agent: options.agent ?? false, signal, headers, ...tls }, response => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        if (response.complete) resolve({ status: response.statusCode!, body, headers: response.headers });
        else reject(new Error(`${url}: the answer broke off after ${body.length} characters`));
      });
    });
    asked.on('error', error => reject(new Error(`${url}: ${error.message}`, { cause: error })));
  });
}

/** Resolves when connections are refused, as they are once the process that listened before a reload has heard that it is to leave. */
export async function refuses(url: string): Promise<void> {
  const isRefused = () =>
    ask(url).then(
      () => false,
      ({ message }: Error) => message.includes('ECONNREFUSED'),
    );
  await until(`${url} to refuse connections`, isRefused);
}

/** Who answered how often, of so many requests one after the other, to each URL in turn; throws when an answer is not 200. */
export async function tally(
  urls: string | readonly string[],
  count: number,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const url = typeof urls === 'string' ? urls : urls[i % urls.length];
    const name = nameIn(await ask(`${url}/r/${i}`), `/r/${i}`);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** The name of the member, from an answer that echoes the path. */
function nameIn({ status, body }: Answer, path: string): string {
  const [name, echoed, ...rest] = body.split(' ');
  if (status !== 200 || echoed !== path || rest.length > 0) {
    throw new Error(`asked for ${path}, got ${status} with ${JSON.stringify(body.slice(0, 200))}`);
  }
  return name!;
}

export interface LoadOptions {
  keepAlive: boolean;
  /** Requests at the same time. */
  lanes?: number;
  /** What one request may take. */
  limitMs?: number;
}

/** Requests without end until it is stopped; each has its own path, and the body must be that path's. */
export class Load {
  /** By member. */
  readonly counts = new Map<string, number>();
  readonly failures: string[] = [];
  total = 0;
  /** The longest time in which no answer came. */
  longestGapMs = 0;
  #lastAnswerAt = performance.now();
  #stopped = false;
  readonly #url: string;
  readonly #agent: Agent | undefined;
  readonly #limitMs: number | undefined;
  readonly #lanes: Promise<void>[];

  constructor(url: string, { keepAlive, lanes = 2, limitMs }: LoadOptions) {
    this.#url = url;
    this.#limitMs = limitMs;
    this.#agent = keepAlive ? new Agent({ keepAlive: true, maxSockets: lanes }) : undefined;
    this.#lanes = Array.from({ length: lanes }, () => this.#run());
  }

  countOf(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#lanes);
    this.#agent?.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const path = `/r/${this.total++}`;
      try {
        const options = { agent: this.#agent, limitMs: this.#limitMs };
        const name = nameIn(await ask(this.#url + path, options), path);
        const now = performance.now();
        this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAnswerAt);
        this.#lastAnswerAt = now;
        this.counts.set(name, this.countOf(name) + 1);
      } catch (error) {
        this.failures.push(`${new Date().toISOString()} ${(error as Error).message}`);
      }
      await sleep(PAUSE_MS);
    }
  }
}
