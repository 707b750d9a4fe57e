/** The language of policy files: one expression of oslo.policy → one function that says yes or no. Source: contract rbac.md 4. */
import type { Caller } from '../../model/caller.ts';

/** What is asked for; null for what belongs to nobody. */
export interface Target {
  project_id: string | null;
}

/** The caller's roles are in lower case: roles are the same however they are written. */
export type Check = (caller: Caller, target: Target) => boolean;

const ALWAYS: Check = () => true;
const NEVER: Check = () => false;

/** What of a token an expression may compare, with the names that older files have. */
const CREDENTIALS: Readonly<Record<string, (caller: Caller) => unknown>> = {
  user_id: caller => caller.user_id,
  user: caller => caller.user_id,
  project_id: caller => caller.project_id,
  tenant: caller => caller.project_id,
  tenant_id: caller => caller.project_id,
  domain_id: caller => caller.domain_id,
  user_domain_id: caller => caller.user_domain_id,
  project_domain_id: caller => caller.project_domain_id,
  system_scope: caller => caller.system_scope,
  // Of a Keystone without a project for administrators, which is what every Keystone is today.
  is_admin_project: () => 'True',
};

/** `rule` finds the check of another rule. Throws an error whose message says what is wrong with the text. */
export function compileExpression(text: string, rule: (name: string) => Check): Check {
  if (text.trim() === '') return ALWAYS;
  const tokens = tokenize(text);
  const peek = () => tokens[0]?.toLowerCase();

  // `not` binds tighter than `and`, and that tighter than `or`.
  const either = (): Check => combine('or', both, checks => (c, t) => checks.some(check => check(c, t)));
  const both = (): Check => combine('and', single, checks => (c, t) => checks.every(check => check(c, t)));
  const combine = (word: string, next: () => Check, join: (checks: Check[]) => Check): Check => {
    const checks = [next()];
    while (peek() === word) {
      tokens.shift();
      checks.push(next());
    }
    return checks.length === 1 ? checks[0]! : join(checks);
  };
  const single = (): Check => {
    const token = tokens.shift();
    if (token === undefined) throw new Error('it ends where a check should follow');
    if (token.toLowerCase() === 'not') {
      const check = single();
      return (c, t) => !check(c, t);
    }
    if (token !== '(') return compileCheck(token, rule);
    const inner = either();
    if (tokens.shift() !== ')') throw new Error('a parenthesis is not closed');
    return inner;
  };

  const check = either();
  if (tokens.length > 0) throw new Error(`${tokens[0]} should not follow there`);
  return check;
}

/** Parentheses count at the edges of a word only: `%(project_id)s` has some inside. */
function tokenize(text: string): string[] {
  return text
    .trim()
    .split(/\s+/)
    .flatMap(word => {
      const [, open, middle, close] = /^(\(*)(.*?)(\)*)$/.exec(word)!;
      return [...open!, ...(middle ? [middle] : []), ...close!];
    });
}

function compileCheck(text: string, rule: (name: string) => Check): Check {
  if (text === '@') return ALWAYS;
  if (text === '!') return NEVER;
  const colon = text.indexOf(':');
  const [kind, match] = [text.slice(0, colon), text.slice(colon + 1)];
  if (colon < 1 || match === '') throw new Error(`${text} is no check of the form kind:value`);
  if (kind === 'rule') return rule(match);
  if (kind === 'is_admin') {
    const expected = match.toLowerCase() === 'true';
    return caller => caller.is_admin === expected;
  }
  const value = compileValue(match);
  if (kind === 'role') {
    return (c, t) => {
      const role = value(t)?.toLowerCase();
      return role !== undefined && c.roles.includes(role);
    };
  }
  const literal = /^(?:(True|False|None|\d+)|'(.*)'|"(.*)")$/.exec(kind);
  if (literal) return (_, t) => value(t) === (literal[1] ?? literal[2] ?? literal[3]);
  const credential = Object.hasOwn(CREDENTIALS, kind) ? CREDENTIALS[kind] : undefined;
  if (!credential)
    throw new Error(
      `${text} asks for ${kind}, which is none of rule, role, is_admin, ${Object.keys(CREDENTIALS).join(', ')}`,
    );
  return (c, t) => value(t) === String(credential(c) ?? 'None');
}

/**
 * The right side of a check, with the values of the target in place of `%(name)s`; undefined when the target does not have
 * one: a token without a project must not own what has none.
 */
function compileValue(text: string): (target: Target) => string | undefined {
  const parts = text.split(/%\(([\w.]+)\)s/);
  if (parts.length === 1) return () => text;
  return target => {
    let value = '';
    for (const [i, part] of parts.entries()) {
      const piece = i % 2 === 0 ? part : part === 'project_id' ? target.project_id : null;
      if (piece === null) return undefined;
      value += piece;
    }
    return value;
  };
}
