/** Tokens looked at in a real Keystone v3, the standalone one, over HTTP: while it serves, hangs, is away, and comes back empty. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { deleteTokensOf } from '../../db/tokens.ts';
import { systemClock } from '../../lib/clock.ts';
import { errorChain } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { ADMIN, givenIdentity, passwordLogin, START_MS } from '../../standalone/identity.fixture.ts';
import { issueAuthority, issueLeaf } from '../certificates/issue.ts';
import { KeystoneIdentity, type KeystoneIdentityOptions } from './keystone.ts';

type Answering = (request: IncomingMessage, response: ServerResponse) => void;

async function givenKeystone(
  set: Partial<KeystoneIdentityOptions> = {},
  tls?: { cert: string; key: string },
) {
  const identity = await givenIdentity();
  await identity.app.ready();
  const service = await identity.member('octavia', 'service');
  const user = await identity.member('mary');
  let nowMs = START_MS;
  let answering: Answering = identity.app.routing;
  const seen: string[] = [];
  const serve: Answering = (request, response) => {
    seen.push(`${request.method} ${request.url!.split('?')[0]}`);
    answering(request, response);
  };
  const server = tls ? createTlsServer(tls, serve) : createServer(serve);
  const listen = async (port: number) => {
    if (server.listening) return;
    server.listen({ host: '127.0.0.1', port });
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const keystone = new KeystoneIdentity({
    url: tls ? `https://localhost:${port}/identity/v3/` : `http://127.0.0.1:${port}/identity`,
    username: 'octavia',
    password: new Secret('octavia-secret'),
    projectName: 'octavia-project',
    userDomain: { id: 'default' },
    projectDomain: { name: 'Default' },
    caFile: null,
    insecure: false,
    cacheMs: 300_000,
    // Logging in takes a while on a busy machine; who tests that Keystone hangs is less patient.
    timeoutMs: 20_000,
    patienceMs: 60_000,
    retries: 1,
    clock: { ...systemClock, now: () => nowMs },
    ...set,
  });
  const stop = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  return {
    identity,
    service,
    user,
    stop,
    start: () => listen(port),
    answer(how: Answering) {
      answering = how;
    },
    serve() {
      answering = identity.app.routing;
    },
    pass(ms: number) {
      nowMs += ms;
      identity.pass(ms);
    },
    /** What Keystone was asked since the last call. */
    asked: () => seen.splice(0),
    who: (token: string) => keystone.authenticate({ headers: { 'x-auth-token': token } }),
    async [Symbol.asyncDispose]() {
      await keystone.close();
      await stop();
      await identity[Symbol.asyncDispose]();
    },
  };
}

const LOGIN = 'POST /identity/v3/auth/tokens';
const LOOK = 'GET /identity/v3/auth/tokens';

test('a token is its user, project and roles, and is asked about once', async () => {
  await using given = await givenKeystone();
  for (let i = 0; i < 3; i++)
    expect(await given.who(given.user.token)).toMatchObject({
      user_id: given.user.user.id,
      project_id: given.user.project.id,
      domain_id: null,
      system_scope: null,
      roles: expect.arrayContaining(['member', 'reader']),
      is_admin: false,
      user_domain_id: 'default',
      project_domain_id: 'default',
    });
  expect(given.asked()).toEqual([LOGIN, LOOK]);
  given.pass(299_999);
  await given.who(given.user.token);
  expect(given.asked()).toEqual([]);
  given.pass(1);
  await given.who(given.user.token);
  expect(given.asked()).toEqual([LOOK]);
});

test('a token of the whole system has its scope, and no project', async () => {
  await using given = await givenKeystone();
  const system = passwordLogin({ id: ADMIN.user }, 'right', { system: { all: true } });
  expect(await given.who((await given.identity.findToken(system))!)).toMatchObject({
    project_id: null,
    system_scope: 'all',
    roles: expect.arrayContaining(['admin']),
  });
});

test('many requests with one token are one question', async () => {
  await using given = await givenKeystone();
  const callers = await Promise.all(Array.from({ length: 50 }, () => given.who(given.user.token)));
  expect(new Set(callers.map(caller => caller.user_id))).toEqual(new Set([given.user.user.id]));
  expect(given.asked()).toEqual([LOGIN, LOOK]);
});

test('many tokens at once are one login', async () => {
  await using given = await givenKeystone();
  const tokens = await Promise.all(
    Array.from({ length: 5 }, () => given.identity.findToken(given.user.login)),
  );
  await Promise.all(tokens.map(token => given.who(token!)));
  expect(given.asked().filter(question => question === LOGIN)).toHaveLength(1);
});

test('an unknown token is nobody, and that is told from memory for a while', async () => {
  await using given = await givenKeystone();
  const isNobody = (token: string) =>
    expect(given.who(token)).rejects.toMatchObject({ kind: 'unauthorized' });
  for (const token of ['made-up', 'made-up', '', 'with blank', 'ümlaut']) await isNobody(token);
  expect(given.asked()).toEqual([LOGIN, LOOK]);
  given.pass(5000);
  await isNobody('made-up');
  expect(given.asked()).toEqual([LOOK]);
});

test('a token is not good beyond its end, however long answers are kept', async () => {
  await using given = await givenKeystone({ cacheMs: 86_400_000 });
  await given.who(given.user.token);
  given.pass(3_599_000);
  await given.who(given.user.token);
  given.pass(1000);
  await expect(given.who(given.user.token)).rejects.toMatchObject({ kind: 'unauthorized' });
});

test('without a cache a revoked token is refused at once', async () => {
  await using given = await givenKeystone({ cacheMs: -1 });
  await given.who(given.user.token);
  await given.identity.identity.write(trx => deleteTokensOf(trx, { user_id: given.user.user.id }));
  await expect(given.who(given.user.token)).rejects.toMatchObject({ kind: 'unauthorized' });
});

test('when our own token ended, or Keystone was restarted without it, we log in again', async () => {
  await using given = await givenKeystone({ cacheMs: 0 });
  await given.who(given.user.token);
  given.asked();
  await given.identity.identity.write(trx => deleteTokensOf(trx, { user_id: given.service.user.id }));
  await given.who(given.user.token);
  expect(given.asked()).toEqual([LOOK, LOGIN, LOOK]);

  given.pass(3_550_000);
  const fresh = (await given.identity.findToken(given.user.login))!;
  await given.who(fresh);
  expect(given.asked()).toEqual([LOGIN, LOOK]);
});

test.each<[string, (given: Awaited<ReturnType<typeof givenKeystone>>) => unknown, RegExp]>([
  ['is stopped', given => given.stop(), /tried 2 times.*ECONNREFUSED/],
  ['hangs', given => given.answer(() => {}), /tried 2 times/],
  [
    'hangs in the middle of an answer',
    given => given.answer((_, r) => r.writeHead(200).write('{')),
    /tried 2/,
  ],
  ['answers with errors', given => given.answer((_, r) => r.writeHead(500).end('<html>')), /answers 500/],
  ['answers nonsense', given => given.answer((_, r) => r.writeHead(200).end('<html>')), /./],
])('while it %s, users are told to try later; what is known still counts', async (_what, stop, cause) => {
  await using given = await givenKeystone({ timeoutMs: 2000 });
  await given.who(given.user.token);
  const other = (await given.identity.findToken(given.user.login))!;
  await stop(given);
  const startedMs = Date.now();
  const failure = await given.who(other).catch((error: unknown) => error);
  expect(failure).toMatchObject({
    kind: 'unavailable',
    message: expect.stringMatching(/^Cannot check your token: the identity service/),
  });
  expect(errorChain(failure)).toMatch(cause);
  expect(errorChain(failure)).not.toContain('octavia-secret');
  expect(Date.now() - startedMs).toBeLessThan(15_000);
  await given.who(given.user.token);

  given.serve();
  await given.start();
  expect(await given.who(other)).toMatchObject({ user_id: given.user.user.id });
});

test('one answer that fails is asked for again', async () => {
  await using given = await givenKeystone();
  let failed = 0;
  given.answer((request, response) => {
    if (failed++ % 2 === 0) response.destroy();
    else given.identity.app.routing(request, response);
  });
  expect(await given.who(given.user.token)).toMatchObject({ user_id: given.user.user.id });
  expect(given.asked()).toEqual([LOGIN, LOGIN, LOOK, LOOK]);
});

test.each([
  ['whose password is wrong', { password: new Secret('wrong') }, /refuses to log in user octavia: 401/],
  [
    'who may not look at tokens',
    { username: 'mary', password: new Secret('mary-secret'), projectName: null },
    /403/,
  ],
])('a service user %s is told to the operator, and users get 503', async (_what, set, cause) => {
  await using given = await givenKeystone(set);
  const other = await given.identity.member('joe');
  const failure = await given.who(other.token).catch((error: unknown) => error);
  expect(failure).toMatchObject({ kind: 'unavailable' });
  expect(errorChain(failure)).toMatch(cause);
});

test('a Keystone behind TLS is believed when its signer is known, or when any is', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-keystone-'));
  const caFile = join(directory, 'ca.pem');
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const issuer = await issueAuthority({ ...validity, commonName: 'signer' });
  const leaf = await issueLeaf(issuer, { ...validity, commonName: 'localhost', dnsName: 'localhost' });
  const tls = { cert: leaf.certificate, key: leaf.key.reveal() };
  writeFileSync(caFile, issuer.pem);
  try {
    for (const set of [{ caFile }, { insecure: true }]) {
      await using given = await givenKeystone(set, tls);
      expect(await given.who(given.user.token)).toMatchObject({ user_id: given.user.user.id });
    }
    await using given = await givenKeystone({}, tls);
    const failure = await given.who(given.user.token).catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: 'unavailable' });
    expect(errorChain(failure)).toMatch(/certificate/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
