/** Bodies and queries between the two APIs: what an old client sent as Octavia takes it, what Octavia answers as Neutron showed it. */

import { Fault } from '../../lib/errors.ts';
import { type Body, refuse } from '../body.ts';
import { isObject, isTrueWord } from '../fields.ts';
import type { Attributes, OldResource } from './resources.ts';

const BOOLEANS = ['admin_state_up', 'invert', 'enabled'];

/**
 * The attributes of a POST, or of a PUT when `isNew` is false; `more` are the names that a graph allows besides.
 * Zero, empty and null are kept as they are. Throws `invalid`.
 */
export function readAttributes(
  resource: OldResource,
  value: unknown,
  isNew: boolean,
  more: readonly string[] = [],
): Body {
  if (!isObject(value)) refuse(resource.root, value, 'Value should be an object.');
  const known = isNew ? [...resource.required, ...resource.optional, ...more] : resource.mutable;
  const body: Body = {};
  for (const [name, raw] of Object.entries(value)) {
    if (!known.includes(name)) throw unknownAttribute(resource, name, isNew);
    const attribute = isWord(raw) && BOOLEANS.includes(name) ? raw.toLowerCase() : raw;
    const choices = resource.choices[name];
    if (choices && !choices.includes(String(attribute)))
      refuse(name, attribute, `Value should be one of: ${choices.join(', ')}.`);
    body[name] = attribute;
  }
  const absent = isNew ? resource.required.find(name => body[name] == null) : undefined;
  if (absent)
    throw new Fault('invalid', `Failed to parse request. Required attribute '${absent}' not specified.`);
  return body;
}

const isWord = (value: unknown): value is string => typeof value === 'string';

function unknownAttribute(resource: OldResource, name: string, isNew: boolean): Fault {
  const isFixed = [...resource.shown, ...resource.required, ...resource.optional].includes(name);
  if (isFixed && !isNew) return new Fault('invalid', `Cannot update read-only attribute ${name}.`);
  if (isFixed) return new Fault('invalid', `Attribute '${name}' not allowed in POST.`);
  return new Fault('invalid', `Unrecognized attribute(s) '${name.slice(0, 60).toWellFormed()}'.`);
}

/** The object as the old API shows it; what Octavia leaves out is null. */
export function showAttributes(resource: OldResource, view: Attributes): Attributes {
  const shown = Object.fromEntries(resource.shown.map(name => [name, view[name] ?? null]));
  resource.show?.(shown, view);
  return shown;
}

/** Only the fields that the query names, if it names any. */
export function selectOldFields(shown: Attributes, query: URLSearchParams): Attributes {
  const fields = query.getAll('fields').filter(name => name !== '');
  return fields.length === 0
    ? shown
    : Object.fromEntries(Object.entries(shown).filter(([name]) => fields.includes(name)));
}

const OTHER_NAMES: Readonly<Record<string, string>> = { tenant_id: 'project_id' };
const PAGING = ['limit', 'marker', 'sort_key', 'sort_dir'];

/** Filters that the resource does not have are ignored, as Neutron did. */
export function translateListQuery(resource: OldResource, query: URLSearchParams): URLSearchParams {
  const known = [...resource.shown, ...resource.required, ...resource.optional];
  // What the path names already, such as `?pool_id=`.
  known.push(...resource.path.split('/').flatMap(part => (part.startsWith(':') ? [part.slice(1)] : [])));
  const translated = new URLSearchParams();
  for (const [key, value] of query) {
    const name = OTHER_NAMES[key] ?? key;
    if (name === 'page_reverse') translated.append(name, isTrueWord(value) ? 'True' : 'False');
    else if (name === 'sort_key') translated.append(name, OTHER_NAMES[value] ?? value);
    else if (PAGING.includes(name)) translated.append(name, value);
    else if (known.includes(name) && Object.hasOwn(resource.filters, name)) translated.append(name, value);
  }
  // Without a limit the list is whole.
  if (!query.has('limit')) translated.set('limit', 'infinite');
  return translated;
}
