/** Debian's Ansible with the openstack.cloud modules: a playbook makes a web load balancer, changes nothing when run again, and takes it away. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientObstacle, PythonClient } from './python-client.ts';
import { type StandaloneCloud, startCloud } from './standalone-cloud.ts';

const folder = join(import.meta.dirname, 'ansible');
const LIMIT_MS = 120_000;

interface Stats {
  changed: number;
  failures: number;
  ok: number;
}

const obstacle = clientObstacle('ansible_collections.openstack.cloud', 'openstackclient');
if (obstacle) {
  test.skip(`Ansible: ${obstacle}`, () => {});
} else {
  describe('Ansible', () => {
    let cloud: StandaloneCloud;
    beforeAll(async () => {
      cloud = await startCloud();
    });
    afterAll(() => cloud?.stop());

    async function play(book: string): Promise<Stats> {
      const { PATH } = process.env;
      const { stdout } = await promisify(execFile)(
        'ansible-playbook',
        [join(folder, book), '-i', 'localhost,', '-e', 'ansible_python_interpreter=/usr/bin/python3'],
        {
          timeout: LIMIT_MS,
          env: {
            ...{ PATH, HOME: cloud.directory, LC_ALL: 'C.UTF-8', PYTHONPATH: folder },
            ...{ ANSIBLE_STDOUT_CALLBACK: 'json', ANSIBLE_DEPRECATION_WARNINGS: 'False' },
            OS_CLIENT_CONFIG_FILE: join(cloud.directory, 'clouds.yaml'),
          },
        },
      ).catch(error => error); // A failed play ends with 2, and its stdout says why.
      const { stats, plays } = JSON.parse(stdout);
      expect(stats.localhost.failures, JSON.stringify(plays, null, 1)).toBe(0);
      return stats.localhost;
    }

    test(
      'makes, keeps and takes away a load balancer in a network of its own',
      async () => {
        expect(await play('present.yml')).toMatchObject({ ok: 9, changed: 9 });
        const client = new PythonClient('openstack', cloud.environment);
        const tree = JSON.parse(await client.run('loadbalancer', 'status', 'show', 'web'));
        expect(tree.loadbalancer.listeners).toMatchObject([
          {
            name: 'http',
            pools: [
              {
                name: 'servers',
                health_monitor: { type: 'HTTP' },
                members: [{ name: 'one' }, { name: 'two' }],
              },
            ],
          },
        ]);
        expect(await play('present.yml')).toMatchObject({ ok: 9, changed: 0 });
        await play('absent.yml');
        expect(await client.json('loadbalancer', 'list')).toEqual([]);
        expect(await client.json('network', 'list', '--name', 'web-net')).toEqual([]);
        await client.close();
      },
      3 * LIMIT_MS,
    );
  });
}
