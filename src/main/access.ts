/** Who may use the API, as the settings say: the Keystone that is asked, and the operator's policy. */
import { resolve } from 'node:path';
import { identify, Policy } from '../api/server.ts';
import { KeystoneIdentity } from '../drivers/openstack/keystone.ts';
import type { Domain } from '../drivers/openstack/keystone-session.ts';
import type { Log } from '../lib/log.ts';
import type { Authenticate, RequestHeaders } from '../model/caller.ts';
import type { Settings } from './settings.ts';

/** Whoever Keystone knows, an administrator where the policy makes him one. Throws when its certificate file cannot be read. */
export function openKeystone(
  { keystone_authtoken: auth }: Settings,
  policy: Policy,
): { authenticate: Authenticate; close(): Promise<void> } {
  const keystone = new KeystoneIdentity({
    url: keystoneUrlOf(auth),
    username: auth.username!,
    password: auth.password,
    projectName: auth.project_name,
    userDomain: domainOf(auth.user_domain_id, auth.user_domain_name),
    projectDomain: domainOf(auth.project_domain_id, auth.project_domain_name),
    caFile: auth.cafile,
    insecure: auth.insecure,
    connectTimeoutMs: auth.http_connect_timeout === null ? undefined : auth.http_connect_timeout * 1000,
    retries: auth.http_request_max_retries,
    cacheMs: auth.token_cache_time * 1000,
  });
  const deps = {
    policy,
    settings: { noauth: false },
    authenticate: (request: RequestHeaders) => keystone.authenticate(request),
  };
  return { authenticate: request => identify(deps, request), close: () => keystone.close() };
}

type AuthSettings = Settings['keystone_authtoken'];

export const wwwAuthenticateUriOf = (auth: AuthSettings): string =>
  auth.www_authenticate_uri ?? keystoneUrlOf(auth);

const keystoneUrlOf = (auth: AuthSettings): string => auth.auth_url ?? auth.www_authenticate_uri ?? '';

function domainOf(id: string | null, name: string | null): Domain {
  if (id !== null) return { id };
  return name === null ? { id: 'default' } : { name };
}

/** `directory` is where a file without a path is looked for. Throws with all that is wrong with the file. */
export function policyOf({ oslo_policy: settings }: Settings, directory: string, log: Log): Policy {
  const required = settings.policy_file !== null;
  if (!settings.enforce_new_defaults)
    log.warn({}, 'the roles load-balancer_* count: [oslo_policy] enforce_new_defaults is false');
  return new Policy({
    file: { path: resolve(directory, settings.policy_file ?? 'policy.yaml'), required },
    enforceNewDefaults: settings.enforce_new_defaults,
    enforceScope: settings.enforce_scope,
    log,
  });
}
