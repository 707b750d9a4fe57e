/** The test suites of others that run unchanged against a standalone system: where they are, and how they are told of it. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { readCloud, type StandaloneCloud } from '../clients/standalone-cloud.ts';

export interface Suite {
  name: string;
  /** Under Debian's Python packages. */
  folder: string;
  modules: readonly string[];
  /** Lines of octavia.conf that it presumes. */
  settings: string;
  /** Writes its configuration into the cloud's directory; returns the environment that points to it. */
  configure(cloud: StandaloneCloud): Record<string, string>;
  /** Why a test that does not apply is skipped: what the suite says → why that is right here. */
  skips: readonly [says: RegExp, because: string][];
}

export const PYTHON_PACKAGES = '/usr/lib/python3/dist-packages';

/** The clouds by the names that the SDK's tests use; the users besides the admin are made by nobody, as none is needed. */
const sdk: Suite = {
  name: 'openstacksdk functional tests for load balancing',
  folder: 'openstack/tests/functional/load_balancer',
  modules: ['openstack', 'testtools', 'requests_mock'],
  settings: '',
  configure({ directory }) {
    const cloud = readCloud(directory);
    const file = join(directory, 'sdk-clouds.yaml');
    const names = ['devstack', 'devstack-alt', 'devstack-admin'];
    writeFileSync(file, stringify({ clouds: Object.fromEntries(names.map(name => [name, cloud])) }));
    return { OS_CLIENT_CONFIG_FILE: file };
  },
  skips: [],
};

const tempest = (roles: 'keystone_default_roles' | 'advanced'): Suite => ({
  name: `octavia-tempest-plugin API tests (${roles})`,
  folder: 'octavia_tempest_plugin/tests/api',
  modules: ['octavia_tempest_plugin', 'tempest'],
  settings:
    roles === 'advanced' ? '[oslo_policy]\nenforce_new_defaults = false\nenforce_scope = false\n' : '',
  configure({ directory, environment }) {
    const isNew = roles === 'keystone_default_roles';
    const file = join(directory, 'tempest.conf');
    const sections: Record<string, Record<string, string | number | boolean>> = {
      oslo_concurrency: { lock_path: join(directory, 'tempest-locks') },
      auth: {
        use_dynamic_credentials: true,
        admin_username: environment.OS_USERNAME!,
        admin_password: environment.OS_PASSWORD!,
        admin_project_name: environment.OS_PROJECT_NAME!,
        admin_domain_name: 'Default',
        admin_system: isNew ? 'all' : '',
      },
      identity: {
        uri_v3: environment.OS_AUTH_URL!,
        auth_version: 'v3',
        region: 'RegionOne',
        v3_endpoint_type: 'public',
      },
      'identity-feature-enabled': { api_v2: false },
      network: { project_networks_reachable: true },
      service_available: {
        ...{ nova: false, glance: false, cinder: false, swift: false, horizon: false },
        ...{ neutron: true, barbican: true, load_balancer: true },
      },
      load_balancer: {
        ...{ test_with_noop: true, RBAC_test_type: roles, enforce_new_defaults: isNew },
        ...{ build_interval: 0.1, check_interval: 0.1, lb_build_interval: 0.1 },
        ...{ build_timeout: 20, check_timeout: 20, lb_build_timeout: 20 },
        ...(isNew && {
          member_role: 'member',
          admin_role: 'admin',
          observer_role: 'reader',
          global_observer_role: 'admin',
        }),
      },
      enforce_scope: { octavia: isNew },
    };
    const lines = Object.entries(sections).map(
      ([section, options]) =>
        `[${section}]\n${Object.entries(options)
          .map(([name, value]) => `${name} = ${value}\n`)
          .join('')}`,
    );
    writeFileSync(file, lines.join('\n'));
    return { TEMPEST_CONFIG_DIR: directory, TEMPEST_CONFIG: 'tempest.conf', TEMPEST_RUN: randomUUID() };
  },
  skips: [],
});

export const SUITES: readonly Suite[] = [sdk, tempest('keystone_default_roles'), tempest('advanced')];
