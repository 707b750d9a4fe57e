/** Who a token belongs to, as Keystone v3 tells; asked once for each token in a while. */
import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import type { Caller, RequestHeaders } from '../../model/caller.ts';
import { type KeystoneOptions, KeystoneSession, sentenceOf } from './keystone-session.ts';

export interface KeystoneIdentityOptions extends KeystoneOptions {
  /** How long an answer counts without asking again; 0 or less asks every time. */
  cacheMs: number;
}

/** How long it counts that a token is unknown: a client that tries again and again must not reach Keystone each time. */
const UNKNOWN_MS = 5_000;
const MAX_KNOWN = 10_000;
const MAX_UNKNOWN = 2_000;

export class KeystoneIdentity {
  readonly #session: KeystoneSession;
  readonly #cacheMs: number;
  readonly #clock: Clock;
  // Apart, so that made-up tokens do not push out good ones.
  readonly #known = new ExpiringMap<Caller>(MAX_KNOWN);
  readonly #unknown = new ExpiringMap<true>(MAX_UNKNOWN);
  /** By the token's hash: many requests with one token wait for one answer. */
  readonly #asking = new Map<string, Promise<Caller | undefined>>();

  constructor(options: KeystoneIdentityOptions) {
    this.#session = new KeystoneSession(options);
    this.#cacheMs = options.cacheMs;
    this.#clock = options.clock ?? systemClock;
  }

  /** Throws `unauthorized` for a token that is no good, and `unavailable` when nobody can tell. */
  async authenticate(request: RequestHeaders): Promise<Caller> {
    const token = request.headers['x-auth-token'];
    const caller =
      typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) ? await this.#find(token) : undefined;
    if (!caller) throw new Fault('unauthorized', 'The request you have made requires authentication.');
    return caller;
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  #find(token: string): Caller | undefined | Promise<Caller | undefined> {
    const hash = createHash('sha256').update(token).digest('base64');
    const now = this.#clock.now();
    const known = this.#known.find(hash, now);
    if (known) return known;
    if (this.#unknown.find(hash, now)) return undefined;
    const present = this.#asking.get(hash);
    if (present) return present;
    const asked = this.#ask(token, hash).finally(() => this.#asking.delete(hash));
    this.#asking.set(hash, asked);
    return asked;
  }

  async #ask(token: string, hash: string): Promise<Caller | undefined> {
    const reply = await this.#session
      .get('/auth/tokens?nocatalog', { 'x-subject-token': token })
      .catch((cause: unknown) => {
        throw cannotCheck(cause);
      });
    const now = this.#clock.now();
    const body = (reply.json as { token?: TokenBody } | undefined)?.token;
    if (reply.status === 200 && body?.user) {
      const expiresAtMs = Date.parse(body.expires_at ?? '') || 0;
      if (expiresAtMs <= now) return undefined;
      const caller = callerOf(body);
      if (this.#cacheMs > 0) this.#known.set(hash, caller, Math.min(expiresAtMs, now + this.#cacheMs));
      return caller;
    }
    if (reply.status !== 404 && reply.status !== 400)
      throw cannotCheck(new Error(`Keystone answers the look at a token with ${sentenceOf(reply)}`));
    if (this.#cacheMs > 0) this.#unknown.set(hash, true, now + Math.min(UNKNOWN_MS, this.#cacheMs));
    return undefined;
  }
}

function cannotCheck(cause: unknown): Fault {
  return new Fault(
    'unavailable',
    'Cannot check your token: the identity service (Keystone) does not answer as it should; try again later',
    { cause },
  );
}

interface TokenBody {
  expires_at?: string;
  user?: { id: string; domain?: { id?: string } };
  project?: { id: string; domain?: { id?: string } };
  domain?: { id: string };
  system?: { all?: boolean };
  roles?: { name: string }[];
}

function callerOf({ user, project, domain, system, roles }: TokenBody): Caller {
  return {
    user_id: user!.id,
    project_id: project?.id ?? null,
    domain_id: domain?.id ?? null,
    system_scope: system?.all ? 'all' : null,
    roles: (roles ?? []).map(role => role.name),
    is_admin: false,
    user_domain_id: user!.domain?.id ?? null,
    project_domain_id: project?.domain?.id ?? null,
  };
}

/** A map of bounded size whose entries end; the oldest goes when it is full. */
class ExpiringMap<T> {
  readonly #entries = new Map<string, { value: T; untilMs: number }>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  find(key: string, nowMs: number): T | undefined {
    const entry = this.#entries.get(key);
    if (!entry || entry.untilMs > nowMs) return entry?.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: T, untilMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, untilMs });
    if (this.#entries.size > this.#max) this.#entries.delete(this.#entries.keys().next().value!);
  }
}
