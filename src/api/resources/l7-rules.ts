/** L7 rules: fields, rules and body. Source: contract api.md 11. */
import { findRecord } from '../../db/children.ts';
import { Fault } from '../../lib/errors.ts';
import {
  type L7Policy,
  L7RULE_COMPARE_TYPES,
  L7RULE_TYPES,
  type L7Rule,
  type L7RuleCompareType,
  type L7RuleType,
  MAX_RULES_OF_POLICY,
  rulesOf,
} from '../../model/l7.ts';
import type { Resource } from '../../model/load-balancer.ts';
import { ADMIN_STATE_UP, type Body, type Fields, IGNORED_PROJECT, refuse, TAGS } from '../body.ts';
import { type Draft, notFound } from '../draft.ts';
import { boolean, choice, text } from '../fields.ts';
import { COMMON_FILTERS, columns } from '../list-query.ts';
import { findRegexProblem } from '../regex.ts';
import { type ApiDeps, type Call, type ChildResource, commonView } from '../resource.ts';

const oneLine = (value: string) => (/[\r\n]/.test(value) ? 'Value should be a single line.' : undefined);

/** What can also stand inside the body of a load balancer that is created. */
export const L7RULE_FIELDS: Fields = {
  type: { kind: choice(L7RULE_TYPES), post: 'required', nullOnPut: 'refuse', doc: 'What is looked at.' },
  compare_type: {
    kind: choice(L7RULE_COMPARE_TYPES),
    post: 'required',
    nullOnPut: 'refuse',
    doc: 'How it is compared.',
  },
  key: { kind: text(255, oneLine), doc: 'The name of the header, cookie or field.' },
  value: {
    kind: text(255, value => (value === '' ? 'Value should not be empty.' : oneLine(value))),
    post: 'required',
    nullOnPut: 'refuse',
    doc: 'What it is compared with.',
  },
  invert: { kind: boolean, default: false, doc: 'Whether it matches when the comparison does not.' },
  admin_state_up: ADMIN_STATE_UP,
  tags: TAGS,
};

const { name: _, ...NAMELESS_FILTERS } = COMMON_FILTERS;
const FILTERS = {
  ...NAMELESS_FILTERS,
  ...columns('text', false, ['l7policy_id', 'type', 'compare_type', 'value']),
  ...columns('text', true, ['key']),
  ...columns('boolean', false, ['invert']),
} as const;

export const l7rules: ChildResource<'l7rule'> = {
  table: 'l7rule',
  root: 'rule',
  noun: 'l7rule',
  plural: 'rules',
  path: '/l7policies/:l7policy_id/rules',
  fields: { ...L7RULE_FIELDS, ...IGNORED_PROJECT },
  filters: FILTERS,
  parentOf: async (db, _body, params) => (await getPolicy(db, params)).loadbalancer_id,
  async scope(db, params) {
    const { id, project_id } = await getPolicy(db, params);
    return { conditions: [{ is: 'equal', column: 'l7policy_id', value: id }], project_id };
  },
  checksFirst: true,
  contains: (rule, params) => rule.l7policy_id === params.l7policy_id,
  create(draft, body, _env, params) {
    const policy = draft.getParent('l7policy', params.l7policy_id!);
    touchPolicy(draft, policy);
    return createL7Rule(draft, policy, body);
  },
  update(draft, rule, body) {
    const sent = { ...body } as Partial<L7Rule>;
    if (sent.type !== undefined && KINDS[sent.type].key === 'unused') sent.key ??= null;
    checkRule({ ...rule, ...sent });
    const policy = draft.getParent('l7policy', rule.l7policy_id);
    draft.touch('l7rule', rule, sent);
    touchPolicy(draft, policy);
  },
  remove(draft, rule) {
    touchPolicy(draft, draft.getParent('l7policy', rule.l7policy_id));
    draft.remove('l7rule', rule);
  },
  viewer: async () => l7RuleView,
};

async function getPolicy(db: ApiDeps['db'], params: Call['params']): Promise<L7Policy> {
  const policy = await findRecord(db, 'l7policy', params.l7policy_id!);
  if (!policy) throw notFound('l7policy', params.l7policy_id!);
  return policy;
}

function touchPolicy(draft: Draft, policy: L7Policy): void {
  draft.touch('l7policy', policy);
  draft.touch('listener', draft.get('listener', policy.listener_id));
}

type L7RuleBody = Omit<L7Rule, keyof Resource | 'loadbalancer_id' | 'l7policy_id'>;

export function createL7Rule(draft: Draft, policy: L7Policy, body: Body): L7Rule {
  const fields = body as unknown as L7RuleBody;
  checkRule(fields);
  if (rulesOf(draft.graph, policy).length >= MAX_RULES_OF_POLICY)
    throw new Fault('conflict', `L7 Policy ${policy.id} already has ${MAX_RULES_OF_POLICY} rules.`);
  return draft.insert('l7rule', { ...fields, ...draft.newRecord(body), l7policy_id: policy.id });
}

interface RuleKind {
  key: 'unused' | 'forbidden' | RegExp;
  compare: readonly L7RuleCompareType[];
  /** For all compare types but REGEX. */
  value: RegExp;
}

const TOKEN = /^[A-Za-z0-9!#$%&'*+,\-.^_`|~]+$/;
/** A value with spaces stands in quotes, which are part of it. */
const PRINTABLE = /^([!-~]+|"[\t -~]*")$/;
const HEADER_LIKE = { compare: L7RULE_COMPARE_TYPES, value: PRINTABLE };

const KINDS: Readonly<Record<L7RuleType, RuleKind>> = {
  HOST_NAME: { key: 'unused', ...HEADER_LIKE },
  PATH: { key: 'unused', ...HEADER_LIKE },
  FILE_TYPE: { key: 'unused', compare: ['EQUAL_TO', 'REGEX'], value: PRINTABLE },
  HEADER: { key: TOKEN, ...HEADER_LIKE },
  COOKIE: { key: TOKEN, compare: L7RULE_COMPARE_TYPES, value: /^[!#-:<-[\]-~]+$/ },
  SSL_CONN_HAS_CERT: { key: 'forbidden', compare: ['EQUAL_TO'], value: /^true$/i },
  SSL_VERIFY_RESULT: { key: 'forbidden', compare: ['EQUAL_TO'], value: /^\d{1,9}$/ },
  SSL_DN_FIELD: { key: /^[A-Za-z][A-Za-z0-9-]*$/, compare: L7RULE_COMPARE_TYPES, value: /^/ },
};

/** Source: contract api.md 11. */
function checkRule(rule: L7RuleBody): void {
  const { type, compare_type, key, value } = rule;
  const kind = KINDS[type];
  if (kind.key instanceof RegExp && !kind.key.test(key ?? ''))
    refuse('key', key, `A ${type} rule needs a name in it.`);
  if (kind.key === 'forbidden' && key !== null) refuse('key', key, `A ${type} rule has none.`);
  if (!kind.compare.includes(compare_type))
    refuse('compare_type', compare_type, `A ${type} rule can be ${kind.compare.join(' or ')}.`);
  if (compare_type !== 'REGEX') {
    if (!kind.value.test(value)) refuse('value', value, `It is no value of a ${type} rule.`);
    return;
  }
  const problem = findRegexProblem(value);
  if (problem !== undefined) refuse('value', value, `Value should be a regular expression: ${problem}.`);
}

export function l7RuleView(rule: L7Rule) {
  const { name: _, ...common } = commonView(rule);
  return {
    ...common,
    type: rule.type,
    compare_type: rule.compare_type,
    key: rule.key,
    value: rule.value,
    invert: rule.invert,
  };
}
