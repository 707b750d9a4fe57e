/** How `ottavia standalone` starts, refuses to start, ends and is purged, with noop drivers: the real program each time. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endOttaviaProcesses, OttaviaProcess, runOttavia } from './ottavia-process.ts';

let parent: string;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'ottavia-start-'));
});
afterAll(() => {
  endOttaviaProcesses();
  rmSync(parent, { recursive: true });
});

let count = 0;
const freshDirectory = () => join(parent, `data-${count++}`);
const noop = (dataDir: string, ...more: string[]) => [
  ...['standalone', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--drivers', 'noop'],
  ...more,
];

/** Everything in one line, no stack, and nothing made. */
async function expectRefusal(args: string[], words: string | RegExp, environment: NodeJS.ProcessEnv = {}) {
  const { code, stderr, stdout } = await runOttavia(args, { env: { ...process.env, ...environment } });
  expect(stderr).toMatch(words);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stderr.trim().split('\n'), stderr).toHaveLength(1);
  expect(stdout).toBe('');
  expect(code).toBe(1);
}

test('starts from nothing, serves, keeps everything over SIGTERM and SIGKILL, and is purged', async () => {
  const dataDir = freshDirectory();
  let program = new OttaviaProcess(noop(dataDir));
  let url = await program.ready();
  expect(await (await fetch(url)).json()).toHaveProperty('versions');
  for (const name of ['openrc', 'clouds.yaml'])
    expect(statSync(join(dataDir, name)).mode & 0o777).toBe(0o600);
  const clouds = readFileSync(join(dataDir, 'clouds.yaml'), 'utf8').replace(url, '');
  const systemId = readFileSync(join(dataDir, 'system-id'), 'utf8');

  const environment = { ...process.env, OS_CLIENT_CONFIG_FILE: join(dataDir, 'clouds.yaml') };
  const created = await runOttavia(['lb', 'create', '--name', 'kept', '--vip-subnet-id', 'private-subnet'], {
    env: environment,
  });
  expect(created).toMatchObject({ code: 0 });
  expect(await program.end('SIGKILL')).toMatchObject({ code: null });

  program = new OttaviaProcess(noop(dataDir));
  url = await program.ready();
  const listed = await runOttavia(['lb', 'list', '-f', 'value', '-c', 'name'], { env: environment });
  expect(listed).toMatchObject({ code: 0, stdout: 'kept\n' });
  expect(readFileSync(join(dataDir, 'clouds.yaml'), 'utf8').replace(url, '')).toBe(clouds);
  expect(readFileSync(join(dataDir, 'system-id'), 'utf8')).toBe(systemId);
  const ended = await program.end('SIGTERM');
  expect(ended.code).toBe(0);
  expect(ended.stderr).toContain('"msg":"stopped"');

  expect(await runOttavia(noop(dataDir, '--purge'))).toMatchObject({
    code: 0,
    stdout: `Purged ${dataDir}\n`,
  });
  expect(existsSync(dataDir)).toBe(false);
  expect((await runOttavia(noop(dataDir, '--purge'))).stdout).toMatch('Nothing to purge');
});

test('a second start and a purge are refused while it runs', async () => {
  const dataDir = freshDirectory();
  const program = new OttaviaProcess(noop(dataDir));
  await program.ready();
  const sentence = `Cannot use data directory ${dataDir}: another Ottavia (process ${program.child.pid}) runs on it.`;
  await expectRefusal(noop(dataDir), sentence);
  await expectRefusal(noop(dataDir, '--purge'), sentence);
  await program.end();
});

test('of many starts at once exactly one runs', async () => {
  const dataDir = freshDirectory();
  const programs = Array.from({ length: 4 }, () => new OttaviaProcess(noop(dataDir)));
  const outcomes = await Promise.allSettled(programs.map(program => program.ready()));
  expect(outcomes.filter(outcome => outcome.status === 'fulfilled')).toHaveLength(1);
  await Promise.all(programs.map(program => program.end()));
});

test('a port that is in use is named, and nothing is made', async () => {
  const other = createServer();
  await new Promise<void>(done => other.listen(0, '127.0.0.1', done));
  const where = `127.0.0.1:${(other.address() as { port: number }).port}`;
  const dataDir = freshDirectory();
  await expectRefusal(noop(dataDir, '--listen', where), `Cannot listen on ${where}: another program does.`);
  expect(existsSync(dataDir)).toBe(false);
  other.close();
});

test('an address that is not ours, and text that is no address, are named', async () => {
  const dataDir = freshDirectory();
  await expectRefusal(noop(dataDir, '--listen', '192.0.2.1:80'), 'this machine does not have the address');
  await expectRefusal(
    noop(dataDir, '--listen', 'nonsense'),
    'Cannot listen on nonsense: it must be address:port',
  );
  expect(existsSync(dataDir)).toBe(false);
});

test('a damaged database is named and left as it is', async () => {
  const dataDir = freshDirectory();
  const program = new OttaviaProcess(noop(dataDir));
  await program.ready();
  await program.end();
  const file = join(dataDir, 'ottavia.db');
  writeFileSync(file, 'not a database, but somebody may still need it '.repeat(200));
  const before = readFileSync(file);
  await expectRefusal(
    noop(dataDir),
    `Cannot open database ${file}: the file is damaged or is no SQLite database`,
  );
  expect(readFileSync(file)).toEqual(before);
  expect(await runOttavia(noop(dataDir, '--purge'))).toMatchObject({ code: 0 });
  expect(existsSync(dataDir)).toBe(false);
});

test('a database that was there before the first start is never removed', async () => {
  const dataDir = mkdtempSync(join(parent, 'foreign-'));
  writeFileSync(join(dataDir, 'ottavia.db'), 'x'.repeat(5000));
  await expectRefusal(noop(dataDir), 'the file is damaged');
  expect(readFileSync(join(dataDir, 'ottavia.db'), 'utf8')).toHaveLength(5000);
});

test('a purge keeps what is not ours', async () => {
  const dataDir = mkdtempSync(join(parent, 'mixed-'));
  writeFileSync(join(dataDir, 'notes.txt'), 'mine');
  const program = new OttaviaProcess(noop(dataDir));
  await program.ready();
  await program.end();
  const purged = await runOttavia(noop(dataDir, '--purge'));
  expect(purged.stdout).toBe(`Purged ${dataDir}; kept what is not ours: notes.txt\n`);
  expect(readdirSync(dataDir)).toEqual(['notes.txt']);
});

test('a data directory that is a file is named', async () => {
  const file = join(parent, 'file');
  writeFileSync(file, '');
  await expectRefusal(noop(file), `Cannot use data directory ${file}: ${file} is a file.`);
  await expectRefusal(noop(join(file, 'below')), `${file} is a file.`);
});

test('configuration files that are absent, unreadable or wrong are named', async () => {
  const dataDir = freshDirectory();
  await expectRefusal(
    noop(dataDir, '--config-file', '/nowhere.conf'),
    'Cannot read configuration file /nowhere.conf: ENOENT',
  );
  const broken = join(parent, 'broken.conf');
  writeFileSync(broken, 'this is not a setting\n');
  await expectRefusal(
    noop(dataDir, '--config-file', broken),
    `Cannot use the settings: ${broken}: Cannot read line 1`,
  );
  const wrong = join(parent, 'wrong.conf');
  writeFileSync(wrong, '[api_settings]\nauth_strategy = keystone\n');
  await expectRefusal(
    noop(dataDir, '--config-file', wrong),
    'Cannot ask a Keystone about tokens: set auth_url, username, password in [keystone_authtoken]',
  );
  await expectRefusal(noop(dataDir), 'Cannot use provider f5 of enabled_provider_drivers', {
    OS_API_SETTINGS__ENABLED_PROVIDER_DRIVERS: 'amphora: The driver., f5: Another',
  });
  await expectRefusal(noop(dataDir), 'Cannot use AES128-SHA of default_pool_ciphers', {
    OS_API_SETTINGS__TLS_CIPHER_PROHIBIT_LIST: 'RC4-SHA:AES128-SHA',
    OS_API_SETTINGS__DEFAULT_POOL_CIPHERS: 'TLS_AES_256_GCM_SHA384:AES128-SHA',
  });
  await expectRefusal(noop(dataDir), 'Cannot use TLSv1.2 of default_listener_tls_versions', {
    OS_API_SETTINGS__MINIMUM_TLS_VERSION: 'TLSv1.3',
    OS_API_SETTINGS__DEFAULT_POOL_TLS_VERSIONS: 'TLSv1.3',
  });
  await expectRefusal(noop(dataDir), 'Cannot use minimum_tls_version 1.2: there are SSLv3', {
    OS_API_SETTINGS__MINIMUM_TLS_VERSION: '1.2',
  });
  await expectRefusal(noop(dataDir), 'Cannot use a Barbican from standalone', {
    OS_CERTIFICATES__CERT_MANAGER: 'barbican_cert_manager',
  });
  await expectRefusal(noop(dataDir), 'OS_OTTAVIA__LEASE_TTL', { OS_OTTAVIA__LEASE_TTL: 'soon' });
  expect(existsSync(dataDir)).toBe(false);
});

test('a password that was changed stays changed; one whose file is lost is replaced', async () => {
  const dataDir = freshDirectory();
  const file = join(dataDir, 'clouds.yaml');
  const environment = { ...process.env, OS_CLIENT_CONFIG_FILE: file };
  const passwordIn = () => /password: (\S+)/.exec(readFileSync(file, 'utf8'))![1]!;
  const list = () => runOttavia(['lb', 'list'], { env: environment });
  const login = (password: string) => ({
    auth: {
      identity: { methods: ['password'], password: { user: { name: 'admin', domain: {}, password } } },
    },
  });
  const post = (url: string, body: object) =>
    fetch(url, { method: 'POST', body: JSON.stringify(body), headers });
  const headers = { 'content-type': 'application/json' };

  let program = new OttaviaProcess(noop(dataDir));
  let url = await program.ready();
  const first = passwordIn();
  const answer = await post(`${url}/identity/v3/auth/tokens`, login(first));
  const { token } = (await answer.json()) as { token: { user: { id: string } } };
  const change = { user: { original_password: first, password: 'mine' } };
  expect((await post(`${url}/identity/v3/users/${token.user.id}/password`, change)).status).toBe(204);
  await program.end();

  program = new OttaviaProcess(noop(dataDir));
  url = await program.ready();
  expect(await list()).toMatchObject({ code: 1 });
  expect((await post(`${url}/identity/v3/auth/tokens`, login('mine'))).status).toBe(201);
  await program.end();

  rmSync(file);
  program = new OttaviaProcess(noop(dataDir));
  url = await program.ready();
  expect([first, 'mine']).not.toContain(passwordIn());
  expect(await list()).toMatchObject({ code: 0 });
  expect((await post(`${url}/identity/v3/auth/tokens`, login('mine'))).status).toBe(401);
  await program.end();
});

test('a policy file that is wrong or absent is named', async () => {
  const dataDir = freshDirectory();
  const policy = join(parent, 'policy.yaml');
  writeFileSync(policy, '"load-balancer:read": "role:reader and"\n');
  const file = join(parent, 'good.conf');
  writeFileSync(file, '');
  await expectRefusal(
    noop(dataDir, '--config-file', file),
    `Cannot use policy file ${policy}, line 1: rule load-balancer:read: it ends where a check should follow`,
  );
  rmSync(policy);
  await expectRefusal(noop(dataDir), 'Cannot read policy file /nowhere.yaml: there is none', {
    OS_OSLO_POLICY__POLICY_FILE: '/nowhere.yaml',
  });
  expect(existsSync(dataDir)).toBe(false);
});

test('asks a Keystone who its users are, and the policy beside its configuration what they may', async () => {
  const [keystoneDir, dataDir, directory] = [
    freshDirectory(),
    freshDirectory(),
    mkdtempSync(join(parent, 'keystone-')),
  ];
  const keystone = new OttaviaProcess(noop(keystoneDir));
  const identity = `${await keystone.ready()}/identity`;
  const clouds = readFileSync(join(keystoneDir, 'clouds.yaml'), 'utf8');
  const password = /password: (\S+)/.exec(clouds)![1]!;
  const file = join(directory, 'octavia.conf');
  writeFileSync(
    file,
    `[api_settings]\nauth_strategy = keystone\n[keystone_authtoken]\nauth_url = ${identity}\nusername = admin\npassword = ${password}\nproject_name = admin\n`,
  );
  writeFileSync(
    join(directory, 'policy.yaml'),
    '"load-balancer:read-global": "!"\n"load-balancer:read": "rule:load-balancer:owner"\n',
  );
  const program = new OttaviaProcess(noop(dataDir, '--config-file', file));
  const url = await program.ready();
  expect(existsSync(join(dataDir, 'openrc'))).toBe(false);
  const user = { name: 'admin', domain: { id: 'default' }, password };
  const scope = { project: { name: 'admin', domain: { id: 'default' } } };
  const login = await fetch(`${identity}/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth: { identity: { methods: ['password'], password: { user } }, scope } }),
  });
  const token = login.headers.get('x-subject-token')!;
  const get = async (path: string, given: string) => {
    const answer = await fetch(`${url}/v2/lbaas${path}`, { headers: { 'x-auth-token': given } });
    return [answer.status, answer.headers.get('www-authenticate')];
  };
  expect(await get('/pools', token)).toEqual([200, null]);
  expect(await get('/pools?project_id=other', token)).toEqual([403, null]);
  expect(await get('/pools', 'made-up')).toEqual([401, `Keystone uri="${identity}"`]);
  await keystone.end();
  expect(await get('/pools', 'unseen')).toEqual([503, null]);
  expect(await get('/pools', token)).toEqual([200, null]);
  expect((await program.end()).stdout).not.toContain('openrc');
});

test('without authentication clients need no password', async () => {
  const dataDir = freshDirectory();
  const program = new OttaviaProcess(noop(dataDir), {
    env: { ...process.env, OS_API_SETTINGS__AUTH_STRATEGY: 'noauth' },
  });
  const url = await program.ready();
  expect(readFileSync(join(dataDir, 'clouds.yaml'), 'utf8')).toContain('auth_type: none');
  expect((await fetch(`${url}/v2.0/lbaas/loadbalancers`)).status).toBe(200);
  const environment = { ...process.env, OS_CLIENT_CONFIG_FILE: join(dataDir, 'clouds.yaml') };
  const created = await runOttavia(
    ['lb', 'create', '--name', 'x', '--vip-subnet-id', 'private-subnet', '--wait'],
    { env: environment },
  );
  expect(created).toMatchObject({ code: 0 });
  await program.end();
});

test('a request without a token is refused in the form of the token middleware', async () => {
  const dataDir = freshDirectory();
  const program = new OttaviaProcess(noop(dataDir));
  const url = await program.ready();
  for (const path of [
    '/v2.0/lbaas/loadbalancers',
    '/load-balancer/v2.0/lbaas/pools',
    '/network/v2.0/networks',
  ]) {
    const answer = await fetch(url + path, { headers: { 'x-auth-token': 'wrong' } });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(`Keystone uri="${url}/identity"`);
    expect(await answer.json()).toMatchObject({ error: { code: 401, title: 'Unauthorized' } });
  }
  await program.end();
});
