/** The attributes of Neutron's resources: what each may hold, and who may say it when. */
import { findCanonicalAddress, formatCidr, parseCidr, versionOf } from '../lib/addresses.ts';
import type { Caller } from '../model/caller.ts';
import { forbidden, invalid } from './network-api-errors.ts';

/** Returns the value as it is kept; throws a sentence that says why it cannot be. */
export type Kind = (value: unknown) => unknown;

export interface Field {
  kind: Kind;
  /** Of a POST; without it the attribute must be given. */
  default?: unknown;
  required?: true;
  /** May be changed. */
  put?: true;
  /** Only admins say anything but the default. */
  admin?: true;
}

export type Fields = Readonly<Record<string, Field>>;
export type Body = Record<string, unknown>;

class Refusal extends Error {}
const refuse = (value: unknown, what: string): never => {
  throw new Refusal(`${JSON.stringify(value)} is not ${what}`);
};

export const text: Kind = value =>
  typeof value === 'string' && value.length <= 255
    ? value
    : refuse(value, 'a string of at most 255 characters');

const FLAGS: Record<string, boolean> = { true: true, false: false, '1': true, '0': false };
export const flag: Kind = value => FLAGS[String(value).toLowerCase()] ?? refuse(value, 'a boolean');

export const integer =
  (first: number, last: number): Kind =>
  value => {
    const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
    const fits = Number.isInteger(number) && (number as number) >= first && (number as number) <= last;
    return fits ? number : refuse(value, `an integer from ${first} to ${last}`);
  };

export const uuid: Kind = value =>
  typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)
    ? value.toLowerCase()
    : refuse(value, 'a valid UUID');

export const oneOf =
  (...values: readonly unknown[]): Kind =>
  value =>
    values.includes(value) ? value : refuse(value, `one of ${values.join(', ')}`);

export const address: Kind = value =>
  (typeof value === 'string' && findCanonicalAddress(value)) || refuse(value, 'a valid IP address');

export const cidr: Kind = value => {
  try {
    return formatCidr(parseCidr(String(value)));
  } catch {
    // Why it cannot be read is said in Neutron's words.
    return refuse(value, 'a valid IP subnet');
  }
};

/** A CIDR, or an address alone. */
export const prefix: Kind = value => {
  const alone = typeof value === 'string' ? findCanonicalAddress(value) : undefined;
  return cidr(alone === undefined ? value : `${alone}/${versionOf(alone) === 4 ? 32 : 128}`);
};

export const macAddress: Kind = value =>
  typeof value === 'string' && /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(value)
    ? value.toLowerCase()
    : refuse(value, 'a valid MAC address');

export const nullable =
  (kind: Kind): Kind =>
  value =>
    value === null || value === '' ? null : kind(value);

export const listOf =
  (kind: Kind): Kind =>
  value =>
    // Clients say null where they mean none.
    value === null ? [] : Array.isArray(value) ? value.map(kind) : refuse(value, 'a list');

export const objectOf =
  (keys: Record<string, Kind>, required: readonly string[] = []): Kind =>
  value => {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isObject || !Object.keys(value).every(key => Object.hasOwn(keys, key)))
      return refuse(value, `an object of ${Object.keys(keys).join(', ')}`);
    const given = Object.entries(value).map(([key, each]) => [key, keys[key]!(each)]);
    const missing = required.filter(key => !Object.hasOwn(value, key));
    return missing.length > 0
      ? refuse(value, `complete: it lacks ${missing.join(', ')}`)
      : Object.fromEntries(given);
  };

/** The attributes of a POST, completed, or of a PUT. Throws `invalid` in Neutron's words, and `forbidden`. */
export function readBody(
  method: 'POST' | 'PUT',
  fields: Fields,
  body: unknown,
  caller: Caller,
  rule: string,
): Body {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw invalid('The attributes must be an object.');
  const unknown = Object.keys(body).filter(name => !Object.hasOwn(fields, name));
  if (unknown.length > 0) throw invalid(`Unrecognized attribute(s) '${unknown.join(', ')}'`);
  const read: Body = {};
  for (const [name, field] of Object.entries(fields)) {
    if (!Object.hasOwn(body, name)) {
      if (method === 'PUT') continue;
      if (field.required)
        throw invalid(`Failed to parse request. Required attribute '${name}' not specified`);
      if (field.default !== undefined) read[name] = field.default;
      continue;
    }
    if (method === 'PUT' && !field.put) throw invalid(`Cannot update read-only attribute ${name}`);
    read[name] = readValue(name, field.kind, (body as Body)[name]);
    if (field.admin && !caller.is_admin && (method === 'PUT' || read[name] !== field.default))
      throw forbidden(`${rule}:${name}`);
  }
  return read;
}

function readValue(name: string, kind: Kind, value: unknown): unknown {
  try {
    return kind(value);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw invalid(`Invalid input for ${name}. Reason: ${error.message}.`);
  }
}
