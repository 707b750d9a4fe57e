/** `/v3/auth`: tokens are made, looked at and revoked, and their holders told where else they may go. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { listAssignments } from '../db/identity.ts';
import { timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { DOMAIN, type Scope } from '../model/identity.ts';
import { catalogOf } from './catalog.ts';
import { type Identity, isOurDomain, type TokenFacts, type TokenWish, UNAUTHORIZED } from './identity.ts';
import { type Proof, readLogin, type ScopeWish } from './identity-login.ts';
import { listProjectsOf, projectView } from './identity-records.ts';
import { anybody, type Call, listBody, type Route } from './identity-routes.ts';

export interface TokenRoutesDeps {
  identity: Identity;
  /** The start of all URLs, such as `http://127.0.0.1:9876`. */
  originOf(request: FastifyRequest): string;
}

/** Throws `unauthorized` when there is no valid token. */
export async function getCaller(identity: Identity, request: FastifyRequest): Promise<TokenFacts> {
  const token = secretHeader(request, 'x-auth-token');
  const facts = token && (await identity.findToken(token));
  if (!facts) throw new Fault('unauthorized', UNAUTHORIZED);
  return facts;
}

export function addTokenRoutes(app: FastifyInstance, { identity, originOf }: TokenRoutesDeps): void {
  const url = '/v3/auth/tokens';
  app.post(url, async (request, reply) => {
    const { proof, scope } = readLogin(request.body);
    const wish = await findTokenWish(identity, proof, scope);
    const issued = wish && (await identity.issueToken(wish));
    if (!issued) throw new Fault('unauthorized', UNAUTHORIZED);
    reply.code(201);
    return answer(request, reply, issued.token, issued.facts);
  });
  app.get(url, async (request, reply) => {
    const { subject, facts } = await getSubject(request, ['service']);
    return answer(request, reply, subject, facts);
  });
  app.delete(url, async (request, reply) => {
    const { subject } = await getSubject(request, []);
    await identity.revokeToken(subject);
    return reply.code(204).send();
  });

  /** The token that a request is about: the caller's own, or any for those who may. */
  async function getSubject(request: FastifyRequest, roles: readonly string[]) {
    const { caller, user, scope } = await getCaller(identity, request);
    const subject = secretHeader(request, 'x-subject-token');
    const facts = subject && (await identity.findToken(subject));
    const isReader =
      request.method !== 'DELETE' && scope?.kind === 'system' && caller.roles.includes('reader');
    const may = caller.is_admin || isReader || roles.some(role => caller.roles.includes(role));
    if (!may && facts?.user.id !== user.id)
      throw new Fault('forbidden', 'You are not authorized to look at this token.');
    if (!facts) throw new Fault('not-found', 'Could not find token.');
    return { subject, facts };
  }

  function answer(request: FastifyRequest, reply: FastifyReply, token: Secret, facts: TokenFacts) {
    reply.header('x-subject-token', token.reveal()).header('vary', 'X-Auth-Token');
    const wantsCatalog = facts.scope && !Object.hasOwn(request.query as object, 'nocatalog');
    const catalog = wantsCatalog ? { catalog: catalogOf(originOf(request)) } : {};
    return { token: { ...tokenView(facts), ...catalog } };
  }
}

/** What the holder of a token may ask for himself, whatever his roles. */
export function ownRoutes(identity: Identity): Route[] {
  const holds = async ({ token }: Call, kind: Scope['kind']): Promise<boolean> =>
    (await listAssignments(identity.db, { user_id: token.user.id, scope_kind: kind })).length > 0;
  const own = (path: string, run: (call: Call) => Promise<object>): Route => ({
    ...{ method: 'GET', path: `/auth/${path}`, may: anybody, run },
  });
  return [
    own('projects', async call => {
      const projects = await listProjectsOf(identity, call.token.user.id);
      const enabled = projects.filter(project => project.enabled);
      return listBody(
        call,
        'projects',
        enabled.map(project => projectView(call.base, project)),
      );
    }),
    own('domains', async call => {
      const domains = (await holds(call, 'domain')) ? [{ ...DOMAIN, enabled: true }] : [];
      return listBody(call, 'domains', domains);
    }),
    own('system', async call =>
      listBody(call, 'system', (await holds(call, 'system')) ? [{ all: true }] : []),
    ),
    own('catalog', async call =>
      listBody(call, 'catalog', catalogOf(call.base.replace(/\/identity\/v3$/, ''))),
    ),
  ];
}

/** undefined when it is not proven who asks, or when there is no such scope. */
async function findTokenWish(
  identity: Identity,
  proof: Proof,
  wanted: ScopeWish | undefined,
): Promise<TokenWish | undefined> {
  if (proof.method === 'application_credential') {
    const credential = await identity.findCredential(proof, proof.secret);
    // It is for one project for good.
    if (wanted) throw new Fault('unauthorized', 'Application credentials cannot request a scope.');
    if (!credential) return undefined;
    const scope: Scope = { kind: 'project', id: credential.project_id };
    return { userId: credential.user_id, scope, methods: [proof.method], credential };
  }
  const parent = proof.method === 'token' ? await identity.findToken(proof.token) : undefined;
  if (parent?.credential)
    throw new Fault('forbidden', 'A token of an application credential cannot be exchanged.');
  const user =
    proof.method === 'password'
      ? await identity.findUserByPassword(proof.user, proof.password)
      : parent?.user;
  if (!user) return undefined;
  const scope = wanted ? await findScope(identity, wanted) : await findOwnScope(identity, user);
  const methods = [...new Set([...(parent?.methods ?? []), proof.method])];
  return scope === undefined ? undefined : { userId: user.id, scope, methods, ...(parent ? { parent } : {}) };
}

/** null: the token shall be without one; undefined: there is none such. */
async function findScope(identity: Identity, wanted: ScopeWish): Promise<Scope | null | undefined> {
  if (wanted.kind === 'unscoped') return null;
  if (wanted.kind === 'system') return { kind: 'system', id: 'all' };
  if (wanted.kind === 'domain')
    return isOurDomain(wanted.domain) ? { kind: 'domain', id: DOMAIN.id } : undefined;
  const project = await identity.findByReference('project', wanted.project);
  return project && { kind: 'project', id: project.id };
}

/** The user's default project while he can use it. */
async function findOwnScope(
  identity: Identity,
  user: { id: string; default_project_id: string | null },
): Promise<Scope | null> {
  if (user.default_project_id === null) return null;
  const project = await identity.findByReference('project', { id: user.default_project_id });
  if (!project?.enabled) return null;
  const scope: Scope = { kind: 'project', id: project.id };
  return (await identity.listRoles(user.id, scope)).length > 0 ? scope : null;
}

function tokenView(facts: TokenFacts): object {
  const { user, scope, project, credential } = facts;
  const domain = { ...DOMAIN };
  const where = project
    ? { project: { id: project.id, name: project.name, domain }, is_domain: false }
    : scope?.kind === 'domain'
      ? { domain }
      : scope
        ? { system: { all: true } }
        : {};
  return {
    methods: facts.methods,
    user: { id: user.id, name: user.name, domain, password_expires_at: null },
    audit_ids: facts.audit_ids,
    issued_at: `${timestamp(facts.issued_at_ms)}Z`,
    expires_at: `${timestamp(facts.expires_at_ms)}Z`,
    ...where,
    ...(scope ? { roles: facts.roles.map(({ id, name }) => ({ id, name })) } : {}),
    ...(credential
      ? {
          application_credential: {
            ...{ id: credential.id, name: credential.name, restricted: !credential.unrestricted },
          },
        }
      : {}),
  };
}

function secretHeader(request: FastifyRequest, name: string): Secret | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? new Secret(value) : undefined;
}
