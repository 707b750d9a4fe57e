/** The identity of a standalone system: who holds which token, with which roles, and for how long. */
import { createHash, randomBytes } from 'node:crypto';
import { findIdentity, listAssignments, listIdentity } from '../db/identity.ts';
import type { Db, TokenRow, Trx } from '../db/schema.ts';
import { deleteExpiredTokens, deleteToken, findToken, insertToken } from '../db/tokens.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { Authenticate, Caller } from '../model/caller.ts';
import {
  type ApplicationCredential,
  DOMAIN,
  type Project,
  type Role,
  type Scope,
  type User,
  withImpliedRoles,
} from '../model/identity.ts';
import { PasswordCheck } from './password.ts';

/** All that a valid token says. */
export interface TokenFacts {
  user: User;
  scope: Scope | null;
  /** That of the scope; null when it is no project. */
  project: Project | null;
  /** With those that they imply. */
  roles: Role[];
  methods: string[];
  audit_ids: string[];
  credential: ApplicationCredential | null;
  issued_at_ms: number;
  expires_at_ms: number;
  /** The same for the other APIs. */
  caller: Caller;
}

/** How a caller names a user, a project or a domain: by id, or by name and domain. */
export interface Reference {
  id?: string;
  name?: string;
  domain?: { id?: string; name?: string };
}

export interface TokenWish {
  userId: string;
  scope: Scope | null;
  methods: readonly string[];
  /** The token that this one is made from: it does not live longer, and keeps its line of audit ids. */
  parent?: TokenFacts;
  credential?: ApplicationCredential;
}

/** Tokens whose facts are remembered at once. */
const REMEMBERED = 10_000;

export const UNAUTHORIZED = 'The request you have made requires authentication.';

export class Identity {
  readonly db: Db;
  readonly clock: Clock;
  readonly #passwords = new PasswordCheck();
  readonly #tokenLifeMs: number;
  /** By the hash of the token; forgotten at every write, since all of them come through here. */
  readonly #facts = new Map<string, TokenFacts>();
  #writes = 0;

  constructor(options: { db: Db; clock: Clock; tokenLifeMs: number }) {
    this.db = options.db;
    this.clock = options.clock;
    this.#tokenLifeMs = options.tokenLifeMs;
  }

  /** The one way to change users, projects, roles and tokens: in one transaction, and seen by the next request. */
  async write<T>(change: (trx: Trx) => Promise<T>): Promise<T> {
    try {
      return await this.db.transaction().execute(change);
    } finally {
      this.#writes++;
      this.#facts.clear();
    }
  }

  findByReference<T extends 'user' | 'project'>(table: T, { id, name, domain }: Reference) {
    if (id !== undefined) return findIdentity(this.db, table, { id } as never);
    if (name === undefined || !isOurDomain(domain)) return Promise.resolve(undefined);
    return findIdentity(this.db, table, { name } as never);
  }

  /** The user when he exists and the password is right. */
  async findUserByPassword(reference: Reference, password: Secret): Promise<User | undefined> {
    const user = await this.findByReference('user', reference);
    return (await this.#passwords.matches(password, user?.password_hash)) ? user : undefined;
  }

  async findCredential(
    { id, name, user }: { id?: string; name?: string; user: Reference },
    secret: Secret,
  ): Promise<ApplicationCredential | undefined> {
    const owner = id === undefined ? await this.findByReference('user', user) : undefined;
    const by =
      id !== undefined ? { id } : owner && name !== undefined ? { user_id: owner.id, name } : undefined;
    const credential = by && (await findIdentity(this.db, 'application_credential', by));
    return (await this.#passwords.matches(secret, credential?.secret_hash)) ? credential : undefined;
  }

  /** A fresh token, of which only the hash is kept; undefined when the user may not have it. */
  async issueToken(wish: TokenWish): Promise<{ token: Secret; facts: TokenFacts } | undefined> {
    const token = new Secret(randomBytes(32).toString('base64url'));
    const now = this.clock.now();
    const auditId = randomBytes(16).toString('base64url');
    const row: TokenRow = {
      hash: hashOf(token),
      user_id: wish.userId,
      scope_kind: wish.scope?.kind ?? null,
      scope_id: wish.scope?.id ?? null,
      methods: JSON.stringify(wish.methods),
      audit_ids: JSON.stringify([auditId, ...(wish.parent?.audit_ids.slice(-1) ?? [])]),
      application_credential_id: wish.credential?.id ?? null,
      issued_at_ms: now,
      expires_at_ms: Math.min(
        now + this.#tokenLifeMs,
        wish.parent?.expires_at_ms ?? Number.POSITIVE_INFINITY,
        Number(wish.credential?.expires_at_ms ?? Number.POSITIVE_INFINITY),
      ),
    };
    const facts = await this.#readFacts(row);
    if (!facts || row.expires_at_ms <= now) return undefined;
    await deleteExpiredTokens(this.db, now);
    await insertToken(this.db, row);
    return { token, facts };
  }

  /** undefined when it is unknown, revoked or too old, or when its user has lost what it was for. */
  async findToken(token: Secret): Promise<TokenFacts | undefined> {
    const hash = hashOf(token);
    const now = this.clock.now();
    const known = this.#facts.get(hash);
    if (known) return known.expires_at_ms > now ? known : undefined;
    const writes = this.#writes;
    const row = await findToken(this.db, hash, now);
    const facts = row && (await this.#readFacts(row));
    // What was read while somebody wrote may be old already.
    if (facts && writes === this.#writes) {
      if (this.#facts.size >= REMEMBERED) this.#facts.clear();
      this.#facts.set(hash, facts);
    }
    return facts;
  }

  async revokeToken(token: Secret): Promise<void> {
    await this.write(trx => deleteToken(trx, hashOf(token)));
  }

  /** The user's roles there, with those that they imply. */
  async listRoles(userId: string, scope: Scope, only?: readonly string[]): Promise<Role[]> {
    const by = { user_id: userId, scope_kind: scope.kind, scope_id: scope.id };
    const [held, roles] = await Promise.all([listAssignments(this.db, by), listIdentity(this.db, 'role')]);
    const heldIds = new Set(held.map(assignment => assignment.role_id));
    const all = withImpliedRoles(roles.filter(role => heldIds.has(role.id)).map(role => role.name));
    const effective = roles.filter(role => all.has(role.name));
    if (!only) return effective;
    const limited = withImpliedRoles(effective.filter(role => only.includes(role.id)).map(role => role.name));
    return effective.filter(role => limited.has(role.name));
  }

  async #readFacts(row: TokenRow): Promise<TokenFacts | undefined> {
    const scope = row.scope_kind === null ? null : { kind: row.scope_kind, id: row.scope_id! };
    const user = await findIdentity(this.db, 'user', { id: row.user_id });
    if (!user?.enabled) return undefined;
    const project =
      scope?.kind === 'project' ? await findIdentity(this.db, 'project', { id: scope.id }) : null;
    if (scope?.kind === 'project' && !project?.enabled) return undefined;
    const credentialId = row.application_credential_id;
    const credential =
      credentialId === null
        ? null
        : await findIdentity(this.db, 'application_credential', { id: credentialId });
    const roles = scope ? await this.listRoles(user.id, scope, credential?.roles) : [];
    if (scope && roles.length === 0) return undefined;
    const names = roles.map(role => role.name);
    return {
      user,
      scope,
      project: project ?? null,
      roles,
      methods: JSON.parse(row.methods),
      audit_ids: JSON.parse(row.audit_ids),
      credential: credential ?? null,
      issued_at_ms: row.issued_at_ms,
      expires_at_ms: row.expires_at_ms,
      caller: {
        user_id: user.id,
        project_id: project?.id ?? null,
        domain_id: scope?.kind === 'domain' ? scope.id : null,
        system_scope: scope?.kind === 'system' ? scope.id : null,
        roles: names,
        is_admin: names.includes('admin'),
      },
    };
  }
}

/** The `Authenticate` of every API of a standalone system. */
export function tokenAuthentication(identity: Identity): Authenticate {
  return async request => {
    const token = request.headers['x-auth-token'];
    const facts =
      typeof token === 'string' && token !== '' ? await identity.findToken(new Secret(token)) : undefined;
    if (!facts) throw new Fault('unauthorized', UNAUTHORIZED);
    return facts.caller;
  };
}

/** Without a domain the only one is meant. */
export function isOurDomain(domain: { id?: string; name?: string } | undefined): boolean {
  if (domain?.id !== undefined) return domain.id === DOMAIN.id;
  return domain?.name === undefined || domain.name.toLowerCase() === DOMAIN.name.toLowerCase();
}

function hashOf(token: Secret): string {
  return createHash('sha256').update(token.reveal()).digest('hex');
}
