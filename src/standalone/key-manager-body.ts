/** What clients send to the key manager, and what they are shown: schemas, payloads, filters, pages and views. */

import type { ItemTable, Part, SecretCondition, SecretPage } from '../db/secrets.ts';
import { timestamp } from '../lib/clock.ts';
import { Fault, type FaultKind } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import {
  type Acl,
  CONTAINER_TYPES,
  type Consumer,
  type ContainerType,
  type KeptItem,
  type KeptSecret,
  PARTS_OF_CONTAINER,
  SECRET_TYPES,
  type SecretContainer,
  type SecretType,
} from '../model/secret.ts';

/** As text in base64 it fits the column that every database has. */
const MAX_PAYLOAD_BYTES = 40_000;

const text = { type: 'string', maxLength: 255, nullable: true };
const name = { type: 'string', minLength: 1, maxLength: 255 };
const part = {
  type: 'object',
  required: ['secret_ref'],
  properties: { name: text, secret_ref: { type: 'string', minLength: 1 } },
};

/** JSON schemas of bodies. Source: Barbican's API reference. */
export const BODIES = {
  secret: {
    type: 'object',
    properties: {
      ...{ name: text, algorithm: text, mode: text, expiration: text, payload_content_type: text },
      bit_length: { type: 'integer', minimum: 1, maximum: 32_767, nullable: true },
      secret_type: { type: 'string', enum: [...SECRET_TYPES] },
      payload: { type: 'string', minLength: 1, nullable: true },
      payload_content_encoding: { type: 'string', enum: ['base64', null], nullable: true },
    },
  },
  container: {
    type: 'object',
    required: ['type'],
    properties: {
      name: text,
      type: { type: 'string', enum: [...CONTAINER_TYPES] },
      secret_refs: { type: 'array', items: part, default: [] },
    },
  },
  part,
  acl: {
    type: 'object',
    properties: {
      read: {
        type: 'object',
        properties: {
          users: { type: 'array', items: name, maxItems: 200 },
          'project-access': { type: 'boolean' },
        },
      },
    },
  },
  metadata: {
    type: 'object',
    required: ['metadata'],
    properties: {
      metadata: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 100 },
    },
  },
  secrets: {
    type: 'object',
    required: ['service', 'resource_type', 'resource_id'],
    additionalProperties: false,
    properties: { service: name, resource_type: name, resource_id: name },
  },
  containers: {
    type: 'object',
    required: ['name', 'URL'],
    additionalProperties: false,
    properties: { name, URL: name },
  },
} as const;

export interface SecretBody {
  name?: string | null;
  algorithm?: string | null;
  mode?: string | null;
  expiration?: string | null;
  bit_length?: number | null;
  secret_type?: SecretType;
  payload?: string | null;
  payload_content_type?: string | null;
  payload_content_encoding?: 'base64' | null;
}

export interface ContainerBody {
  name?: string | null;
  type: ContainerType;
  secret_refs: PartBody[];
}

export interface PartBody {
  name?: string | null;
  secret_ref: string;
}

export interface AclBody {
  read?: { users?: string[]; 'project-access'?: boolean };
}

/** Content types of payloads; text is sent as it is, everything else in base64. */
export const CONTENT_TYPES = [
  'text/plain',
  'application/octet-stream',
  'application/pkcs8',
  'application/pkix-cert',
] as const;

/** The payload of a body, or null when it brings none. Throws `invalid`, or `too-large`. */
export function readPayload(body: SecretBody): { contentType: string; payload: Secret<Buffer> } | null {
  const { payload, payload_content_type: sent, payload_content_encoding: encoding } = body;
  if (payload == null) {
    if (sent == null) return null;
    throw new Fault('invalid', 'payload must be provided when payload_content_type is.');
  }
  if (sent == null) throw new Fault('invalid', 'payload_content_type must be provided when payload is.');
  const contentType = plainType(sent, 'invalid');
  if (contentType === 'text/plain' && encoding)
    throw new Fault('invalid', 'payload_content_encoding must be left out when the payload is text/plain.');
  if (contentType !== 'text/plain' && encoding !== 'base64')
    throw new Fault('invalid', `payload_content_encoding must be base64 when the payload is ${contentType}.`);
  return { contentType, payload: decodePayload(Buffer.from(payload.trim()), encoding === 'base64') };
}

/** Without parameters such as the character set. Throws a fault of the kind for one that is not known. */
export function plainType(contentType: string, kind: FaultKind): string {
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase();
  if ((CONTENT_TYPES as readonly string[]).includes(type)) return type;
  const sent = contentType === '' ? 'nothing' : contentType.slice(0, 60).toWellFormed();
  throw new Fault(kind, `The content type must be one of ${CONTENT_TYPES.join(', ')}; it is ${sent}.`);
}

export function decodePayload(sent: Buffer, isBase64: boolean): Secret<Buffer> {
  const coded = isBase64 ? sent.toString().replace(/\s/g, '') : '';
  if (isBase64 && !/^[A-Za-z0-9+/_-]+={0,2}$/.test(coded))
    throw new Fault('invalid', 'The payload is not valid base64.');
  const payload = isBase64 ? Buffer.from(coded, 'base64') : sent;
  if (payload.length === 0) throw new Fault('invalid', 'The payload must not be empty.');
  if (payload.length > MAX_PAYLOAD_BYTES)
    throw new Fault('too-large', `The payload has more than ${MAX_PAYLOAD_BYTES} bytes.`);
  return new Secret(payload);
}

/** Naive UTC, or null. Throws `invalid` for what is no time, or a time that is over. */
export function readExpiration(sent: string | null | undefined, nowMs: number): string | null {
  if (sent == null || sent.trim() === '') return null;
  const time = readTime(sent);
  if (time <= timestamp(nowMs)) throw new Fault('invalid', `expiration is in the past: ${time}.`);
  return time;
}

/** ISO 8601; without a zone it is UTC. */
function readTime(sent: string): string {
  const text = sent.trim().replace(' ', 'T');
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes('T') ? text : `${text}Z`;
  const ms = Date.parse(zoned);
  if (Number.isNaN(ms)) throw new Fault('invalid', `This is no time in ISO 8601: ${sent.slice(0, 60)}.`);
  return timestamp(ms);
}

/** Throws `invalid` when a container of its type cannot have these parts. */
export function checkParts(type: ContainerType, parts: readonly Part[]): void {
  const names = parts.map(each => each.name);
  if (new Set(names).size < names.length || new Set(parts.map(p => p.secret_id)).size < parts.length)
    throw new Fault('invalid', 'secret_refs must not name the same secret, or use the same name, twice.');
  const [needed, allowed] = PARTS_OF_CONTAINER[type] ?? [[], names];
  const missing = parts.length > 0 ? needed.filter(each => !names.includes(each)) : [];
  const strange = names.filter(each => !needed.includes(each) && !allowed.includes(each));
  if (missing.length > 0)
    throw new Fault('invalid', `A container of type ${type} needs ${missing.join(' and ')} in secret_refs.`);
  if (strange.length > 0)
    throw new Fault('invalid', `A container of type ${type} cannot hold ${strange.join(', ')}.`);
}

/** What an ACL becomes; a part that was not sent keeps its value when it is merged into the old one. */
export function nextAcl(sent: AclBody, old: Acl | null, merge: boolean, now: string): Acl {
  const kept = merge ? old : null;
  return {
    users: [...new Set(sent.read?.users ?? kept?.users ?? [])],
    project_access: sent.read?.['project-access'] ?? kept?.project_access ?? true,
    created: old?.created ?? now,
    updated: now,
  };
}

export function aclView(acl: Acl | null) {
  if (!acl) return { read: { 'project-access': true } };
  const { users, project_access, created, updated } = acl;
  return { read: { users, 'project-access': project_access, created, updated } };
}

type Query = Readonly<Record<string, string | string[] | undefined>>;

/** Filters of the API and their columns. */
const FILTERS: Readonly<Record<ItemTable, Readonly<Record<string, string>>>> = {
  secret: { name: 'name', alg: 'algorithm', mode: 'mode', bits: 'bit_length', secret_type: 'secret_type' },
  secret_container: { name: 'name', type: 'type' },
};
const TIMES = { created: 'created_at', updated: 'updated_at', expiration: 'expiration' } as const;
const SORT_COLUMNS = ['algorithm', 'bit_length', 'mode', 'name', 'secret_type'];
const OPERATORS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

/** Ten to a page, at most a hundred; what is no number counts as not sent, as in Barbican. */
export function readPage(table: ItemTable, query: Query, project_id: string): SecretPage {
  const number = (sent: string | string[] | undefined, ifNone: number) =>
    /^\d{1,9}$/.test(`${sent}`) ? Number(sent) : ifNone;
  const conditions: SecretCondition[] = [];
  for (const [key, column] of Object.entries(FILTERS[table])) {
    const value = [query[key] ?? ''].flat()[0]!;
    if (column === 'bit_length' && number(value, 0) === 0) continue;
    if (value !== '') conditions.push({ column, is: '=', value });
  }
  if (table === 'secret') conditions.push(...readTimeFilters(query));
  const sort = table === 'secret' && query.sort ? readSort(String(query.sort)) : [];
  const limit = Math.min(number(query.limit, 10), 100);
  return { project_id, conditions, sort, limit, offset: number(query.offset, 0) };
}

function readTimeFilters(query: Query): SecretCondition[] {
  return Object.entries(TIMES).flatMap(([key, column]) =>
    String(query[key] || '')
      .split(',')
      .filter(filter => filter !== '')
      .map(filter => {
        const [, operator, time] = /^(?:(gte?|lte?):)?(.*)$/s.exec(filter)!;
        const is = operator ? OPERATORS[operator as keyof typeof OPERATORS] : '=';
        return { column, is, value: readTime(time!) } as const;
      }),
  );
}

function readSort(sent: string): { column: string; descending: boolean }[] {
  return sent.split(',').map(key => {
    const [column = '', direction = 'asc'] = key.split(':');
    const known = TIMES[column as keyof typeof TIMES] ?? SORT_COLUMNS.find(each => each === column);
    if (!known || !['asc', 'desc'].includes(direction))
      throw new Fault('invalid', `Lists cannot be sorted by ${key.slice(0, 60).toWellFormed()}.`);
    return { column: known, descending: direction === 'desc' };
  });
}

/** How many there are, and where the next and the previous page lie. */
export function pageView(url: string, query: Query, { limit, offset }: SecretPage, total: number) {
  const link = (at: number) => {
    const filters = Object.entries(query).filter(([key]) => key !== 'limit' && key !== 'offset');
    const rest = filters.map(([key, value]) => [key, String(value)]);
    return `${url}?${new URLSearchParams([['limit', `${limit}`], ['offset', `${at}`], ...(rest as [])])}`;
  };
  return {
    total,
    ...(offset > 0 && { previous: link(Math.max(0, offset - limit)) }),
    ...(total > offset + limit && { next: link(offset + limit) }),
  };
}

const itemView = ({ name, creator_id, created_at, updated_at }: KeptItem) => ({
  name,
  status: 'ACTIVE',
  creator_id,
  created: created_at,
  updated: updated_at,
});

/** Consumers only for clients that know of them: older ones fail over a key that is new to them. */
export function secretView(secret: KeptSecret, base: string, consumers: Consumer[] | undefined) {
  const { id, secret_type, algorithm, bit_length, mode, expiration, content_type } = secret;
  return {
    secret_ref: `${base}/secrets/${id}`,
    ...itemView(secret),
    ...{ secret_type, algorithm, bit_length, mode, expiration },
    ...(content_type !== null && { content_types: { default: content_type } }),
    ...(consumers && { consumers }),
  };
}

export function containerView(
  container: SecretContainer,
  base: string,
  parts: readonly Part[],
  consumers: Consumer[],
) {
  const secret_refs = parts.map(({ name, secret_id }) => ({
    ...(name !== '' && { name }),
    secret_ref: `${base}/secrets/${secret_id}`,
  }));
  const { id, type } = container;
  return {
    container_ref: `${base}/containers/${id}`,
    ...itemView(container),
    type,
    secret_refs,
    consumers,
  };
}
