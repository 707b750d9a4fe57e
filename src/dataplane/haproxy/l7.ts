/** L7 policies as lines of a frontend. Source: contract dataplane.md 5. */
import type { L7Policy, L7Rule, L7RuleCompareType, L7RuleType } from '../../model/l7.ts';
import type { Listener } from '../../model/listener.ts';
import { backendName } from './names.ts';
import {
  aclPattern,
  fetchArgument,
  headerText,
  type Line,
  line,
  number,
  spaced,
  type Word,
  word,
  words,
} from './quote.ts';
import type { ServedListener, ServedPolicy } from './served.ts';

const FETCH: Readonly<Record<L7RuleType, (key: Word) => Word>> = {
  HOST_NAME: () => words`req.hdr(host) -i`,
  PATH: () => words`path`,
  FILE_TYPE: () => words`path_end`,
  HEADER: key => words`req.hdr(${key})`,
  COOKIE: key => words`req.cook(${key})`,
  SSL_CONN_HAS_CERT: () => words`ssl_c_used`,
  SSL_VERIFY_RESULT: () => words`ssl_c_verify eq`,
  SSL_DN_FIELD: key => words`ssl_c_s_dn(${key})`,
};

const MATCH: Readonly<Record<L7RuleCompareType, Word>> = {
  REGEX: words`-m reg`,
  STARTS_WITH: words`-m beg`,
  ENDS_WITH: words`-m end`,
  CONTAINS: words`-m sub`,
  EQUAL_TO: words`-m str`,
};

/**
 * The lines of all policies. haproxy lets refusals come before redirects, and those before the choice of a backend,
 * wherever they stand in the file; written in that order, the file says so and haproxy does not warn of it.
 */
export function policyLines({ listener, policies }: ServedListener): Line[] {
  const ranked = policies.toSorted((a, b) => RANK[a.policy.action] - RANK[b.policy.action]);
  return ranked.flatMap(served => {
    const action = actionWords(served, listener);
    if (action === undefined) return [];
    const conditions = served.rules.map(rule => (rule.invert ? words`!${word(rule.id)}` : word(rule.id)));
    return [...served.rules.map(aclLine), line`${action} if ${spaced(conditions)}`];
  });
}

const RANK = { REJECT: 0, REDIRECT_TO_URL: 1, REDIRECT_PREFIX: 1, REDIRECT_TO_POOL: 2 } as const;

function aclLine({ id, type, compare_type, key, value }: L7Rule): Line {
  const acl = words`acl ${word(id)} ${FETCH[type](fetchArgument(key ?? ''))}`;
  if (type === 'SSL_CONN_HAS_CERT') return line`${acl}`;
  // These two compare in their own way.
  if (type === 'SSL_VERIFY_RESULT' || (type === 'FILE_TYPE' && compare_type === 'EQUAL_TO'))
    return line`${acl} ${aclPattern(value)}`;
  return line`${acl} ${MATCH[compare_type]} ${aclPattern(value)}`;
}

/** undefined where the policy has nowhere to send a request to: it goes on as if there were none. */
function actionWords({ policy, pool }: ServedPolicy, listener: Listener): Word | undefined {
  switch (policy.action) {
    case 'REJECT':
      return words`http-request deny`;
    case 'REDIRECT_TO_URL':
      return redirect(policy, words`location`, policy.redirect_url);
    case 'REDIRECT_PREFIX':
      return redirect(policy, words`prefix`, policy.redirect_prefix);
    case 'REDIRECT_TO_POOL':
      return pool && words`use_backend ${backendName(pool.pool, listener)}`;
  }
}

/** Unlike `http-request redirect`, this takes the target as it is, percent signs too. */
function redirect({ redirect_http_code }: L7Policy, how: Word, target: string | null): Word | undefined {
  if (target === null) return undefined;
  const code = redirect_http_code === null ? words`` : words`code ${number(redirect_http_code)} `;
  return words`redirect ${code}${how} ${headerText(target)}`;
}
