/** A load balancer with all that is under it in one call of the old API, translated to Octavia's. Source: contract lbaasv2.md 6.5. */
import { type Body, refuse, rootOf } from '../body.ts';
import { isObject } from '../fields.ts';
import type { ApiDeps, Operation } from '../resource.ts';
import { NO_QUERY, type RunOctavia } from './operations.ts';
import { type Attributes, byRoot, checkProtocols, type OldResource } from './resources.ts';
import { readAttributes, showAttributes } from './translate.ts';

export function graphOperation(deps: ApiDeps, octavia: RunOctavia): Operation {
  return {
    ...{ method: 'POST', path: '/graphs', status: 201, query: 'any' },
    run: async call => {
      const graph = rootOf(call.body, 'graph');
      const body = new GraphReader(deps).read('loadbalancer', rootOf(graph, 'loadbalancer'));
      const { loadbalancer } = await octavia('POST /loadbalancers', {
        ...call,
        query: NO_QUERY,
        body: { loadbalancer: body },
      });
      return { graph: { loadbalancer: showGraph(loadbalancer as Attributes) } };
    },
  };
}

/** What may stand inside an object besides its own attributes: whose, and whether it is a list. */
const PARTS: Readonly<Record<string, Readonly<Record<string, [root: string, isList: boolean]>>>> = {
  loadbalancer: { listeners: ['listener', true] },
  listener: { default_pool: ['pool', false], l7policies: ['l7policy', true] },
  pool: { members: ['member', true], healthmonitor: ['healthmonitor', false] },
  l7policy: { redirect_pool: ['pool', false], rules: ['rule', true] },
};

/** What the parent says already. */
const IMPLIED = ['listener_id', 'pool_id'];

class GraphReader {
  readonly #deps: ApiDeps;
  #unnamed = 0;

  constructor(deps: ApiDeps) {
    this.#deps = deps;
  }

  read(root: string, value: unknown): Body {
    const parts = PARTS[root] ?? {};
    const whole = byRoot(root);
    const resource = { ...whole, required: whole.required.filter(name => !IMPLIED.includes(name)) };
    const body = readAttributes(resource, value, true, Object.keys(parts));
    for (const [name, [part, isList]] of Object.entries(parts)) {
      const inside = body[name];
      if (inside == null) delete body[name];
      else if (isList) body[name] = asList(inside, name).map(item => this.read(part, item));
      else if (isObject(inside) && Object.keys(inside).length === 0) delete body[name];
      else body[name] = this.read(part, inside);
    }
    resource.adapt?.(body, true, this.#deps);
    if (root !== 'loadbalancer') for (const name of ['tenant_id', 'project_id']) delete body[name];
    // Octavia puts a graph together by the names of its pools.
    if (root === 'pool' && !body.name) body.name = `pool-${++this.#unnamed}`;
    if (root === 'listener') checkPools(body);
    return body;
  }
}

function checkPools(listener: Body): void {
  const policies = (listener.l7policies ?? []) as Body[];
  for (const pool of [listener.default_pool, ...policies.map(policy => policy.redirect_pool)])
    if (pool) checkProtocols(listener.protocol, (pool as Body).protocol);
}

function asList(value: unknown, name: string): unknown[] {
  return Array.isArray(value) ? value : refuse(name, value, 'Value should be a list.');
}

/** Octavia's answer has the pools beside the listeners; here they are inside them as well. */
function showGraph(view: Attributes): Attributes {
  const pools = new Map((view.pools as Attributes[]).map(pool => [pool.id, showPool(pool)]));
  const listeners = (view.listeners as Attributes[]).map(listener => ({
    ...showAttributes(byRoot('listener'), listener),
    default_pool: pools.get(listener.default_pool_id) ?? {},
    l7policies: (listener.l7policies as Attributes[]).map(policy => ({
      ...showAttributes(byRoot('l7policy'), policy),
      redirect_pool: pools.get(policy.redirect_pool_id) ?? {},
      rules: showAll(byRoot('rule'), policy.rules),
    })),
  }));
  return { ...showAttributes(byRoot('loadbalancer'), view), listeners, pools: [...pools.values()] };
}

function showPool(pool: Attributes): Attributes {
  const monitor = pool.healthmonitor as Attributes | null;
  return {
    ...showAttributes(byRoot('pool'), pool),
    members: showAll(byRoot('member'), pool.members),
    healthmonitor: monitor ? showAttributes(byRoot('healthmonitor'), monitor) : {},
    healthmonitor_id: monitor?.id ?? null,
  };
}

const showAll = (resource: OldResource, views: unknown): Attributes[] =>
  (views as Attributes[]).map(view => showAttributes(resource, view));
