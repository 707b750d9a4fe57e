/** An HTTP client of the load balancing API: gets a token when it first needs one, and turns faults into sentences. */

import { CliError } from './cli-error.ts';
import type { Cloud } from './cloud.ts';
import { exchange, type HttpAnswer, type Tls } from './http.ts';

export type Resource = Record<string, unknown> & { id: string };
export type Query = Record<string, string | readonly string[] | undefined>;

/** The services of a cloud, by the first part of our paths; what is not here is the load balancers' own. */
const APIS: Record<string, Api> = {
  identity: { types: ['identity'], version: 'v3', update: 'PATCH' },
  network: { types: ['network'], version: 'v2.0', update: 'PUT' },
  'key-manager': { types: ['key-manager'], version: 'v1', update: 'PUT' },
};
const LOAD_BALANCER: Api = {
  types: ['load-balancer', 'load_balancer', 'octavia'],
  version: 'v2.0',
  update: 'PUT',
};

interface Api {
  /** What a catalog calls it. */
  types: readonly string[];
  version: string;
  update: 'PUT' | 'PATCH';
}

interface Session {
  token: string | undefined;
  tls: Tls;
  timeoutMs: number | undefined;
  /** Where the token is good. */
  project: { id: string; name: string } | undefined;
  endpointOf(api: Api): string;
}

interface CatalogEntry {
  type: string;
  endpoints: { interface: string; region: string; url: string }[];
}

export class Client {
  readonly #cloud: Cloud;
  readonly #timeoutMs: number | undefined;
  #session: Promise<Session> | undefined;

  /** Each request has its own time limit. */
  constructor(cloud: Cloud, timeoutMs?: number) {
    this.#cloud = cloud;
    this.#timeoutMs = timeoutMs;
  }

  /** `path` is such as `lbaas/listeners`. Returns the body, undefined when there is none; throws `CliError` with the fault. */
  async request(
    method: string,
    path: string,
    body?: unknown,
    query: Query = {},
    onText?: (text: string) => void,
  ): Promise<unknown> {
    const [first = '', ...rest] = path.split('/');
    const api = APIS[first] ?? LOAD_BALANCER;
    const session = await this.#getSession();
    const below = APIS[first] ? rest.join('/') : path;
    const url = `${rootOf(session.endpointOf(api))}/${api.version}/${below}${formatQuery(query)}`;
    return send(method, url, session, body, onText);
  }

  /** Hands over what each line, or each event, of a long answer holds, as it comes; returns when the server ends it. */
  async follow(path: string, query: Query, onValue: (value: unknown) => void): Promise<void> {
    let rest = '';
    await this.request('GET', path, undefined, query, text => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const json = line.replace(/^data: /, '');
        if (json.startsWith('{')) onValue(JSON.parse(json));
      }
    });
  }

  /** The thing itself, without the root key. */
  async get(path: string): Promise<Resource> {
    return unwrap(await this.request('GET', path));
  }

  async update(path: string, body: unknown): Promise<unknown> {
    const { update } = APIS[path.split('/', 1)[0]!] ?? LOAD_BALANCER;
    return this.request(update, path, body);
  }

  /** The rows of a collection that the server gives at once. */
  async listPage(path: string, query: Query = {}): Promise<Resource[]> {
    return rowsOf((await this.request('GET', path, undefined, query)) as Record<string, unknown>);
  }

  /** All rows of a collection, however many pages it has; `onPage` is told how many there are when more are to come. */
  async list(path: string, query: Query = {}, onPage?: (count: number) => void): Promise<Resource[]> {
    const rows: Resource[] = [];
    let next: Query | undefined = query;
    while (next) {
      const page = (await this.request('GET', path, undefined, next)) as Record<string, unknown>;
      const found = rowsOf(page);
      rows.push(...found);
      const href = found.length === 0 ? undefined : nextOf(page);
      next = href === undefined ? undefined : queryOf(href);
      if (next) onPage?.(rows.length);
    }
    return rows;
  }

  /** The project that the user works in, which he may know by name where he may not look up others. */
  async findOwnProject(): Promise<Session['project']> {
    return (await this.#getSession()).project;
  }

  /** Where the load balancing API is, and the versions it says it has. */
  async listVersions(): Promise<{ endpoint: string; versions: { id: string; status: string }[] }> {
    const session = await this.#getSession();
    const endpoint = rootOf(session.endpointOf(LOAD_BALANCER));
    const { versions } = (await send('GET', `${endpoint}/`, session)) as { versions: [] };
    return { endpoint, versions };
  }

  #getSession(): Promise<Session> {
    this.#session ??= authenticate(this.#cloud, this.#timeoutMs);
    return this.#session;
  }
}

/** What stands below the root key, where there is one. */
export function unwrap(body: unknown): Resource {
  const values = Object.values(body as object);
  const inner = values.length === 1 && typeof values[0] === 'object' ? values[0] : body;
  return identified(inner as Record<string, unknown>);
}

/** The key manager has references where others have ids. */
function identified(row: Record<string, unknown>): Resource {
  const reference = row.secret_ref ?? row.container_ref;
  return typeof reference === 'string' ? { id: reference.split('/').at(-1)!, ...row } : (row as Resource);
}

function rowsOf(page: Record<string, unknown>): Resource[] {
  const found = Object.entries(page).find(([key, value]) => Array.isArray(value) && !key.endsWith('_links'));
  return ((found?.[1] ?? []) as Record<string, unknown>[]).map(identified);
}

/** Octavia and Neutron have `<plural>_links`, Keystone has `links.next`, Barbican has `next`. */
function nextOf(page: Record<string, unknown>): string | undefined {
  const [, links] = Object.entries(page).find(([key]) => key.endsWith('_links')) ?? [];
  const linked = (links as { rel: string; href: string }[] | undefined)?.find(link => link.rel === 'next');
  const next = linked?.href ?? (page.links as { next?: unknown } | undefined)?.next ?? page.next;
  return typeof next === 'string' ? next : undefined;
}

function queryOf(href: string): Query {
  const query: Record<string, string[]> = {};
  for (const [name, value] of new URL(href, 'http://any').searchParams)
    query[name] = [...(query[name] ?? []), value];
  return query;
}

async function authenticate(cloud: Cloud, timeoutMs?: number): Promise<Session> {
  const { auth, tls } = cloud;
  if (auth.type === 'none') {
    const root = trimSlash(cloud.endpoint ?? '');
    return {
      token: undefined,
      tls,
      timeoutMs,
      project: undefined,
      endpointOf: api => (api === LOAD_BALANCER ? root : `${root}/${api.types[0]}`),
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
  const answer = await exchange('POST', url, { headers: {}, body, tls, timeoutMs });
  if (answer.status === 401) {
    throw new CliError(`Cannot log in at ${url}: user name, password or project of ${cloud.origin} is wrong`);
  }
  if (answer.status >= 400) throw faultOf(answer, 'POST', url);
  const { token } = parseJson(answer, 'POST', url) as {
    token: Pick<Session, 'project'> & { catalog?: CatalogEntry[] };
  };
  return {
    token: String(answer.headers['x-subject-token']),
    tls,
    timeoutMs,
    project: token.project,
    endpointOf(api) {
      if (cloud.endpoint !== undefined && api === LOAD_BALANCER) return trimSlash(cloud.endpoint);
      const endpoint = token.catalog
        ?.filter(entry => api.types.includes(entry.type))
        .flatMap(entry => entry.endpoints)
        .find(e => e.interface === cloud.interface && (!cloud.region || e.region === cloud.region));
      if (!endpoint) {
        const where = cloud.region ? ` in region ${cloud.region}` : '';
        throw new CliError(
          `Cannot find the ${api.types[0]} service: the catalog at ${url} has no ${cloud.interface} endpoint of it${where}`,
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
  session: Session,
  body?: unknown,
  onText?: (text: string) => void,
): Promise<unknown> {
  const headers: Record<string, string> =
    session.token === undefined ? {} : { 'x-auth-token': session.token };
  const answer = await exchange(method, url, {
    headers,
    body,
    tls: session.tls,
    timeoutMs: session.timeoutMs,
    onText,
  });
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

/** What to do about a fault, where its own sentence does not say. */
const NEXT: Record<number, string> = {
  401: 'log in with a password or a fresh token',
  403: 'a role may be missing, see `ottavia role add`',
  409: 'look at it with `show` and try again when it has changed',
  500: 'the log of the server says more under the request id',
  503: 'try again in a moment',
};

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
  const said = typeof sentence === 'string' ? sentence : fallback;
  const next = /quota has been met/i.test(said)
    ? 'delete something, or ask for a larger quota'
    : NEXT[status];
  const advice = next ? `; ${next}` : '';
  return new CliError(`${said} (HTTP ${status})${advice}`, {
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

/** Without the version that some catalogs have in their URLs. */
const rootOf = (url: string): string => trimSlash(url).replace(/\/v[\d.]+$/, '');
