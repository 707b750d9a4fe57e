/** A load balancer created in one call with all that is under it: reading the body, and planning its rows. Source: contract api.md 5.5. */

import { Type } from 'typebox';
import { Fault } from '../lib/errors.ts';
import { type Body, type Fields, readPost, refuse, throwProblems } from './body.ts';
import type { Draft } from './draft.ts';
import { isObject, type Kind, Problems } from './fields.ts';
import type { Env } from './resource.ts';
import { createHealthMonitor, HEALTH_MONITOR_FIELDS } from './resources/health-monitors.ts';
import { createListener, LISTENER_FIELDS } from './resources/listeners.ts';
import { createMember, MEMBER_FIELDS } from './resources/members.ts';
import { createPool, POOL_FIELDS } from './resources/pools.ts';
import type { ApiSettings } from './settings.ts';

interface PoolTree {
  name: string;
  body: Body;
  members: Body[];
  healthmonitor: Body | undefined;
}

interface ListenerTree {
  body: Body;
  /** The name of its default pool, which is among the pools. */
  default_pool: string | undefined;
}

export interface Tree {
  pools: PoolTree[];
  listeners: ListenerTree[];
}

/** What a body holds below the load balancer, read by `parseTree`. */
export const rawList: Kind<unknown[]> = {
  schema: Type.Array(Type.Object({})),
  parse(value, at, problems) {
    return Array.isArray(value) ? value : problems.refuse(at, value, 'Value should be a list.');
  },
};
const rawObject: Kind<Record<string, unknown>> = {
  schema: Type.Object({}),
  parse(value, at, problems) {
    return isObject(value) ? value : problems.refuse(at, value, 'Value should be an object.');
  },
};

const PROJECT = {
  project_id: { kind: rawObject, post: 'no', doc: '' },
  tenant_id: { kind: rawObject, post: 'no', doc: '' },
} as const;
const POOL: Fields = {
  ...POOL_FIELDS,
  members: { kind: rawList, doc: 'The members.' },
  healthmonitor: { kind: rawObject, doc: 'The health monitor.' },
};
const LISTENER: Fields = {
  ...LISTENER_FIELDS,
  default_pool: {
    kind: rawObject,
    doc: 'The default pool, or the name of one that is defined elsewhere in the body.',
  },
  l7policies: { kind: rawList, doc: 'The policies.' },
};

/** A pool with nothing but these is the name of one that is defined elsewhere in the body. */
const REFERENCE_KEYS = ['name', 'admin_state_up', 'tls_enabled'];

/** Throws one fault that names all that is wrong with the form of it. */
export function parseTree(
  body: { listeners: unknown[] | null; pools: unknown[] | null },
  settings: ApiSettings,
): Tree {
  const problems = new Problems();
  const tree: Tree = { pools: [], listeners: [] };
  const references: string[] = [];
  const readPool = (value: unknown, at: string): string | undefined => {
    const name = isObject(value) && typeof value.name === 'string' ? value.name : '';
    if (name === '')
      return problems.refuse(`${at}.name`, null, 'Every pool inside a load balancer needs a name.');
    if (Object.keys(value as object).every(key => REFERENCE_KEYS.includes(key))) references.push(name);
    else tree.pools.push(parsePool(name, value, at, settings, problems));
    return name;
  };
  for (const [i, value] of (body.pools ?? []).entries()) readPool(value, `pools[${i}]`);
  for (const [i, value] of (body.listeners ?? []).entries()) {
    const at = `listeners[${i}]`;
    const { default_pool, l7policies, ...rest } = readPost(
      LISTENER,
      value,
      'listener',
      settings,
      problems,
      `${at}.`,
    );
    if (Array.isArray(l7policies) && l7policies.length > 0)
      throw new Fault('unsupported', `L7 policies are not supported yet: leave ${at}.l7policies out.`);
    const name = default_pool == null ? undefined : readPool(default_pool, `${at}.default_pool`);
    tree.listeners.push({ body: rest, default_pool: name });
  }
  const names = tree.pools.map(pool => pool.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    problems.refuse('pools', twice, 'The name of a pool must be unique within the request.');
  for (const name of references) {
    if (!names.includes(name))
      problems.refuse('pools', name, 'No pool of that name is defined in the request.');
  }
  throwProblems(problems);
  return tree;
}

function parsePool(
  name: string,
  value: unknown,
  at: string,
  settings: ApiSettings,
  problems: Problems,
): PoolTree {
  const { members, healthmonitor, ...body } = readPost(POOL, value, 'pool', settings, problems, `${at}.`);
  const read = (fields: Fields, child: unknown, place: string) =>
    readPost({ ...fields, ...PROJECT }, child, place, settings, problems, `${place}.`);
  return {
    name,
    body,
    members: ((members ?? []) as unknown[]).map((m, i) => read(MEMBER_FIELDS, m, `${at}.members[${i}]`)),
    healthmonitor:
      healthmonitor == null ? undefined : read(HEALTH_MONITOR_FIELDS, healthmonitor, `${at}.healthmonitor`),
  };
}

/** Asks about the subnets of all members, each once. Throws `invalid`. */
export async function inspectTree(tree: Tree, env: Env): Promise<void> {
  const subnets = new Set(tree.pools.flatMap(pool => pool.members.map(member => member.subnet_id)));
  for (const id of subnets) {
    if (typeof id === 'string' && !(await env.network.findSubnet(id)))
      refuse('subnet_id', id, 'There is no such subnet.');
  }
}

/** Pools first, with all in them, so that listeners find them. */
export function planTree(draft: Draft, tree: Tree, env: Env): void {
  const poolIds = new Map<string, string>();
  for (const { name, body, members, healthmonitor } of tree.pools) {
    const pool = createPool(draft, body, env);
    poolIds.set(name, pool.id);
    // Before the members, which begin OFFLINE where there is a monitor.
    if (healthmonitor) createHealthMonitor(draft, pool, healthmonitor, env);
    for (const member of members) createMember(draft, pool, member, env);
  }
  for (const { body, default_pool } of tree.listeners) {
    const default_pool_id = default_pool === undefined ? body.default_pool_id : poolIds.get(default_pool);
    createListener(draft, { ...body, default_pool_id }, env);
  }
}
