/** An HTTP client of the load balancing API: gets a token when it first needs one, and turns faults into sentences. */

import { CliError } from './cli-error.ts';
import type { Cloud } from './cloud.ts';
import { exchange, type HttpAnswer, type Tls } from './http.ts';

export type Resource = Record<string, unknown> & { id: string };
export type Query = Record<string, string | readonly string[] | undefined>;

const LOAD_BALANCER = ['load-balancer', 'load_balancer', 'octavia'];

interface Session {
  token: string | undefined;
  tls: Tls;
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
    return send(method, `${base}/${path}${formatQuery(query)}`, session, body);
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
    const body = await send('GET', `${endpoint}/v2.0/${plural}${formatQuery(query)}`, session);
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
      tls: cloud.tls,
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
  const body = { auth: { identity, scope } };
  const answer = await exchange('POST', url, { headers: {}, body, tls: cloud.tls });
  if (answer.status === 401) {
    throw new CliError(`Cannot log in at ${url}: user name, password or project of ${cloud.origin} is wrong`);
  }
  if (answer.status >= 400) throw faultOf(answer, 'POST', url);
  const { token } = parseJson(answer, 'POST', url) as { token: { catalog?: CatalogEntry[] } };
  return {
    token: String(answer.headers['x-subject-token']),
    tls: cloud.tls,
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

async function send(method: string, url: string, session: Session, body?: unknown): Promise<unknown> {
  const headers: Record<string, string> =
    session.token === undefined ? {} : { 'x-auth-token': session.token };
  const answer = await exchange(method, url, { headers, body, tls: session.tls });
  if (answer.status >= 400) throw faultOf(answer, method, url);
  if (answer.text === '') return undefined;
  return parseJson(answer, method, url);
}

function parseJson({ text }: HttpAnswer, method: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CliError(`Cannot read the answer to ${method} ${url}: it is not JSON`, { cause });
  }
}

/** The fault's own sentence, whichever of the three forms it comes in. Source: contract api.md 2.2. */
function faultOf({ status, headers, text }: HttpAnswer, method: string, url: string): CliError {
  const id = headers['x-openstack-request-id'];
  let sentence: unknown;
  try {
    const body = JSON.parse(text) as Record<string, unknown>;
    sentence =
      body.faultstring ?? body.description ?? (body.error as { message?: string })?.message ?? body.title;
  } catch {
    // An answer without JSON has no sentence of its own; the status is all there is to tell.
  }
  const fallback = `${method} ${new URL(url).pathname} failed`;
  return new CliError(`${typeof sentence === 'string' ? sentence : fallback} (HTTP ${status})`, {
    requestId: typeof id === 'string' ? id : undefined,
    httpStatus: status,
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
