/** The language of policy files, what is said about wrong ones, and that a changed file counts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Log } from '../../lib/log.ts';
import { silentLog } from '../../lib/log.ts';
import type { Caller } from '../../model/caller.ts';
import { compileExpression } from './expression.ts';
import { Policy } from './policy.ts';

const directory = mkdtempSync(join(tmpdir(), 'ottavia-policy-'));
afterAll(() => rmSync(directory, { recursive: true }));

const caller = (set: Partial<Caller> = {}): Caller => ({
  user_id: 'u1',
  project_id: 'p1',
  domain_id: null,
  system_scope: null,
  roles: ['reader'],
  is_admin: false,
  ...set,
});

describe('an expression', () => {
  const owner = { project_id: 'p1' };
  test.each<[string, boolean, Partial<Caller>?, { project_id: string | null }?]>([
    ['', true],
    ['@', true],
    ['!', false],
    ['role:reader', true],
    ['role:Reader', true],
    ['role:admin', false],
    ['not role:admin', true],
    ['not not role:admin', false],
    ['NOT role:admin AND role:reader', true],
    ['project_id:%(project_id)s', true],
    ['project_id:%(project_id)s', false, {}, { project_id: 'p2' }],
    ['project_id:%(project_id)s', false, { project_id: null }, { project_id: null }],
    ['(role:admin or role:reader) and project_id:%(project_id)s', true],
    ['((role:reader))', true],
    ['(role:reader and project_id:%(project_id)s)', true],
    ['@ or ! and !', true],
    ['! and ! or @', true],
    ['! and (! or @)', false],
    ['@ and not ! and @', true],
    ['is_admin:True', false],
    ['is_admin:True', true, { is_admin: true }],
    ['is_admin:False', true],
    ['system_scope:all', false],
    ['system_scope:all', true, { system_scope: 'all' }],
    ['system_scope:None', true],
    ['user_id:u1', true],
    ['user_id:%(user_id)s', false],
    ['domain_id:d1', true, { domain_id: 'd1' }],
    ['user_domain_id:d1', true, { user_domain_id: 'd1' }],
    ['tenant:%(project_id)s', true],
    ["'p1':%(project_id)s", true],
    ['True:%(enabled)s', false],
    ['role:of_%(project_id)s', true, { roles: ['of_p1'] }],
    ['rule:always', true],
    ['rule:load-balancer:x', true],
  ])('%s is %s', (text, expected, set, target = owner) => {
    const check = compileExpression(text, () => () => true);
    expect(check(caller(set), target)).toBe(expected);
  });

  test.each([
    ['role:reader and', 'it ends where a check should follow'],
    ['(role:reader', 'a parenthesis is not closed'],
    ['role:reader)', ') should not follow there'],
    ['role:reader role:admin', 'role:admin should not follow there'],
    ['reader', 'reader is no check of the form kind:value'],
    ['role:', 'role: is no check of the form kind:value'],
    ['roel:reader', 'roel:reader asks for roel, which is none of rule, role, is_admin, user_id'],
    ['http://elsewhere/%(project_id)s', 'asks for http'],
    ['constructor:x', 'asks for constructor'],
  ])('%s is refused', (text, sentence) => {
    expect(() => compileExpression(text, () => () => true)).toThrow(sentence);
  });
});

describe('a file', () => {
  let files = 0;
  const write = (text: string, path = join(directory, `${files++}.yaml`)) => {
    writeFileSync(path, text);
    return path;
  };
  const policyOf = (text: string) => new Policy({ file: { path: write(text), required: true } });

  test.each([
    ['"load-balancer:read": "role:x and"', 'line 1: rule load-balancer:read: it ends where'],
    [
      '"a": "@"\n"load-balancer:write": "rule:none"',
      'line 2: rule load-balancer:write: there is no rule none',
    ],
    [
      '# two\n"one": "rule:two"\n"two": "not rule:one"',
      'line 3: rule two: rules go in a circle: one → two → one',
    ],
    ['"project-reader": "rule:load-balancer:read"', 'line 1: rule project-reader: rules go in a circle'],
    ['"one": ["role:x"]', 'line 1: rule one is no text'],
    ['"one": 1', 'line 1: rule one is no text'],
    ['- role:x', 'it is no map of names to rules'],
    ['just words', 'it is no map of names to rules'],
    ['"one": "@"\n"two: ', 'line 2'],
  ])('%j does not start', (text, sentence) => {
    expect(() => policyOf(text)).toThrow(sentence);
    expect(() => policyOf(text)).toThrow(directory);
  });

  test('that is not there is an error only when it was asked for', () => {
    const path = join(directory, 'absent.yaml');
    expect(() => new Policy({ file: { path, required: true } })).toThrow(`${path}: there is none`);
    expect(
      new Policy({ file: { path, required: false } }).rules().isAdmin(caller({ roles: ['admin'] })),
    ).toBe(true);
  });

  test.each(['', '# nothing but words\n', '{}', '{"load-balancer:read": "rule:load-balancer:write"}'])(
    '%j leaves the other rules as they are',
    text => {
      const rules = policyOf(text).rules();
      expect(rules.allows(caller({ roles: ['member'] }), 'pool:post', { project_id: 'p1' })).toBe(true);
      expect(rules.allows(caller({ roles: ['member'] }), 'pool:post', { project_id: 'p2' })).toBe(false);
    },
  );

  test('replaces the rule of one operation by its whole name', () => {
    const rules = policyOf('"os_load-balancer_api:pool:post": "role:builder"').rules();
    const builder = caller({ roles: ['builder'] });
    expect(rules.allows(builder, 'pool:post', { project_id: 'p2' })).toBe(true);
    expect(rules.allows(builder, 'pool:put', { project_id: 'p1' })).toBe(false);
  });

  test('counts a second after it changed; a slip in it is told once and changes nothing', () => {
    let nowMs = 1_000_000;
    const errors: unknown[] = [];
    const log: Log = { ...silentLog, error: fields => errors.push(fields.cause) };
    const path = write('');
    const policy = new Policy({
      file: { path, required: false },
      log,
      clock: { now: () => nowMs },
    });
    const mayRead = () => policy.rules().allows(caller(), 'pool:get_one', { project_id: 'p1' });
    expect(mayRead()).toBe(true);
    write('"load-balancer:read": "!"', path);
    nowMs += 999;
    expect(mayRead()).toBe(true);
    nowMs += 1;
    expect(mayRead()).toBe(false);

    write('"load-balancer:read": "role:reader and"', path);
    for (const _ of [1, 2, 3]) {
      nowMs += 1000;
      expect(mayRead()).toBe(false);
    }
    rmSync(path);
    for (const _ of [1, 2, 3]) {
      nowMs += 1000;
      expect(mayRead()).toBe(false);
    }
    expect(errors).toEqual([
      expect.stringMatching(/line 1: rule load-balancer:read: it ends/),
      expect.stringContaining('it is gone'),
    ]);
    write('"load-balancer:read": "role:reader"', path);
    nowMs += 1000;
    expect(mayRead()).toBe(true);
  });
});

test('a token of the whole system, or of a domain, is no administrator unless scope is left out of it', () => {
  for (const set of [{ system_scope: 'all' }, { domain_id: 'd1' }]) {
    const admin = caller({ roles: ['admin'], project_id: null, ...set });
    expect(new Policy().rules().isAdmin(admin)).toBe(false);
    expect(new Policy({ enforceScope: false }).rules().isAdmin(admin)).toBe(true);
  }
});
