import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../lib/secret.ts';
import { ensureAdmin } from './first-start.ts';
import { ADMIN, givenIdentity, passwordLogin } from './identity.fixture.ts';
import { tokenAuthentication } from './identity.ts';

const ADMIN_SCOPE = { project: { name: 'admin', domain: { name: 'Default' } } };
const BY_NAME = { name: 'admin', domain: { id: 'default' } };
type Given = Awaited<ReturnType<typeof givenIdentity>>;
type Member = Awaited<ReturnType<Given['member']>>;
const namesOf = (list: { name: string }[]) => list.map(({ name }) => name).sort();

describe('tokens', () => {
  test('the right password gives a token with project, roles and catalog', async () => {
    await using given = await givenIdentity();
    const auth = passwordLogin(BY_NAME, 'right', ADMIN_SCOPE);
    const answer = await given.request('POST', '/auth/tokens', undefined, auth, { host: 'lb.example:9876' });
    expect(answer.status).toBe(201);
    const { token } = answer.body;
    expect(token).toMatchObject({
      methods: ['password'],
      user: { id: ADMIN.user, name: 'admin', domain: { id: 'default' } },
      project: { id: ADMIN.project, name: 'admin', domain: { id: 'default', name: 'Default' } },
      issued_at: '2026-01-01T00:00:00.000000Z',
      expires_at: '2026-01-01T01:00:00.000000Z',
    });
    expect(namesOf(token.roles)).toEqual(['admin', 'manager', 'member', 'reader']);
    type Service = { type: string; endpoints: { interface: string; region: string; url: string }[] };
    const urls = token.catalog.map((service: Service) => [service.type, service.endpoints[0]!.url]);
    expect(Object.fromEntries(urls)).toEqual({
      'load-balancer': 'http://lb.example:9876',
      identity: 'http://lb.example:9876/identity/v3',
      network: 'http://lb.example:9876/network',
      'key-manager': 'http://lb.example:9876/key-manager',
    });
    for (const { endpoints } of token.catalog as Service[]) {
      expect(endpoints.map(each => each.interface).sort()).toEqual(['admin', 'internal', 'public']);
      expect(endpoints.every(each => each.region === 'RegionOne')).toBe(true);
    }
  });

  test('every scope has its form, and only what has roles there is given', async () => {
    await using given = await givenIdentity();
    const ask = (scope: object | 'unscoped' | undefined, who: object = BY_NAME, password = 'right') =>
      given.request('POST', '/auth/tokens', undefined, passwordLogin(who, password, scope));
    const system = await ask({ system: { all: true } });
    expect(system.body.token).toMatchObject({ system: { all: true } });
    expect(namesOf(system.body.token.roles)).toContain('admin');
    const unscoped = await ask('unscoped');
    for (const absent of ['project', 'catalog', 'roles', 'system'])
      expect(unscoped.body.token).not.toHaveProperty(absent);
    // No scope: the default project, which the admin has, and a user without one does not.
    expect((await ask(undefined)).body.token.project.id).toBe(ADMIN.project);
    const domain = { domain: { id: 'default' } };
    expect((await ask(domain)).status).toBe(401);
    await given.request(
      'PUT',
      `/domains/default/users/${ADMIN.user}/roles/${await given.roleId('reader')}`,
      given.admin,
    );
    const scoped = await ask(domain);
    expect(scoped.body.token).toMatchObject({ domain: { id: 'default', name: 'Default' } });
    expect(namesOf(scoped.body.token.roles)).toEqual(['reader']);

    const { user, project } = await given.member('ann');
    const ann = [{ id: user.id }, 'ann-secret'] as const;
    expect((await ask(undefined, ...ann)).body.token).not.toHaveProperty('project');
    expect((await ask({ project: { id: project.id } }, ...ann)).status).toBe(201);
    expect((await ask(ADMIN_SCOPE, ...ann)).status).toBe(401);
    expect((await ask({ system: { all: true } }, ...ann)).status).toBe(401);
  });

  test('a token is good for an hour, and is kept as a hash only', async () => {
    await using given = await givenIdentity();
    const rows = JSON.stringify(await given.db.selectFrom('token').selectAll().execute());
    expect(rows).not.toContain(given.admin);
    const valid = async () => (await given.request('GET', '/auth/projects', given.admin)).status;
    given.pass(3_599_000);
    expect(await valid()).toBe(200);
    given.pass(1000);
    expect(await valid()).toBe(401);
  });

  test('a wrong password stays wrong after a right one', async () => {
    await using given = await givenIdentity();
    for (const [password, right] of [
      ['right', true],
      ['wrong', false],
      ['right', true],
    ] as const) {
      const token = await given.findToken(passwordLogin(BY_NAME, password, ADMIN_SCOPE));
      expect(token !== undefined).toBe(right);
    }
  });

  test('a token can be exchanged for one that lives no longer, and revoked', async () => {
    await using given = await givenIdentity();
    given.pass(1_800_000);
    const auth = {
      auth: {
        identity: { methods: ['token'], token: { id: given.admin } },
        scope: { system: { all: true } },
      },
    };
    const exchanged = await given.request('POST', '/auth/tokens', undefined, auth);
    expect(exchanged.status).toBe(201);
    expect(exchanged.body.token).toMatchObject({
      expires_at: '2026-01-01T01:00:00.000000Z',
      methods: ['password', 'token'],
    });
    const subject = { 'x-subject-token': given.admin };
    expect((await given.request('DELETE', '/auth/tokens', given.admin, undefined, subject)).status).toBe(204);
    expect((await given.request('GET', '/auth/tokens', given.admin, undefined, subject)).status).toBe(401);
    expect((await given.request('POST', '/auth/tokens', undefined, auth)).status).toBe(401);
  });

  test('a service user validates the tokens of others, a member only his own', async () => {
    await using given = await givenIdentity();
    const [ann, bob, service] = await Promise.all([
      given.member('ann'),
      given.member('bob'),
      given.member('middleware', 'service'),
    ]);
    const look = (method: 'GET' | 'HEAD', caller: string, subject: string) =>
      given.request(method, '/auth/tokens', caller, undefined, { 'x-subject-token': subject });
    const seen = await look('GET', service.token, ann.token);
    expect(seen.status).toBe(200);
    expect(seen.headers['x-subject-token']).toBe(ann.token);
    expect(seen.body.token).toMatchObject({ user: { name: 'ann' }, project: { name: 'ann-project' } });
    expect(await look('HEAD', service.token, ann.token)).toMatchObject({ status: 200, body: undefined });
    expect((await look('GET', service.token, 'nonsense')).status).toBe(404);
    expect((await look('GET', ann.token, ann.token)).status).toBe(200);
    expect((await look('GET', ann.token, bob.token)).status).toBe(403);
    // Nor does validating mean revoking.
    const revoke = { 'x-subject-token': ann.token };
    expect((await given.request('DELETE', '/auth/tokens', service.token, undefined, revoke)).status).toBe(
      403,
    );
    const short = await given.request('GET', '/auth/tokens?nocatalog', ann.token, undefined, revoke);
    expect(short.body.token).not.toHaveProperty('catalog');
  });

  const asAdmin = (method: 'PATCH' | 'DELETE', path: (m: Member) => string, body?: object) => {
    return (given: Given, m: Member) => given.request(method, path(m), given.admin, body);
  };

  test.each<[what: string, act: (given: Given, m: Member) => Promise<unknown>]>([
    ['its user is disabled', asAdmin('PATCH', m => `/users/${m.user.id}`, { user: { enabled: false } })],
    ['its user is deleted', asAdmin('DELETE', m => `/users/${m.user.id}`)],
    ["its user's password is set", asAdmin('PATCH', m => `/users/${m.user.id}`, { user: { password: 'x' } })],
    [
      'its project is disabled',
      asAdmin('PATCH', m => `/projects/${m.project.id}`, { project: { enabled: false } }),
    ],
    ['its project is deleted', asAdmin('DELETE', m => `/projects/${m.project.id}`)],
    ['its role is taken', asAdmin('DELETE', m => m.grant)],
  ])('a token ends when %s', async (_what, act) => {
    await using given = await givenIdentity();
    const ann = await given.member('ann');
    const authenticate = tokenAuthentication(given.identity);
    const caller = () => authenticate({ headers: { 'x-auth-token': ann.token } });
    expect(await caller()).toEqual({
      ...{ user_id: ann.user.id, project_id: ann.project.id, domain_id: null, system_scope: null },
      ...{ roles: ['member', 'reader'], is_admin: false },
    });
    await act(given, ann);
    await expect(async () => await caller()).rejects.toMatchObject({ kind: 'unauthorized' });
  });

  test('a user that was disabled gets no old token back when enabled again', async () => {
    await using given = await givenIdentity();
    const { user, token, login } = await given.member('ann');
    for (const enabled of [false, true])
      await given.request('PATCH', `/users/${user.id}`, given.admin, { user: { enabled } });
    expect((await given.request('GET', '/auth/projects', token)).status).toBe(401);
    expect(await given.findToken(login)).toBeDefined();
  });

  test('a role that is given later is in the tokens that are out', async () => {
    await using given = await givenIdentity();
    const { user, project, token } = await given.member('ann', 'reader');
    const authenticate = tokenAuthentication(given.identity);
    const roles = async () => (await authenticate({ headers: { 'x-auth-token': token } })).roles;
    expect(await roles()).toEqual(['reader']);
    const role = await given.create('role', { name: 'auditor' });
    await given.request('PUT', `/projects/${project.id}/users/${user.id}/roles/${role.id}`, given.admin);
    expect(await roles()).toEqual(['auditor', 'reader']);
  });

  test('what its holder may ask for himself', async () => {
    await using given = await givenIdentity();
    const { token, project } = await given.member('ann');
    const get = async (path: string, caller = token) => (await given.request('GET', path, caller)).body;
    expect((await get('/auth/projects')).projects).toMatchObject([{ id: project.id, name: 'ann-project' }]);
    expect((await get('/auth/domains')).domains).toEqual([]);
    expect((await get('/auth/system')).system).toEqual([]);
    expect((await get('/auth/system', given.admin)).system).toEqual([{ all: true }]);
    expect((await get('/auth/catalog')).catalog).toHaveLength(4);
  });
});

describe('records', () => {
  test('a project is made, found, changed and deleted', async () => {
    await using given = await givenIdentity();
    const made = await given.create('project', {
      name: 'shop',
      description: 'web',
      tags: ['a'],
      colour: 'red',
    });
    expect(made).toMatchObject({
      ...{ name: 'shop', description: 'web', tags: ['a'], colour: 'red', enabled: true },
      ...{ domain_id: 'default', parent_id: 'default', is_domain: false },
      links: { self: `http://localhost:80/identity/v3/projects/${made.id}` },
    });
    const url = `/projects/${made.id}`;
    const changed = await given.request('PATCH', url, given.admin, { project: { name: 'store', size: 3 } });
    expect(changed.body.project).toMatchObject({ name: 'store', description: 'web', colour: 'red', size: 3 });
    expect((await given.request('GET', url, given.admin)).body).toEqual(changed.body);
    const child = await given.create('project', { name: 'below', parent_id: made.id });
    expect((await given.request('DELETE', url, given.admin)).status).toBe(403);
    for (const id of [child.id, made.id])
      expect((await given.request('DELETE', `/projects/${id}`, given.admin)).status).toBe(204);
    expect((await given.request('GET', url, given.admin)).status).toBe(404);
  });

  test('a user never shows his password, and changes it himself', async () => {
    await using given = await givenIdentity();
    const { user, token, project } = await given.member('ann');
    const shown = await given.request('GET', `/users/${user.id}`, given.admin);
    expect(JSON.stringify(shown.body)).not.toMatch(/secret|scrypt/);
    expect(shown.body.user).toMatchObject({ name: 'ann', enabled: true, domain_id: 'default' });
    const url = `/users/${user.id}/password`;
    const change = (original_password: string, password: string) =>
      given.request('POST', url, token, { user: { original_password, password } });
    expect((await change('wrong', 'new')).status).toBe(401);
    expect((await change('ann-secret', '')).status).toBe(400);
    expect((await change('ann-secret', 'new')).status).toBe(204);
    const login = (password: string) =>
      given.findToken(passwordLogin({ id: user.id }, password, { project: { id: project.id } }));
    expect(await login('ann-secret')).toBeUndefined();
    expect(await login('new')).toBeDefined();
    expect((await given.request('GET', '/auth/projects', token)).status).toBe(401);
  });

  test('of two makers of one name at once one is refused', async () => {
    await using given = await givenIdentity();
    const make = () => given.request('POST', '/users', given.admin, { user: { name: 'ann' } });
    const answers = await Promise.all([make(), make()]);
    expect(answers.map(answer => answer.status).sort()).toEqual([201, 409]);
  });

  test('default roles stay as they are; others come and go', async () => {
    await using given = await givenIdentity();
    const roles = (await given.request('GET', '/roles', given.admin)).body.roles;
    expect(namesOf(roles)).toEqual([
      ...['admin', 'load-balancer_admin', 'load-balancer_global_observer', 'load-balancer_member'],
      ...['load-balancer_observer', 'load-balancer_quota_admin', 'manager', 'member', 'reader', 'service'],
    ]);
    const admin = `/roles/${await given.roleId('admin')}`;
    expect((await given.request('DELETE', admin, given.admin)).status).toBe(403);
    expect((await given.request('PATCH', admin, given.admin, { role: { name: 'x' } })).status).toBe(403);
    const { id } = await given.create('role', { name: 'auditor' });
    expect((await given.request('DELETE', `/roles/${id}`, given.admin)).status).toBe(204);
  });
});

describe('grants', () => {
  test('a role is given, seen, taken, and then absent', async () => {
    await using given = await givenIdentity();
    const { grant } = await given.member('ann');
    expect((await given.request('PUT', grant, given.admin)).status).toBe(204);
    expect((await given.request('HEAD', grant, given.admin)).status).toBe(204);
    const list = await given.request('GET', grant.slice(0, grant.lastIndexOf('/')), given.admin);
    expect(namesOf(list.body.roles)).toEqual(['member']);
    expect((await given.request('DELETE', grant, given.admin)).status).toBe(204);
    for (const method of ['HEAD', 'DELETE'] as const)
      expect((await given.request(method, grant, given.admin)).status).toBe(404);
  });

  test.each([
    ['/projects/nowhere/users/USER/roles/ROLE'],
    ['/projects/PROJECT/users/nobody/roles/ROLE'],
    ['/projects/PROJECT/users/USER/roles/none'],
    ['/domains/other/users/USER/roles/ROLE'],
  ])('%s cannot be given', async path => {
    await using given = await givenIdentity();
    const url = path
      .replace('USER', ADMIN.user)
      .replace('PROJECT', ADMIN.project)
      .replace('ROLE', await given.roleId('member'));
    expect((await given.request('PUT', url, given.admin)).status).toBe(404);
  });

  test('assignments are listed with filters, names and what they imply', async () => {
    await using given = await givenIdentity();
    const { user, project } = await given.member('ann');
    const list = async (query: string) =>
      (await given.request('GET', `/role_assignments${query}`, given.admin)).body.role_assignments;
    expect(await list('')).toHaveLength(3);
    expect(await list('?scope.system=all')).toMatchObject([
      { user: { id: ADMIN.user }, scope: { system: { all: true } } },
    ]);
    expect(await list(`?scope.project.id=${project.id}`)).toHaveLength(1);
    expect(await list(`?role.id=${await given.roleId('admin')}`)).toHaveLength(2);
    expect(await list('?group.id=x')).toEqual([]);
    expect(await list(`?user.id=${user.id}&include_names=True`)).toMatchObject([
      {
        user: { id: user.id, name: 'ann', domain: { name: 'Default' } },
        role: { name: 'member' },
        scope: { project: { id: project.id, name: 'ann-project', domain: { name: 'Default' } } },
      },
    ]);
    const effective = await list(`?user.id=${user.id}&effective&include_names`);
    expect(effective.map((held: { role: { name: string } }) => held.role.name)).toEqual(['member', 'reader']);
  });
});

describe('who may', () => {
  test('a reader of the system sees everything and changes nothing', async () => {
    await using given = await givenIdentity();
    const { user } = await given.member('ann');
    await given.request('PUT', `/system/users/${user.id}/roles/${await given.roleId('reader')}`, given.admin);
    const scope = { system: { all: true } };
    const token = await given.findToken(passwordLogin({ id: user.id }, 'ann-secret', scope));
    for (const path of ['/users', '/projects', '/role_assignments', '/endpoints'])
      expect((await given.request('GET', path, token)).status).toBe(200);
    expect((await given.request('POST', '/projects', token, { project: { name: 'x' } })).status).toBe(403);
  });
});

describe('one answer each', () => {
  let given: Given;
  let ann: Member;
  let two: string;
  beforeAll(async () => {
    given = await givenIdentity();
    ann = await given.member('ann');
    await given.create('project', { name: 'one', tags: ['x', 'y'] });
    two = (await given.create('project', { name: 'two', enabled: false, tags: ['x'] })).id;
    await given.create('project', { name: 'three', parent_id: two });
  });
  afterAll(() => given[Symbol.asyncDispose]());

  test.each([
    ['a wrong password', passwordLogin(BY_NAME, 'wrong', ADMIN_SCOPE), 401],
    ['an unknown user', passwordLogin({ name: 'eve', domain: { id: 'default' } }, 'right', ADMIN_SCOPE), 401],
    [
      'the user of another domain',
      passwordLogin({ name: 'admin', domain: { name: 'other' } }, 'right', ADMIN_SCOPE),
      401,
    ],
    ['an unknown project', passwordLogin(BY_NAME, 'right', { project: { id: 'elsewhere' } }), 401],
    ['a scope that is none', passwordLogin(BY_NAME, 'right', { galaxy: {} }), 400],
    ['an unknown method', { auth: { identity: { methods: ['totp'] } } }, 401],
    ['no methods', { auth: { identity: {} } }, 400],
    ['no body', {}, 400],
  ])("%s is refused in Keystone's form", async (_what, auth, code) => {
    const { status, body, headers } = await given.request('POST', '/auth/tokens', undefined, auth);
    expect(status).toBe(code);
    expect(body.error).toMatchObject({ code, title: expect.any(String), message: expect.any(String) });
    if (code === 401) expect(headers['www-authenticate']).toMatch(/^Keystone uri=".*\/identity"$/);
  });

  test.each([
    ['?name=two', ['two']],
    ['?enabled=false', ['two']],
    ['?enabled=1', ['admin', 'ann-project', 'one', 'three']],
    ['?domain_id=default', ['admin', 'ann-project', 'one', 'three', 'two']],
    ['?domain_id=other', []],
    ['?is_domain=true', []],
    ['?tags=x,y', ['one']],
    ['?name=one&enabled=false', []],
    ['?parent_id=TWO', ['three']],
    ['?limit=1', ['admin', 'ann-project', 'one', 'three', 'two']],
  ])('projects are listed by %s', async (query, names) => {
    const { body } = await given.request('GET', `/projects${query.replace('TWO', two)}`, given.admin);
    expect(namesOf(body.projects)).toEqual(names);
  });

  test.each([
    ['POST', '/projects', { project: { name: 'admin' } }, 409],
    ['POST', '/users', { user: { name: 'admin' } }, 409],
    ['POST', '/roles', { role: { name: 'member' } }, 409],
    ['PATCH', `/users/${ADMIN.user}`, { user: { name: 'ann' } }, 409],
    ['POST', '/projects', { project: {} }, 400],
    ['POST', '/projects', { project: { name: ' ' } }, 400],
    ['POST', '/projects', { project: { name: 'x'.repeat(65) } }, 400],
    ['POST', '/projects', { name: 'x' }, 400],
    ['POST', '/projects', { project: { name: 'x', enabled: 'yes' } }, 400],
    ['POST', '/projects', { project: { name: 'x', domain_id: 'other' } }, 404],
    ['POST', '/projects', { project: { name: 'x', parent_id: 'other' } }, 404],
    ['POST', '/projects', { project: { name: 'x', is_domain: true } }, 403],
    ['PATCH', `/projects/${ADMIN.project}`, { project: { parent_id: ADMIN.user } }, 403],
    ['POST', '/roles', { role: { name: 'x', domain_id: 'default' } }, 400],
    ['GET', '/users/nobody', undefined, 404],
    ['PATCH', '/users/nobody', { user: {} }, 404],
    ['DELETE', '/users/nobody', undefined, 404],
    ['GET', '/groups/nobodies', undefined, 404],
    ['POST', '/groups', { group: { name: 'x' } }, 501],
    ['DELETE', '/domains/default', undefined, 501],
    ['GET', '/nothing', undefined, 404],
  ] as const)('%s %s %j is refused with %i', async (method, path, body, code) => {
    const answer = await given.request(method, path, given.admin, body);
    expect(answer.status).toBe(code);
    expect(answer.body.error).toMatchObject({ code, message: expect.stringMatching(/\w/) });
  });

  test.each([
    ['GET', '/users', 403],
    ['GET', '/users/SELF', 200],
    ['GET', `/users/${ADMIN.user}`, 403],
    // What he may not see is not told from what is not there.
    ['GET', '/users/nobody', 403],
    ['PATCH', '/users/SELF', 403],
    ['DELETE', '/users/SELF', 403],
    ['POST', '/users', 403],
    ['GET', '/projects', 403],
    ['GET', '/projects/OWN', 200],
    ['GET', `/projects/${ADMIN.project}`, 403],
    ['POST', '/projects', 403],
    ['GET', '/users/SELF/projects', 200],
    ['GET', `/users/${ADMIN.user}/projects`, 403],
    ['GET', '/users/SELF/groups', 200],
    ['GET', '/roles', 200],
    ['POST', '/roles', 403],
    ['GET', '/role_assignments', 403],
    ['GET', '/role_assignments?user.id=SELF', 200],
    ['GET', '/domains', 200],
    ['GET', '/groups', 403],
    ['GET', '/services', 403],
    ['PUT', '/projects/OWN/users/SELF/roles/x', 403],
    ['GET', '/users/SELF/application_credentials', 200],
    ['GET', `/users/${ADMIN.user}/application_credentials`, 403],
  ] as const)('a member asks %s %s: %i', async (method, path, code) => {
    const { user, project, token } = ann;
    const url = path.replace('SELF', user.id).replace('OWN', project.id);
    expect((await given.request(method, url, token, {}, {})).status).toBe(code);
    expect((await given.request(method, url, undefined, {})).status).toBe(401);
  });
});

describe('application credentials', () => {
  const loginWith = (credential: object) => ({
    auth: { identity: { methods: ['application_credential'], application_credential: credential } },
  });

  test('one is made, logged in with by id and by name, and ends its tokens with it', async () => {
    await using given = await givenIdentity();
    const { user, project, token } = await given.member('ann');
    const url = `/users/${user.id}/application_credentials`;
    const make = (fields: object, caller = token) =>
      given.request('POST', url, caller, { application_credential: fields });
    const made = await make({ name: 'ci', roles: [{ name: 'reader' }] });
    expect(made.status).toBe(201);
    const { id, secret, ...shown } = made.body.application_credential;
    expect(shown).toMatchObject({ name: 'ci', project_id: project.id, roles: [{ name: 'reader' }] });
    expect(
      (await given.request('GET', `${url}/${id}`, token)).body.application_credential,
    ).not.toHaveProperty('secret');
    expect((await make({ name: 'ci' })).status).toBe(409);
    expect((await make({ name: 'x', roles: [{ name: 'admin' }] })).status).toBe(400);

    const named = { name: 'ci', user: { name: 'ann', domain: { id: 'default' } } };
    expect(await given.findToken(loginWith({ ...named, secret }))).toBeDefined();
    expect(await given.findToken(loginWith({ id, secret: 'wrong' }))).toBeUndefined();
    const issued = await given.request('POST', '/auth/tokens', undefined, loginWith({ id, secret }));
    expect(namesOf(issued.body.token.roles)).toEqual(['reader']);
    const own = issued.headers['x-subject-token'] as string;
    // It cannot make more of itself, nor be exchanged for a token with more.
    expect((await make({ name: 'more' }, own)).status).toBe(403);
    const exchange = { auth: { identity: { methods: ['token'], token: { id: own } } } };
    expect((await given.request('POST', '/auth/tokens', undefined, exchange)).status).toBe(403);

    expect((await given.request('DELETE', `${url}/${id}`, token)).status).toBe(204);
    expect((await given.request('GET', '/auth/projects', own)).status).toBe(401);
    expect(await given.findToken(loginWith({ id, secret }))).toBeUndefined();
  });

  test('one ends at its time, and with the role that it was made for', async () => {
    await using given = await givenIdentity();
    const { user, token, grant } = await given.member('ann');
    const make = async (name: string, expires_at?: string) => {
      const body = { application_credential: { name, expires_at, secret: `${name}-secret` } };
      const answer = await given.request('POST', `/users/${user.id}/application_credentials`, token, body);
      return loginWith({ id: answer.body.application_credential.id, secret: `${name}-secret` });
    };
    const [short, long] = [await make('short', '2026-01-01T00:10:00.000000'), await make('long')];
    const issued = await given.request('POST', '/auth/tokens', undefined, short);
    expect(issued.body.token.expires_at).toBe('2026-01-01T00:10:00.000000Z');
    given.pass(600_000);
    expect(await given.findToken(short)).toBeUndefined();
    expect(await given.findToken(long)).toBeDefined();
    await given.request('DELETE', grant, given.admin);
    expect(await given.findToken(long)).toBeUndefined();
  });
});

describe('the first start', () => {
  test('a lost password is replaced, and what was deleted is made again', async () => {
    await using given = await givenIdentity();
    await given.request('PATCH', `/users/${ADMIN.user}`, given.admin, { user: { name: 'root' } });
    await ensureAdmin(given.db, ADMIN, new Secret('other'));
    expect(await given.findToken(passwordLogin({ name: 'root' }, 'right', ADMIN_SCOPE))).toBeUndefined();
    const again = await given.findToken(passwordLogin({ name: 'root' }, 'other', ADMIN_SCOPE));
    await given.request('DELETE', `/users/${ADMIN.user}`, again);
    await ensureAdmin(given.db, ADMIN, new Secret('third'));
    expect(await given.findToken(passwordLogin(BY_NAME, 'third', ADMIN_SCOPE))).toBeDefined();
  });
});
