/** The identity of standalone, managed with Debian's unmodified `openstack` commands by an admin and used by a member. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientObstacle, PythonClient } from './python-client.ts';
import { type StandaloneCloud, startCloud } from './standalone-cloud.ts';

type Row = Record<string, unknown>;

const obstacle = clientObstacle('openstackclient', 'octaviaclient');
if (obstacle) {
  test.skip(`openstack identity: ${obstacle}`, () => {});
} else {
  describe('openstack identity', { timeout: 60_000 }, () => {
    let cloud: StandaloneCloud;
    let admin: PythonClient;
    let ann: PythonClient;
    const clients: PythonClient[] = [];

    /** Where the cloud is, and nobody yet. */
    const address = () => {
      const { OS_AUTH_URL, OS_IDENTITY_API_VERSION, OS_REGION_NAME } = cloud.environment;
      return { OS_AUTH_URL, OS_IDENTITY_API_VERSION, OS_REGION_NAME };
    };
    const connect = (who: Record<string, string>) => {
      const client = new PythonClient('openstack', { ...address(), ...who });
      clients.push(client);
      return client;
    };
    const password = (user: string, secret: string, project: string) =>
      connect({
        ...{ OS_USERNAME: user, OS_PASSWORD: secret, OS_PROJECT_NAME: project },
        ...{ OS_USER_DOMAIN_NAME: 'Default', OS_PROJECT_DOMAIN_NAME: 'Default' },
      });
    const column = (rows: Row[], name: string) => rows.map(row => row[name]).sort();
    const list = async (client: PythonClient, line: string, name = 'Name') =>
      column(await client.json<Row[]>(...line.split(' ')), name);
    /** How it is refused. */
    const refusal = async (client: PythonClient, line: string) => {
      const { code, stderr } = await client.try(...line.split(' '));
      expect(code, line).not.toBe(0);
      return stderr;
    };

    beforeAll(async () => {
      cloud = await startCloud();
      admin = connect(cloud.environment as Record<string, string>);
      await admin.run('project', 'create', 'shop', '--description', 'sells things');
      await admin.run('user', 'create', 'ann', '--password', 'sesame', '--project', 'shop', '--email', 'a@b');
      await admin.run('role', 'add', '--user', 'ann', '--project', 'shop', 'member');
      ann = password('ann', 'sesame', 'shop');
    }, 60_000);
    afterAll(async () => {
      await Promise.all(clients.map(client => client.close()));
      await cloud?.stop();
    });

    test('projects', async () => {
      const made = await admin.json('project', 'create', 'store', '--tag', 'a', '--property', 'colour=red');
      expect(made).toMatchObject({ name: 'store', enabled: true, domain_id: 'default', colour: 'red' });
      expect(await list(admin, 'project list')).toEqual(['admin', 'shop', 'store']);
      expect(await list(admin, 'project list --tags a')).toEqual(['store']);
      expect(await list(admin, 'project list --user ann')).toEqual(['shop']);
      await admin.run('project', 'set', 'store', '--name', 'depot', '--disable', '--tag', 'b');
      const shown = await admin.json<Row & { tags: string[] }>('project', 'show', 'depot');
      expect(shown).toMatchObject({ id: made.id, enabled: false });
      expect(shown.tags.sort()).toEqual(['a', 'b']);
      await admin.run('project', 'delete', 'depot');
      expect(await refusal(admin, 'project show depot')).toMatch("No project with a name or ID of 'depot'");
      expect(await refusal(admin, 'project create shop')).toMatch('HTTP 409');
    });

    test('users', async () => {
      await admin.run('user', 'create', 'bob', '--password', 'one', '--description', 'the second');
      expect(await list(admin, 'user list')).toEqual(['admin', 'ann', 'bob']);
      expect(await list(admin, 'user list --project shop')).toEqual(['ann']);
      await admin.run('user', 'set', 'bob', '--name', 'rob', '--email', 'r@b', '--disable');
      expect(await admin.json('user', 'show', 'rob')).toMatchObject({ enabled: false, email: 'r@b' });
      await admin.run('user', 'set', 'rob', '--enable', '--password', 'two');
      await admin.run('role', 'add', '--user', 'rob', '--project', 'shop', 'reader');
      const rob = password('rob', 'two', 'shop');
      await rob.run('user', 'password', 'set', '--original-password', 'two', '--password', 'three');
      expect(await refusal(rob, 'token issue')).toMatch('HTTP 401');
      await password('rob', 'three', 'shop').run('token', 'issue');
      await admin.run('user', 'delete', 'rob');
      expect(await list(admin, 'user list')).toEqual(['admin', 'ann']);
    });

    test('roles, and who has them', async () => {
      await admin.run('role', 'create', 'auditor');
      expect(await list(admin, 'role list')).toEqual(
        expect.arrayContaining(['admin', 'auditor', 'load-balancer_member', 'manager', 'member', 'reader']),
      );
      for (const [option, scope] of [
        ['--project', 'shop'],
        ['--system', 'all'],
        ['--domain', 'Default'],
      ] as const) {
        const where = ['--user', 'ann', option, scope];
        await admin.run('role', 'add', ...where, 'auditor');
        const held = await admin.json<Row[]>('role', 'assignment', 'list', '--names', ...where);
        expect(held).toContainEqual(expect.objectContaining({ Role: 'auditor', User: 'ann@Default' }));
        await admin.run('role', 'remove', ...where, 'auditor');
      }
      expect(await admin.json<Row[]>('role', 'assignment', 'list', '--names')).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ Role: 'member', User: 'ann@Default', Project: 'shop@Default' }),
          expect.objectContaining({ Role: 'admin', User: 'admin@Default', System: 'all' }),
        ]),
      );
      expect(await list(admin, 'role assignment list --user ann --effective --names', 'Role')).toEqual([
        'member',
        'reader',
      ]);
      expect(await list(admin, 'implied role list', 'Implied Role Name')).toContain('reader');
      await admin.run('role', 'delete', 'auditor');
      expect(await refusal(admin, 'role delete member')).toMatch('HTTP 403');
    });

    test('the catalog', async () => {
      const types = ['identity', 'key-manager', 'load-balancer', 'network'];
      expect(await list(ann, 'catalog list', 'Type')).toEqual(types);
      expect(await list(admin, 'service list', 'Type')).toEqual(types);
      expect(await list(admin, 'endpoint list --service load-balancer', 'Interface')).toEqual([
        ...['admin', 'internal', 'public'],
      ]);
      expect(await list(admin, 'region list', 'Region')).toEqual(['RegionOne']);
      expect(await list(admin, 'domain list')).toEqual(['Default']);
      expect(await list(admin, 'group list')).toEqual([]);
    });

    test('a member has his own project, and nothing of the others', async () => {
      const lb = await admin.json(
        'loadbalancer',
        'create',
        '--name',
        'lb1',
        '--vip-subnet-id',
        'private-subnet',
      );
      expect(await list(ann, 'loadbalancer list', 'name')).toEqual([]);
      expect(await refusal(ann, `loadbalancer show ${lb.id}`)).toMatch('HTTP 403');
      await refusal(ann, `loadbalancer delete ${lb.id}`);
      await ann.run('loadbalancer', 'create', '--name', 'lb2', '--vip-subnet-id', 'private-subnet');
      expect(await list(ann, 'loadbalancer list', 'name')).toEqual(['lb2']);
      expect(await list(admin, 'loadbalancer list', 'name')).toEqual(['lb1', 'lb2']);
      expect(await list(ann, 'project list')).toEqual(['shop']);
      expect(await ann.json('user', 'show', 'ann')).toMatchObject({ name: 'ann', email: 'a@b' });
      for (const line of ['user list', 'project create mine', 'role assignment list', 'service list'])
        expect(await refusal(ann, line), line).toMatch('HTTP 403');
    });

    test('a token stands for its user until it is revoked', async () => {
      const { id } = await ann.json<{ id: string }>('token', 'issue');
      const holder = connect({
        ...{ OS_AUTH_TYPE: 'v3token', OS_TOKEN: id },
        ...{ OS_PROJECT_NAME: 'shop', OS_PROJECT_DOMAIN_NAME: 'Default' },
      });
      expect(await list(holder, 'project list --my-projects')).toEqual(['shop']);
      expect(await refusal(holder, 'user list')).toMatch('HTTP 403');
      await ann.run('token', 'revoke', id);
      expect(await refusal(holder, 'project list --my-projects')).toMatch('HTTP 401');
    });

    test('an application credential stands for some of the roles of its user', async () => {
      const made = await ann.json<Record<string, string>>(
        ...['application', 'credential', 'create', 'ci', '--role', 'reader'],
      );
      expect(await list(ann, 'application credential list')).toEqual(['ci']);
      const program = connect({
        OS_AUTH_TYPE: 'v3applicationcredential',
        OS_APPLICATION_CREDENTIAL_ID: made.id!,
        OS_APPLICATION_CREDENTIAL_SECRET: made.secret!,
      });
      expect(await list(program, 'project list --my-projects')).toEqual(['shop']);
      const create = 'loadbalancer create --name lb3 --vip-subnet-id private-subnet';
      expect(await refusal(program, create)).toMatch('HTTP 403');
      await ann.run('application', 'credential', 'delete', 'ci');
      expect(await refusal(program, 'project list --my-projects')).toMatch('HTTP 401');
    });

    test('the whole system is a scope', async () => {
      const { OS_USERNAME, OS_PASSWORD, OS_USER_DOMAIN_NAME } = cloud.environment;
      const who = {
        OS_USERNAME: OS_USERNAME!,
        OS_PASSWORD: OS_PASSWORD!,
        OS_USER_DOMAIN_NAME: OS_USER_DOMAIN_NAME!,
      };
      const system = connect({ ...who, OS_SYSTEM_SCOPE: 'all' });
      expect(await list(system, 'project list')).toContain('shop');
      expect(await system.json('token', 'issue')).not.toHaveProperty('project_id');
    });
  });
}
