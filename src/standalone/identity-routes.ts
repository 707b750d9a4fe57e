/** How an operation of the identity API is written down: where it is, who may, what it does; and lists with filters. */
import { Fault } from '../lib/errors.ts';
import type { TokenFacts } from './identity.ts';

export interface Call {
  params: Record<string, string>;
  query: Record<string, string | string[]>;
  body: unknown;
  /** Of whoever calls. */
  token: TokenFacts;
  /** The start of all links, such as `http://127.0.0.1:9876/identity/v3`. */
  base: string;
}

export interface Route {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/identity/v3`. */
  path: string;
  may(call: Call): boolean;
  /** The body; undefined for 204. A POST answers 201. */
  run(call: Call): Promise<object | undefined>;
}

export const anybody = (): boolean => true;
export const admins = ({ token }: Call): boolean => token.caller.is_admin;

/** Readers of the whole system see what admins see, as in Keystone's own policies. */
export const readers = (call: Call): boolean =>
  admins(call) || (call.token.scope?.kind === 'system' && call.token.caller.roles.includes('reader'));

/** The user whom the path names, and who may read everything. */
export const himselfOrReaders = (call: Call): boolean =>
  call.params.user_id === call.token.user.id || readers(call);

export type View = Record<string, unknown>;

export interface Collection {
  plural: string;
  singular: string;
  list(call: Call): View[];
  mayList(call: Call): boolean;
  mayShow(call: Call): boolean;
}

/** `GET /things` and `GET /things/{id}` of what nobody makes here. */
export function readingRoutes({ plural, singular, list, mayList, mayShow }: Collection): Route[] {
  const fixed = async () => {
    throw new Fault('unsupported', `The ${plural} of a standalone system are as they are.`);
  };
  return [
    {
      ...{ method: 'GET', path: `/${plural}`, may: mayList },
      run: async call => listBody(call, plural, list(call)),
    },
    {
      ...{ method: 'GET', path: `/${plural}/:id`, may: mayShow },
      run: async call => {
        const { id } = call.params;
        const view = list(call).find(candidate => candidate.id === id);
        if (!view) throw notFound(singular, id!);
        return { [singular]: view };
      },
    },
    { method: 'POST', path: `/${plural}`, may: admins, run: fixed },
    { method: 'PATCH', path: `/${plural}/:id`, may: admins, run: fixed },
    { method: 'DELETE', path: `/${plural}/:id`, may: admins, run: fixed },
  ];
}

/** The views that the filters of the query let through. */
export function listBody({ base, query }: Call, plural: string, views: readonly View[]): object {
  const kept = views.filter(view => matches(view, query));
  return { [plural]: kept, links: { self: `${base}/${plural}`, previous: null, next: null } };
}

export function linksOf(base: string, plural: string, id: string): { self: string } {
  return { self: `${base}/${plural}/${id}` };
}

/** Every filter that names a field counts; others, such as `limit`, do not narrow the list here. */
function matches(view: View, query: Call['query']): boolean {
  return Object.entries(query).every(([name, value]) => {
    if (!Object.hasOwn(view, name)) return true;
    const held = view[name];
    return [value].flat().some(wanted => {
      if (typeof held === 'boolean') return isTrue(wanted) === held;
      return Array.isArray(held)
        ? wanted.split(',').every(item => held.includes(item))
        : String(held ?? '') === wanted;
    });
  });
}

/** A flag of a query is set by its mere presence. Source: Keystone API v3, "filtering". */
export function isTrue(text: string | string[] | undefined): boolean {
  return text !== undefined && !['0', 'false', 'no', 'off'].includes(String(text).toLowerCase());
}

/** The object under the root of a body. */
export function rootOf(body: unknown, root: string): Record<string, unknown> {
  const found = field(body, root);
  if (typeof found !== 'object' || found === null || Array.isArray(found))
    throw new Fault('invalid', `Expecting to find ${root}, an object, in the request body.`);
  return found as Record<string, unknown>;
}

export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

export function notFound(what: string, id: string): Fault {
  return new Fault('not-found', `Could not find ${what}: ${id}.`);
}
