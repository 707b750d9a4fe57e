/** List, show, create, update and delete, for records that belong to no load balancer: what operators keep. */
import {
  deleteRecord,
  findRecord,
  insertRecords,
  isReferenced,
  lockRecord,
  updateRecords,
} from '../db/children.ts';
import { isDuplicate } from '../db/failures.ts';
import { type Condition, listPage } from '../db/page.ts';
import { keyColumn, type RecordOf, type RecordTable } from '../db/rows.ts';
import type { Trx } from '../db/schema.ts';
import { Fault } from '../lib/errors.ts';
import { authorize, type RuledCaller } from './auth.ts';
import { type Body, type Fields, parsePost, parsePut, refuse, rootOf } from './body.ts';
import { type Filters, pageLinks, parseListQuery, selectFields } from './list-query.ts';
import type { OBJECTS } from './openapi/answers.ts';
import type { ApiDeps, Call, Operation } from './resource.ts';

export interface RecordResource<T extends RecordTable> {
  table: T;
  /** As refusals name one of them. */
  title: string;
  /** The object of its policies, such as `flavor-profile`. */
  rule: string;
  root: keyof typeof OBJECTS;
  plural: string;
  /** The key of a list's links, where it is not the plural with `_links`. */
  links?: string;
  path: string;
  filters: Filters;
  /** What a list is ordered by in the end: the last one makes all rows distinct. */
  order: readonly string[];
  view(record: RecordOf<T>): object;
  /** What a list is limited to; without it nothing can be filtered by `project_id`. */
  scope?(caller: RuledCaller, project_id: string | undefined): Condition[];
}

/** A record that can be written as well. */
export interface WritableResource<T extends RecordTable> extends RecordResource<T> {
  fields: Fields;
  create(body: Body): RecordOf<T>;
  /** Asks the outside world about what a body names, before any row is touched. */
  inspect?(record: RecordOf<T>, body: Body, deps: ApiDeps): Promise<void>;
  /** What a new one points to, which must exist. */
  parent?: { table: RecordTable; column: keyof RecordOf<T> & string };
  /** What points to it: as long as something does, it stays, and so do its frozen fields. */
  usedBy: { table: RecordTable; column: string };
  frozen: readonly string[];
}

export function readOperations<T extends RecordTable>(
  deps: ApiDeps,
  resource: RecordResource<T>,
): Operation[] {
  const read = { method: 'GET', status: 200, query: 'any', of: resource, remembered: true } as const;
  return [
    { ...read, path: resource.path, run: call => list(deps, resource, call) },
    { ...read, path: `${resource.path}/:id`, run: call => show(deps, resource, call) },
  ];
}

export function recordOperations<T extends RecordTable>(
  deps: ApiDeps,
  resource: WritableResource<T>,
): Operation[] {
  const all = { path: resource.path, of: resource, query: [] };
  const one = { ...all, path: `${resource.path}/:id` };
  return [
    ...readOperations(deps, resource),
    { method: 'POST', ...all, status: 201, run: call => create(deps, resource, call) },
    { method: 'PUT', ...one, status: 200, run: call => update(deps, resource, call) },
    { method: 'DELETE', ...one, status: 204, run: call => remove(deps, resource, call) },
  ];
}

async function list<T extends RecordTable>(deps: ApiDeps, resource: RecordResource<T>, call: Call) {
  const { table, plural, links = `${plural}_links`, filters, order } = resource;
  const query = parseListQuery(call.query, filters, deps.settings, order);
  if (!resource.scope) {
    authorize(call.caller, `${resource.rule}:get_all`, call.caller.project_id);
    if (query.project_id !== undefined) throw new Fault('invalid', 'Invalid filter: project_id.');
  }
  const scope = resource.scope?.(call.caller, query.project_id) ?? [];
  const records = await listPage(deps.db, table, { ...query, scope });
  const keys = records.map(record => keyOf(table, record));
  return {
    [plural]: records.map(record => selectFields(resource.view(record), call.query, deps.settings)),
    [links]: pageLinks(call.url, call.query, query, keys),
  };
}

async function show<T extends RecordTable>(deps: ApiDeps, resource: RecordResource<T>, call: Call) {
  const record = await getRecord(deps, resource, call, 'get_one');
  return { [resource.root]: selectFields(resource.view(record), call.query, deps.settings) };
}

/** The record that the path names, if the caller may do that to it: what nobody owns counts as his own project's. */
export async function getRecord<T extends RecordTable>(
  deps: ApiDeps,
  resource: Pick<RecordResource<T>, 'table' | 'rule' | 'title'>,
  { params, caller }: Call,
  action: string,
): Promise<RecordOf<T>> {
  const record = await findRecord(deps.db, resource.table, params.id!);
  if (!record) throw notFound(resource, params.id!);
  authorize(caller, `${resource.rule}:${action}`, caller.project_id);
  return record;
}

async function create<T extends RecordTable>(deps: ApiDeps, resource: WritableResource<T>, call: Call) {
  const { table, root, parent } = resource;
  const body = parsePost(resource.fields, rootOf(call.body, root), root, deps.settings);
  authorize(call.caller, `${resource.rule}:post`, call.caller.project_id);
  const record = resource.create(body);
  await resource.inspect?.(record, body, deps);
  await write(deps, resource, body, async trx => {
    const key = parent && String(record[parent.column]);
    if (parent && !(await lockRecord(trx, parent.table, key!)))
      refuse(parent.column, key, 'There is no such profile.');
    await insertRecords(trx, table, [record]);
  });
  return { [root]: resource.view(record) };
}

async function update<T extends RecordTable>(deps: ApiDeps, resource: WritableResource<T>, call: Call) {
  const { table, root, title, frozen, usedBy } = resource;
  const body = parsePut(resource.fields, rootOf(call.body, root), root, deps.settings);
  const before = await getRecord(deps, resource, call, 'put');
  await resource.inspect?.({ ...before, ...body }, body, deps);
  const key = keyOf(table, before);
  const written = await write(deps, resource, body, async trx => {
    const record = await lockRecord(trx, table, key);
    if (!record) throw notFound(resource, key);
    const fixed = frozen.find(name => name in body && body[name] !== (record as Body)[name]);
    if (fixed && (await isReferenced(trx, usedBy, key)))
      throw new Fault('conflict', `${title} ${key} is in use: its ${fixed} cannot be changed.`);
    if (Object.keys(body).length > 0) await updateRecords(trx, table, [key], body as Partial<RecordOf<T>>);
    return { ...record, ...body };
  });
  return { [root]: resource.view(written) };
}

async function remove<T extends RecordTable>(deps: ApiDeps, resource: WritableResource<T>, call: Call) {
  const { table, title, usedBy } = resource;
  const key = keyOf(table, await getRecord(deps, resource, call, 'delete'));
  await deps.db.transaction().execute(async trx => {
    if (!(await lockRecord(trx, table, key))) throw notFound(resource, key);
    if (await isReferenced(trx, usedBy, key))
      throw new Fault('conflict', `${title} ${key} is in use and cannot be deleted.`);
    await deleteRecord(trx, table, key);
  });
}

async function write<R>(
  deps: ApiDeps,
  { title }: { title: string },
  { name }: Body,
  run: (trx: Trx) => Promise<R>,
): Promise<R> {
  try {
    return await deps.db.transaction().execute(run);
  } catch (cause) {
    if (!isDuplicate(cause)) throw cause;
    throw new Fault('conflict', `There is a ${title} with the name ${name} already.`, { cause });
  }
}

const keyOf = (table: RecordTable, record: object): string => String((record as Body)[keyColumn(table)]);

export function notFound({ title }: { title: string }, key: string): Fault {
  return new Fault('not-found', `${title} ${key.slice(0, 80).toWellFormed()} not found.`);
}
