/** The identity API of a standalone system: as much of Keystone v3 as clients need to find and use the load balancers. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { timestamp } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { baseUrl, catalogOf } from './catalog.ts';
import {
  DOMAIN,
  type Identity,
  PROJECT_NAME,
  type Reference,
  ROLES,
  type TokenFacts,
  USER_NAME,
} from './identity.ts';
import { openstackErrors, sendError } from './openstack-errors.ts';

export interface IdentityApiDeps {
  identity: Identity;
  /** The start of all links; without it, the address that the request was sent to. */
  baseUri: string | null;
}

/** To be mounted at `/identity`. */
export function identityApi(deps: IdentityApiDeps) {
  const { identity } = deps;
  return async (app: FastifyInstance): Promise<void> => {
    openstackErrors(app);

    app.get('/', async (request, reply) => {
      reply.code(300);
      return { versions: { values: [versionOf(base(request))] } };
    });
    app.get('/v3', async request => ({ version: versionOf(base(request)) }));
    app.get('/v3/', async request => ({ version: versionOf(base(request)) }));

    app.post('/v3/auth/tokens', async (request, reply) => {
      const wish = readAuth(request.body);
      if (typeof wish === 'string') return sendError(reply, 400, wish);
      const login = await authenticate(wish);
      if (!login) return sendUnauthorized(request, reply);
      const projectId = wish.scope === 'unscoped' ? null : identity.findProject(wish.scope ?? own());
      if (projectId === undefined) return sendUnauthorized(request, reply);
      const { token, facts } = await identity.issueToken(login.userId, projectId, login.notAfterMs);
      reply.code(201).header('x-subject-token', token.reveal()).header('vary', 'X-Auth-Token');
      return tokenBody(request, facts, wish.methods);
    });

    app.get('/v3/auth/tokens', async (request, reply) => {
      if (!(await caller(request))) return sendUnauthorized(request, reply);
      const subject = header(request, 'x-subject-token');
      const facts = subject && (await identity.findToken(subject));
      if (!facts) return sendError(reply, 404, 'Could not find token.');
      reply.header('x-subject-token', subject.reveal()).header('vary', 'X-Auth-Token');
      return tokenBody(request, facts, ['password']);
    });

    app.delete('/v3/auth/tokens', async (request, reply) => {
      if (!(await caller(request))) return sendUnauthorized(request, reply);
      const subject = header(request, 'x-subject-token');
      if (!subject || !(await identity.findToken(subject)))
        return sendError(reply, 404, 'Could not find token.');
      await identity.revokeToken(subject);
      return reply.code(204).send();
    });

    app.get('/v3/auth/catalog', async (request, reply) => {
      if (!(await caller(request))) return sendUnauthorized(request, reply);
      return { catalog: catalogOf(base(request)), links: {} };
    });

    // What clients look up for `--project` and for the columns they show.
    for (const [path, plural, singular, record] of directory()) {
      app.get<{ Querystring: Record<string, string> }>(path, async (request, reply) => {
        if (!(await caller(request))) return sendUnauthorized(request, reply);
        const { name } = request.query;
        return { [plural]: name === undefined || name === record.name ? [record] : [], links: {} };
      });
      app.get<{ Params: { id: string } }>(`${path}/:id`, async (request, reply) => {
        if (!(await caller(request))) return sendUnauthorized(request, reply);
        if (request.params.id !== record.id)
          return sendError(reply, 404, `Could not find ${singular}: ${request.params.id}.`);
        return { [singular]: record };
      });
    }
  };

  function base(request: FastifyRequest): string {
    return deps.baseUri ?? baseUrl(request);
  }

  function own(): Reference {
    return { id: identity.account.project_id };
  }

  async function caller(request: FastifyRequest): Promise<TokenFacts | undefined> {
    const token = header(request, 'x-auth-token');
    return token && identity.findToken(token);
  }

  async function authenticate(wish: AuthWish): Promise<{ userId: string; notAfterMs?: number } | undefined> {
    if (wish.password) {
      const userId = await identity.findUserByPassword(wish.password.user, wish.password.password);
      return userId === undefined ? undefined : { userId };
    }
    const facts = wish.token && (await identity.findToken(wish.token));
    // A token made from a token does not live longer than the first one.
    return facts && { userId: facts.user_id, notAfterMs: facts.expires_at_ms };
  }

  function directory() {
    const { project_id, user_id } = identity.account;
    const common = { domain_id: DOMAIN.id, enabled: true, links: {} };
    const project = { ...common, id: project_id, name: PROJECT_NAME, is_domain: false, parent_id: DOMAIN.id };
    const user = { ...common, id: user_id, name: USER_NAME, default_project_id: project_id };
    const domain = { ...DOMAIN, enabled: true, links: {} };
    return [
      ['/v3/projects', 'projects', 'project', project],
      ['/v3/auth/projects', 'projects', 'project', project],
      ['/v3/users', 'users', 'user', user],
      ['/v3/domains', 'domains', 'domain', domain],
    ] as const;
  }

  function tokenBody(request: FastifyRequest, facts: TokenFacts, methods: readonly string[]) {
    const domain = { ...DOMAIN };
    const scope = facts.project_id !== null && {
      project: { id: facts.project_id, name: PROJECT_NAME, domain },
      is_domain: false,
      roles: ROLES.map(name => ({ id: name, name })),
    };
    const wantsCatalog = !Object.hasOwn(request.query as object, 'nocatalog');
    return {
      token: {
        methods,
        user: { id: facts.user_id, name: USER_NAME, domain, password_expires_at: null },
        audit_ids: [],
        issued_at: `${timestamp(facts.issued_at_ms)}Z`,
        expires_at: `${timestamp(facts.expires_at_ms)}Z`,
        ...scope,
        ...(scope && wantsCatalog ? { catalog: catalogOf(base(request)) } : {}),
      },
    };
  }

  function sendUnauthorized(request: FastifyRequest, reply: FastifyReply) {
    reply.header('www-authenticate', `Keystone uri="${base(request)}/identity"`);
    return sendError(reply, 401, 'The request you have made requires authentication.');
  }
}

interface AuthWish {
  methods: string[];
  password?: { user: Reference; password: Secret };
  token?: Secret;
  /** undefined: the user's own project. */
  scope?: Reference | 'unscoped';
}

/** The body of `POST /v3/auth/tokens`, or a sentence that says what is wrong with it. */
function readAuth(body: unknown): AuthWish | string {
  const auth = field(body, 'auth');
  const identity = field(auth, 'identity');
  const methods = field(identity, 'methods');
  if (!Array.isArray(methods) || !methods.every(method => typeof method === 'string'))
    return 'Expecting to find auth.identity.methods, a list of strings, in the request body.';
  const scope = readScope(field(auth, 'scope'));
  if (typeof scope === 'string' && scope !== 'unscoped')
    return 'Cannot read auth.scope: only a project may be named.';
  const common = { methods, scope } as { methods: string[]; scope?: Reference | 'unscoped' };
  if (methods.includes('password')) {
    const user = field(field(identity, 'password'), 'user');
    const password = field(user, 'password');
    if (typeof password !== 'string')
      return 'Expecting to find a string at auth.identity.password.user.password.';
    return { ...common, password: { user: readReference(user), password: new Secret(password) } };
  }
  if (methods.includes('token')) {
    const id = field(field(identity, 'token'), 'id');
    if (typeof id !== 'string') return 'Expecting to find a string at auth.identity.token.id.';
    return { ...common, token: new Secret(id) };
  }
  return 'Only the authentication methods password and token are known here.';
}

function readScope(scope: unknown): Reference | 'unscoped' | 'unknown' | undefined {
  if (scope === undefined) return undefined;
  if (scope === 'unscoped' || field(scope, 'unscoped') !== undefined) return 'unscoped';
  const project = field(scope, 'project');
  return project === undefined ? 'unknown' : readReference(project);
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

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function header(request: FastifyRequest, name: string): Secret | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? new Secret(value) : undefined;
}

function versionOf(base: string) {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${base}/identity/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  };
}
