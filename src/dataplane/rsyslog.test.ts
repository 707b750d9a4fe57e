import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../lib/command.ts';
import { TerminalError } from '../lib/errors.ts';
import { fillRsyslogTemplate, type LogSettings, quoted, renderRsyslogConfig } from './rsyslog.ts';

const SETTINGS: LogSettings = {
  ...{ tenantTargets: [], adminTargets: [], forwardAll: false, disableLocalStorage: false },
  ...{ protocol: 'UDP', queueSize: 10_000, retryCount: 5, retryIntervalS: 2 },
  ...{ userFacility: 0, administrativeFacility: 1 },
};

const TESTDATA = join(import.meta.dirname, 'testdata/rsyslog');
const CASES: Record<string, Partial<LogSettings>> = {
  nothing: {},
  tenant: { tenantTargets: ['192.0.2.1:10514'] },
  admin: { adminTargets: ['192.0.2.1:10514'] },
  'everything-of-admins': {
    ...{ adminTargets: ['logs.example.org:514'], forwardAll: true, userFacility: 3 },
  },
  'not-kept': { disableLocalStorage: true },
  'several-over-tcp': {
    tenantTargets: ['192.0.2.1:10514', '2001:db8:1::10:10514', '[2001:db8:1::11]:10514'],
    adminTargets: ['192.0.2.2:10515', '192.0.2.3:10515'],
    ...{ protocol: 'TCP', queueSize: 7, retryCount: 0, retryIntervalS: 1800 },
    ...{ userFacility: 5, administrativeFacility: 6, disableLocalStorage: true },
  },
};

const obstacle = existsSync('/usr/sbin/rsyslogd') ? undefined : 'needs rsyslogd';
const titled = (title: string) => (obstacle ? `${title} (${obstacle})` : title);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'rsyslog-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function check(text: string): Promise<void> {
  const file = join(directory, 'checked.conf');
  // It wants one thing to do, at least.
  writeFileSync(file, `${text}\n*.* /dev/null\n`);
  await run('rsyslogd', ['-N1', '-f', file], { timeoutMs: 15_000 });
}

describe('golden files', () => {
  test('there is none without a case', () => {
    const golden = readdirSync(TESTDATA).map(file => basename(file, '.conf'));
    expect(golden.sort()).toEqual(Object.keys(CASES).sort());
  });

  describe.each(Object.entries(CASES))('%s', (name, settings) => {
    test('renders as it is written', () => {
      const golden = join(TESTDATA, `${name}.conf`);
      const text = renderRsyslogConfig({ ...SETTINGS, ...settings });
      if (process.env.UPDATE === '1') writeFileSync(golden, text);
      expect(text).toBe(readFileSync(golden, 'utf8'));
    });

    test.skipIf(obstacle)(titled('rsyslogd accepts it'), async () => {
      await check(renderRsyslogConfig({ ...SETTINGS, ...settings }));
    });
  });

  test.skipIf(obstacle)(titled('rsyslogd would say if it did not'), async () => {
    const text = renderRsyslogConfig({ ...SETTINGS, ...CASES.tenant });
    await expect(check(text.replace('omfwd', 'omnothing'))).rejects.toThrow('omnothing');
  });
});

/** Any text, and far too often what means something to rsyslog. */
const nasty = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(...'"\'\\`$%{}()[];#&~:. x0né'), minLength: 1, maxLength: 12 }),
  fc.constantFrom('") stop', '`echo $HOME`', '\\"', '%msg%', '\\x22', '$!x', 'a" target="b'),
);

describe('a value between quotes', () => {
  test.skipIf(obstacle)(titled('is read by rsyslogd as it was'), async () => {
    const values = fc.sample(nasty, { numRuns: 400, seed: 7 }).filter(value => !/[\p{Cc}/]/u.test(value));
    expect(values.length).toBeGreaterThan(300);
    const written = join(directory, 'written');
    const socket = join(directory, 'socket');
    const file = join(directory, 'values.conf');
    const names = values.map((value, i) => `${i} ${value}`);
    const actions = names.map(name => `action(type="omfile" file=${quoted(join(written, name))})`);
    writeFileSync(
      file,
      `module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket=${quoted(socket)})
${actions.join('\n')}
`,
    );
    const daemon = spawn('rsyslogd', ['-n', '-i', 'NONE', '-f', file], { stdio: 'ignore' });
    const ended = once(daemon, 'exit');
    try {
      await until(() => existsSync(socket));
      await run('logger', ['--socket', socket, 'now'], { timeoutMs: 15_000 });
      const list = () => (existsSync(written) ? readdirSync(written) : []);
      await until(() => list().length >= names.length);
      expect(list().sort()).toEqual(names.sort());
    } finally {
      daemon.kill('SIGKILL');
      await ended;
    }
  });

  test.each(['\n', 'a\0b', '\x7f', '\t'])('cannot be %j', value => {
    expect(() => quoted(value)).toThrow(TerminalError);
  });

  test('is what becomes of a target', () => {
    fc.assert(
      fc.property(nasty, host => {
        const settings = { ...SETTINGS, tenantTargets: [`${host}:514`] };
        let text: string;
        try {
          text = renderRsyslogConfig(settings);
        } catch (error) {
          expect(error).toBeInstanceOf(TerminalError);
          return;
        }
        const plain = renderRsyslogConfig({ ...settings, tenantTargets: ['host:514'] });
        const written = quoted(host.replace(/^\[(.*)\]$/, '$1'));
        expect(text).toBe(plain.replace('"host"', () => written));
        expect(written).toMatch(/^"([\w.:/ -]|\\[0-7]{3})*"$/);
      }),
    );
  });
});

async function until(look: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`rsyslogd did nothing in 15 seconds: ${look}`);
    await sleep(10);
  }
}

describe('a template of the operator', () => {
  test('is filled with what the original would fill it with', () => {
    const template = 'x(size="{{queue_size}}" retry="{{ retry_count }}") local{{ user_log_facility }}.*';
    expect(fillRsyslogTemplate(template, SETTINGS)).toBe('x(size="10000" retry="5") local0.*');
  });

  test.each(['{% if x %}', '{{ nothing }}', '{{ queue_size|int }}', '{%\nfor a in b %}'])(
    'refuses %j',
    part => {
      expect(() => fillRsyslogTemplate(`a ${part} b`, SETTINGS)).toThrow(`${part} cannot be filled in`);
    },
  );
});
