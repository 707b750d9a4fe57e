import fastify from 'fastify';
import { expect, test } from 'vitest';
import { givenDatabase } from '../db/testing.ts';
import { systemClock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { Identity } from './identity.ts';
import { identityApi } from './identity-api.ts';
import { hashPassword } from './password.ts';

const account = { user_id: 'u'.repeat(32), project_id: 'a'.repeat(32) };

async function givenIdentity() {
  const db = await givenDatabase();
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  const clock = { ...systemClock, now: () => nowMs };
  const passwordHash = await hashPassword(new Secret('right'));
  const identity = new Identity({ db, clock, account, passwordHash });
  const app = fastify();
  await app.register(identityApi({ identity, baseUri: null }), { prefix: '/identity' });
  return {
    db,
    app,
    identity,
    pass: (ms: number) => {
      nowMs += ms;
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await db.destroy();
    },
  };
}

const project = { project: { name: 'admin', domain: { name: 'Default' } } };

function login(
  password: string,
  scope: unknown = project,
  user: object = { name: 'admin', domain: { id: 'default' } },
) {
  const identity = { methods: ['password'], password: { user: { ...user, password } } };
  return { method: 'POST', url: '/identity/v3/auth/tokens', payload: { auth: { identity, scope } } } as const;
}

test('the right password gives a token with project, roles and catalog', async () => {
  await using given = await givenIdentity();
  const answer = await given.app.inject({ ...login('right'), headers: { host: 'lb.example:9876' } });
  expect(answer.statusCode).toBe(201);
  const { token } = answer.json();
  expect(token).toMatchObject({
    user: { id: account.user_id, name: 'admin', domain: { id: 'default' } },
    project: { id: account.project_id, name: 'admin' },
    issued_at: '2026-01-01T00:00:00.000000Z',
    expires_at: '2026-01-01T01:00:00.000000Z',
  });
  expect(token.roles.map((role: { name: string }) => role.name)).toContain('admin');
  const urls = Object.fromEntries(
    token.catalog.map((s: { type: string; endpoints: { url: string }[] }) => [s.type, s.endpoints[0]!.url]),
  );
  expect(urls).toEqual({
    'load-balancer': 'http://lb.example:9876',
    identity: 'http://lb.example:9876/identity/v3',
    network: 'http://lb.example:9876/network',
  });
});

test('a token is good for an hour, and is kept as a hash only', async () => {
  await using given = await givenIdentity();
  const answer = await given.app.inject(login('right'));
  const token = answer.headers['x-subject-token'] as string;
  const rows = JSON.stringify(await given.db.selectFrom('token').selectAll().execute());
  expect(rows).not.toContain(token);
  given.pass(3_599_000);
  expect(await given.identity.findToken(new Secret(token))).toMatchObject({ project_id: account.project_id });
  given.pass(1000);
  expect(await given.identity.findToken(new Secret(token))).toBeUndefined();
});

test.each([
  ['a wrong password', login('wrong'), 401],
  ['an unknown user', login('right', project, { name: 'eve', domain: { id: 'default' } }), 401],
  ['the user of another domain', login('right', project, { name: 'admin', domain: { name: 'other' } }), 401],
  ['an unknown project', login('right', { project: { id: 'elsewhere' } }), 401],
  ['a scope that is no project', login('right', { system: { all: true } }), 400],
  ['no body', { method: 'POST', url: '/identity/v3/auth/tokens', payload: {} } as const, 400],
  ['an unknown path', { method: 'GET', url: '/identity/v3/nothing' } as const, 404],
])("%s is refused in Keystone's form", async (_what, request, code) => {
  await using given = await givenIdentity();
  const answer = await given.app.inject(request);
  expect(answer.statusCode).toBe(code);
  expect(answer.json().error).toMatchObject({ code, title: expect.any(String), message: expect.any(String) });
});

test('a wrong password stays wrong after a right one', async () => {
  await using given = await givenIdentity();
  for (const [password, code] of [
    ['right', 201],
    ['wrong', 401],
    ['right', 201],
  ] as const) {
    expect((await given.app.inject(login(password))).statusCode).toBe(code);
  }
});

test('a token can be looked at, exchanged and revoked', async () => {
  await using given = await givenIdentity();
  const first = (await given.app.inject(login('right'))).headers['x-subject-token'] as string;
  const headers = { 'x-auth-token': first, 'x-subject-token': first };
  const url = '/identity/v3/auth/tokens';
  expect((await given.app.inject({ url, headers })).json().token.user.name).toBe('admin');

  given.pass(1_800_000);
  const auth = { identity: { methods: ['token'], token: { id: first } }, scope: project };
  const exchanged = await given.app.inject({ method: 'POST', url, payload: { auth } });
  expect(exchanged.statusCode).toBe(201);
  expect(exchanged.json().token.expires_at).toBe('2026-01-01T01:00:00.000000Z');

  expect((await given.app.inject({ method: 'DELETE', url, headers })).statusCode).toBe(204);
  expect((await given.app.inject({ url, headers })).statusCode).toBe(401);
});

test('an unscoped token has neither project nor catalog', async () => {
  await using given = await givenIdentity();
  const { token } = (await given.app.inject(login('right', 'unscoped'))).json();
  expect(token).not.toHaveProperty('project');
  expect(token).not.toHaveProperty('catalog');
});
