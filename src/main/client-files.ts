/** The files by which clients find a standalone system: `openrc` for shells, `clouds.yaml` for OpenStack programs. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { Secret } from '../lib/secret.ts';

export const CLOUD = 'ottavia';

export interface Login {
  user: string;
  project: string;
  password: Secret;
}

export interface Access {
  /** Such as `http://127.0.0.1:9876`. */
  url: string;
  /** undefined when nobody is asked who he is. */
  login: Login | undefined;
}

/** Both files, readable by their owner only. */
export function writeClientFiles(directory: string, access: Access): void {
  writePrivate(join(directory, 'clouds.yaml'), stringify({ clouds: { [CLOUD]: cloudOf(access) } }));
  writePrivate(join(directory, 'openrc'), renderOpenrc(access));
}

/** The password in the directory's clouds.yaml; undefined when there is none to be found. */
export function findPassword(directory: string): Secret | undefined {
  const file = join(directory, 'clouds.yaml');
  if (!existsSync(file)) return undefined;
  try {
    const password = parse(readFileSync(file, 'utf8'))?.clouds?.[CLOUD]?.auth?.password;
    return typeof password === 'string' ? new Secret(password) : undefined;
  } catch {
    // Somebody edited it into something that is no YAML: a new password is made, and the file is written anew.
    return undefined;
  }
}

function cloudOf({ url, login }: Access) {
  // The client has no use for a catalog then; it takes the endpoint as it is.
  if (!login)
    return {
      auth_type: 'none',
      endpoint: url,
      auth: { endpoint: url },
      load_balancer_endpoint_override: url,
    };
  return {
    auth: {
      auth_url: `${url}/identity/v3`,
      username: login.user,
      password: login.password.reveal(),
      project_name: login.project,
      user_domain_name: 'Default',
      project_domain_name: 'Default',
    },
    region_name: 'RegionOne',
    interface: 'public',
    identity_api_version: 3,
  };
}

function renderOpenrc({ url, login }: Access): string {
  const variables: Record<string, string> = login
    ? {
        OS_AUTH_URL: `${url}/identity/v3`,
        OS_USERNAME: login.user,
        OS_PASSWORD: login.password.reveal(),
        OS_PROJECT_NAME: login.project,
        OS_USER_DOMAIN_NAME: 'Default',
        OS_PROJECT_DOMAIN_NAME: 'Default',
        OS_REGION_NAME: 'RegionOne',
        OS_IDENTITY_API_VERSION: '3',
      }
    : { OS_AUTH_TYPE: 'none', OS_ENDPOINT: url };
  const lines = Object.entries(variables).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`,
  );
  return `# Use with: . openrc\n${lines.join('\n')}\n`;
}

/** Written beside and renamed, so that no reader sees half of it and the mode is right from the start. */
function writePrivate(file: string, text: string): void {
  const beside = `${file}.new`;
  writeFileSync(beside, text, { mode: 0o600, flush: true });
  renameSync(beside, file);
}
