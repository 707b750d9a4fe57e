/** A load balancer created in one call with all that is under it: reading the body, and planning its rows. Source: contract api.md 5.5. */

import { Type } from 'typebox';
import { type Body, type Fields, readPost, refuse, throwProblems } from './body.ts';
import type { Draft } from './draft.ts';
import { isObject, type Kind, Problems } from './fields.ts';
import type { Env, Inspection } from './resource.ts';
import { createHealthMonitor, HEALTH_MONITOR_FIELDS } from './resources/health-monitors.ts';
import { createL7Policy, L7POLICY_FIELDS } from './resources/l7-policies.ts';
import { createL7Rule, L7RULE_FIELDS } from './resources/l7-rules.ts';
import { createListener, LISTENER_FIELDS } from './resources/listeners.ts';
import { createMember, MEMBER_FIELDS } from './resources/members.ts';
import { createPool, POOL_FIELDS } from './resources/pools.ts';
import type { ApiSettings } from './settings.ts';
import { inspectReferences, LISTENER_REFERENCES, POOL_REFERENCES } from './tls.ts';

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
  l7policies: PolicyTree[];
}

interface PolicyTree {
  body: Body;
  /** The name of the pool that it redirects to. */
  redirect_pool: string | undefined;
  rules: Body[];
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
const L7POLICY: Fields = {
  ...L7POLICY_FIELDS,
  redirect_pool: {
    kind: rawObject,
    doc: 'The pool to redirect to, or the name of one that is defined elsewhere in the body.',
  },
  rules: { kind: rawList, doc: 'The rules.' },
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
  const readPolicy = (value: unknown, at: string): PolicyTree => {
    const read = (fields: Fields, child: unknown, place: string) =>
      readPost(fields, child, place, settings, problems, `${place}.`);
    const { redirect_pool, rules, ...policy } = read(L7POLICY, value, at);
    return {
      body: policy,
      redirect_pool: redirect_pool == null ? undefined : readPool(redirect_pool, `${at}.redirect_pool`),
      rules: ((rules ?? []) as unknown[]).map((rule, i) => read(L7RULE_FIELDS, rule, `${at}.rules[${i}]`)),
    };
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
    const name = default_pool == null ? undefined : readPool(default_pool, `${at}.default_pool`);
    const policies = (l7policies ?? []) as unknown[];
    tree.listeners.push({
      body: rest,
      default_pool: name,
      l7policies: policies.map((policy, j) => readPolicy(policy, `${at}.l7policies[${j}]`)),
    });
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

/** Asks about the subnets of all members, each once, and about all certificates. Throws `invalid`. */
export async function inspectTree(tree: Tree, env: Env, asked: Inspection): Promise<void> {
  const subnets = new Set(tree.pools.flatMap(pool => pool.members.map(member => member.subnet_id)));
  for (const id of subnets) {
    if (typeof id === 'string' && !(await env.network.findSubnet(id)))
      refuse('subnet_id', id, 'There is no such subnet.');
  }
  for (const { body } of tree.pools) await inspectReferences(POOL_REFERENCES, body, asked);
  for (const { body } of tree.listeners) await inspectReferences(LISTENER_REFERENCES, body, asked);
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
  for (const { body, default_pool, l7policies } of tree.listeners) {
    const default_pool_id = default_pool === undefined ? body.default_pool_id : poolIds.get(default_pool);
    const listener = createListener(draft, { ...body, default_pool_id }, env);
    for (const { body: fields, redirect_pool, rules } of l7policies) {
      const redirect_pool_id = poolIds.get(redirect_pool ?? '') ?? null;
      const policy = createL7Policy(draft, { ...fields, listener_id: listener.id, redirect_pool_id }, env);
      for (const rule of rules) createL7Rule(draft, policy, rule);
    }
  }
}
