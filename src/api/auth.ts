/** Who calls, and whether they may: the token's caller, with the rules that hold while the request runs. */
import { Fault } from '../lib/errors.ts';
import type { Authenticate, Caller, RequestHeaders } from '../model/caller.ts';
import type { Policy, Rules } from './policy/policy.ts';

/** A caller as operations see it: the same rules from the beginning of a request to its end. */
export interface RuledCaller extends Caller {
  rules: Rules;
}

/**
 * Who sends a request. An administrator is whom the policy makes one, or with `noauth` everybody. Throws `unauthorized`.
 * Source: contract rbac.md 1.
 */
export async function identify(
  deps: { authenticate: Authenticate; policy: Policy; settings: { noauth: boolean } },
  request: RequestHeaders,
): Promise<RuledCaller> {
  const caller = await deps.authenticate(request);
  const rules = deps.policy.rules();
  const known = { ...caller, roles: caller.roles.map(role => role.toLowerCase()), is_admin: false };
  return { ...known, is_admin: deps.settings.noauth || rules.isAdmin(known), rules };
}

/** No tokens: the headers are believed. Source: contract rbac.md 6.8. */
export const noauth: Authenticate = request => ({
  user_id: header(request, 'x-user-id'),
  project_id: header(request, 'x-project-id'),
  domain_id: header(request, 'x-domain-id'),
  system_scope: header(request, 'openstack-system-scope'),
  roles: (header(request, 'x-roles') ?? '')
    .split(',')
    .map(role => role.trim())
    .filter(role => role !== ''),
  is_admin: true,
});

function header(request: RequestHeaders, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

export function isAllowed(caller: RuledCaller, rule: string, project_id: string | null): boolean {
  return caller.rules.allows(caller, rule, { project_id });
}

/**
 * `rule` is Octavia's name of the policy, such as `listener:post`; `project_id` is the owner of the object, and for objects
 * without one the caller's own project. Throws `forbidden`.
 */
export function authorize(caller: RuledCaller, rule: string, project_id: string | null): void {
  if (isAllowed(caller, rule, project_id)) return;
  throw new Fault(
    'forbidden',
    `Policy does not allow this request to be performed: os_load-balancer_api:${rule}.`,
  );
}
