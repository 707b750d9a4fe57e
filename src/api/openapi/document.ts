/** The public description of the API, OpenAPI 3.1, made from the operations themselves and the fields that they parse. */
import { type TSchema, Type } from 'typebox';
import type { Fields } from '../body.ts';
import type { Filters } from '../list-query.ts';
import type { Described, Operation } from '../resource.ts';
import { DOCUMENTS, FAULT, LINKS, OBJECTS } from './answers.ts';

type Json = Record<string, unknown>;

/** All but `servers`, which depends on who asks. */
export function openApiDocument(operations: readonly Operation[]): Json {
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const path = publicPath(operation.path);
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: describe(operation) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Ottavia: load balancing as a service',
      version: '2.30',
      description:
        'The API of OpenStack Octavia, v2. Every path is there below /v2.0 and without /lbaas as well.',
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } },
      schemas: { ...OBJECTS, fault: FAULT },
    },
  };
}

/** What the body of a success looks like; undefined when there is none. */
export function answerSchema(operation: Operation): TSchema | undefined {
  const { answers, method, of, path, status } = operation;
  if (answers === 'created_loadbalancer') return Type.Object({ loadbalancer: DOCUMENTS[answers] });
  if (answers !== undefined && answers !== 'object') return Type.Object({ [answers]: DOCUMENTS[answers] });
  if (!of || ((status === 202 || status === 204) && answers === undefined)) return undefined;
  const { root, plural, links = `${plural}_links` } = of;
  const isList = method === 'GET' && lastPart(path) === plural.replaceAll('_', '');
  const properties: Record<string, TSchema> = isList
    ? { [plural]: Type.Array(OBJECTS[root]), [links]: LINKS }
    : { [root]: OBJECTS[root] };
  return Type.Object(properties, { additionalProperties: false });
}

const lastPart = (path: string): string => path.split('/').at(-1)!;

const publicPath = (path: string): string =>
  `/v2${/^\/(octavia|ottavia)\//.test(path) ? '' : '/lbaas'}${path.replace(/:(\w+)/g, '{$1}')}`;

function describe(operation: Operation): Json {
  const { method, of, path, status } = operation;
  const answer = answerSchema(operation);
  const body = requestSchema(operation);
  const content = (schema: unknown) => ({ 'application/json': { schema } });
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[/:_](\w)/g, (_, letter) => letter.toUpperCase())}`,
    tags: [of?.plural ?? 'providers'],
    parameters: [
      ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
        ...{ name, in: 'path', required: true, schema: { type: 'string' } },
      })),
      ...queryParameters(operation),
    ],
    ...(body && { requestBody: { required: true, content: content(body) } }),
    responses: {
      [status]: { description: SUCCESS[status], ...(answer && { content: content(referring(answer)) }) },
      default: {
        description: 'What is wrong, in one sentence.',
        content: content({ $ref: '#/components/schemas/fault' }),
      },
    },
  };
}

const SUCCESS = { 200: 'Done.', 201: 'Created.', 202: 'Accepted.', 204: 'Deleted.' } as const;

/** Objects by name instead of in full. */
function referring(schema: TSchema): unknown {
  return JSON.parse(JSON.stringify(schema), (_key, value) => {
    const known = NAMES.get(JSON.stringify(value));
    return known === undefined ? value : { $ref: `#/components/schemas/${known}` };
  });
}

const NAMES = new Map(Object.entries(OBJECTS).map(([name, schema]) => [JSON.stringify(schema), name]));

const PAGING = ['limit', 'marker', 'page_reverse', 'sort', 'sort_key', 'sort_dir'];
const TAGS = ['tags', 'tags-any', 'not-tags', 'not-tags-any'];

function queryParameters({ method, of, path, query }: Operation): Json[] {
  if (query !== 'any') return query.map(parameter);
  const isList = method === 'GET' && !lastPart(path).startsWith(':');
  if (!isList || !of) return [parameter('fields')];
  const { filters } = of;
  const tags = (filters as Filters).admin_state_up ? TAGS : [];
  return [...Object.keys(filters), ...tags, ...PAGING, 'fields'].map(parameter);
}

const parameter = (name: string): Json => ({ name, in: 'query', schema: { type: 'string' } });

function requestSchema({ method, of, path, status }: Operation): TSchema | undefined {
  if (!of?.fields || (method !== 'POST' && method !== 'PUT')) return undefined;
  if (method === 'POST') return inRoot(of, postSchema(of.fields));
  const isItem = lastPart(path).startsWith(':');
  if (isItem) return inRoot(of, putSchema(of.fields));
  // The one write to a whole collection; failovers and the like have no body.
  return status === 202 && lastPart(path) === of.plural
    ? Type.Object({ [of.plural]: Type.Array(postSchema(of.fields)) })
    : undefined;
}

const inRoot = ({ root }: Described, schema: TSchema): TSchema =>
  Type.Object({ [root]: schema }, { additionalProperties: false });

function postSchema(fields: Fields): TSchema {
  const properties = Object.entries(fields).flatMap(([name, field]) => {
    if (field.post === 'no') return [];
    const { schema } = field.kind;
    const isRequired = field.post === 'required';
    const isNullable = !isRequired && field.nullOnPost !== 'refuse';
    const described = { ...(isNullable ? orNull(schema) : schema), description: field.doc } as TSchema;
    return [[name, isRequired ? described : Type.Optional(described)] as const];
  });
  return Type.Object(Object.fromEntries(properties), { additionalProperties: false });
}

function putSchema(fields: Fields): TSchema {
  const properties = Object.entries(fields).flatMap(([name, field]) => {
    if (field.put === false) return [];
    const { schema } = field.kind;
    const described = field.nullOnPut === 'refuse' ? schema : orNull(schema);
    return [[name, Type.Optional({ ...described, description: field.doc } as TSchema)] as const];
  });
  return Type.Object(Object.fromEntries(properties), { additionalProperties: false });
}

const orNull = (schema: TSchema): TSchema => Type.Union([schema, Type.Null()]);
