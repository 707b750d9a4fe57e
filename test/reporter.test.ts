/** What `npm test` prints at its end, from a run of planted tests. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ROOT } from './sources.ts';
import { addTallies, tallyLines } from './tally.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ottavia-reporter-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function runPlanted(files: Record<string, string>): { code: number | null; lines: string[]; stderr: string } {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      join(ROOT, 'node_modules/vitest/vitest.mjs'),
      'run',
      ...['--root', directory, '--globals', '--maxWorkers', '1'],
      ...['--reporter', join(ROOT, 'test/reporter.ts')],
    ],
    { cwd: directory, encoding: 'utf8', timeout: 60_000, env: { PATH: process.env.PATH, NO_COLOR: '1' } },
  );
  const lines = stdout.trimEnd().split('\n');
  const start = lines.findIndex(line => line === 'failed:' || line.startsWith('skipped, '));
  return { code: status, lines: start < 0 ? lines.slice(-1) : lines.slice(start), stderr };
}

test('failures, skips with their reasons, and the last line', () => {
  const { code, lines, stderr } = runPlanted({
    'a.test.js': `
      test('passes', () => {});
      test('fails', () => expect(1).toBe(2));
      test('waits for root', ({ skip }) => skip('this needs root'));
      test.skip('is silent', () => {});
      describe.skipIf(true)('a host (there is none)', () => { test('is told apart', () => {}); });
      test.todo('comes later');`,
    'b.test.js': `
      describe('broken', () => {
        beforeAll(() => { throw new Error('no house'); });
        test('has no roof', () => {});
      });`,
    'c.test.js': 'this is not JavaScript',
  });
  expect(code, stderr).toBe(1);
  expect(lines.at(-1)).toBe('1 passed, 3 failed, 5 skipped');
  const printed = lines.join('\n');
  expect(printed).toContain('skipped, because this needs root:\n  a.test.js > waits for root');
  expect(printed).toContain('skipped, because no reason given:\n  a.test.js > is silent');
  expect(printed).toContain('because there is none:\n  a.test.js > a host (there is none) > is told apart');
  expect(printed).toContain('skipped, because still to be written:\n  a.test.js > comes later');
  expect(printed).toContain(
    'skipped, because what it needs failed in "broken":\n  b.test.js > broken > has no roof',
  );
  for (const failed of ['  a.test.js > fails', '  b.test.js > broken', '  c.test.js'])
    expect(lines).toContain(failed);
});

test('a run in which all is well ends with 0', () => {
  const { code, lines, stderr } = runPlanted({ 'a.test.js': "test('passes', () => {});" });
  expect(code, stderr).toBe(0);
  expect(lines.at(-1)).toBe('1 passed, 0 failed, 0 skipped');
});

test('tallies add up', () => {
  const skip = { name: 's', reason: 'rain' };
  const tally = addTallies([
    { passed: 2, failed: ['x'], skipped: [] },
    { passed: 1, failed: [], skipped: [skip, { ...skip, name: 't' }] },
  ]);
  expect(tallyLines(tally)).toEqual([
    'skipped, because rain:',
    '  s',
    '  t',
    'failed:',
    '  x',
    '3 passed, 1 failed, 2 skipped',
  ]);
});
