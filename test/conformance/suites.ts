/** The test suites of others that run unchanged against a standalone system: where they are, and how they are told of it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import {
  AVAILABILITY_ZONE_CAPABILITIES,
  flavorCapabilities,
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
    return { OS_CLIENT_CONFIG_FILE: file };
  },
  skips: [],
};

/** What Octavia ships for operators who want Keystone's default roles alone. Source: contract rbac.md 5. */
const DEFAULT_ROLES_POLICY = {
  'load-balancer:observer_and_owner': 'role:reader and rule:load-balancer:owner',
  'load-balancer:member_and_owner': 'role:member and rule:load-balancer:owner',
  'load-balancer:admin': 'is_admin:True or role:load-balancer_admin',
  'load-balancer:read': 'rule:load-balancer:observer_and_owner or is_admin:True',
  'load-balancer:read-global': 'is_admin:True',
  'load-balancer:write': 'rule:load-balancer:member_and_owner or is_admin:True',
  'load-balancer:read-quota': 'rule:load-balancer:observer_and_owner or is_admin:True',
  'load-balancer:read-quota-global': 'is_admin:True',
  'load-balancer:write-quota': 'is_admin:True',
};
const PROVIDERS = { amphora: 'Instances that run haproxy', octavia: 'The old name of amphora' };

/** As an option of oslo.config of the kind "dict" is written. */
const dict = (entries: Iterable<readonly [string, string]>): string =>
  [...entries].map(([name, text]) => `${name}:${text}`).join(',');
/** The suite looks for one of them. */
const described = (capabilities: readonly { name: string; description: string }[]) =>
  dict(capabilities.slice(0, 1).map(({ name, description }) => [name, description.replaceAll(',', '')]));

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
    writeFileSync(file, stringify(isNew ? DEFAULT_ROLES_POLICY : ADVANCED_POLICY));
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
    const file = join(directory, 'tempest.conf');
    const sections: Record<string, Record<string, string | number | boolean>> = {
      oslo_concurrency: { lock_path: join(directory, 'tempest-locks') },
      auth: {
        use_dynamic_credentials: true,
        admin_username: environment.OS_USERNAME!,
        admin_password: environment.OS_PASSWORD!,
        admin_project_name: environment.OS_PROJECT_NAME!,
        admin_domain_name: 'Default',
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
        ...{ test_with_noop: true, RBAC_test_type: roles },
        enforce_new_defaults: roles === 'keystone_default_roles',
        enabled_provider_drivers: dict(Object.entries(PROVIDERS)),
        expected_flavor_capability: described(flavorCapabilities(['SINGLE', 'ACTIVE_STANDBY'])),
        expected_availability_zone_capability: described(AVAILABILITY_ZONE_CAPABILITIES),
        availability_zone: 'nova',
        ...{ build_interval: 0.1, check_interval: 0.1, lb_build_interval: 0.1 },
        ...{ build_timeout: 20, check_timeout: 20, lb_build_timeout: 20 },
      },
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
  skips: [],
});

export const SUITES: readonly Suite[] = [sdk, tempest('keystone_default_roles'), tempest('advanced')];
