/** List, show, create, update and delete, for whatever resource under a load balancer. */
import { type ChildTable, findRecord } from '../db/children.ts';
import { loadGraph } from '../db/graph.ts';
import type { Condition } from '../db/page.ts';
import { listPage } from '../db/page.ts';
import type { RecordOf } from '../db/rows.ts';
import { timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { Caller } from '../model/caller.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import { authorize } from './auth.ts';
import { parsePost, parsePut, rootOf } from './body.ts';
import { Draft, notFound, writeDraft } from './draft.ts';
import { pageLinks, parseListQuery, selectFields } from './list-query.ts';
import {
  type ApiDeps,
  type Call,
  type ChildResource,
  type Env,
  getLoadBalancer,
  getProvider,
  type Operation,
} from './resource.ts';

/** The five operations of a resource. */
export function childOperations<T extends ChildTable>(
  deps: ApiDeps,
  resource: ChildResource<T>,
): Operation[] {
  const { path } = resource;
  const item = `${path}/:id`;
  return [
    { method: 'GET', path, status: 200, query: 'any', run: call => list(deps, resource, call) },
    { method: 'POST', path, status: 201, query: [], run: call => create(deps, resource, call) },
    { method: 'GET', path: item, status: 200, query: 'any', run: call => show(deps, resource, call) },
    { method: 'PUT', path: item, status: 200, query: [], run: call => update(deps, resource, call) },
    { method: 'DELETE', path: item, status: 204, query: [], run: call => remove(deps, resource, call) },
  ];
}

async function list<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const query = parseListQuery(call.query, resource.filters, deps.settings);
  const parent = await resource.scope?.(deps.db, call.params);
  if (parent) authorize(call.caller, `${resource.root}:get_all`, parent.project_id);
  const scope = [
    ...(parent?.conditions ?? []),
    ...(parent && query.project_id === undefined
      ? []
      : projectScope(call.caller, resource.root, query.project_id)),
  ];
  const records = await listPage(deps.db, resource.table, { ...query, scope });
  const view = await resource.viewer(deps.db, records);
  return {
    [resource.plural]: records.map(record => selectFields(view(record), call.query, deps.settings)),
    [`${resource.plural}_links`]: pageLinks(
      call.url,
      call.query,
      query,
      records.map(record => record.id),
    ),
  };
}

/** All projects for an administrator, else the caller's own; another one's is refused. Source: contract rbac.md 1. */
export function projectScope(caller: Caller, root: string, project_id: string | undefined): Condition[] {
  const wanted = project_id ?? (caller.is_admin ? undefined : caller.project_id);
  if (wanted === undefined) return [];
  authorize(caller, `${root}:get_all`, wanted);
  return [{ is: 'equal', column: 'project_id', value: wanted! }];
}

async function show<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const record = await getRecord(deps, resource, call, 'get_one');
  return answer(deps, resource, record, call);
}

async function create<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const body = parsePost(resource.fields, rootOf(call.body, resource.root), resource.root, deps.settings);
  const lb = await getLoadBalancer(deps.db, await resource.parentOf(deps.db, body, call.params));
  authorize(call.caller, `${resource.root}:post`, lb.project_id);
  const env = envOf(deps, lb);
  await resource.inspect?.(body, env);
  let id = '';
  await changeAndNotify(deps, lb.id, draft => {
    id = resource.create(draft, body, env, call.params).id;
  });
  return answer(deps, resource, await getWritten(deps, resource, id), call);
}

async function update<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const body = parsePut(resource.fields, rootOf(call.body, resource.root), resource.root, deps.settings);
  const record = await getRecord(deps, resource, call, 'put');
  const lb = await getLoadBalancer(deps.db, record.loadbalancer_id);
  const env = envOf(deps, lb);
  await resource.inspect?.(body, env);
  const plan = (draft: Draft) =>
    resource.update(draft, draft.getMutable(resource.table, record.id), body, env);
  try {
    await changeAndNotify(deps, lb.id, plan);
  } catch (error) {
    if (isConflict(error)) await rehearse(deps, lb, plan);
    throw error;
  }
  return answer(deps, resource, await getWritten(deps, resource, record.id), call);
}

async function remove<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const record = await getRecord(deps, resource, call, 'delete');
  await changeAndNotify(deps, record.loadbalancer_id, draft => {
    resource.remove(draft, draft.getMutable(resource.table, record.id));
  });
}

/** One change of one load balancer, then the nudge: what every write of a child comes down to. */
export async function changeAndNotify(
  deps: ApiDeps,
  lbId: string,
  plan: (draft: Draft) => void,
): Promise<void> {
  const { strict_immutability: strict } = deps.settings;
  const changed = await writeDraft(deps.db, lbId, { nowMs: deps.clock.now(), strict }, plan);
  if (changed) await deps.queue.notify(lbId);
}

/**
 * A body that is wrong is 400 even while the load balancer cannot be changed: Octavia checks updates before it takes
 * its lock. Source: contract api.md 4.2. Throws what is wrong with the plan itself, and writes nothing.
 */
export async function rehearse(deps: ApiDeps, lb: LoadBalancer, plan: (draft: Draft) => void): Promise<void> {
  const graph = await loadGraph(deps.db, lb.id);
  if (graph) plan(new Draft(graph, { now: timestamp(deps.clock.now()) }));
}

export const isConflict = (error: unknown): boolean => error instanceof Fault && error.kind === 'conflict';

export function envOf(deps: ApiDeps, lb: LoadBalancer): Env {
  return { ...getProvider(deps, lb), settings: deps.settings };
}

/** The record that the path names, if the caller may do that to it. */
export async function getRecord<T extends ChildTable>(
  deps: ApiDeps,
  resource: ChildResource<T>,
  call: Call,
  action: string,
): Promise<RecordOf<T>> {
  await resource.scope?.(deps.db, call.params);
  const id = call.params.id ?? '';
  const record = await findRecord(deps.db, resource.table, id);
  if (!record || resource.contains?.(record, call.params) === false) throw notFound(resource.table, id);
  authorize(call.caller, `${resource.root}:${action}`, record.project_id);
  return record;
}

async function getWritten<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, id: string) {
  const record = await findRecord(deps.db, resource.table, id);
  if (!record) throw notFound(resource.table, id);
  return record;
}

async function answer<T extends ChildTable>(
  deps: ApiDeps,
  resource: ChildResource<T>,
  record: RecordOf<T>,
  call: Call,
) {
  const view = await resource.viewer(deps.db, [record]);
  return { [resource.root]: selectFields(view(record), call.query, deps.settings) };
}
