/** Reads the body of `POST /v3/auth/tokens`: how somebody proves who he is, and what the token shall be for. */
import { Fault } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { Reference } from './identity.ts';
import { field } from './identity-routes.ts';

export type Proof =
  | { method: 'password'; user: Reference; password: Secret }
  | { method: 'token'; token: Secret }
  | { method: 'application_credential'; id?: string; name?: string; user: Reference; secret: Secret };

export type ScopeWish =
  | { kind: 'project'; project: Reference }
  | { kind: 'domain'; domain: Reference }
  | { kind: 'system' }
  | { kind: 'unscoped' };

export interface Login {
  proof: Proof;
  /** undefined: the user's own project. */
  scope: ScopeWish | undefined;
}

/** Throws `invalid` with what is wrong with it. */
export function readLogin(body: unknown): Login {
  const auth = field(body, 'auth');
  const identity = field(auth, 'identity');
  const methods = field(identity, 'methods');
  if (!Array.isArray(methods))
    throw new Fault('invalid', 'Expecting to find auth.identity.methods, a list, in the request body.');
  return { proof: readProof(identity, methods), scope: readScope(field(auth, 'scope')) };
}

function readProof(identity: unknown, methods: readonly unknown[]): Proof {
  const text = (method: string, ...path: string[]): Secret => {
    const value = [method, ...path].reduce(field, identity);
    if (typeof value === 'string') return new Secret(value);
    const where = ['auth.identity', method, ...path].join('.');
    throw new Fault('invalid', `Expecting to find a string at ${where} in the request body.`);
  };
  if (methods.includes('password')) {
    const user = readReference(field(field(identity, 'password'), 'user'));
    return { method: 'password', user, password: text('password', 'user', 'password') };
  }
  if (methods.includes('application_credential')) {
    const given = field(identity, 'application_credential');
    const { id, name } = readReference(given);
    const user = readReference(field(given, 'user'));
    const secret = text('application_credential', 'secret');
    return {
      ...{ method: 'application_credential', user, secret },
      ...(id === undefined ? {} : { id }),
      ...(name === undefined ? {} : { name }),
    };
  }
  if (methods.includes('token')) return { method: 'token', token: text('token', 'id') };
  throw new Fault('unauthorized', 'Attempted to authenticate with an unsupported method.');
}

function readScope(scope: unknown): ScopeWish | undefined {
  if (scope === undefined || scope === null) return undefined;
  if (scope === 'unscoped' || field(scope, 'unscoped') !== undefined) return { kind: 'unscoped' };
  const [project, domain] = [field(scope, 'project'), field(scope, 'domain')];
  if (project !== undefined) return { kind: 'project', project: readReference(project) };
  if (domain !== undefined) return { kind: 'domain', domain: readReference(domain) };
  if (field(field(scope, 'system'), 'all') === true) return { kind: 'system' };
  throw new Fault('invalid', 'Cannot read auth.scope: it must name a project, a domain or the system.');
}

function readReference(value: unknown): Reference {
  const text = (from: unknown, name: string) => {
    const found = field(from, name);
    return typeof found === 'string' ? { [name]: found } : {};
  };
  const domain = field(value, 'domain');
  return {
    ...text(value, 'id'),
    ...text(value, 'name'),
    ...(domain === undefined ? {} : { domain: { ...text(domain, 'id'), ...text(domain, 'name') } }),
  };
}
