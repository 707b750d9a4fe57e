/** L7 policies and rules: what a listener does with requests that look a certain way. */
import type { Listener } from './listener.ts';
import type { Resource } from './load-balancer.ts';
import { isStaying } from './status.ts';

export const L7POLICY_ACTIONS = ['REJECT', 'REDIRECT_TO_URL', 'REDIRECT_TO_POOL', 'REDIRECT_PREFIX'] as const;
export type L7PolicyAction = (typeof L7POLICY_ACTIONS)[number];

export const REDIRECT_HTTP_CODES = [301, 302, 303, 307, 308] as const;

export const L7RULE_TYPES = [
  'HOST_NAME',
  'PATH',
  'FILE_TYPE',
  'HEADER',
  'COOKIE',
  'SSL_CONN_HAS_CERT',
  'SSL_VERIFY_RESULT',
  'SSL_DN_FIELD',
] as const;
export type L7RuleType = (typeof L7RULE_TYPES)[number];

export const L7RULE_COMPARE_TYPES = ['REGEX', 'STARTS_WITH', 'ENDS_WITH', 'CONTAINS', 'EQUAL_TO'] as const;
export type L7RuleCompareType = (typeof L7RULE_COMPARE_TYPES)[number];

/** Source: contract api.md 11. */
export const MAX_RULES_OF_POLICY = 50;

export interface L7Policy extends Resource {
  /** Not in the API: lets one query load a whole load balancer. */
  loadbalancer_id: string;
  listener_id: string;
  description: string;
  action: L7PolicyAction;
  redirect_pool_id: string | null;
  redirect_url: string | null;
  redirect_prefix: string | null;
  redirect_http_code: number | null;
  /** 1 to n without gaps within a listener. */
  position: number;
}

/** Its `name` is not in the API and always empty. */
export interface L7Rule extends Resource {
  /** Not in the API: lets one query load a whole load balancer. */
  loadbalancer_id: string;
  l7policy_id: string;
  type: L7RuleType;
  compare_type: L7RuleCompareType;
  key: string | null;
  value: string;
  invert: boolean;
}

/** As much of a graph as tells which policies matter. */
interface L7Graph {
  l7policies: readonly L7Policy[];
  l7rules: readonly L7Rule[];
}

/** The rules of a policy that are not on their way out, disabled ones among them. */
export function rulesOf(graph: Pick<L7Graph, 'l7rules'>, policy: Pick<L7Policy, 'id'>): L7Rule[] {
  return graph.l7rules.filter(rule => rule.l7policy_id === policy.id && isStaying(rule));
}

/**
 * The policies of a listener that have an effect, in the order of their positions: those that are enabled and have a
 * rule. Source: contract api.md 10.4.
 */
export function effectivePolicies(graph: L7Graph, listener: Pick<Listener, 'id'>): L7Policy[] {
  return graph.l7policies
    .filter(policy => policy.listener_id === listener.id && policy.admin_state_up && isStaying(policy))
    .filter(policy => rulesOf(graph, policy).length > 0)
    .toSorted((a, b) => a.position - b.position);
}

/** The pools that a listener sends traffic to, each once, its default pool first. Source: contract api.md 5.6. */
export function poolIdsOf(graph: L7Graph, listener: Pick<Listener, 'id' | 'default_pool_id'>): string[] {
  const redirects = effectivePolicies(graph, listener).map(policy => policy.redirect_pool_id);
  return [...new Set([listener.default_pool_id, ...redirects])].filter(id => id !== null);
}
