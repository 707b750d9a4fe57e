/** A resource's table of fields, and reading a request's body by it: required, unknown, null and default. */
import { Fault } from '../lib/errors.ts';
import { boolean, invalidSentence, isObject, type Kind, list, Problems, text } from './fields.ts';
import type { ApiSettings } from './settings.ts';

export interface Field {
  kind: Kind;
  doc: string;
  /** `ignored`: taken and thrown away, as clients send it. Optional when absent. */
  post?: 'required' | 'optional' | 'ignored' | 'no';
  /** Whether it can be changed later; true when absent. */
  put?: boolean;
  /** What an absent field becomes on POST, and a null one. Null when absent. */
  default?: unknown | ((settings: ApiSettings) => unknown);
  /** What null means where that is not the default. */
  nullValue?: unknown;
  /** Null on POST counts as absent unless this says otherwise. */
  nullOnPost?: 'refuse' | 'not-found';
  /** Null on PUT goes back to the default unless this says otherwise. */
  nullOnPut?: 'refuse' | 'keep';
}

/** By name, in the order of the documentation. */
export type Fields = Readonly<Record<string, Field>>;
export type Body = Record<string, unknown>;

/** The fields that nearly every resource has. Null in admin_state_up is false. Source: contract api.md 2.4. */
export const NAME: Field = { kind: text(255), default: '', doc: 'Human-readable name.' };
export const DESCRIPTION: Field = { kind: text(255), default: '', doc: 'Human-readable description.' };
export const ADMIN_STATE_UP: Field = {
  kind: boolean,
  default: true,
  nullValue: false,
  doc: 'Whether it is switched on.',
};
export const TAGS: Field = {
  kind: list(text(255), { unique: true }),
  default: [],
  nullOnPut: 'keep',
  doc: 'Simple strings to find it by.',
};
/** Children belong to their load balancer's project, whatever is sent. */
export const IGNORED_PROJECT: Fields = {
  project_id: { kind: text(36), post: 'ignored', put: false, doc: 'Ignored: that of the load balancer.' },
  tenant_id: { kind: text(36), post: 'ignored', put: false, doc: 'Ignored: that of the load balancer.' },
};

/** The one object under the body's root key. */
export function rootOf(body: unknown, root: string): unknown {
  if (body === undefined)
    throw new Fault('invalid', `Missing argument: the body must hold the object ${root}.`);
  if (!isObject(body)) throw new Fault('invalid', `The body must be an object that holds ${root}.`);
  const other = Object.keys(body).find(key => key !== root);
  if (other !== undefined)
    throw new Fault('invalid', `Unknown argument: ${quoted(other)}. The body holds ${root}.`);
  if (!Object.hasOwn(body, root)) throw new Fault('invalid', `Missing argument: the body must hold ${root}.`);
  return body[root];
}

/** Every field of a creation: sent, default, or null. Throws one fault that names all that is wrong. */
export function parsePost(fields: Fields, value: unknown, root: string, settings: ApiSettings): Body {
  const problems = new Problems();
  const body = readPost(fields, value, root, settings, problems, '');
  throwProblems(problems);
  return body;
}

/** Only the fields that were sent, null resolved. Throws one fault that names all that is wrong. */
export function parsePut(fields: Fields, value: unknown, root: string, settings: ApiSettings): Body {
  const problems = new Problems();
  const body: Body = {};
  if (!isObject(value))
    throw new Fault('invalid', invalidSentence(root, value, 'Value should be an object.'));
  for (const [name, raw] of Object.entries(value)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (!field || field.put === false) {
      const fixed = field ? ' It cannot be changed.' : '';
      problems.sentences.push(`Unknown attribute: ${quoted(name)}.${fixed}`);
    } else if (raw !== null) {
      body[name] = field.kind.parse(raw, name, problems);
    } else if (field.nullOnPut === 'refuse') {
      problems.refuse(name, raw, 'Null is not allowed.');
    } else if (field.nullOnPut !== 'keep') {
      body[name] = 'nullValue' in field ? field.nullValue : defaultOf(field, settings);
    }
  }
  throwProblems(problems);
  return body;
}

/** As `parsePost`, with problems collected: for objects inside a body; `prefix` says where, such as `members[2].`. */
export function readPost(
  fields: Fields,
  value: unknown,
  root: string,
  settings: ApiSettings,
  problems: Problems,
  prefix: string,
): Body {
  const body: Body = {};
  if (!isObject(value)) {
    problems.refuse(prefix === '' ? root : prefix.slice(0, -1), value, 'Value should be an object.');
    return body;
  }
  for (const name of Object.keys(value)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (!field || field.post === 'no')
      problems.sentences.push(`Unknown attribute: ${prefix}${quoted(name)}.`);
  }
  for (const [name, field] of Object.entries(fields)) {
    if (field.post === 'no') continue;
    const raw = Object.hasOwn(value, name) ? value[name] : undefined;
    const parsed = readPostField(field, raw, `${prefix}${name}`, settings, problems);
    if (field.post !== 'ignored') body[name] = parsed;
  }
  return body;
}

function readPostField(
  field: Field,
  raw: unknown,
  at: string,
  settings: ApiSettings,
  problems: Problems,
): unknown {
  if (raw !== undefined && raw !== null) return field.kind.parse(raw, at, problems);
  if (raw === null) {
    if (field.nullOnPost === 'not-found') throw new Fault('not-found', `${at} None not found.`);
    if (field.nullOnPost === 'refuse') return problems.refuse(at, raw, 'Null is not allowed.');
    if ('nullValue' in field) return field.nullValue;
  }
  if (field.post === 'required') return problems.refuse(at, null, 'Mandatory field missing.');
  return defaultOf(field, settings);
}

export function throwProblems(problems: Problems): void {
  const { sentences, duplicates } = problems;
  if (sentences.length > 0) {
    const more = sentences.length > 5 ? ` And ${sentences.length - 5} more.` : '';
    throw new Fault('invalid', sentences.slice(0, 5).join(' ') + more);
  }
  if (duplicates.length > 0)
    throw new Fault('conflict', `Duplicates in the request: ${duplicates.join('; ')}.`);
}

function defaultOf(field: Field, settings: ApiSettings): unknown {
  const value = typeof field.default === 'function' ? field.default(settings) : field.default;
  // Copied: a record must not share its default with the next one.
  return structuredClone(value ?? null);
}

function quoted(name: string): string {
  return (name.length > 60 ? `${name.slice(0, 60)}…` : name).toWellFormed();
}

/** A rule that a single kind cannot tell, in the same form. */
export function refuse(at: string, value: unknown, rule: string): never {
  throw new Fault('invalid', invalidSentence(at, value, rule));
}
