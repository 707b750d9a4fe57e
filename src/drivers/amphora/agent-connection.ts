/** The TLS connection to one agent, kept open between calls, and the rules for what its replies mean. */
import { checkServerIdentity } from 'node:tls';
import { Agent, request } from 'undici';
import { AGENT_API_VERSION, AGENT_PORT } from '../../wire/agent-api.ts';
import type { CertificateAuthority } from '../certificates/authority.ts';

export interface AgentConnectionOptions {
  amphoraId: string;
  address: string;
  authority: Pick<CertificateAuthority, 'controllerCredentials'>;
  /** 9443 when absent. */
  port?: number;
  connectTimeoutMs?: number;
  readTimeoutMs?: number;
}

export interface AgentRequest {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Below `/<api version>/`. */
  path: string;
  /** Sent as it is, without a content type. */
  body?: string;
  json?: unknown;
  /** Error statuses that the caller wants to see instead of an exception. */
  tolerated?: readonly number[];
  signal?: AbortSignal;
}

export interface AgentReply {
  status: number;
  /** Without quotes. */
  etag: string | undefined;
  text: string;
  /** undefined when the body is not JSON. */
  json: unknown;
}

/** The agent answered with an error. */
export class AgentError extends Error {
  readonly status: number;
  constructor(sentence: string, status: number) {
    super(sentence);
    this.name = 'AgentError';
    this.status = status;
  }
}

/** Source: contract amphora-agent.md 9 (rest_request_conn_timeout, rest_request_read_timeout). */
const CONNECT_TIMEOUT_MS = 10_000;
const READ_TIMEOUT_MS = 60_000;
const MAX_REPLY_BYTES = 16 * 1024 * 1024;
/** An API 0.5 agent has no discovery route and says so. */
const OLD_API_VERSION = '0.5';

export class AgentConnection {
  readonly address: string;
  readonly #options: AgentConnectionOptions;
  #agent: Promise<Agent> | undefined;
  #apiVersion: string | undefined;

  constructor(options: AgentConnectionOptions) {
    this.#options = options;
    this.address = options.address;
  }

  /** Asked once and then remembered; undefined while something answers that is no agent yet. */
  async findApiVersion(signal?: AbortSignal): Promise<string | undefined> {
    if (this.#apiVersion !== undefined) return this.#apiVersion;
    const reply = await this.#send('/', { method: 'GET', path: '', tolerated: [404], signal });
    if (reply.status === 404 && reply.json === undefined) return undefined;
    const version = (reply.json as { api_version?: unknown } | undefined)?.api_version;
    this.#apiVersion = reply.status === 404 ? OLD_API_VERSION : String(version);
    return this.#apiVersion;
  }

  /** Throws on an error status that is not tolerated, with the agent's words. */
  request(call: AgentRequest): Promise<AgentReply> {
    return this.#send(`/${AGENT_API_VERSION}/${call.path}`, call);
  }

  /** Throws when the reply is an error. */
  check(reply: AgentReply, what = 'the request'): AgentReply {
    if (reply.status < 400) return reply;
    const { message, details, error } = (reply.json ?? {}) as Record<string, unknown>;
    const words = [message ?? error, details].filter(Boolean).join(': ') || reply.text.slice(0, 500);
    throw new AgentError(
      `Amphora ${this.#options.amphoraId} answers ${what} with ${reply.status}: ${words}`,
      reply.status,
    );
  }

  async close(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await (await agent)?.destroy();
  }

  async #send(path: string, call: AgentRequest): Promise<AgentReply> {
    const host = this.address.includes(':') ? `[${this.address}]` : this.address;
    const what = `${call.method} ${path}`;
    const reply = await this.#exchange(
      `https://${host}:${this.#options.port ?? AGENT_PORT}${path}`,
      call,
    ).catch((cause: unknown) => {
      throw new Error(`Cannot send ${what} to amphora ${this.#options.amphoraId} at ${this.address}`, {
        cause,
      });
    });
    return call.tolerated?.includes(reply.status) ? reply : this.check(reply, what);
  }

  async #exchange(url: string, call: AgentRequest): Promise<AgentReply> {
    const body = call.json === undefined ? call.body : JSON.stringify(call.json);
    const response = await request(url, {
      method: call.method,
      dispatcher: await this.#dispatcher(),
      body: body ?? null,
      signal: call.signal,
      headers: {
        'user-agent': `Ottavia/${AGENT_API_VERSION}`,
        ...(call.json === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    const text = await response.body.text();
    const etag = response.headers.etag;
    return {
      status: response.statusCode,
      etag: typeof etag === 'string' ? etag.replaceAll('"', '') : undefined,
      text,
      json: parseJson(text),
    };
  }

  #dispatcher(): Promise<Agent> {
    if (this.#agent) return this.#agent;
    const forget = () => {
      if (this.#agent === opened) this.#agent = undefined;
    };
    // Without credentials there is no connection, and an idle one keeps no memory: the next call starts anew.
    const opened = this.#connect().then(
      agent => agent.on('disconnect', forget),
      error => {
        forget();
        throw error;
      },
    );
    this.#agent = opened;
    return opened;
  }

  async #connect(): Promise<Agent> {
    const { amphoraId, authority } = this.#options;
    const { certificate, key, serverCa } = await authority.controllerCredentials();
    const readTimeoutMs = this.#options.readTimeoutMs ?? READ_TIMEOUT_MS;
    return new Agent({
      connections: 1,
      pipelining: 1,
      keepAliveTimeout: 4_000,
      headersTimeout: readTimeoutMs,
      bodyTimeout: readTimeoutMs,
      maxResponseSize: MAX_REPLY_BYTES,
      connect: {
        timeout: this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
        ca: serverCa,
        cert: certificate,
        key: key.reveal(),
        minVersion: 'TLSv1.2',
        servername: amphoraId,
        // The agent is known by the amphora's id, whatever its address.
        checkServerIdentity: (_host, peer) => checkServerIdentity(amphoraId, peer),
      },
    });
  }
}

const NOT_ANSWERING = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** Nobody listens, or nobody is quick enough; a peer that answers wrongly is something else. */
export function isNotAnswering(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e.name === 'TimeoutError' || NOT_ANSWERING.has((e as { code?: string }).code ?? '')) return true;
  }
  return false;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not every reply is JSON: a configuration is text, a proxy's error page is HTML.
    return undefined;
  }
}
