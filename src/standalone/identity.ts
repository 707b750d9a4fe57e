/** The small identity of a standalone system: one admin in one project, and tokens that last an hour. */
import { createHash, randomBytes } from 'node:crypto';
import type { Db, TokenRow } from '../db/schema.ts';
import { deleteExpiredTokens, deleteToken, findToken, insertToken } from '../db/tokens.ts';
import type { Clock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { PasswordCheck } from './password.ts';

const TOKEN_LIFE_MS = 3_600_000;

/** The one account, and the names it goes by. */
export interface Account {
  user_id: string;
  project_id: string;
}

export const USER_NAME = 'admin';
export const PROJECT_NAME = 'admin';
export const DOMAIN = { id: 'default', name: 'Default' } as const;
export const ROLES = ['admin', 'member', 'reader'] as const;

export interface TokenFacts {
  user_id: string;
  /** null for a token without a scope. */
  project_id: string | null;
  issued_at_ms: number;
  expires_at_ms: number;
}

/** How a caller of `POST /v3/auth/tokens` names user, project and domain: by id or by name. */
export interface Reference {
  id?: string;
  name?: string;
  domain?: { id?: string; name?: string };
}

export class Identity {
  readonly account: Account;
  readonly #db: Db;
  readonly #clock: Clock;
  readonly #password: PasswordCheck;

  constructor(options: { db: Db; clock: Clock; account: Account; passwordHash: string }) {
    this.#db = options.db;
    this.#clock = options.clock;
    this.account = options.account;
    this.#password = new PasswordCheck(options.passwordHash);
  }

  /** The id of the user when it exists and the password is right. */
  async findUserByPassword(user: Reference, password: Secret): Promise<string | undefined> {
    // The password is looked at in any case, so that the time of an answer does not tell which names exist.
    const right = await this.#password.matches(password);
    const { user_id } = this.account;
    return right && names(user, { id: user_id, name: USER_NAME }) ? user_id : undefined;
  }

  findProject(project: Reference): string | undefined {
    const { project_id } = this.account;
    return names(project, { id: project_id, name: PROJECT_NAME }) ? project_id : undefined;
  }

  /** A fresh token; only its hash is kept. */
  async issueToken(
    userId: string,
    projectId: string | null,
    notAfterMs = Number.POSITIVE_INFINITY,
  ): Promise<{ token: Secret; facts: TokenFacts }> {
    const token = new Secret(randomBytes(32).toString('base64url'));
    const now = this.#clock.now();
    const row: TokenRow = {
      hash: hashOf(token),
      user_id: userId,
      project_id: projectId,
      issued_at_ms: now,
      expires_at_ms: Math.min(now + TOKEN_LIFE_MS, notAfterMs),
    };
    await deleteExpiredTokens(this.#db, now);
    await insertToken(this.#db, row);
    return { token, facts: row };
  }

  /** undefined when it is unknown, revoked or too old. */
  async findToken(token: Secret): Promise<TokenFacts | undefined> {
    return findToken(this.#db, hashOf(token), this.#clock.now());
  }

  async revokeToken(token: Secret): Promise<void> {
    await deleteToken(this.#db, hashOf(token));
  }
}

function hashOf(token: Secret): string {
  return createHash('sha256').update(token.reveal()).digest('hex');
}

/** Keystone takes an id, or a name with its domain; without a domain the default one is meant. */
function names(reference: Reference, known: { id: string; name: string }): boolean {
  if (reference.id !== undefined) return reference.id === known.id;
  const { domain } = reference;
  const ours =
    domain?.id !== undefined
      ? domain.id === DOMAIN.id
      : domain?.name === undefined || domain.name.toLowerCase() === DOMAIN.name.toLowerCase();
  return ours && reference.name === known.name;
}
