/** An HTTP client of the load balancing API: gets a token when it first needs one, and turns faults into sentences. */

import { CliError } from './cli-error.ts';
import type { Cloud } from './cloud.ts';

export type Resource = Record<string, unknown> & { id: string };
export type Query = Record<string, string | readonly string[] | undefined>;

const TIMEOUT_MS = 60_000;
const LOAD_BALANCER = ['load-balancer', 'load_balancer', 'octavia'];

interface Session {
  token: string | undefined;
  endpointOf(types: readonly string[]): string;
}

interface CatalogEntry {
  type: string;
  endpoints: { interface: string; region: string; url: string }[];
}

export class Client {
  readonly #cloud: Cloud;
  #session: Promise<Session> | undefined;

  constructor(cloud: Cloud) {
    this.#cloud = cloud;
  }

  /** `path` is such as `lbaas/listeners`. Returns the body, undefined when there is none; throws `CliError` with the fault. */
  async request(method: string, path: string, body?: unknown, query: Query = {}): Promise<unknown> {
    const session = await this.#getSession();
    const endpoint = session.endpointOf(LOAD_BALANCER);
    const base = /\/v2(\.0)?$/.test(endpoint) ? endpoint : `${endpoint}/v2.0`;
    return send(method, `${base}/${path}${formatQuery(query)}`, session.token, body);
  }

  /** All rows of a collection, however many pages it has. */
  async list(path: string, key: string, query: Query = {}): Promise<Resource[]> {
    const rows: Resource[] = [];
    let next: Query | undefined = query;
    while (next) {
      const page = (await this.request('GET', path, undefined, next)) as Record<string, unknown>;
      rows.push(...(page[key] as Resource[]));
      const links = (page[`${key}_links`] ?? []) as { rel: string; href: string }[];
      const href = links.find(link => link.rel === 'next')?.href;
      next = href === undefined ? undefined : Object.fromEntries(new URL(href).searchParams);
    }
    return rows;
  }

  /** Rows of the network API, such as `subnets`; an empty list where the cloud has no such API. */
  async listNetworkRows(plural: string, query: Query): Promise<Resource[]> {
    const session = await this.#getSession();
    const endpoint = session.endpointOf(['network']).replace(/\/v2\.0$/, '');
    const body = await send('GET', `${endpoint}/v2.0/${plural}${formatQuery(query)}`, session.token);
    return ((body as Record<string, Resource[]>)[plural.replaceAll('-', '_')] ?? []) as Resource[];
  }

  #getSession(): Promise<Session> {
    this.#session ??= authenticate(this.#cloud);
    return this.#session;
  }
}

async function authenticate(cloud: Cloud): Promise<Session> {
  const { auth } = cloud;
  if (auth.type === 'none') {
    const root = trimSlash(cloud.endpoint ?? '');
    return {
      token: undefined,
      endpointOf: types => (types === LOAD_BALANCER ? root : `${root}/${types[0]}`),
    };
  }
  const identity =
    auth.type === 'password'
      ? {
          methods: ['password'],
          password: { user: { ...withDomain(auth.user, auth.userDomain), password: auth.password.reveal() } },
        }
      : { methods: ['token'], token: { id: auth.token.reveal() } };
  const hasProject = auth.project.id !== undefined || auth.project.name !== undefined;
  const scope = hasProject ? { project: withDomain(auth.project, auth.projectDomain) } : undefined;
  const root = trimSlash(auth.url);
  const url = `${/\/v3$/.test(root) ? root : `${root}/v3`}/auth/tokens`;
  const response = await fetchBounded(
    'POST',
    url,
    { 'content-type': 'application/json' },
    { auth: { identity, scope } },
  );
  if (response.status === 401) {
    throw new CliError(`Cannot log in at ${url}: user name, password or project of ${cloud.origin} is wrong`);
  }
  if (!response.ok) throw await faultOf(response, 'POST', url);
  const { token } = (await response.json()) as { token: { catalog?: CatalogEntry[] } };
  return {
    token: response.headers.get('x-subject-token') ?? undefined,
    endpointOf(types) {
      if (cloud.endpoint !== undefined && types === LOAD_BALANCER) return trimSlash(cloud.endpoint);
      const endpoint = token.catalog
        ?.filter(entry => types.includes(entry.type))
        .flatMap(entry => entry.endpoints)
        .find(e => e.interface === cloud.interface && (!cloud.region || e.region === cloud.region));
      if (!endpoint) {
        const where = cloud.region ? ` in region ${cloud.region}` : '';
        throw new CliError(
          `Cannot find the ${types[0]} service: the catalog at ${url} has no ${cloud.interface} endpoint of it${where}`,
        );
      }
      return trimSlash(endpoint.url);
    },
  };
}

/** Keystone takes a domain with a name only. */
function withDomain(named: { id?: string; name?: string }, domain: { id?: string; name?: string }) {
  return named.id !== undefined ? { id: named.id } : { name: named.name, domain };
}

async function send(
  method: string,
  url: string,
  token: string | undefined,
  body?: unknown,
): Promise<unknown> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (token !== undefined) headers['x-auth-token'] = token;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetchBounded(method, url, headers, body);
  if (!response.ok) throw await faultOf(response, method, url);
  const text = await response.text();
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CliError(`Cannot read the answer to ${method} ${url}: it is not JSON`, { cause });
  }
}

async function fetchBounded(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: unknown,
): Promise<Response> {
  try {
    return await fetch(url, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (cause) {
    const reason =
      (cause as Error).cause instanceof Error
        ? ((cause as Error).cause as Error).message
        : (cause as Error).message;
    throw new CliError(
      `Cannot reach ${new URL(url).origin}: ${reason || 'no answer'}. Does the system run?`,
      { cause },
    );
  }
}

/** The fault's own sentence, whichever of the three forms it comes in. Source: contract api.md 2.2. */
async function faultOf(response: Response, method: string, url: string): Promise<CliError> {
  const requestId = response.headers.get('x-openstack-request-id') ?? undefined;
  const fallback = `${method} ${new URL(url).pathname} failed with HTTP ${response.status}`;
  let sentence: string | undefined;
  try {
    const body = (await response.json()) as Record<string, unknown>;
    const error = body.error as { message?: string } | undefined;
    sentence = (body.faultstring ?? body.description ?? error?.message ?? body.title) as string | undefined;
  } catch {
    // An answer without JSON has no sentence of its own; the status is all there is to tell.
  }
  return new CliError(sentence ? `${sentence} (HTTP ${response.status})` : fallback, {
    requestId,
    httpStatus: response.status,
  });
}

function formatQuery(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of value === undefined ? [] : [value].flat()) parameters.append(name, each as string);
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

const trimSlash = (url: string): string => url.replace(/\/+$/, '');
