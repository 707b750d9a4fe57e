/** L7 policies: fields, rules and body. Source: contract api.md 10. */
import { findRecord } from '../../db/children.ts';
import { listRelation } from '../../db/relations.ts';
import { Fault } from '../../lib/errors.ts';
import { L7POLICY_ACTIONS, type L7Policy, type L7PolicyAction, REDIRECT_HTTP_CODES } from '../../model/l7.ts';
import type { Resource } from '../../model/load-balancer.ts';
import { LISTENER_FEATURES } from '../../model/protocols.ts';
import {
  ADMIN_STATE_UP,
  type Body,
  DESCRIPTION,
  type Fields,
  IGNORED_PROJECT,
  NAME,
  refuse,
  TAGS,
} from '../body.ts';
import { type Draft, notFound } from '../draft.ts';
import { choice, emptyList, integer, numberOf, text, uuid } from '../fields.ts';
import { COMMON_FILTERS, columns } from '../list-query.ts';
import { asIds, type ChildResource, commonView, type Env } from '../resource.ts';
import { checkPoolOf } from './pools.ts';

const LAST = 2_147_483_647;

const redirectUrl = text(255, value =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  /^https?:\/\/[^/?#\s\x00-\x1f\x7f][^\s\x00-\x1f\x7f]*$/i.test(value) && URL.canParse(value)
    ? undefined
    : 'Value should be an http or https URL with a host, without spaces.',
);

/** What can also stand inside the body of a load balancer that is created. */
export const L7POLICY_FIELDS: Fields = {
  action: {
    kind: choice(L7POLICY_ACTIONS),
    post: 'required',
    nullOnPut: 'refuse',
    doc: 'What happens to a request that matches all rules.',
  },
  redirect_url: { kind: redirectUrl, doc: 'Where the client is sent.' },
  redirect_prefix: { kind: redirectUrl, doc: 'Where the client is sent, with path and query added.' },
  redirect_http_code: { kind: numberOf(REDIRECT_HTTP_CODES, 0), doc: 'The status of a redirect.' },
  position: {
    kind: integer(1, LAST),
    default: LAST,
    nullOnPut: 'keep',
    doc: 'Its place among the policies of the listener.',
  },
  name: NAME,
  description: DESCRIPTION,
  admin_state_up: ADMIN_STATE_UP,
  tags: TAGS,
};

const FIELDS: Fields = {
  listener_id: { kind: uuid, post: 'required', put: false, doc: 'The listener whose requests it is about.' },
  redirect_pool_id: { kind: uuid, doc: 'The pool that serves the requests.' },
  ...L7POLICY_FIELDS,
  ...IGNORED_PROJECT,
  rules: { kind: emptyList, post: 'ignored', put: false, doc: 'Empty.' },
};

const FILTERS = {
  ...COMMON_FILTERS,
  ...columns('text', false, ['description', 'listener_id', 'action']),
  ...columns('text', true, ['redirect_pool_id', 'redirect_url', 'redirect_prefix']),
  ...columns('integer', false, ['position']),
  ...columns('integer', true, ['redirect_http_code']),
} as const;

export const l7policies: ChildResource<'l7policy'> = {
  table: 'l7policy',
  root: 'l7policy',
  plural: 'l7policies',
  path: '/l7policies',
  fields: FIELDS,
  filters: FILTERS,
  async parentOf(db, body) {
    const listener = await findRecord(db, 'listener', body.listener_id as string);
    if (!listener) throw notFound('listener', body.listener_id as string);
    return listener.loadbalancer_id;
  },
  create: createL7Policy,
  update: updateL7Policy,
  remove(draft, policy) {
    draft.touch('listener', draft.get('listener', policy.listener_id));
    removeL7Policy(draft, policy);
  },
  async viewer(db, policies) {
    const rules = await listRelation(
      db,
      'l7rule',
      'l7policy_id',
      policies.map(policy => policy.id),
    );
    return policy => ({ ...l7PolicyView(policy), rules: asIds(rules.get(policy.id) ?? []) });
  },
};

type L7PolicyBody = Omit<L7Policy, keyof Resource | 'loadbalancer_id'>;

export function createL7Policy(draft: Draft, body: Body, env: Env): L7Policy {
  const fields = { ...body, ...settleRedirect(body) } as unknown as L7PolicyBody;
  const listener = draft.getMutable('listener', fields.listener_id);
  const { l7policies: allowed } = LISTENER_FEATURES[listener.protocol];
  if (allowed === 'no')
    refuse('listener_id', listener.id, `A ${listener.protocol} listener has no L7 policies.`);
  if (fields.redirect_pool_id !== null) checkPoolOf(draft, listener.protocol, fields.redirect_pool_id);
  if (allowed === 'unsupported' || !env.provider.supports.l7)
    throw new Fault(
      'unsupported',
      `Provider ${env.provider.name} does not support L7 policies on ${listener.protocol} listeners.`,
    );
  const others = policiesOf(draft, listener.id);
  const position = Math.min(fields.position, others.length + 1);
  for (const other of others) if (other.position >= position) draft.shift(other, 1);
  draft.touch('listener', listener);
  return draft.insert('l7policy', { ...fields, ...draft.newRecord(body), position });
}

function updateL7Policy(draft: Draft, policy: L7Policy, body: Body): void {
  if (Object.keys(body).length === 0)
    throw new Fault('invalid', 'The l7policy is empty: name what to change.');
  const sent = { ...body, ...settleRedirect(body) } as Partial<L7Policy>;
  const merged = { ...policy, ...sent };
  const target = TARGETS[merged.action];
  if (target !== undefined && !merged[target])
    refuse(target, merged[target], `A policy that does ${merged.action} needs it.`);
  const listener = draft.get('listener', policy.listener_id);
  if (sent.redirect_pool_id) checkPoolOf(draft, listener.protocol, sent.redirect_pool_id);
  const others = policiesOf(draft, policy.listener_id).filter(other => other !== policy);
  const from = policy.position;
  const to = Math.min(merged.position, others.length + 1);
  for (const other of others) {
    if (from < other.position && other.position <= to) draft.shift(other, -1);
    else if (to <= other.position && other.position < from) draft.shift(other, 1);
  }
  draft.touch('l7policy', policy, { ...sent, position: to });
  draft.touch('listener', listener);
}

/** Its rules go with it. The others keep their places until it is gone. Source: contract api.md 10.4. */
export function removeL7Policy(draft: Draft, policy: L7Policy): void {
  for (const rule of draft.staying('l7rule')) {
    if (rule.l7policy_id === policy.id) draft.remove('l7rule', rule);
  }
  draft.remove('l7policy', policy);
}

/** Those that are on their way out still have a place. */
const policiesOf = (draft: Draft, listenerId: string): L7Policy[] =>
  draft.graph.l7policies.filter(policy => policy.listener_id === listenerId);

type Target = 'redirect_url' | 'redirect_pool_id' | 'redirect_prefix';

/** What each action needs. */
const TARGETS: Readonly<Partial<Record<L7PolicyAction, Target>>> = {
  REDIRECT_TO_URL: 'redirect_url',
  REDIRECT_TO_POOL: 'redirect_pool_id',
  REDIRECT_PREFIX: 'redirect_prefix',
};

/** The fields about redirection that follow from those that were sent. Source: contract api.md 10.3, in its order. */
function settleRedirect(body: Body): Partial<L7Policy> {
  const { action, redirect_http_code: code } = body as Partial<L7Policy>;
  let { redirect_url: url, redirect_pool_id: pool, redirect_prefix: prefix } = body as Partial<L7Policy>;
  const target = action && TARGETS[action];
  if (target && !body[target]) refuse(target, body[target] ?? null, `${action} needs it.`);
  if (action === 'REJECT' || action === 'REDIRECT_TO_URL') pool = null;
  if (action === 'REJECT' || action === 'REDIRECT_TO_POOL') url = null;
  if (pool && (url || prefix))
    throw new Fault(
      'invalid',
      'A policy cannot have redirect_pool_id together with redirect_url or redirect_prefix.',
    );
  const nothing = { redirect_url: null, redirect_pool_id: null, redirect_prefix: null };
  if (pool)
    return { ...nothing, action: 'REDIRECT_TO_POOL', redirect_pool_id: pool, redirect_http_code: null };
  const redirect_http_code = code ?? 302;
  if (url) return { ...nothing, action: 'REDIRECT_TO_URL', redirect_url: url, redirect_http_code };
  if (prefix) return { ...nothing, action: 'REDIRECT_PREFIX', redirect_prefix: prefix, redirect_http_code };
  return action === 'REJECT' ? nothing : {};
}

export function l7PolicyView(policy: L7Policy) {
  return {
    ...commonView(policy),
    description: policy.description,
    action: policy.action,
    listener_id: policy.listener_id,
    redirect_pool_id: policy.redirect_pool_id,
    redirect_url: policy.redirect_url,
    redirect_prefix: policy.redirect_prefix,
    redirect_http_code: policy.redirect_http_code,
    position: policy.position,
  };
}
