/** Every operation × every role × own and other project, over HTTP, for every configuration that Octavia ships. Source: contract rbac.md. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { givenGraph } from '../db/testing.ts';
import { buildGraph, idOf } from '../model/graph.fixture.ts';
import { OPERATION_RULES } from './policy/rules.ts';
import { apiOperations, noauth, Policy } from './server.ts';
import { type GivenApi, givenApi, NOWHERE, PROJECT, SUBNET } from './testing.ts';

const OTHER = '22222222222222222222222222222222';

/** The columns of the tables below: what of whose. Source: contract rbac.md 3. */
const RIGHTS = [
  ...['read own', 'read other', 'read-global', 'write own', 'write other'],
  ...['read-quota own', 'read-quota other', 'read-quota-global', 'write-quota', 'admin'],
  ...['members own', 'members other'],
] as const;

const NOTHING = '- - - - - - - - - - - -';
const EVERYTHING = '+ + + + + + + + + + + +';

/** By the name of the persona: one role, in a project unless said. */
type Personas = Record<string, string>;
const ROLES = {
  reader: 'reader',
  member: 'member',
  manager: 'manager',
  admin: 'admin',
  'system admin': 'admin',
  'system reader': 'reader',
  service: 'service',
  observer: 'load-balancer_observer',
  'global observer': 'load-balancer_global_observer',
  'old member': 'load-balancer_member',
  'quota admin': 'load-balancer_quota_admin',
  'old admin': 'load-balancer_admin',
  nobody: '',
};

const OLD_ROLES: Personas = {
  observer: '         + - - - - + - - - - + -',
  'global observer': '+ + + - - + + + - - + +',
  'old member': '     + - - + - + - - - - + -',
  'quota admin': '    - - - - - + + + + - - -',
  'old admin': EVERYTHING,
};

const NEW_ROLES: Personas = {
  reader: '           + - - - - + - - - - + -',
  member: '           + - - + - + - - - - + -',
  admin: EVERYTHING,
  'system admin': EVERYTHING,
  service: '          - - - - - - - - - - + +',
};

interface Configuration {
  name: string;
  /** Who is not listed may nothing. */
  personas: Personas;
  enforceNewDefaults?: boolean;
  noauth?: boolean;
  file?: string;
}

const CONFIGURATIONS: Configuration[] = [
  { name: 'the new defaults', personas: NEW_ROLES },
  {
    name: 'the defaults with the old roles',
    personas: { ...NEW_ROLES, ...OLD_ROLES },
    enforceNewDefaults: false,
  },
  {
    name: 'noauth',
    personas: Object.fromEntries(Object.keys(ROLES).map(name => [name, EVERYTHING])),
    noauth: true,
  },
  {
    name: 'admin or owner',
    file: `
# Whoever is in the project, and administrators.
"context_is_admin": "role:admin or role:load-balancer_admin"
"admin_or_owner": "is_admin:True or project_id:%(project_id)s"
"load-balancer:read": "rule:admin_or_owner"
"load-balancer:write": "rule:admin_or_owner"
"load-balancer:read-quota": "rule:admin_or_owner"
"load-balancer:read-global": "is_admin:True"
"load-balancer:read-quota-global": "is_admin:True"
"load-balancer:write-quota": "is_admin:True"
`,
    personas: {
      ...Object.fromEntries(Object.keys(ROLES).map(name => [name, '+ - - + - + - - - - + -'])),
      service: '        + - - + - + - - - - + +',
      admin: EVERYTHING,
      'old admin': EVERYTHING,
      'system admin': ' - - - - - - - - - + - -',
      'system reader': NOTHING,
    },
  },
  {
    name: "Keystone's default roles",
    file: `
"admin_of_all": "role:admin"
"reader_here": "role:reader and project_id:%(project_id)s"
"load-balancer:admin": "is_admin:True or
                        rule:admin_of_all or
                        role:load-balancer_admin"
"load-balancer:read": "is_admin:True or rule:admin_of_all or rule:reader_here"
"load-balancer:read-global": "is_admin:True or rule:admin_of_all"
"load-balancer:write": "is_admin:True or (role:member and project_id:%(project_id)s)"
"load-balancer:read-quota": "is_admin:True or rule:admin_of_all or rule:reader_here"
"load-balancer:read-quota-global": "is_admin:True or rule:admin_of_all"
"load-balancer:write-quota": "is_admin:True"
`,
    personas: {
      reader: '        + - - - - + - - - - + -',
      member: '        - - - + - - - - - - - -',
      admin: EVERYTHING,
      'system admin': '+ + + - - + + + - + + +',
      service: '       - - - - - - - - - - + +',
      'old admin': '   - - - - - - - - - + - -',
    },
  },
  {
    name: "Keystone's default roles with scope",
    file: `
"context_is_admin": "role:admin and system_scope:all"
"system_reader": "role:reader and system_scope:all"
"reader_here": "role:reader and project_id:%(project_id)s"
"load-balancer:admin": "is_admin:True or (role:admin and system_scope:all) or role:load-balancer_admin"
"load-balancer:read": "is_admin:True or rule:system_reader or rule:reader_here"
"load-balancer:read-global": "is_admin:True or rule:system_reader"
"load-balancer:write": "is_admin:True or role:member and project_id:%(project_id)s"
"load-balancer:read-quota": "is_admin:True or rule:system_reader or rule:reader_here"
"load-balancer:read-quota-global": "is_admin:True or rule:system_reader"
"load-balancer:write-quota": "is_admin:True"
`,
    personas: {
      reader: '        + - - - - + - - - - + -',
      member: '        - - - + - - - - - - - -',
      'system admin': ' - - - - - - - - - + - -',
      'system reader': '+ + + - - + + + - - + +',
      service: '       - - - - - - - - - - + +',
      'old admin': '   - - - - - - - - - + - -',
    },
  },
  {
    name: 'the old roles alone',
    file: `
"context_is_admin": "role:admin or role:load-balancer_admin"
"load-balancer:owner": "project_id:%(project_id)s"
"load-balancer:admin": "is_admin:True or role:admin or role:load-balancer_admin"
"load-balancer:observer_and_owner": "role:load-balancer_observer and rule:load-balancer:owner"
"load-balancer:global_observer": "role:load-balancer_global_observer"
"load-balancer:member_and_owner": "role:load-balancer_member and rule:load-balancer:owner"
"load-balancer:quota-admin": "role:load-balancer_quota_admin"
`,
    personas: {
      ...OLD_ROLES,
      admin: EVERYTHING,
      'system admin': EVERYTHING,
      service: '- - - - - - - - - - + +',
    },
  },
];

/** `list` is by what the caller may see; `read nobody's` is about what has no project, and so counts as the caller's own. */
type Right =
  | 'list'
  | 'list quotas'
  | "read nobody's"
  | 'read'
  | 'write'
  | 'read-quota'
  | 'read own quota'
  | 'write-quota'
  | 'admin'
  | 'members';

/**
 * What each operation asks for, with a request that is right in all but perhaps this: `$name` is the thing of the project
 * that is asked about, `!name` one that exists once. Source: contract rbac.md 2.
 */
const OPERATIONS: Record<string, [right: Right, path: string, body?: object]> = {
  'GET /loadbalancers': ['list', '/loadbalancers'],
  'POST /loadbalancers': [
    'write',
    '/loadbalancers',
    { loadbalancer: { project_id: '$project', vip_subnet_id: NOWHERE } },
  ],
  'GET /loadbalancers/:': ['read', '/loadbalancers/$lb'],
  'PUT /loadbalancers/:': ['write', '/loadbalancers/$lb', { loadbalancer: { name: 'x' } }],
  'DELETE /loadbalancers/:': ['write', '/loadbalancers/$lb?cascade=true'],
  'GET /loadbalancers/:/status': ['read', '/loadbalancers/$lb/status'],
  'GET /loadbalancers/:/statuses': ['read', '/loadbalancers/$lb/statuses'],
  'GET /loadbalancers/:/stats': ['read', '/loadbalancers/$lb/stats'],
  'GET /ottavia/loadbalancers/:/logs': ['read', '/ottavia/loadbalancers/$lb/logs'],
  'GET /ottavia/loadbalancers/:/timeline': ['read', '/ottavia/loadbalancers/$lb/timeline'],
  'PUT /loadbalancers/:/failover': ['admin', '/loadbalancers/$lb/failover'],
  'GET /listeners': ['list', '/listeners'],
  'POST /listeners': [
    'write',
    '/listeners',
    { listener: { loadbalancer_id: '$lb', protocol: 'TCP', protocol_port: 9 } },
  ],
  'GET /listeners/:': ['read', '/listeners/$listener'],
  'PUT /listeners/:': ['write', '/listeners/$listener', { listener: { name: 'x' } }],
  'DELETE /listeners/:': ['write', '/listeners/$listener'],
  'GET /listeners/:/stats': ['read', '/listeners/$listener/stats'],
  'GET /pools': ['list', '/pools'],
  'POST /pools': [
    'write',
    '/pools',
    { pool: { loadbalancer_id: '$lb', protocol: 'TCP', lb_algorithm: 'ROUND_ROBIN' } },
  ],
  'GET /pools/:': ['read', '/pools/$pool'],
  'PUT /pools/:': ['write', '/pools/$pool', { pool: { name: 'x' } }],
  'DELETE /pools/:': ['write', '/pools/$pool'],
  'GET /pools/:/members': ['members', '/pools/$pool/members'],
  'POST /pools/:/members': [
    'write',
    '/pools/$pool/members',
    { member: { address: '10.1.0.9', protocol_port: 9 } },
  ],
  'PUT /pools/:/members': ['write', '/pools/$pool/members', { members: [] }],
  'GET /pools/:/members/:': ['read', '/pools/$pool/members/$member'],
  'PUT /pools/:/members/:': ['write', '/pools/$pool/members/$member', { member: { name: 'x' } }],
  'DELETE /pools/:/members/:': ['write', '/pools/$pool/members/$member'],
  'GET /healthmonitors': ['list', '/healthmonitors'],
  'POST /healthmonitors': [
    'write',
    '/healthmonitors',
    { healthmonitor: { pool_id: '$pool', type: 'TCP', delay: 5, timeout: 3, max_retries: 2 } },
  ],
  'GET /healthmonitors/:': ['read', '/healthmonitors/$monitor'],
  'PUT /healthmonitors/:': ['write', '/healthmonitors/$monitor', { healthmonitor: { name: 'x' } }],
  'DELETE /healthmonitors/:': ['write', '/healthmonitors/$monitor'],
  'GET /l7policies': ['list', '/l7policies'],
  'POST /l7policies': ['write', '/l7policies', { l7policy: { listener_id: '$listener', action: 'REJECT' } }],
  'GET /l7policies/:': ['read', '/l7policies/$policy'],
  'PUT /l7policies/:': ['write', '/l7policies/$policy', { l7policy: { name: 'x' } }],
  'DELETE /l7policies/:': ['write', '/l7policies/$policy'],
  'GET /l7policies/:/rules': ['read', '/l7policies/$policy/rules'],
  'POST /l7policies/:/rules': [
    'write',
    '/l7policies/$policy/rules',
    { rule: { type: 'PATH', compare_type: 'EQUAL_TO', value: '/y' } },
  ],
  'GET /l7policies/:/rules/:': ['read', '/l7policies/$policy/rules/$rule'],
  'PUT /l7policies/:/rules/:': ['write', '/l7policies/$policy/rules/$rule', { rule: { invert: true } }],
  'DELETE /l7policies/:/rules/:': ['write', '/l7policies/$policy/rules/$rule'],
  'GET /quotas': ['list quotas', '/quotas'],
  'GET /quotas/defaults': ['read own quota', '/quotas/defaults'],
  'GET /quotas/:/default': ['read-quota', '/quotas/$project/default'],
  'GET /quotas/:': ['read-quota', '/quotas/$project'],
  'PUT /quotas/:': ['write-quota', '/quotas/$project', { quota: { pool: 100 } }],
  'DELETE /quotas/:': ['write-quota', '/quotas/$project'],
  'GET /providers': ["read nobody's", '/providers'],
  'GET /providers/:/flavor_capabilities': ['admin', '/providers/amphora/flavor_capabilities'],
  'GET /providers/:/availability_zone_capabilities': [
    'admin',
    '/providers/amphora/availability_zone_capabilities',
  ],
  'GET /flavors': ["read nobody's", '/flavors'],
  'GET /flavors/:': ["read nobody's", '/flavors/!flavor'],
  'POST /flavors': ['admin', '/flavors', { flavor: { name: 'f', flavor_profile_id: '!flavorProfile' } }],
  'PUT /flavors/:': ['admin', '/flavors/!flavor', { flavor: { description: 'x' } }],
  'DELETE /flavors/:': ['admin', '/flavors/!flavor'],
  'GET /flavorprofiles': ['admin', '/flavorprofiles'],
  'GET /flavorprofiles/:': ['admin', '/flavorprofiles/!flavorProfile'],
  'POST /flavorprofiles': [
    'admin',
    '/flavorprofiles',
    { flavorprofile: { name: 'p', provider_name: 'nowhere', flavor_data: '{}' } },
  ],
  'PUT /flavorprofiles/:': ['admin', '/flavorprofiles/!flavorProfile', { flavorprofile: { name: 'x' } }],
  'DELETE /flavorprofiles/:': ['admin', '/flavorprofiles/!flavorProfile'],
  'GET /availabilityzones': ["read nobody's", '/availabilityzones'],
  'GET /availabilityzones/:': ["read nobody's", '/availabilityzones/!zone'],
  'POST /availabilityzones': [
    'admin',
    '/availabilityzones',
    { availability_zone: { name: 'zone', availability_zone_profile_id: '!zoneProfile' } },
  ],
  'PUT /availabilityzones/:': [
    'admin',
    '/availabilityzones/!zone',
    { availability_zone: { description: 'x' } },
  ],
  'DELETE /availabilityzones/:': ['admin', '/availabilityzones/!zone'],
  'GET /availabilityzoneprofiles': ['admin', '/availabilityzoneprofiles'],
  'GET /availabilityzoneprofiles/:': ['admin', '/availabilityzoneprofiles/!zoneProfile'],
  'POST /availabilityzoneprofiles': [
    'admin',
    '/availabilityzoneprofiles',
    { availability_zone_profile: { name: 'p', provider_name: 'nowhere', availability_zone_data: '{}' } },
  ],
  'PUT /availabilityzoneprofiles/:': [
    'admin',
    '/availabilityzoneprofiles/!zoneProfile',
    { availability_zone_profile: { name: 'x' } },
  ],
  'DELETE /availabilityzoneprofiles/:': ['admin', '/availabilityzoneprofiles/!zoneProfile'],
  'GET /octavia/amphorae': ['admin', '/octavia/amphorae'],
  'GET /octavia/amphorae/:': ['admin', '/octavia/amphorae/$amphora'],
  'GET /octavia/amphorae/:/stats': ['admin', '/octavia/amphorae/$amphora/stats'],
  'PUT /octavia/amphorae/:/failover': ['admin', '/octavia/amphorae/$amphora/failover'],
  'PUT /octavia/amphorae/:/config': ['admin', '/octavia/amphorae/$amphora/config'],
  'DELETE /octavia/amphorae/:': ['admin', '/octavia/amphorae/$amphora'],
};

const FLAVOR = '30000000-0000-4000-8000-000000000001';
const FLAVOR_PROFILE = '30000000-0000-4000-8000-000000000002';
const ZONE_PROFILE = '30000000-0000-4000-8000-000000000003';
const SHARED: Record<string, string> = {
  flavor: FLAVOR,
  flavorProfile: FLAVOR_PROFILE,
  zoneProfile: ZONE_PROFILE,
  zone: 'zone',
};

/** The ids of a project's things; those of the other one differ in a digit. */
const idsOf = (project: string): Record<string, string> => {
  const own = {
    lb: idOf('lb', 1),
    listener: idOf('listener', 1),
    pool: idOf('pool', 1),
    member: idOf('member', 1),
    monitor: idOf('monitor', 1),
    policy: idOf('l7policy', 1),
    rule: idOf('l7rule', 1),
    amphora: idOf('amphora', 1),
  };
  return { project, ...JSON.parse(moved(JSON.stringify(own), project)) };
};
const moved = (text: string, project: string) =>
  project === PROJECT ? text : text.replaceAll('-4000-8000-', '-4000-9000-');

/**
 * Two projects with one of everything. Their load balancers are pending and strict: a write that is allowed is refused as a
 * conflict in the end, so that one world serves all requests.
 */
async function givenProjects(): Promise<GivenApi> {
  const api = await givenApi({
    authenticate: noauth,
    settings: { noauth: false, strict_immutability: true },
  });
  const { db } = api;
  const offered = { name: 'x', provider_name: 'amphora' };
  await db
    .insertInto('flavor_profile')
    .values({ ...offered, id: FLAVOR_PROFILE, flavor_data: '{}' })
    .execute();
  await db
    .insertInto('availability_zone_profile')
    .values({ ...offered, id: ZONE_PROFILE, availability_zone_data: '{}' })
    .execute();
  const offer = { description: '', enabled: 1 as const };
  await db
    .insertInto('flavor')
    .values({ ...offer, id: FLAVOR, name: 'f', flavor_profile_id: FLAVOR_PROFILE })
    .execute();
  await db
    .insertInto('availability_zone')
    .values({ ...offer, name: 'zone', availability_zone_profile_id: ZONE_PROFILE })
    .execute();
  for (const project_id of [PROJECT, OTHER]) {
    const resource = { project_id };
    const graph = buildGraph({
      load_balancer: {
        ...resource,
        provisioning_status: 'PENDING_UPDATE',
        flavor_id: FLAVOR,
        availability_zone: 'zone',
        vip_subnet_id: SUBNET,
      },
      listeners: [{ ...resource, protocol: 'HTTP' }],
      pools: [{ ...resource, protocol: 'HTTP' }],
      members: [resource],
      health_monitors: [resource],
      l7policies: [resource],
      l7rules: [resource],
    });
    const text = JSON.stringify(graph);
    // The flavor is shared.
    const own = JSON.parse(moved(text, project_id));
    own.load_balancer.flavor_id = FLAVOR;
    await givenGraph(db, own);
    const ids = idsOf(project_id);
    const counters = { bytes_in: 1, bytes_out: 1, active_connections: 1, total_connections: 1 };
    await db
      .insertInto('listener_statistics')
      .values({ ...counters, listener_id: ids.listener!, amphora_id: ids.amphora!, request_errors: 1 })
      .execute();
    await db
      .insertInto('quota')
      .values({
        ...{ load_balancer: null, listener: null, member: null, pool: 50 },
        ...{ health_monitor: null, l7policy: null, l7rule: null, project_id },
      })
      .execute();
  }
  return api;
}

function headersOf(persona: string): Record<string, string> {
  const roles = ROLES[persona as keyof typeof ROLES];
  const scope: Record<string, string> = persona.startsWith('system ')
    ? { 'openstack-system-scope': 'all' }
    : { 'x-project-id': PROJECT };
  return { 'x-user-id': 'u', 'x-roles': roles, ...scope };
}

function mayDo(row: string, right: Right, whose: 'own' | 'other'): boolean {
  const marks = row.trim().split(/\s+/);
  const has = (name: (typeof RIGHTS)[number]) => marks[RIGHTS.indexOf(name)] === '+';
  switch (right) {
    case 'list':
      return has('read-global') || has(`read ${whose}`);
    case 'list quotas':
      return has('read-quota-global') || has(`read-quota ${whose}`);
    case "read nobody's":
      return has('read own');
    case 'read own quota':
      return has('read-quota own');
    case 'write-quota':
    case 'admin':
      return has(right);
    default:
      return has(`${right} ${whose}`);
  }
}

async function dump({ db }: GivenApi): Promise<unknown> {
  const tables = ['load_balancer', 'listener', 'pool', 'member', 'health_monitor', 'l7policy', 'l7rule'];
  const others = ['amphora', 'quota', 'flavor', 'flavor_profile', 'availability_zone'];
  const all = [...tables, ...others, 'availability_zone_profile'] as 'pool'[];
  return Promise.all(all.map(table => db.selectFrom(table).selectAll().execute()));
}

const OBJECTS: Record<string, string> = {
  '/loadbalancers': 'loadbalancer',
  '/listeners': 'listener',
  '/pools': 'pool',
  '/pools/:/members': 'member',
  '/healthmonitors': 'healthmonitor',
  '/l7policies': 'l7policy',
  '/l7policies/:/rules': 'l7rule',
  '/quotas': 'quota',
  '/providers': 'provider',
  '/flavors': 'flavor',
  '/flavorprofiles': 'flavor-profile',
  '/availabilityzones': 'availability-zone',
  '/availabilityzoneprofiles': 'availability-zone-profile',
  '/octavia/amphorae': 'amphora',
};

const UNUSUAL: Record<string, string[]> = {
  'GET /quotas/defaults': ['quota:get_defaults'],
  'GET /quotas/:/default': ['quota:get_defaults'],
  'GET /loadbalancers/:/statuses': ['loadbalancer:get_status'],
  'GET /ottavia/loadbalancers/:/logs': ['loadbalancer:get_one'],
  'GET /ottavia/loadbalancers/:/timeline': ['loadbalancer:get_one'],
  'PUT /pools/:/members': ['member:post', 'member:put', 'member:delete'],
  'GET /providers/:/flavor_capabilities': ['provider-flavor:get_all'],
  'GET /providers/:/availability_zone_capabilities': ['provider-availability-zone:get_all'],
};

/** The rules that an operation asks for, in the words of policy files. Source: contract rbac.md 2. */
function rulesOf(key: string): string[] {
  const [method, path] = key.split(' ') as [string, string];
  if (UNUSUAL[key]) return UNUSUAL[key];
  const [prefix] = Object.keys(OBJECTS)
    .filter(each => path === each || path.startsWith(`${each}/`))
    .sort((a, b) => b.length - a.length);
  const rest = path.slice(prefix!.length);
  const action = rest.split('/')[2] ?? (method === 'GET' ? (rest === '' ? 'all' : 'one') : undefined);
  const verb = method.toLowerCase();
  return [`${OBJECTS[prefix!]}:${action === undefined ? verb : `${verb}_${action}`}`];
}

const keyOf = ({ method, path }: { method: string; path: string }) =>
  `${method} ${path.replace(/:\w+/g, ':')}`;

describe('who may do what', () => {
  let api: GivenApi;
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-rbac-'));
  beforeAll(async () => {
    api = await givenProjects();
  });
  afterAll(async () => {
    await api[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  test('every operation has its expectation, and none is missing', () => {
    expect(apiOperations(api.deps).map(keyOf).sort()).toEqual(Object.keys(OPERATIONS).sort());
  });

  const ask = (key: string, persona: string, whose: 'own' | 'other') => {
    const [right, path, body] = OPERATIONS[key]!;
    const ids = idsOf(whose === 'own' ? PROJECT : OTHER);
    const fill = (text: string) =>
      text.replace(/([$!])(\w+)/g, (_, kind, name) => (kind === '$' ? ids : SHARED)[name]!);
    const filter = right.startsWith('list') && whose === 'other' ? `?project_id=${OTHER}` : '';
    const filled = body && JSON.parse(fill(JSON.stringify(body)));
    return api.request(key.split(' ')[0]!, fill(path) + filter, filled, headersOf(persona));
  };

  const use = (
    name: string,
    { enforceNewDefaults, file, ...rest }: Omit<Configuration, 'name' | 'personas'>,
  ) => {
    const path = join(directory, `${name}.yaml`);
    writeFileSync(path, file ?? '');
    api.deps.policy = new Policy({ file: { path, required: true }, enforceNewDefaults });
    api.deps.settings.noauth = rest.noauth ?? false;
  };

  describe.each(CONFIGURATIONS)('with $name', ({ name, personas, ...rest }) => {
    beforeAll(() => use(name, rest));

    test.each(Object.keys(ROLES))('%s', async persona => {
      const row = personas[persona] ?? NOTHING;
      const cases = Object.keys(OPERATIONS).flatMap(key =>
        (['own', 'other'] as const).map(whose => ({
          key,
          whose,
          may: mayDo(row, OPERATIONS[key]![0], whose),
        })),
      );
      const before = await dump(api);
      const wrong: string[] = [];
      for (const { key, whose } of cases.filter(each => !each.may)) {
        const { status, body } = await ask(key, persona, whose);
        if (status !== 403 || body.faultcode !== 'Client')
          wrong.push(`${key} (${whose}) is ${status} and not refused`);
      }
      expect(wrong).toEqual([]);
      expect(await dump(api)).toEqual(before);

      for (const { key, whose } of cases.filter(each => each.may)) {
        const answer = await ask(key, persona, whose);
        const { status } = answer;
        if ([401, 403, 404, 405].includes(status) || status >= 500)
          wrong.push(`${key} (${whose}) is ${status}: ${JSON.stringify(answer.body)}`);
        const right = OPERATIONS[key]![0];
        if (!right.startsWith('list')) continue;
        const records = Object.values(answer.body)[0] as { project_id: string }[];
        const all = mayDo(row, right, 'other') && row.trim().split(/\s+/)[right === 'list' ? 2 : 7] === '+';
        const seen = [...new Set(records.map(record => record.project_id))].sort();
        const expected = whose === 'other' ? [OTHER] : all ? [PROJECT, OTHER] : [PROJECT];
        if (seen.join() !== expected.join()) wrong.push(`${key} (${whose}) shows projects ${seen}`);
      }
      expect(wrong).toEqual([]);
      expect(api.failures).toEqual([]);
    });
  });

  // Source: contract api.md 4.2.
  describe('nobody is told before he is refused', () => {
    beforeAll(() => use('order', {}));
    const send = (key: string, change: (text: string) => string) => {
      const [, path, body] = OPERATIONS[key]!;
      return api.request(
        key.split(' ')[0]!,
        change(path),
        body && JSON.parse(change(JSON.stringify(body))),
        headersOf('nobody'),
      );
    };
    const unknown = (text: string) => text.replaceAll('$project', OTHER).replace(/[$!]\w+/g, NOWHERE);

    test('what is wrong with the form of his body: 400', async () => {
      for (const [key, [, , body]] of Object.entries(OPERATIONS)) {
        if (!body) continue;
        const spoilt = (text: string) =>
          unknown(text).replace(/^(\{"\w+":)(.*)\}$/, (_, root, inside) =>
            inside === '[]' ? `${root}[{"nope":1}]}` : `${root}${inside.slice(0, -1)},"nope":1}}`,
          );
        const { status, body: fault } = await send(key, spoilt);
        expect([key, status, fault.faultstring]).toEqual([key, 400, expect.stringContaining('nope')]);
      }
    });

    test('that an object, or what it is to be under, is not there: 404', async () => {
      let count = 0;
      for (const [key, [, path, body]] of Object.entries(OPERATIONS)) {
        const named = `${path}${JSON.stringify(body ?? '').replace(/"flavor_p.*|"availability_zone_p.*/, '')}`;
        if (!/[$!](?!project)/.test(named)) continue;
        count++;
        expect([key, (await send(key, unknown)).status]).toEqual([key, 404]);
      }
      expect(count).toBe(54);
    });
  });

  test('each operation asks for its own rules, and no other', async () => {
    const names = [...new Set(Object.keys(OPERATIONS).flatMap(rulesOf))];
    for (const key of Object.keys(OPERATIONS)) {
      const own = rulesOf(key);
      const file = names.map(name => `"os_load-balancer_api:${name}": "${own.includes(name) ? '@' : '!'}"`);
      use('own rule', { file: file.join('\n') });
      const { status } = await ask(key, 'nobody', 'own');
      expect([key, own, status]).not.toEqual([key, own, 403]);
      for (const name of own) {
        use('without it', { file: file.join('\n').replace(`${name}": "@"`, `${name}": "!"`) });
        expect([key, name, (await ask(key, 'nobody', 'own')).status]).toEqual([key, name, 403]);
      }
    }
    const besides = [...OPERATION_RULES.keys()].filter(name => !names.includes(name));
    const lists = ['loadbalancer', 'listener', 'pool', 'healthmonitor', 'l7policy', 'quota'];
    expect(besides.sort()).toEqual(
      [
        ...lists.map(object => `${object}:get_all-global`),
        'loadbalancer:post:vip_sg_ids',
        'loadbalancer:put:vip_sg_ids',
      ].sort(),
    );
  });

  describe('a rule of one operation', () => {
    const status = async (method: string, path: string, body: object, persona = 'member') =>
      (await api.request(method, path, body, headersOf(persona))).status;
    const forbid = (rule: string) =>
      use(rule.replaceAll(':', ' '), { file: `"os_load-balancer_api:${rule}": "!"` });
    const { lb, pool } = idsOf(PROJECT) as { lb: string; pool: string };

    test('for vip_sg_ids counts when the key is there, besides the rule of the operation', async () => {
      const create = (set: object) =>
        status('POST', '/loadbalancers', { loadbalancer: { vip_subnet_id: NOWHERE, ...set } });
      const update = (set: object) => status('PUT', `/loadbalancers/${lb}`, { loadbalancer: set });
      forbid('loadbalancer:post:vip_sg_ids');
      expect([
        await create({}),
        await create({ vip_sg_ids: null }),
        await create({ vip_sg_ids: [] }),
      ]).toEqual([400, 403, 403]);
      expect(await update({ vip_sg_ids: [] })).toBe(409);
      forbid('loadbalancer:put:vip_sg_ids');
      expect([
        await update({}),
        await update({ vip_sg_ids: null }),
        await update({ vip_sg_ids: [] }),
      ]).toEqual([409, 403, 403]);
      expect(await create({ vip_sg_ids: [] })).toBe(400);
    });

    test('for a batch of members: all three, and without delete when it only adds', async () => {
      const batch = (query: string) => status('PUT', `/pools/${pool}/members${query}`, { members: [] });
      for (const [rule, plain, additive] of [
        ['member:post', 403, 403],
        ['member:put', 403, 403],
        ['member:delete', 403, 409],
        ['member:get_one', 409, 409],
      ] as const) {
        forbid(rule);
        expect([rule, await batch(''), await batch('?additive_only=true')]).toEqual([rule, plain, additive]);
      }
    });
  });

  describe('a token of the whole system', () => {
    beforeAll(() => use('system', {}));
    const create = (set: object) =>
      api.request(
        'POST',
        '/loadbalancers',
        { loadbalancer: { vip_subnet_id: SUBNET, ...set } },
        headersOf('system admin'),
      );

    test('creates for a project that it names', async () => {
      expect(await create({})).toMatchObject({
        status: 400,
        body: { faultstring: expect.stringContaining('Missing project ID') },
      });
      const { status, body } = await create({ project_id: OTHER, listeners: [] });
      expect([status, body.loadbalancer.project_id]).toEqual([201, OTHER]);
      await api.db.deleteFrom('load_balancer').where('id', '=', body.loadbalancer.id).execute();
    });
  });
});
