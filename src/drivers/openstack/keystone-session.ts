/** Talks to a Keystone v3 as the service's own user: logs in, logs in again when the token has ended, and tries again what may pass. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { type Clock, systemClock } from '../../lib/clock.ts';
import type { Secret } from '../../lib/secret.ts';

export interface KeystoneOptions {
  /** With or without the version at its end. */
  url: string;
  username: string;
  password: Secret;
  /** null: a token without a project. */
  projectName: string | null;
  userDomain: Domain;
  projectDomain: Domain;
  /** The file with who signed Keystone's certificate; null: whom the system trusts. */
  caFile: string | null;
  /** Whether any certificate will do. */
  insecure: boolean;
  connectTimeoutMs?: number;
  /** How long one try may take. */
  timeoutMs?: number;
  /** How long all tries together may take. */
  patienceMs?: number;
  retries?: number;
  clock?: Clock;
}

export type Domain = { id: string } | { name: string };

export interface KeystoneReply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** undefined when the body is not JSON. */
  json: unknown;
}

interface Login {
  token: string;
  expiresAtMs: number;
}

const CONNECT_TIMEOUT_MS = 3_000;
const TIMEOUT_MS = 5_000;
const PATIENCE_MS = 12_000;
const FIRST_PAUSE_MS = 100;
const MAX_REPLY_BYTES = 8 * 1024 * 1024;
/** A token so near its end might end on the way. */
const RENEWAL_MS = 60_000;

export class KeystoneSession {
  readonly #options: KeystoneOptions;
  readonly #base: string;
  readonly #agent: Agent;
  readonly #clock: Clock;
  #login: Promise<Login> | undefined;

  constructor(options: KeystoneOptions) {
    this.#options = options;
    this.#base = `${options.url.replace(/\/+$/, '').replace(/\/v(2\.0|3)$/, '')}/v3`;
    this.#clock = options.clock ?? systemClock;
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#agent = new Agent({
      connections: 16,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      maxResponseSize: MAX_REPLY_BYTES,
      connect: {
        timeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
        rejectUnauthorized: !options.insecure,
        ...(options.caFile !== null && { ca: readFileSync(options.caFile, 'utf8') }),
      },
    });
  }

  /** Sends a GET under the own token. A reply that is an error is returned; throws when there is none to be had. */
  async get(path: string, headers: Record<string, string>): Promise<KeystoneReply> {
    const signal = AbortSignal.timeout(this.#options.patienceMs ?? PATIENCE_MS);
    let login: Login;
    const send = async () => {
      login = await this.#validLogin();
      const call = { method: 'GET', headers: { ...headers, 'x-auth-token': login.token } } as const;
      return this.#exchange(path, call, signal);
    };
    const reply = await send();
    if (reply.status !== 401) return reply;
    // Keystone does not know our own token any more: it was restarted, or the token was revoked.
    login!.expiresAtMs = 0;
    return send();
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #validLogin(): Promise<Login> {
    const present = this.#login;
    const login = await present;
    if (login && login.expiresAtMs - this.#clock.now() > RENEWAL_MS) return login;
    // Whoever comes meanwhile waits for the same login; one that failed is forgotten.
    if (this.#login === present) {
      const started = this.#logIn();
      this.#login = started;
      started.catch(() => {
        if (this.#login === started) this.#login = undefined;
      });
    }
    return this.#login ?? this.#logIn();
  }

  async #logIn(): Promise<Login> {
    const { username, password, projectName, userDomain, projectDomain } = this.#options;
    const user = { name: username, domain: userDomain, password: password.reveal() };
    const auth = {
      identity: { methods: ['password'], password: { user } },
      ...(projectName !== null && { scope: { project: { name: projectName, domain: projectDomain } } }),
    };
    const signal = AbortSignal.timeout(this.#options.patienceMs ?? PATIENCE_MS);
    const body = JSON.stringify({ auth });
    const headers = { 'content-type': 'application/json' };
    const reply = await this.#exchange('/auth/tokens?nocatalog', { method: 'POST', headers, body }, signal);
    const token = reply.headers['x-subject-token'];
    if (reply.status !== 201 || typeof token !== 'string')
      throw new Error(`Keystone ${this.#base} refuses to log in user ${username}: ${sentenceOf(reply)}`);
    const expires = (reply.json as { token?: { expires_at?: unknown } } | undefined)?.token?.expires_at;
    return { token, expiresAtMs: Date.parse(String(expires)) || 0 };
  }

  /** Tries again while nobody answers, and after errors that are Keystone's own. */
  async #exchange(
    path: string,
    call: { method: 'GET' | 'POST'; headers: Record<string, string>; body?: string },
    signal: AbortSignal,
  ): Promise<KeystoneReply> {
    const { retries = 3, timeoutMs = TIMEOUT_MS } = this.#options;
    for (let tried = 0; ; tried++) {
      let failure: Error;
      try {
        const reply = await this.#send(path, call, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
        if (reply.status < 500 && reply.status !== 429) return reply;
        failure = new Error(`it answers ${sentenceOf(reply)}`);
      } catch (error) {
        failure = error as Error;
      }
      if (tried >= retries || signal.aborted)
        throw new Error(`Cannot reach Keystone ${this.#base}, tried ${tried + 1} times`, { cause: failure });
      await this.#clock.sleep(FIRST_PAUSE_MS * 2 ** tried, signal).catch(() => {
        // The time is up: the next try fails at once and tells so.
      });
    }
  }

  async #send(
    path: string,
    call: { method: 'GET' | 'POST'; headers: Record<string, string>; body?: string },
    signal: AbortSignal,
  ): Promise<KeystoneReply> {
    const { statusCode, headers, body } = await request(this.#base + path, {
      ...call,
      signal,
      dispatcher: this.#agent,
    });
    const text = await body.text();
    return { status: statusCode, headers, json: parseJson(text) };
  }
}

/** The status, and Keystone's own words where it has some. */
export function sentenceOf(reply: KeystoneReply): string {
  const { message } = (reply.json as { error?: { message?: unknown } } | undefined)?.error ?? {};
  return typeof message === 'string' ? `${reply.status}: ${message}` : String(reply.status);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's error page is HTML; the status tells enough.
    return undefined;
  }
}
