/** The key manager of standalone with Debian's unmodified `openstack secret` and `openstack acl` commands, up to a listener. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Certificates } from '../../src/drivers/certificates/certificates.fixture.ts';
import { clientObstacle, PythonClient } from './python-client.ts';
import { type StandaloneCloud, startCloud } from './standalone-cloud.ts';

type Row = Record<string, unknown>;

const obstacle = clientObstacle('openstackclient', 'barbicanclient', 'octaviaclient');
if (obstacle) {
  test.skip(`openstack secret: ${obstacle}`, () => {});
} else {
  describe('openstack secret', () => {
    let cloud: StandaloneCloud;
    let openstack: PythonClient;
    let made: Certificates;

    beforeAll(async () => {
      made = new Certificates();
      const settings = join(made.directory, 'ottavia.conf');
      writeFileSync(
        settings,
        '[api_settings]\nenabled_provider_drivers = noop\ndefault_provider_driver = noop\n',
      );
      cloud = await startCloud('--config-file', settings);
      openstack = new PythonClient('openstack', cloud.environment);
    });
    afterAll(async () => {
      await openstack?.close();
      await cloud?.stop();
      made?.[Symbol.dispose]();
    });

    const store = async (...args: string[]) =>
      String((await openstack.json('secret', 'store', ...args))['Secret href']);
    const file = (name: string) => join(made.directory, name);

    test('store, get, list and delete', async () => {
      const reference = await store('--name', 'greeting', '-p', 'hello', '-t', 'text/plain', '-b', '128');
      expect(reference).toContain(`${cloud.url}/key-manager/v1/secrets/`);
      expect(await openstack.json('secret', 'get', reference)).toMatchObject({
        ...{ Name: 'greeting', Status: 'ACTIVE', 'Bit length': 128, 'Secret type': 'opaque' },
        'Content types': { default: 'text/plain' },
      });
      expect(await openstack.json('secret', 'get', reference, '-p')).toEqual({ Payload: 'hello' });
      const rows = await openstack.json<Row[]>('secret', 'list', '-n', 'greeting', '-b', '128', '-l', '1');
      expect(rows.map(row => row['Secret href'])).toEqual([reference]);
      await openstack.run('secret', 'delete', reference);
      expect(await openstack.json('secret', 'list')).toEqual([]);
      const { code, stderr } = await openstack.try('secret', 'get', reference);
      expect([code !== 0, stderr]).toEqual([true, expect.stringContaining('Not Found: There is no secret')]);
    });

    test('update gives a payload to a secret without one', async () => {
      const reference = await store('--name', 'later');
      await openstack.run('secret', 'update', reference, 'world');
      expect(await openstack.json('secret', 'get', reference, '-p')).toEqual({ Payload: 'world' });
      const again = await openstack.try('secret', 'update', reference, 'again');
      expect(again.stderr).toContain('Conflict');
    });

    test('a file comes back byte by byte, and is in no file of the data directory', async () => {
      const reference = await store('--file', file('leaf.key'));
      const copy = file('copy');
      await openstack.run('secret', 'get', reference, '-t', 'application/octet-stream', '-F', copy);
      expect(readFileSync(copy)).toEqual(made.bytes('leaf.key'));
      const line = made.text('leaf.key').split('\n')[2]!;
      for (const name of readdirSync(cloud.directory).filter(each => each.startsWith('ottavia.db')))
        expect(readFileSync(join(cloud.directory, name), 'latin1')).not.toContain(line);
    });

    test('acl', async () => {
      const reference = await store('-p', 'x');
      const users = async (...args: string[]) => {
        const [row] = await openstack.json<Row[]>('acl', ...args, reference);
        return [row!.Users, row!['Project Access']];
      };
      expect(await users('get')).toEqual([[], true]);
      expect(await users('submit', '-u', 'ann', '--no-project-access')).toEqual([['ann'], false]);
      expect(await users('user', 'add', '-u', 'ben')).toEqual([['ann', 'ben'], false]);
      expect(await users('user', 'remove', '-u', 'ann')).toEqual([['ben'], false]);
      await openstack.run('acl', 'delete', reference);
      expect(await users('get')).toEqual([[], true]);
    });

    // The client's JSON of typed containers fails over their time of creation, so that columns are named.
    const createContainer = async (type: string, secrets: Record<string, string>) => {
      const args = Object.entries(secrets).flatMap(([name, reference]) => ['-s', `${name}=${reference}`]);
      const columns = ['-f', 'value', '-c', 'Container href'];
      return (
        await openstack.run('secret', 'container', 'create', '--type', type, ...args, ...columns)
      ).trim();
    };

    test('containers of every type', async () => {
      const [a, b] = [await store('-p', 'a'), await store('-p', 'b')];
      const generic = await createContainer('generic', { one: a });
      const rsa = await createContainer('rsa', { public_key: a, private_key: b });
      const certificate = await createContainer('certificate', { certificate: a });
      const list = async () =>
        (await openstack.json<Row[]>('secret', 'container', 'list')).map(row => row['Container href']);
      expect(await list()).toEqual([generic, rsa, certificate]);
      const columns = ['Status', 'Type', 'Certificate', 'Private Key'].flatMap(name => ['-c', name]);
      expect(await openstack.json('secret', 'container', 'get', certificate, ...columns)).toEqual({
        ...{ Status: 'ACTIVE', Type: 'certificate', Certificate: a, 'Private Key': null },
      });
      for (const each of [generic, rsa, certificate])
        await openstack.run('secret', 'container', 'delete', each);
      expect(await list()).toEqual([]);
    });

    test('a TLS listener takes a PKCS#12 bundle and a container, and refuses what is neither', async () => {
      made.pkcs12();
      const bundle = await store('--name', 'tls', '--file', file('leaf.p12'));
      const [certificate, private_key] = [
        await store('-F', file('leaf.pem')),
        await store('-F', file('leaf.key')),
      ];
      const container = await createContainer('certificate', { certificate, private_key });
      await openstack.run(
        'loadbalancer',
        'create',
        '--name',
        'lb',
        '--vip-subnet-id',
        'private-subnet',
        '--wait',
      );
      const create = (port: string, ...refs: string[]) =>
        openstack.try(
          ...['loadbalancer', 'listener', 'create', '--protocol', 'TERMINATED_HTTPS', '--wait'],
          ...['--protocol-port', port, 'lb', ...refs],
        );
      const good = await create(
        '443',
        '--default-tls-container-ref',
        bundle,
        '--sni-container-refs',
        container,
      );
      expect(good.code, good.stderr).toBe(0);
      const bad = await create('444', '--default-tls-container-ref', certificate);
      expect(bad.stderr).toContain('default_tls_container_ref');
      expect(bad.stderr).toContain('private key cannot be read');
    });
  });
}
