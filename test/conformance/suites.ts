/** The test suites of others that run unchanged against a standalone system: where they are, and how they are told of it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import {
  AVAILABILITY_ZONE_CAPABILITIES,
  FLAVOR_CAPABILITIES,
} from '../../src/providers/amphora/capabilities.ts';
import { readCloud, type StandaloneCloud } from '../clients/standalone-cloud.ts';

export interface Suite {
  name: string;
  /** Under Debian's Python packages. */
  folder: string;
  modules: readonly string[];
  /** Lines of octavia.conf that it presumes; other files that they name go into the directory. */
  settings(directory: string): string;
  /** Writes its configuration into the cloud's directory; returns the environment that points to it. */
  configure(cloud: StandaloneCloud): Record<string, string>;
  /** Why a test that does not apply is skipped: what the suite says → why that is right here. */
  skips: readonly [says: RegExp, because: string][];
  /** Tests that can pass nowhere, by name. */
  leftOut?: readonly [name: RegExp, because: string][];
}

export const PYTHON_PACKAGES = '/usr/lib/python3/dist-packages';

/** The clouds by the names that the SDK's tests use; the users besides the admin are made by nobody, as none is needed. */
const sdk: Suite = {
  name: 'openstacksdk functional tests for load balancing',
  folder: 'openstack/tests/functional/load_balancer',
  modules: ['openstack.tests.functional', 'testtools', 'fixtures'],
  settings: () => '',
  configure({ directory }) {
    const cloud = readCloud(directory);
    const file = join(directory, 'sdk-clouds.yaml');
    const names = ['devstack', 'devstack-alt', 'devstack-admin'];
    writeFileSync(file, stringify({ clouds: Object.fromEntries(names.map(name => [name, cloud])) }));
    // Their limit of 5 s for each test is too short where other tests have the processors as well.
    return { OS_CLIENT_CONFIG_FILE: file, OS_TEST_TIMEOUT: '60' };
  },
  skips: [],
};

/** What Octavia ships for operators who want Keystone's default roles with scopes. Source: contract rbac.md 5. */
const SCOPED_POLICY = {
  context_is_admin: 'role:admin and system_scope:all',
  'load-balancer:observer_and_owner': 'role:reader and rule:load-balancer:owner',
  'load-balancer:global_observer': 'role:reader and system_scope:all',
  'load-balancer:member_and_owner': 'role:member and rule:load-balancer:owner',
  'load-balancer:admin': 'is_admin:True or role:load-balancer_admin',
  'load-balancer:read':
    'rule:load-balancer:observer_and_owner or rule:load-balancer:global_observer or is_admin:True',
  'load-balancer:read-global': 'rule:load-balancer:global_observer or is_admin:True',
  'load-balancer:write': 'rule:load-balancer:member_and_owner or is_admin:True',
  // The suite wants the admin of another project to see these two; it says why in a note of its own.
  'os_load-balancer_api:member:get_all': 'rule:load-balancer:read or role:admin',
  'os_load-balancer_api:l7rule:get_all': 'rule:load-balancer:read or role:admin',
};
const PROVIDERS = { amphora: 'Instances that run haproxy', octavia: 'The old name of amphora' };

/** As an option of oslo.config of the kind "dict" is written. */
const dict = (entries: Iterable<readonly [string, string]>): string =>
  [...entries].map(([name, text]) => `${name}:${text}`).join(',');
/** The suite looks for one of them; its text must not look like the rest of a dict. */
const described = (capabilities: readonly { name: string; description: string }[]) =>
  dict(
    capabilities
      .filter(({ description }) => !/[,:]/.test(description))
      .slice(0, 1)
      .map(({ name, description }) => [name, description]),
  );

/** What Octavia ships for operators who want its own roles alone. Source: contract rbac.md 5. */
const ADVANCED_POLICY = {
  context_is_admin: 'role:admin or role:load-balancer_admin',
  'load-balancer:observer_and_owner': 'role:load-balancer_observer and rule:load-balancer:owner',
  'load-balancer:global_observer': 'role:load-balancer_global_observer',
  'load-balancer:member_and_owner': 'role:load-balancer_member and rule:load-balancer:owner',
  'load-balancer:quota-admin': 'role:load-balancer_quota_admin',
  'load-balancer:admin': 'is_admin:True or role:load-balancer_admin or role:admin',
};

const tempest = (roles: 'keystone_default_roles' | 'advanced'): Suite => ({
  name: `octavia-tempest-plugin API tests (${roles})`,
  folder: 'octavia_tempest_plugin/tests/api',
  modules: ['octavia_tempest_plugin', 'tempest'],
  settings(directory) {
    const file = join(directory, 'policy.yaml');
    const isNew = roles === 'keystone_default_roles';
    writeFileSync(file, stringify(isNew ? SCOPED_POLICY : ADVANCED_POLICY));
    return [
      '[api_settings]',
      `enabled_provider_drivers = ${dict(Object.entries(PROVIDERS))}`,
      '[oslo_policy]',
      'enforce_new_defaults = true',
      'enforce_scope = false',
      `policy_file = ${file}`,
    ].join('\n');
  },
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
        ...(isNew && { admin_system: 'all' }),
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
        ...{ test_with_noop: true, provider: 'amphora', RBAC_test_type: roles },
        enforce_new_defaults: isNew,
        enabled_provider_drivers: dict(Object.entries(PROVIDERS)),
        expected_flavor_capability: described(FLAVOR_CAPABILITIES),
        expected_availability_zone_capability: described(AVAILABILITY_ZONE_CAPABILITIES),
        ...{ availability_zone: 'nova', availability_zone2: 'nova2', availability_zone3: 'nova3' },
        ...{ build_interval: 0.1, check_interval: 0.1, lb_build_interval: 0.1 },
        ...{ build_timeout: 60, check_timeout: 60, lb_build_timeout: 60 },
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
    return { TEMPEST_CONFIG_DIR: directory, TEMPEST_CONFIG: 'tempest.conf' };
  },
  ...(roles === 'keystone_default_roles' && {
    leftOut: [
      [
        /test_(flavor|availability_zone)_list\b/,
        'wants lb_admin to be refused, and a few lines further down to be answered',
      ],
    ] as const,
  }),
  skips: [
    [/lb_algorithm SOURCE_IP_PORT/, 'haproxy has no such algorithm, here as there'],
    [/story\/2003329/, 'the suite leaves out UDP members of another IP version with the amphora provider'],
    [/story\/2007979/, 'the suite leaves out UDP listeners on drivers in memory'],
    [/Log offload tests/, 'there are no amphorae whose logs could be looked at'],
  ],
});

export const SUITES: readonly Suite[] = [sdk, tempest('keystone_default_roles'), tempest('advanced')];
