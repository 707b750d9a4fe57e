/** The rules that hold when no policy file says otherwise. Source: contract rbac.md 2 and 4. */

/** What the names of operations begin with in policy files. */
export const PREFIX = 'os_load-balancer_api:';

export interface NamedRule {
  check: string;
  /** Or-ed with the check while the old roles count: `[oslo_policy] enforce_new_defaults = false`. */
  legacy?: string;
}

export const NAMED_RULES: Readonly<Record<string, NamedRule>> = {
  context_is_admin: { check: 'role:admin', legacy: 'role:load-balancer_admin' },
  service: { check: 'role:service' },
  'project-reader': { check: 'role:reader and project_id:%(project_id)s' },
  'project-member': { check: 'role:member and project_id:%(project_id)s' },
  'load-balancer:owner': { check: 'project_id:%(project_id)s' },
  'load-balancer:admin': { check: 'is_admin:True or role:admin', legacy: 'role:load-balancer_admin' },
  'load-balancer:global_observer': { check: 'role:admin', legacy: 'role:load-balancer_global_observer' },
  'load-balancer:quota-admin': { check: 'role:admin', legacy: 'role:load-balancer_quota_admin' },
  'load-balancer:observer_and_owner': {
    check: 'rule:project-reader',
    legacy: 'role:load-balancer_observer and rule:load-balancer:owner',
  },
  'load-balancer:member_and_owner': {
    check: 'rule:project-member',
    legacy: 'role:load-balancer_member and rule:load-balancer:owner',
  },
  'load-balancer:read': {
    check:
      'rule:load-balancer:observer_and_owner or rule:load-balancer:global_observer or ' +
      'rule:load-balancer:member_and_owner or rule:load-balancer:admin',
  },
  'load-balancer:read-global': { check: 'rule:load-balancer:global_observer or rule:load-balancer:admin' },
  'load-balancer:write': { check: 'rule:load-balancer:member_and_owner or rule:load-balancer:admin' },
  'load-balancer:read-quota': {
    check:
      'rule:load-balancer:observer_and_owner or rule:load-balancer:global_observer or ' +
      'rule:load-balancer:member_and_owner or rule:load-balancer:quota-admin or rule:load-balancer:admin',
  },
  'load-balancer:read-quota-global': {
    check: 'rule:load-balancer:global_observer or rule:load-balancer:quota-admin or rule:load-balancer:admin',
  },
  'load-balancer:write-quota': { check: 'rule:load-balancer:quota-admin or rule:load-balancer:admin' },
};

const READ = 'rule:load-balancer:read';
const WRITE = 'rule:load-balancer:write';
const ADMIN = 'rule:load-balancer:admin';

/** Objects, their actions, and who may. */
const TABLE: readonly [objects: string, actions: string, check: string][] = [
  ['loadbalancer listener pool healthmonitor l7policy', 'get_all get_one', READ],
  ['loadbalancer listener pool healthmonitor l7policy', 'get_all-global', 'rule:load-balancer:read-global'],
  ['loadbalancer listener pool healthmonitor l7policy member l7rule', 'post put delete', WRITE],
  ['loadbalancer', 'get_stats get_status', READ],
  ['loadbalancer', 'post:vip_sg_ids put:vip_sg_ids', WRITE],
  ['loadbalancer', 'put_failover', ADMIN],
  ['listener', 'get_stats', READ],
  ['member', 'get_all', `${READ} or rule:service`],
  ['member l7rule', 'get_one', READ],
  ['l7rule provider', 'get_all', READ],
  ['quota', 'get_all get_one get_defaults', 'rule:load-balancer:read-quota'],
  ['quota', 'get_all-global', 'rule:load-balancer:read-quota-global'],
  ['quota', 'put delete', 'rule:load-balancer:write-quota'],
  ['provider-flavor provider-availability-zone', 'get_all', ADMIN],
  ['flavor availability-zone', 'get_all get_one', READ],
  ['flavor availability-zone', 'post put delete', ADMIN],
  ['flavor-profile availability-zone-profile', 'get_all get_one post put delete', ADMIN],
  ['amphora', 'get_all get_one get_stats delete put_config put_failover', ADMIN],
];

/** By the name without its prefix, such as `listener:post`. */
export const OPERATION_RULES: ReadonlyMap<string, string> = new Map(
  TABLE.flatMap(([objects, actions, check]) =>
    objects
      .split(' ')
      .flatMap(object => actions.split(' ').map(action => [`${object}:${action}`, check] as const)),
  ),
);
