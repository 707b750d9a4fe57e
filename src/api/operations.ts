/** List, show, create, update and delete, for whatever resource under a load balancer. */
import { type ChildTable, findRecord } from '../db/children.ts';
import { loadGraph } from '../db/graph.ts';
import { loadOffer } from '../db/offers.ts';
import type { Condition } from '../db/page.ts';
import { listPage } from '../db/page.ts';
import type { RecordOf } from '../db/rows.ts';
import { timestamp } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import { authorize, isAllowed, type RuledCaller } from './auth.ts';
import { parsePost, parsePut, rootOf } from './body.ts';
import { Draft, type DraftOptions, notFound, writeDraft } from './draft.ts';
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
import { seenBy } from './seen-network.ts';
import { findLimits } from './settings.ts';

/** The five operations of a resource. */
export function childOperations<T extends ChildTable>(
  deps: ApiDeps,
  resource: ChildResource<T>,
): Operation[] {
  const all = { path: resource.path, of: resource };
  const one = { path: `${resource.path}/:id`, of: resource };
  const read = { method: 'GET', status: 200, query: 'any', remembered: true } as const;
  return [
    { ...read, ...all, run: call => list(deps, resource, call) },
    { method: 'POST', ...all, status: 201, query: [], run: call => create(deps, resource, call) },
    { ...read, ...one, run: call => show(deps, resource, call) },
    { method: 'PUT', ...one, status: 200, query: [], run: call => update(deps, resource, call) },
    { method: 'DELETE', ...one, status: 204, query: [], run: call => remove(deps, resource, call) },
  ];
}

async function list<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const query = parseListQuery(call.query, resource.filters, deps.settings);
  const parent = await resource.scope?.(deps.db, call.params);
  if (parent) authorize(call.caller, `${policyNoun(resource)}:get_all`, parent.project_id);
  const scope = parent
    ? [...parent.conditions, ...ownedBy(query.project_id)]
    : projectScope(call.caller, policyNoun(resource), query.project_id);
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

/**
 * All projects for whom the policy lets see them, or the one that is asked for; else the caller's own, and another one's is
 * refused. Source: contract rbac.md 1.
 */
export function projectScope(caller: RuledCaller, root: string, project_id: string | undefined): Condition[] {
  const isGlobal = isAllowed(caller, `${root}:get_all-global`, project_id ?? null);
  const wanted = project_id ?? (isGlobal ? undefined : caller.project_id);
  if (!isGlobal) authorize(caller, `${root}:get_all`, wanted ?? null);
  return ownedBy(wanted);
}

const ownedBy = (project_id: string | null | undefined): Condition[] =>
  project_id === undefined ? [] : [{ is: 'equal', column: 'project_id', value: project_id! }];

async function show<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const record = await getRecord(deps, resource, call, 'get_one');
  return answer(deps, resource, record, call);
}

async function create<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const body = parsePost(resource.fields, rootOf(call.body, resource.root), resource.root, deps.settings);
  const lb = await getLoadBalancer(deps.db, await resource.parentOf(deps.db, body, call.params));
  authorize(call.caller, `${policyNoun(resource)}:post`, lb.project_id);
  const env = await envOf(deps, lb, call);
  await resource.inspect?.(body, env, { ...call, secrets: deps.secrets });
  let id = '';
  const plan = (draft: Draft) => {
    id = resource.create(draft, body, env, call.params).id;
  };
  await (resource.checksFirst ? changeOrRehearse(deps, lb.id, plan) : changeAndNotify(deps, lb.id, plan));
  return answer(deps, resource, await getWritten(deps, resource, id), call);
}

async function update<T extends ChildTable>(deps: ApiDeps, resource: ChildResource<T>, call: Call) {
  const body = parsePut(resource.fields, rootOf(call.body, resource.root), resource.root, deps.settings);
  const record = await getRecord(deps, resource, call, 'put');
  const lb = await getLoadBalancer(deps.db, record.loadbalancer_id);
  const env = await envOf(deps, lb, call);
  await resource.inspect?.(body, env, { ...call, secrets: deps.secrets, record });
  await changeOrRehearse(deps, lb.id, draft =>
    resource.update(draft, draft.getMutable(resource.table, record.id), body, env),
  );
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
  lock?: DraftOptions['lock'],
): Promise<void> {
  const { strict_immutability: strict } = deps.settings;
  const options = { nowMs: deps.clock.now(), strict, quotas: findLimits(deps.settings), lock };
  const changed = await writeDraft(deps.db, lbId, options, plan);
  if (changed) await deps.queue.notify(lbId);
}

/**
 * The same where a body that is wrong is 400 even while the load balancer cannot be changed: Octavia checks updates
 * before it takes its lock. Source: contract api.md 4.2. Throws what is wrong with the plan itself, before the conflict.
 */
export async function changeOrRehearse(
  deps: ApiDeps,
  lbId: string,
  plan: (draft: Draft) => void,
  lock?: DraftOptions['lock'],
): Promise<void> {
  try {
    await changeAndNotify(deps, lbId, plan, lock);
  } catch (error) {
    const isConflict = error instanceof Fault && error.kind === 'conflict';
    const graph = isConflict ? await loadGraph(deps.db, lbId) : undefined;
    if (graph) plan(new Draft(graph, { now: timestamp(deps.clock.now()) }));
    throw error;
  }
}

export async function envOf(deps: ApiDeps, lb: LoadBalancer, { caller }: Call): Promise<Env> {
  const entry = getProvider(deps, lb);
  const network = seenBy(caller, entry.network, deps.settings);
  return { ...entry, network, settings: deps.settings, offer: await loadOffer(deps.db, lb) };
}

const policyNoun = <T extends ChildTable>({ noun, root }: ChildResource<T>): string => noun ?? root;

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
  authorize(call.caller, `${policyNoun(resource)}:${action}`, record.project_id);
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
