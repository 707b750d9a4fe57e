import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkConfig, isHaproxyInstalled } from '../dataplane/haproxy/haproxy-check.fixture.ts';
import { word } from '../dataplane/haproxy/quote.ts';
import { findRegexProblem } from './regex.ts';

const ACCEPTED = [
  ...['^/api/v[0-9]+', '\\.(jpg|png)$', '(?i)foo', '(?P<a>x)(?P=a)', 'a{,5}', '{}', 'a]}', '[]a]'],
  ...[
    '[^]-]',
    '[\\w.-]+@[\\w-]+',
    '\\d{1,3}(\\.\\d{1,3}){3}',
    '(?<=ab)c',
    '(?:a|b)+?',
    '\\/x\\-y',
    'é+',
    'a++',
  ],
  ...['[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '(?!a)b', '\\Aa\\Z', '[\\x00-\\x20]', '(?#why)a', '^$'],
];
const REFUSED = [
  ...[
    '(',
    'a)',
    '[a',
    '[z-a]',
    '*a',
    'a**',
    'x{2,1}',
    '\\',
    '\\q',
    '\\1',
    '(a)\\1',
    '(?P=a)',
    '(?P<a>x)(?P<a>y)',
  ],
  ...[
    '[[:nope:]]',
    '[:a:]',
    '[]',
    '[^]',
    '(?<=a+)c',
    'a{99999}',
    '((a{9}){999}){999}',
    '(?(1)a)',
    '(*FAIL)',
    '(?',
    '[\\B]',
    '[\\q]',
  ],
];

test.each(ACCEPTED)('%s is a regular expression', value => {
  expect(findRegexProblem(value)).toBeUndefined();
});
test.each(REFUSED)('%s is none', value => {
  expect(findRegexProblem(value)).toMatch(/\w/);
});

const piece = fc.oneof(
  fc.constantFrom(...ACCEPTED, ...REFUSED),
  fc.constantFrom(
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '*',
    '+',
    '?',
    '|',
    '^',
    '$',
    '-',
    ',',
    '\\',
    '(?',
    '(?:',
    '(?<',
  ),
  fc.constantFrom(
    '(?P<n>',
    '(?=',
    '(?<!',
    '{2}',
    '{2,}',
    '{1,3}',
    '[^',
    '[:',
    '\\b',
    '\\d',
    '\\x4',
    '\\k<n>',
    '\\0',
  ),
  fc.constantFrom(
    'a',
    'b-z',
    '5',
    '12',
    ':',
    '=',
    'é',
    '😀',
    ' ',
    "'",
    '"',
    '#',
    '\\.',
    '\\]',
    '\\-',
    '\\A',
    '\\2',
  ),
);

const SEED = Number(process.env.FUZZ_SEED ?? 0) || Date.now() % 1_000_000;
const title = `haproxy takes all that is accepted, seed ${SEED}`;
test.skipIf(!isHaproxyInstalled())(title, { timeout: 180_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'regex-'));
  try {
    const values = fc
      .sample(
        fc.array(piece, { minLength: 1, maxLength: 9 }).map(pieces => pieces.join('')),
        { seed: SEED, numRuns: 40_000 },
      )
      .filter(value => findRegexProblem(value) === undefined);
    expect(values.length).toBeGreaterThan(2000);
    const acls = [...ACCEPTED, ...values].map((value, i) => `acl a${i} path -m reg -- ${word(value)}`);
    await checkConfig(
      `frontend f\n bind 127.0.0.1:80\n mode http\n timeout client 1s\n ${acls.join('\n ')}\n`,
      directory,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
