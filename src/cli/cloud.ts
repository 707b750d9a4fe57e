/** Finds the cloud to talk to, as OpenStack clients do: OS_* variables, else a cloud of a clouds.yaml. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { Secret } from '../lib/secret.ts';
import { CliError } from './cli-error.ts';
import type { Tls } from './http.ts';

interface Named {
  name?: string;
  id?: string;
}

export interface Cloud {
  /** Where it was found, for a sentence about it. */
  origin: string;
  region: string | undefined;
  interface: string;
  tls: Tls;
  /** Used instead of what the catalog says. */
  endpoint: string | undefined;
  auth:
    | { type: 'none' }
    | { type: 'token'; url: string; token: Secret; project: Named; projectDomain: Named }
    | {
        type: 'password';
        url: string;
        user: Named;
        userDomain: Named;
        password: Secret;
        project: Named;
        projectDomain: Named;
      };
}

export interface CloudSearch {
  environment: NodeJS.ProcessEnv;
  cwd: string;
  /** What `--os-cloud` says. */
  cloud: string | undefined;
}

/** The cloud that a standalone system writes into its data directory, which is `./var` unless told. */
const STANDALONE_FILE = 'var/clouds.yaml';
const STANDALONE_CLOUD = 'ottavia';

/** Throws a sentence that says where it looked and what to do. */
export function findCloud({ environment, cwd, cloud }: CloudSearch): Cloud {
  const name = cloud ?? environment.OS_CLOUD;
  if (name === undefined) {
    if (environment.OS_AUTH_URL || environment.OS_ENDPOINT) return fromVariables(environment);
    const file = join(cwd, STANDALONE_FILE);
    if (existsSync(file)) return fromFile(file, STANDALONE_CLOUD);
  }
  const files = candidateFiles(environment, cwd);
  for (const file of files) {
    if (existsSync(file) && cloudsIn(file)[name ?? STANDALONE_CLOUD])
      return fromFile(file, name ?? STANDALONE_CLOUD);
  }
  throw new CliError(
    `Cannot find cloud ${name ?? STANDALONE_CLOUD}: no OS_AUTH_URL is set, and none of ${files.join(', ')} has it. ` +
      'Start a system here with `ottavia standalone`, or name one with --os-cloud or OS_CLIENT_CONFIG_FILE',
  );
}

function candidateFiles(environment: NodeJS.ProcessEnv, cwd: string): string[] {
  if (environment.OS_CLIENT_CONFIG_FILE) return [environment.OS_CLIENT_CONFIG_FILE];
  const configHome = environment.XDG_CONFIG_HOME ?? join(environment.HOME ?? homedir(), '.config');
  return [
    join(cwd, 'clouds.yaml'),
    join(cwd, STANDALONE_FILE),
    join(configHome, 'openstack/clouds.yaml'),
    '/etc/openstack/clouds.yaml',
  ];
}

type Tree = { [name: string]: unknown };

function cloudsIn(file: string): Tree {
  let document: unknown;
  try {
    document = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CliError(`Cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  return treeAt(document, 'clouds');
}

function fromFile(file: string, name: string): Cloud {
  const cloud = treeAt(cloudsIn(file), name);
  const auth = treeAt(cloud, 'auth');
  return cloudOf(`${file} (${name})`, key => textAt(auth, key) ?? textAt(cloud, key));
}

function fromVariables(environment: NodeJS.ProcessEnv): Cloud {
  return cloudOf('the OS_* variables', key => environment[`OS_${key.toUpperCase()}`] || undefined);
}

function cloudOf(origin: string, find: (key: string) => string | undefined): Cloud {
  const get = (key: string): string => {
    const value = find(key);
    if (value === undefined) throw new CliError(`Cannot use the cloud in ${origin}: it has no ${key}`);
    return value;
  };
  const named = (what: string): Named => {
    const [id, name] = [find(`${what}_id`), find(`${what}_name`)];
    return id !== undefined ? { id } : name !== undefined ? { name } : {};
  };
  const domain = (what: string): Named => {
    const own = named(`${what}_domain`);
    return (own.id ?? own.name)
      ? own
      : { id: find('default_domain_id') ?? find('default_domain') ?? 'default' };
  };
  const common = {
    origin,
    region: find('region_name'),
    interface: (find('interface') ?? find('endpoint_type') ?? 'public').replace(/URL$/, ''),
    tls: { caFile: find('cacert'), verify: find('verify') !== 'false' && find('insecure') !== 'true' },
    endpoint: find('load_balancer_endpoint_override') ?? find('endpoint_override'),
  };
  const type = find('auth_type') ?? (find('token') === undefined ? 'password' : 'token');
  if (type === 'none' || type === 'admin_token') {
    return { ...common, endpoint: common.endpoint ?? get('endpoint'), auth: { type: 'none' } };
  }
  const scope = { url: get('auth_url'), project: named('project'), projectDomain: domain('project') };
  if (/token$/.test(type)) {
    return { ...common, auth: { type: 'token', ...scope, token: new Secret(get('token')) } };
  }
  const userId = find('user_id');
  const user = userId !== undefined ? { id: userId } : { name: get('username') };
  const password = new Secret(get('password'));
  return { ...common, auth: { type: 'password', ...scope, user, userDomain: domain('user'), password } };
}

function treeAt(value: unknown, name: string): Tree {
  const found = typeof value === 'object' && value !== null ? (value as Tree)[name] : undefined;
  return typeof found === 'object' && found !== null ? (found as Tree) : {};
}

function textAt(tree: Tree, name: string): string | undefined {
  const found = tree[name];
  return ['string', 'number', 'boolean'].includes(typeof found) ? String(found) : undefined;
}
