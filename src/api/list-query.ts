/** The query of a list: filters, sort, page and fields, read as Octavia reads them. Source: contract api.md 3. */
import type { Condition, Page, SortKey } from '../db/page.ts';
import { Fault } from '../lib/errors.ts';
import { isTrueWord } from './fields.ts';
import type { ApiSettings } from './settings.ts';

/** How a filter compares; only scalar columns can be sorted by. */
export interface Filter {
  column: string;
  type: 'text' | 'integer' | 'number' | 'boolean' | 'list' | 'monitor';
  nullable: boolean;
}

/** By the name that a query uses. */
export type Filters = Readonly<Record<string, Filter>>;

/** Several columns of one type. */
export function columns(
  type: Filter['type'],
  nullable: boolean,
  names: readonly string[],
): Record<string, Filter> {
  return Object.fromEntries(names.map(name => [name, { column: name, type, nullable }]));
}

/** What every resource can be filtered by; `enabled` is Octavia's internal name of admin_state_up. */
export const COMMON_FILTERS: Filters = {
  ...columns('text', false, ['id', 'name', 'provisioning_status', 'operating_status', 'created_at']),
  ...columns('text', true, ['project_id', 'updated_at']),
  ...columns('boolean', false, ['admin_state_up']),
  ...columns('list', false, ['tags']),
  enabled: { column: 'admin_state_up', type: 'boolean', nullable: false },
};

const TAG_FILTERS: Readonly<Record<string, 'has-all' | 'has-any' | 'lacks-one' | 'lacks-all'>> = {
  tags: 'has-all',
  'tags-any': 'has-any',
  'not-tags': 'lacks-one',
  'not-tags-any': 'lacks-all',
};

const PAGING = ['limit', 'marker', 'page_reverse'];
const SORTING = ['sort', 'sort_key', 'sort_dir'];

export type ListQuery = Omit<Page, 'scope'> & {
  /** The project whose objects are asked for; undefined when none is named. */
  project_id: string | undefined;
};

/** `order`: what a list is sorted by in the end. */
export function parseListQuery(
  query: URLSearchParams,
  filters: Filters,
  settings: ApiSettings,
  order: readonly string[] = ['created_at', 'id'],
): ListQuery {
  return {
    filters: settings.allow_filtering ? parseFilters(query, filters, settings) : [],
    sort: parseSort(settings.allow_sorting ? query : new URLSearchParams(), filters, order),
    ...(settings.allow_pagination ? parsePaging(query, settings) : { limit: null }),
    project_id:
      settings.allow_filtering && !settings.filters_take_several
        ? (query.get('project_id') ?? undefined)
        : undefined,
  };
}

function parseFilters(query: URLSearchParams, filters: Filters, settings: ApiSettings): Condition[] {
  const conditions: Condition[] = [];
  for (const key of new Set(query.keys())) {
    if (PAGING.includes(key) || SORTING.includes(key) || key === 'fields') continue;
    if (key === 'project_id' && !settings.filters_take_several) continue;
    const values = query.getAll(key);
    const tags = filters.tags && Object.hasOwn(TAG_FILTERS, key) ? TAG_FILTERS[key] : undefined;
    if (tags) {
      conditions.push({ is: tags, column: 'tags', values: values.flatMap(v => v.split(',')) });
      continue;
    }
    const filter = Object.hasOwn(filters, key) ? filters[key] : undefined;
    if (!filter) throw new Fault('invalid', `Invalid filter: ${key.slice(0, 60).toWellFormed()}.`);
    const wanted = values.map(value => toCondition(filter, value));
    if (values.length === 1 || filter.type === 'list') conditions.push(...wanted);
    else if (settings.filters_take_several) conditions.push({ is: 'any-of', conditions: wanted });
    else throw new Fault('invalid', `Invalid filter: ${key} is given ${values.length} times.`);
  }
  return conditions;
}

function toCondition(filter: Filter, value: string): Condition {
  const { column, type } = filter;
  if (value.includes('\0')) return { is: 'nothing' };
  switch (type) {
    case 'text':
      return { is: 'equal', column, value };
    case 'boolean':
      return { is: 'equal', column, value: isTrueWord(value) ? 1 : 0 };
    case 'integer':
      return /^-?\d{1,15}$/.test(value) ? { is: 'equal', column, value: Number(value) } : { is: 'nothing' };
    case 'number':
      return /^-?\d{1,9}(\.\d{1,9})?$/.test(value)
        ? { is: 'equal', column, value: Number(value) }
        : { is: 'nothing' };
    case 'list':
      return { is: 'has-all', column, values: [value] };
    case 'monitor':
      return { is: 'parent-of', child: 'health_monitor', column: 'pool_id', id: value };
  }
}

function parseSort(query: URLSearchParams, filters: Filters, order: readonly string[]): SortKey[] {
  const keys: SortKey[] = requestedSort(query).map(([name, direction]) => {
    const filter = Object.hasOwn(filters, name) ? filters[name] : undefined;
    if (!filter || filter.type === 'list' || filter.type === 'monitor')
      throw new Fault('invalid', `The sort key ${name.slice(0, 60).toWellFormed()} is unknown.`);
    const lower = direction.toLowerCase();
    if (lower !== 'asc' && lower !== 'desc')
      throw new Fault(
        'invalid',
        `The sort direction ${direction.slice(0, 60).toWellFormed()} is neither asc nor desc.`,
      );
    return { column: filter.column, nullable: filter.nullable, descending: lower === 'desc' };
  });
  for (const column of order) {
    if (!keys.some(key => key.column === column)) keys.push({ column, descending: false, nullable: false });
  }
  return keys;
}

function requestedSort(query: URLSearchParams): [string, string][] {
  const sort = query.getAll('sort').join(',');
  if (sort !== '') {
    return sort.split(',').map(part => {
      const [name = '', direction = 'asc', ...rest] = part.split(':');
      if (rest.length > 0)
        throw new Fault('invalid', `The sort ${part.slice(0, 60).toWellFormed()} is not key:direction.`);
      return [name, direction];
    });
  }
  const names = query.getAll('sort_key').join(',');
  const directions = query.getAll('sort_dir').join(',');
  if (names === '') return [];
  const given = directions === '' ? [] : directions.split(',');
  return names.split(',').map((name, i) => [name, given[i] ?? 'asc']);
}

function parsePaging(
  query: URLSearchParams,
  settings: ApiSettings,
): Pick<Page, 'limit' | 'marker' | 'before'> {
  const marker = query.get('marker') ?? undefined;
  return {
    limit: parseLimit(query.get('limit'), settings),
    ...(marker !== undefined && { marker, before: query.get('page_reverse') === 'True' }),
  };
}

function parseLimit(text: string | null, settings: ApiSettings): number | null {
  const cap = settings.pagination_max_limit;
  if (text === null) return cap;
  if (text === 'infinite') return null;
  if (!/^\s*[+-]?\d{1,15}\s*$/.test(text))
    throw new Fault('invalid', `The limit ${text.slice(0, 60).toWellFormed()} is not a number.`);
  const limit = Number(text);
  if (limit <= 0) return null;
  return cap === null ? limit : Math.min(limit, cap);
}

export interface Link {
  rel: 'next' | 'previous';
  href: string;
}

/** Links to the neighbouring pages, with all the filters of this one. Source: contract api.md 3.5. */
export function pageLinks(
  url: string,
  query: URLSearchParams,
  page: Omit<Page, 'scope'>,
  ids: readonly string[],
): Link[] {
  if (page.limit === null || ids.length === 0) return [];
  const isFull = ids.length === page.limit;
  const link = (rel: Link['rel'], marker: string): Link => {
    const own = new URLSearchParams(query);
    for (const key of PAGING) own.delete(key);
    own.set('limit', String(page.limit));
    own.set('marker', marker);
    if (rel === 'previous') own.set('page_reverse', 'True');
    return { rel, href: `${url}?${own}` };
  };
  const links: Link[] = [];
  if (page.before || isFull) links.push(link('next', ids.at(-1)!));
  if (page.before ? isFull : page.marker !== undefined) links.push(link('previous', ids[0]!));
  return links;
}

/** Keeps the fields that the query names, if it names any; unknown names are dropped. Source: contract api.md 3.3. */
export function selectFields<T extends object>(
  object: T,
  query: URLSearchParams,
  settings: ApiSettings,
): Partial<T> {
  const fields = query.getAll('fields');
  if (fields.length === 0 || !settings.allow_field_selection) return object;
  return Object.fromEntries(
    Object.entries(object).filter(([name]) => fields.includes(name) && name !== 'tenant_id'),
  ) as Partial<T>;
}
