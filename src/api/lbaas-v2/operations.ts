/** The operations of the old API: each translates its call, lets Octavia's operation do the work, and translates the answer. */
import { Fault } from '../../lib/errors.ts';
import type { Pool } from '../../model/pool.ts';
import { type Body, rootOf } from '../body.ts';
import type { Draft } from '../draft.ts';
import { isObject } from '../fields.ts';
import { childOperations } from '../operations.ts';
import type { ApiDeps, Call, Operation } from '../resource.ts';
import { listeners } from '../resources/listeners.ts';
import { pools } from '../resources/pools.ts';
import { apiOperations } from '../server.ts';
import { OldFault } from './faults.ts';
import { type Attributes, OLD_RESOURCES, type OldResource } from './resources.ts';
import { readAttributes, selectOldFields, showAttributes, translateListQuery } from './translate.ts';

/** Runs one of Octavia's operations in this process; its answer is what the root or the plural holds. */
export type RunOctavia = (name: string, call: Call) => Promise<Attributes>;

/** By method and path, such as `GET /pools/:id`. Throws `not-found` where this system does not have it. */
export function octaviaOperations(deps: ApiDeps): RunOctavia {
  const settings = { ...deps.settings, filters_take_several: true };
  const all = [...apiOperations({ ...deps, settings }), ...oldDeletes(deps)];
  const operations = new Map(all.map(operation => [`${operation.method} ${operation.path}`, operation]));
  return async (name, call) => {
    const operation = operations.get(name);
    if (!operation) throw new Fault('not-found', `There is no ${name} on this system.`);
    return (await operation.run(call)) as Attributes;
  };
}

/** Source: contract lbaasv2.md 6.1. */
function oldDeletes(deps: ApiDeps): Operation[] {
  const listenerDeletes = childOperations(deps, {
    ...listeners,
    remove(draft, listener) {
      const policy = draft.staying('l7policy').find(({ listener_id }) => listener_id === listener.id);
      if (policy) throw inUse(`Listener ${listener.id} is using L7 policy ${policy.id}`);
      listeners.remove(draft, listener);
    },
  });
  const poolDeletes = childOperations(deps, {
    ...pools,
    remove(draft, pool) {
      const monitor = draft.staying('health_monitor').find(({ pool_id }) => pool_id === pool.id);
      if (monitor) throw inUse(`Pool ${pool.id} is using health monitor ${monitor.id}`);
      rejectInsteadOf(draft, pool);
      pools.remove(draft, pool);
    },
  });
  return [...listenerDeletes, ...poolDeletes].filter(operation => operation.method === 'DELETE');
}

const inUse = (what: string): OldFault =>
  new OldFault('conflict', 'EntityInUse', `${what}; delete that first.`);

/** Policies that would lose their pool reject from now on. */
function rejectInsteadOf(draft: Draft, pool: Pool): void {
  for (const policy of draft.staying('l7policy')) {
    if (policy.redirect_pool_id === pool.id)
      draft.touch('l7policy', policy, { action: 'REJECT', redirect_pool_id: null });
  }
}

/** List, create, show, update and delete of all the resources. */
export function resourceOperations(deps: ApiDeps, octavia: RunOctavia): Operation[] {
  return OLD_RESOURCES.flatMap(resource => new ResourceOperations(resource, deps, octavia).all());
}

/** What Octavia is asked beside the path. */
export const NO_QUERY = new URLSearchParams();

class ResourceOperations {
  readonly #resource: OldResource;
  readonly #deps: ApiDeps;
  readonly #octavia: RunOctavia;

  constructor(resource: OldResource, deps: ApiDeps, octavia: RunOctavia) {
    this.#resource = resource;
    this.#deps = deps;
    this.#octavia = octavia;
  }

  all(): Operation[] {
    const { path } = this.#resource;
    const item = `${path}/:id`;
    const query = 'any';
    return [
      { method: 'GET', path, status: 200, query, run: call => this.#list(call) },
      { method: 'POST', path, status: 201, query, run: call => this.#create(call) },
      { method: 'GET', path: item, status: 200, query, run: call => this.#show(call) },
      { method: 'PUT', path: item, status: 200, query, run: call => this.#update(call) },
      { method: 'DELETE', path: item, status: 204, query, run: call => this.#remove(call) },
    ];
  }

  async #list(call: Call) {
    const { plural, path } = this.#resource;
    const query = translateListQuery(this.#resource, call.query);
    const answer = await this.#octavia(`GET ${path}`, { ...call, query });
    const links = answer[`${plural}_links`] as unknown[] | undefined;
    const views = answer[plural] as Attributes[];
    return {
      [plural]: views.map(view => selectOldFields(showAttributes(this.#resource, view), call.query)),
      ...(links?.length && { [`${plural}_links`]: links }),
    };
  }

  async #show(call: Call) {
    const { root, path } = this.#resource;
    const answer = await this.#octavia(`GET ${path}/:id`, { ...call, query: NO_QUERY });
    const shown = showAttributes(this.#resource, answer[root] as Attributes);
    return { [root]: selectOldFields(shown, call.query) };
  }

  /** One, or many at once under the plural. */
  async #create(call: Call) {
    const { root, plural } = this.#resource;
    const isBulk = isObject(call.body) && Object.hasOwn(call.body, plural);
    if (!isBulk) return { [root]: await this.#createOne(call, rootOf(call.body, root)) };
    const values = rootOf(call.body, plural);
    if (!Array.isArray(values) || values.length === 0)
      throw new Fault('invalid', `The list ${plural} of the body holds no object.`);
    return { [plural]: await this.#createAll(call, values) };
  }

  /** All of them or none, as far as those that were made can be taken back. */
  async #createAll(call: Call, values: unknown[]): Promise<Attributes[]> {
    const made: Attributes[] = [];
    try {
      for (const value of values) made.push(await this.#createOne(call, value));
      return made;
    } catch (error) {
      for (const { id } of made.reverse()) {
        const params = { ...call.params, id: id as string };
        // What went wrong first is what the client must hear; what stays is in its lists.
        await this.#remove({ ...call, params }).catch(() => undefined);
      }
      throw error;
    }
  }

  async #createOne(call: Call, value: unknown): Promise<Attributes> {
    return this.#write('POST', call, readAttributes(this.#resource, value, true));
  }

  async #update(call: Call) {
    const { root } = this.#resource;
    const body = readAttributes(this.#resource, rootOf(call.body, root), false);
    return { [root]: await this.#write('PUT', call, body) };
  }

  async #write(method: 'POST' | 'PUT', call: Call, body: Body): Promise<Attributes> {
    const { root, path } = this.#resource;
    this.#resource.adapt?.(body, method === 'POST', this.#deps);
    await this.#resource.relate?.(this.#deps, body, call);
    const name = method === 'POST' ? `POST ${path}` : `PUT ${path}/:id`;
    const answer = await this.#octavia(name, { ...call, query: NO_QUERY, body: { [root]: body } });
    return showAttributes(this.#resource, answer[root] as Attributes);
  }

  async #remove(call: Call): Promise<void> {
    await this.#octavia(`DELETE ${this.#resource.path}/:id`, { ...call, query: NO_QUERY });
  }
}
