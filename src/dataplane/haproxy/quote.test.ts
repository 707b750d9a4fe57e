import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CommandError, run } from '../../lib/command.ts';
import { TerminalError } from '../../lib/errors.ts';
import { buildGraph, type GraphSketch, idOf } from '../../model/graph.fixture.ts';
import { DEFAULT_HAPROXY_SETTINGS } from './context.ts';
import { checkConfig, isHaproxyInstalled } from './haproxy-check.fixture.ts';
import { address, fetchArgument, logFormatText, number, requestTarget, word } from './quote.ts';
import { renderHaproxyConfig } from './render.ts';

/** A line of haproxy.cfg as haproxy cuts it into words, by its own rules of quotes and backslashes. */
function cut(text: string): string[] {
  const words: number[][] = [];
  let word: number[] | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote === '' && c === '#') break;
    if (quote === '' && /\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    word ??= [];
    if (quote === '' && (c === '"' || c === "'")) quote = c;
    else if (c === quote) quote = '';
    else if (c === '\\' && quote !== "'") {
      i++;
      if (text[i] === 'x') {
        word.push(Number.parseInt(text.slice(i + 1, i + 3), 16));
        i += 2;
      } else if (' \\"\'#'.includes(text[i]!)) word.push(text.charCodeAt(i));
      else word.push(0x5c, text.charCodeAt(i));
    } else word.push(c.charCodeAt(0));
  }
  if (quote !== '') throw new Error(`unterminated ${quote} in ${text}`);
  if (word !== undefined) words.push(word);
  return words.map(bytes => Buffer.from(bytes).toString('utf8'));
}

/** Any text, and far too often the characters that mean something to somebody. */
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({
    unit: fc.constantFrom(
      ...' \t\r\n\v\f\\"\'#$%{}()[],;:|&<>=/.-\x00\x01\x7f\x85\u2028é\ud800ax0'.split(''),
    ),
    maxLength: 12,
  }),
  fc.constantFrom(
    '"',
    "'",
    '\\',
    '\\\\',
    '#',
    '\n    daemon',
    '$HOME',
    '$' + '{HOME}',
    '%[env(HOME)]',
    '%',
    '\\x20',
  ),
);

/** What arrives when the text is UTF-8: a lone surrogate is no character. */
const arrived = (text: string) => text.toWellFormed();

describe('a word', () => {
  test('is cut as one word with the same value', () => {
    fc.assert(
      fc.property(nasty, nasty, (a, b) => {
        if (`${a}${b}`.includes('\0')) {
          expect(() => `${word(a)}${word(b)}`).toThrow(TerminalError);
          return;
        }
        expect(cut(`x ${word(a)} y ${word(a)}:${word(b)} ${word(b)}`)).toEqual([
          'x',
          arrived(a),
          'y',
          `${arrived(a)}:${arrived(b)}`,
          arrived(b),
        ]);
      }),
      { numRuns: 2000 },
    );
  });

  test('is printable ASCII', () => {
    fc.assert(
      fc.property(
        nasty.filter(text => !text.includes('\0')),
        text => {
          expect(word(text)).toMatch(/^[\x20-\x7e]+$/);
        },
      ),
    );
  });

  test.each([
    ['plain', '/a?b=c&d=<e>', '/a?b=c&d=<e>'],
    ['a backslash and a space, as the original writes them', '\\ ', '\\\\\\ '],
    ['nothing', '', '""'],
    ['quotes and a comment', `"'#`, `\\"\\'\\#`],
    ['text that is not ASCII', 'é', '\\xc3\\xa9'],
  ])('%s', (_what, value, text) => {
    expect(word(value)).toBe(text);
  });
});

test('a request target has no white space and no control characters', () => {
  fc.assert(
    fc.property(nasty, text => {
      const [target = '', ...more] = cut(requestTarget(text));
      expect(more).toEqual([]);
      expect(target).toMatch(/^[\x21-\x7e]*$/);
    }),
  );
  expect(requestTarget('/a b\r\nHost: x')).toBe('/a%20b%0D%0AHost:%20x');
});

test('a header of a health check cannot hold another one, nor a format', () => {
  expect(logFormatText('100%[src]')).toBe('100%%[src]');
  expect(() => logFormatText('a\r\nX-Evil: 1')).toThrow(TerminalError);
});

test('the argument of a fetch is quoted where it would end', () => {
  expect(fetchArgument('JSESSIONID')).toBe('JSESSIONID');
  expect(cut(fetchArgument('a)b'))).toEqual(["'a)b'"]);
});

test.each([
  '192.0.2.1 backup',
  'unix@/tmp/x',
  '',
  'fe80::1%eth0',
  '[2001:db8::1]',
  'localhost',
  '192.0.2.1/24',
])('%s is no address', value => expect(() => address(value)).toThrow(TerminalError));

test.each([Number.NaN, Number.POSITIVE_INFINITY])('%s is no number', value =>
  expect(() => number(value)).toThrow(TerminalError),
);

describe('every string that reaches the file', () => {
  const cookie = (name: string | null) =>
    ({
      type: 'APP_COOKIE',
      cookie_name: name,
      persistence_timeout: null,
      persistence_granularity: null,
    }) as const;

  /** A load balancer whose every text is the attacker's; `null` is the harmless one to compare with. */
  function attacked(
    fields: Record<'project' | 'name' | 'cookie' | 'path' | 'domain' | 'header', string>,
  ): GraphSketch {
    const { project, name, cookie: cookieName, path, domain, header } = fields;
    return {
      load_balancer: { project_id: project, name, description: name, tags: [name] },
      listeners: [
        {
          name,
          description: name,
          default_pool_id: 'p1',
          insert_headers: { 'X-Forwarded-For': 'true', [header]: 'true', 'X-Real-IP': header },
        },
        { name, protocol: 'TCP', default_pool_id: 'p2' },
      ],
      pools: [
        { id: 'p1', name, session_persistence: cookie(cookieName) },
        { id: 'p2', name, protocol: 'TCP' },
      ],
      members: [
        { pool_id: 'p1', name, tags: [name] },
        { pool_id: 'p2', name },
      ],
      health_monitors: [
        { pool_id: 'p1', name, http_version: 1.1, url_path: path, domain_name: domain },
        { pool_id: 'p2', name, type: 'HTTPS', url_path: path },
      ],
      l7policies: [
        { name, action: 'REDIRECT_TO_URL', redirect_url: domain },
        { name, action: 'REDIRECT_PREFIX', redirect_prefix: domain },
      ],
      l7rules: [
        { type: 'COOKIE', key: cookieName, value: cookieName },
        { type: 'HOST_NAME', value: cookieName },
        { type: 'FILE_TYPE', compare_type: 'EQUAL_TO', value: cookieName },
        { l7policy_id: idOf('l7policy', 2), type: 'HEADER', key: cookieName, value: cookieName },
      ],
    };
  }

  const render = (sketch: GraphSketch, basePath = DEFAULT_HAPROXY_SETTINGS.basePath) => {
    const graph = buildGraph(sketch);
    const settings = { ...DEFAULT_HAPROXY_SETTINGS, basePath };
    const certificates = new Map([['r', 'r.pem']]);
    const context = { amphora: graph.amphorae[0]!, haproxyVersion: '2.6.12', settings, certificates };
    return renderHaproxyConfig(graph, context)!;
  };
  /** How many words each line has, and the word that says what the line is. */
  const structure = (text: string) =>
    text.split('\n').map(l => {
      const words = cut(l);
      // What an ACL compares with may stand behind one end of options.
      const endsOptions = words[0] === 'acl' && words.at(-2) === '--';
      return { directive: words[0], words: words.length - (endsOptions ? 1 : 0) };
    });

  const field = nasty.filter(text => [...text].every(c => c >= ' ' && c !== '\x7f'));
  const fields = fc.record({
    project: field,
    name: nasty,
    cookie: nasty.filter(text => !text.includes('\0')),
    path: nasty,
    domain: field.filter(text => text !== ''),
    header: nasty,
  });
  const harmless = { project: 'p', name: 'n', cookie: 'c', path: '/', domain: 'd', header: 'h' };

  test('leaves the structure as it is', () => {
    const expected = structure(render(attacked(harmless)));
    fc.assert(
      fc.property(fields, attack => {
        expect(structure(render(attacked(attack)))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test('ciphers and protocols are words of their own', () => {
    const tls = (name: string): GraphSketch => {
      const choice = { tls_ciphers: `AES128:${name}`, alpn_protocols: ['h2', name] };
      const listener = { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: 'r' } as const;
      return {
        listeners: [{ ...listener, default_pool_id: idOf('pool', 1), ...choice }],
        pools: [{ tls_enabled: true, ...choice }],
        members: [{}],
      };
    };
    const expected = structure(render(tls('x')));
    const text = nasty.filter(each => !each.includes('\0') && !/(^|:)TLS_/.test(each));
    fc.assert(
      fc.property(text, name => {
        expect(structure(render(tls(name)))).toEqual(expected);
      }),
    );
  });

  test('a control character where it cannot stand is refused, and nothing else is', () => {
    for (const name of ['project', 'domain'] as const) {
      expect(() => render(attacked({ ...harmless, [name]: 'a\nb' }))).toThrow(TerminalError);
    }
    expect(() => render(attacked({ ...harmless, cookie: 'a\0b' }))).toThrow(TerminalError);
  });

  describe.skipIf(!isHaproxyInstalled())('as the real haproxy sees it', () => {
    let directory: string;
    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), 'haproxy-quote-'));
    });
    afterAll(() => rmSync(directory, { recursive: true }));

    test('the whole file is accepted', async () => {
      // An empty cookie name is the one value that haproxy itself refuses; the API does too.
      const sample = fc.sample(
        fields.filter(f => f.cookie !== ''),
        { numRuns: 40, seed: 2 },
      );
      for (const attack of sample) {
        await checkConfig(render(attacked(attack), directory), directory).catch(cause => {
          throw new Error(`haproxy rejects ${JSON.stringify(attack)}`, { cause });
        });
      }
    });

    test('a word arrives with its value', async () => {
      // haproxy repeats an unknown keyword as it read it.
      const file = join(directory, 'echo.cfg');
      const sample = fc.sample(
        nasty.filter(text => text !== '' && !/[\0\r\n]/.test(text)),
        { numRuns: 60, seed: 3 },
      );
      for (const text of sample) {
        writeFileSync(file, `global\n    no-such-${word(text)}-keyword\n`);
        const error = await run('haproxy', ['-c', '-f', file]).catch((e: unknown) => e);
        expect(error).toBeInstanceOf(CommandError);
        expect((error as CommandError).stderr).toContain(
          `unknown keyword 'no-such-${arrived(text)}-keyword'`,
        );
      }
    });
  });
});
