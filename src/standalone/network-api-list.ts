/** Neutron's lists: filters, fields, order and pages. */
import { invalid } from './network-api-errors.ts';

export type View = Record<string, unknown> & { id: string };
export type Query = Readonly<Record<string, string | string[]>>;

const valuesOf = (query: Query, name: string): string[] =>
  Object.hasOwn(query, name) ? [query[name]!].flat() : [];

/** The page that the query asks for, with links to its neighbours; `url` is that of the list. */
export function pageOf(
  plural: string,
  views: readonly View[],
  query: Query,
  url: string,
): Record<string, unknown> {
  const found = sorted(
    views.filter(view => matches(view, query)),
    query,
  );
  const backwards = valuesOf(query, 'page_reverse')[0]?.toLowerCase() === 'true';
  const [marker] = valuesOf(query, 'marker');
  const at = marker === undefined ? -1 : found.findIndex(view => view.id === marker);
  if (marker !== undefined && at < 0)
    throw invalid(`Invalid input for operation: the marker ${marker} is unknown.`);
  const rest = backwards ? found.slice(0, marker === undefined ? undefined : at) : found.slice(at + 1);
  const limit = limitOf(query);
  if (limit === undefined) return { [plural]: rest.map(view => project(view, query)) };
  const page = backwards ? rest.slice(-limit) : rest.slice(0, limit);
  const link = (rel: 'next' | 'previous', from: View) => {
    const params = new URLSearchParams(
      Object.entries(query).flatMap(([name, value]) =>
        [value].flat().map((each): [string, string] => [name, each]),
      ),
    );
    params.set('marker', from.id);
    params.delete('page_reverse');
    if (rel === 'previous') params.set('page_reverse', 'True');
    return { rel, href: `${url}?${params}` };
  };
  const links = page.length === 0 ? [] : linksAround(found, page, link);
  const answer = { [plural]: page.map(view => project(view, query)) };
  return links.length > 0 ? { ...answer, [`${plural}_links`]: links } : answer;
}

function linksAround<T>(
  all: readonly View[],
  page: readonly View[],
  link: (rel: 'next' | 'previous', from: View) => T,
): T[] {
  const [first, last] = [page[0]!, page.at(-1)!];
  return [
    ...(all.at(-1) === last ? [] : [link('next', last)]),
    ...(all[0] === first ? [] : [link('previous', first)]),
  ];
}

/** Each name that is shown narrows the list to the rows that have one of its values; other names do not. */
function matches(view: View, query: Query): boolean {
  return Object.keys(query).every(name => {
    if (!Object.hasOwn(view, name)) return true;
    const wanted = valuesOf(query, name);
    if (name === 'fixed_ips') return matchesAddresses(view[name] as Record<string, string>[], wanted);
    const has = [view[name]].flat().map(plain);
    return wanted.some(value => has.includes(typeof view[name] === 'boolean' ? readFlag(value) : value));
  });
}

/** `subnet_id=…` and `ip_address=…`: one address must satisfy both kinds, each by one of its values. */
function matchesAddresses(addresses: readonly Record<string, string>[], wanted: readonly string[]): boolean {
  const byKey = Map.groupBy(wanted, pair => pair.split('=', 1)[0]!);
  return addresses.some(address =>
    [...byKey].every(([key, pairs]) => pairs.includes(`${key}=${address[key]}`)),
  );
}

const plain = (value: unknown): string => (value === null ? 'None' : String(value));
const readFlag = (value: string): string => ({ '1': 'true', '0': 'false' })[value] ?? value.toLowerCase();

function sorted(views: readonly View[], query: Query): View[] {
  const directions = valuesOf(query, 'sort_dir');
  const keys = valuesOf(query, 'sort_key').map((key, i) => ({
    key,
    sign: directions[i] === 'desc' ? -1 : 1,
  }));
  return views.toSorted((a, b) => {
    for (const { key, sign } of keys) {
      const [one, two] = [a[key], b[key]].map(plain) as [string, string];
      const numbers = typeof a[key] === 'number' && typeof b[key] === 'number';
      const order = numbers ? Number(one) - Number(two) : one < two ? -1 : one > two ? 1 : 0;
      if (order !== 0) return sign * order;
    }
    return 0;
  });
}

function limitOf(query: Query): number | undefined {
  const [text] = valuesOf(query, 'limit');
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw invalid(`Limit must be an integer 0 or greater and not '${text}'`);
  // Zero is no limit. Source: Neutron's API reference, pagination.
  return Number(text) || undefined;
}

/** What of a row `fields` asks for. */
export function project(view: View, query: Query): Record<string, unknown> {
  const fields = valuesOf(query, 'fields').filter(name => name !== '');
  if (fields.length === 0) return view;
  return Object.fromEntries(Object.entries(view).filter(([name]) => fields.includes(name)));
}
