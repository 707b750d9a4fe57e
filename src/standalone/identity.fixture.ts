/** What tests of the identity begin with: its API on an empty database, an admin, and a clock that they move. */
import fastify from 'fastify';
import { givenDatabase } from '../db/testing.ts';
import { systemClock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { ensureAdmin } from './first-start.ts';
import { Identity } from './identity.ts';
import { identityApi } from './identity-api.ts';

export const ADMIN = { user: 'u'.repeat(32), project: 'a'.repeat(32) };
export const START_MS = Date.parse('2026-01-01T00:00:00Z');

// biome-ignore lint/suspicious/noExplicitAny: bodies are read as a client reads them
type Json = any;

export interface Answer {
  status: number;
  body: Json;
  headers: Record<string, unknown>;
}

export type Scope = object | 'unscoped' | undefined;

export const passwordLogin = (user: object, password: string, scope: Scope) => ({
  auth: { identity: { methods: ['password'], password: { user: { ...user, password } } }, scope },
});

export async function givenIdentity() {
  const db = await givenDatabase();
  let nowMs = START_MS;
  const identity = new Identity({
    db,
    clock: { ...systemClock, now: () => nowMs },
    tokenLifeMs: 3_600_000,
  });
  await ensureAdmin(db, ADMIN, new Secret('right'));
  const app = fastify();
  await app.register(identityApi({ identity, baseUri: null }), { prefix: '/identity' });

  /** `path` is below `/identity/v3`. */
  async function request(
    method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    token?: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const answer = await app.inject({
      method,
      url: `/identity/v3${path}`,
      headers: { ...(token === undefined ? {} : { 'x-auth-token': token }), ...headers },
      ...(body ? { payload: body } : {}),
    });
    const text = answer.body;
    return { status: answer.statusCode, body: text ? JSON.parse(text) : undefined, headers: answer.headers };
  }

  async function findToken(auth: object): Promise<string | undefined> {
    const { headers } = await request('POST', '/auth/tokens', undefined, auth);
    return headers['x-subject-token'] as string | undefined;
  }

  // Without a login: each costs the derivation of a key.
  async function tokenOf(userId: string, projectId: string): Promise<string> {
    const scope = { kind: 'project', id: projectId } as const;
    return (await identity.issueToken({ userId, scope, methods: ['password'] }))!.token.reveal();
  }
  const admin = await tokenOf(ADMIN.user, ADMIN.project);

  return {
    db,
    app,
    identity,
    admin,
    request,
    findToken,
    pass(ms: number): void {
      nowMs += ms;
    },
    /** As the admin; returns what is inside the root. */
    async create(root: 'project' | 'user' | 'role', fields: object): Promise<Json> {
      const { status, body } = await request('POST', `/${root}s`, admin, { [root]: fields });
      if (status !== 201) throw new Error(JSON.stringify(body));
      return body[root];
    },
    async roleId(name: string): Promise<string> {
      return (await request('GET', `/roles?name=${name}`, admin)).body.roles[0].id;
    },
    /** A user with one role in a project of his own. */
    async member(name: string, role = 'member') {
      const project = await this.create('project', { name: `${name}-project` });
      const user = await this.create('user', { name, password: `${name}-secret` });
      const grant = `/projects/${project.id}/users/${user.id}/roles/${await this.roleId(role)}`;
      await request('PUT', grant, admin);
      const login = passwordLogin({ id: user.id }, `${name}-secret`, { project: { id: project.id } });
      return { project, user, grant, login, token: await tokenOf(user.id, project.id) };
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await db[Symbol.asyncDispose]();
    },
  };
}
