/** Who calls, and whether they may: the token's caller, and the one rule of projects until policies are configured. */
import { Fault } from '../lib/errors.ts';
import type { Authenticate, Caller, RequestHeaders } from '../model/caller.ts';

/** No tokens: the headers are believed, and everybody is an administrator. Source: contract rbac.md 6. */
export const noauth: Authenticate = request => ({
  user_id: header(request, 'x-user-id'),
  project_id: header(request, 'x-project-id'),
  domain_id: null,
  system_scope: null,
  roles: (header(request, 'x-roles') ?? '').split(',').filter(role => role !== ''),
  is_admin: true,
});

function header(request: RequestHeaders, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** `rule` is Octavia's name of the policy, such as `listener:post`. Throws `forbidden` for another project's object. */
export function authorize(caller: Caller, rule: string, project_id: string | null): void {
  if (caller.is_admin || (project_id !== null && project_id === caller.project_id)) return;
  throw new Fault(
    'forbidden',
    `Policy does not allow this request to be performed: os_load-balancer_api:${rule}.`,
  );
}
