/** The kinds of values that fields hold: each converts what a client sent as Octavia does, and has a JSON schema. */
import { type TSchema, Type } from 'typebox';
import { findCanonicalAddress, formatCidr, parseCidr } from '../lib/addresses.ts';

/** Collects all that is wrong with a request, so that its user hears of everything at once. */
export class Problems {
  readonly sentences: string[] = [];
  /** Something was named twice; Octavia answers 409 to that. */
  readonly duplicates: string[] = [];

  /** The form that clients and their tests look for. Source: contract api.md 2.2. */
  refuse(at: string, value: unknown, rule: string): undefined {
    this.sentences.push(invalidSentence(at, value, rule));
  }
}

export function invalidSentence(at: string, value: unknown, rule: string): string {
  return `Invalid input for field/attribute ${at}. Value: '${shown(value)}'. ${rule}`;
}

/** A value as a fault shows it: short, and null in the spelling that Octavia's users know. */
function shown(value: unknown): string {
  if (value === null) return 'None';
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return short.toWellFormed();
}

export interface Kind<T = unknown> {
  schema: TSchema;
  /** The value as it is stored, or undefined when the problems say why there is none. Never called with null. */
  parse(value: unknown, at: string, problems: Problems): T | undefined;
}

/** A string of at most `max` characters that `check`, if given, finds nothing wrong with. */
export function text(max: number, check?: (value: string) => string | undefined): Kind<string> {
  return {
    schema: Type.String({ maxLength: max }),
    parse(value, at, problems) {
      if (typeof value !== 'string') return problems.refuse(at, value, 'Value should be a string.');
      if (value.length > max && [...value].length > max)
        return problems.refuse(at, value, `Value should have a maximum character requirement of ${max}.`);
      // Neither can be stored as text on every database.
      if (value.includes('\0') || !value.isWellFormed())
        return problems.refuse(at, value, 'Value should hold neither NUL nor half surrogate pairs.');
      const rule = check?.(value);
      return rule === undefined ? value : problems.refuse(at, value, rule);
    },
  };
}

/** A JSON integer, an integer in a string (clients send these), or a float, which is cut. */
export function integer(min: number, max = 2_147_483_647): Kind<number> {
  return {
    schema: Type.Union([
      Type.Integer({ minimum: min, maximum: max }),
      Type.String({ pattern: '^-?[0-9]+$' }),
    ]),
    parse(value, at, problems) {
      const number = toNumber(value, /^\s*[+-]?\d+\s*$/);
      if (number === undefined) return problems.refuse(at, value, 'Value should be an integer.');
      const cut = Math.trunc(number) + 0;
      if (cut < min) return problems.refuse(at, value, `Value should be greater or equal to ${min}.`);
      if (cut > max) return problems.refuse(at, value, `Value should be lower or equal to ${max}.`);
      return cut;
    },
  };
}

/** One of a few numbers, also as text: `1.1` or `"1.1"`. */
export function numberOf(choices: readonly number[], digits = 1): Kind<number> {
  return {
    schema: Type.Union([
      ...choices.map(c => Type.Literal(c)),
      ...choices.map(c => Type.Literal(c.toFixed(digits))),
    ]),
    parse(value, at, problems) {
      const number = toNumber(value, /^\s*[+-]?\d+(\.\d*)?\s*$/);
      if (number !== undefined && choices.includes(number)) return number;
      return problems.refuse(
        at,
        value,
        `Value should be one of: ${choices.map(c => c.toFixed(digits)).join(', ')}.`,
      );
    },
  };
}

function toNumber(value: unknown, pattern: RegExp): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value.length <= 40 && pattern.test(value) ? Number(value) : undefined;
}

const TRUE = ['true', 't', 'yes', 'y', 'on', '1'];
const FALSE = ['false', 'f', 'no', 'n', 'off', '0'];

/** JSON booleans, integers, and the words that Octavia takes, in lower case only. Source: contract api.md 2.4. */
export const boolean: Kind<boolean> = {
  schema: Type.Union([
    Type.Boolean(),
    Type.Integer(),
    Type.Union([...TRUE, ...FALSE].map(w => Type.Literal(w))),
  ]),
  parse(value, at, problems) {
    if (typeof value === 'boolean') return value;
    if (typeof value === 'number' && Number.isInteger(value)) return value !== 0;
    if (typeof value === 'string' && TRUE.includes(value)) return true;
    if (typeof value === 'string' && FALSE.includes(value)) return false;
    return problems.refuse(at, value, 'Value should be a boolean.');
  },
};

/** How queries read booleans: any case, and what is no word for true is false. Source: contract api.md 3.1. */
export const isTrueWord = (word: string): boolean => TRUE.includes(word.trim().toLowerCase());

export function choice<T extends string>(choices: readonly T[]): Kind<T> {
  return {
    schema: Type.Union(choices.map(c => Type.Literal(c))),
    parse(value, at, problems) {
      if (choices.includes(value as T)) return value as T;
      return problems.refuse(at, value, `Value should be one of: ${choices.map(c => `'${c}'`).join(', ')}.`);
    },
  };
}

/** Stored in lower case and with dashes, however it was sent. */
export const uuid: Kind<string> = {
  schema: Type.String({ format: 'uuid' }),
  parse(value, at, problems) {
    const hex = typeof value === 'string' ? value.toLowerCase() : '';
    const match = /^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/.exec(hex);
    if (!match) return problems.refuse(at, value, 'Value should be UUID format.');
    return match.slice(1).join('-');
  },
};

/** Kept as it was written; compare canonical forms. */
export const ipAddress: Kind<string> = {
  schema: Type.Union([Type.String({ format: 'ipv4' }), Type.String({ format: 'ipv6' })]),
  parse(value, at, problems) {
    if (typeof value === 'string' && findCanonicalAddress(value) !== undefined) return value;
    return problems.refuse(at, value, 'Value should be IPv4 or IPv6 format.');
  },
};

/** Stored as the network: host bits dropped, a bare address with its full length. Source: contract api.md 6.6. */
export const cidr: Kind<string> = {
  schema: Type.String(),
  parse(value, at, problems) {
    if (typeof value === 'string') {
      try {
        const full = value.includes(':') ? 128 : 32;
        return formatCidr(parseCidr(value.includes('/') ? value : `${value}/${full}`));
      } catch {
        // parseCidr says no more than that it cannot read it, and so does the line below.
      }
    }
    return problems.refuse(at, value, 'Value should be a CIDR, such as 192.0.2.0/24 or 2001:db8::/32.');
  },
};

/** A list; with `unique` an item named twice is a conflict. */
export function list<T>(item: Kind<T>, options: { unique?: boolean; notEmpty?: boolean } = {}): Kind<T[]> {
  return {
    schema: Type.Array(item.schema, {
      ...(options.unique && { uniqueItems: true }),
      ...(options.notEmpty && { minItems: 1 }),
    }),
    parse(value, at, problems) {
      if (!Array.isArray(value)) return problems.refuse(at, value, 'Value should be a list.');
      if (options.notEmpty && value.length === 0)
        return problems.refuse(at, value, 'Value should be a list of at least one item.');
      const items: T[] = [];
      const seen = new Set<T>();
      for (const [i, raw] of value.entries()) {
        const place = `${at}[${i}]`;
        const parsed =
          raw === null
            ? problems.refuse(place, raw, 'Null is not allowed.')
            : item.parse(raw, place, problems);
        if (parsed === undefined) continue;
        if (options.unique && seen.has(parsed))
          problems.duplicates.push(`${at} holds ${shown(parsed)} twice`);
        seen.add(parsed);
        items.push(parsed);
      }
      return items;
    },
  };
}

/** A list that must be empty here: it can be filled only when a whole load balancer is created in one call. */
export const emptyList: Kind<never[]> = {
  schema: Type.Array(Type.Unknown(), { maxItems: 0 }),
  parse(value, at, problems) {
    if (Array.isArray(value) && value.length === 0) return [];
    return problems.refuse(
      at,
      value,
      'It can be given only inside the body of a load balancer that is created.',
    );
  },
};

/** The same for a single object. */
export const absentObject: Kind<never> = {
  schema: Type.Null(),
  parse: emptyList.parse as Kind<never>['parse'],
};

/** Names to strings. */
export function textMap(max: number): Kind<Record<string, string>> {
  const item = text(max);
  return {
    schema: Type.Record(Type.String(), Type.String({ maxLength: max })),
    parse(value, at, problems) {
      if (!isObject(value)) return problems.refuse(at, value, 'Value should be an object of strings.');
      const entries: [string, string][] = [];
      for (const [key, raw] of Object.entries(value)) {
        const parsed =
          raw === null
            ? problems.refuse(`${at}.${key}`, raw, 'Value should be a string.')
            : item.parse(raw, `${at}.${key}`, problems);
        if (parsed !== undefined) entries.push([key, parsed]);
      }
      return Object.fromEntries(entries);
    },
  };
}

/** An object inside a field. Null counts as absent; the keys that are there are returned, and no others may be. */
export function object<T>(
  fields: { [K in keyof T]-?: { kind: Kind<NonNullable<T[K]>>; required?: boolean } },
): Kind<Partial<T>> {
  const table = fields as Record<string, { kind: Kind; required?: boolean }>;
  return {
    schema: Type.Object(
      Object.fromEntries(
        Object.entries(table).map(([name, f]) => [
          name,
          f.required ? f.kind.schema : Type.Optional(f.kind.schema),
        ]),
      ),
      { additionalProperties: false },
    ),
    parse(value, at, problems) {
      if (!isObject(value)) return problems.refuse(at, value, 'Value should be an object.');
      const entries: [string, unknown][] = [];
      for (const [key, raw] of Object.entries(value)) {
        const field = Object.hasOwn(table, key) ? table[key] : undefined;
        if (!field) problems.sentences.push(`Unknown attribute: ${at}.${shown(key)}.`);
        else if (raw !== null) entries.push([key, field.kind.parse(raw, `${at}.${key}`, problems)]);
      }
      for (const [key, field] of Object.entries(table)) {
        if (field.required && (value[key] ?? null) === null)
          problems.refuse(`${at}.${key}`, null, 'Mandatory field missing.');
      }
      return Object.fromEntries(entries) as Partial<T>;
    },
  };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
