/** Rules about the files themselves: how they open, how long they are, and what the lock files may hold. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isTestFile } from './floors.ts';
import { listSources, ROOT } from './sources.ts';

const LINES_PER_FILE = 350;
/** ARCHITECTURE.md tells why it is more than the house's 25,000; what is added from now on has to pay with deletions. */
const LINES_IN_ALL = 41_000;
/** Files that may be longer: lists of facts, which are not read from top to bottom. */
const LONG: RegExp[] = [/^src\/db\/migrations\//, /schemas?\.ts$/, /(^|[/-])tables?\.ts$/];

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const lineCount = (text: string): number => text.split('\n').length - 1;
const opens = (text: string): boolean => /^(#!.*\n)?\/\*\*\s+(\*\s+)?\S.{10,}/.test(text);

describe('files', () => {
  const sources = listSources('src', 'test', 'scripts', 'bench').map(path => ({ path, text: read(path) }));
  const product = sources.filter(({ path }) => path.startsWith('src/') && !isTestFile(path));

  test('each opens with a sentence on what it is for', () => {
    // The test beside a file is for that file.
    const silent = sources.filter(({ path, text }) => !/^src\/.*\.test\.ts$/.test(path) && !opens(text));
    expect(silent.map(({ path }) => path)).toEqual([]);
    expect(opens("import x from 'y';\n/** Too late. */")).toBe(false);
  });

  test(`none of the product is longer than ${LINES_PER_FILE} lines, tables, schemas and migrations excepted`, () => {
    const long = product.filter(
      ({ path, text }) => lineCount(text) > LINES_PER_FILE && !LONG.some(exception => exception.test(path)),
    );
    expect(long.map(({ path, text }) => `${path}: ${lineCount(text)} lines`)).toEqual([]);
  });

  test(`all of the product is under ${LINES_IN_ALL} lines`, () => {
    const lines = product.reduce((sum, { text }) => sum + lineCount(text), 0);
    expect(lines).toBeGreaterThan(1000);
    expect(lines).toBeLessThan(LINES_IN_ALL);
  });
});

describe('lock files', () => {
  test.each(['package-lock.json', 'tools/node/package-lock.json'])(
    '%s names no registry and no path of a machine',
    path => {
      const packages: Record<string, Record<string, unknown>> = JSON.parse(read(path)).packages;
      const told = Object.entries(packages).flatMap(([name, entry]) => {
        // Where authors ask for money is not where a package comes from.
        const { funding: _, ...rest } = entry;
        return /"resolved"|"link"|https?:|file:|\/(home|root|tmp|work)\//.test(JSON.stringify(rest))
          ? [name]
          : [];
      });
      expect(told).toEqual([]);
      // What comes from a registry is known by its hash.
      const unhashed = Object.entries(packages).filter(
        ([name, entry]) => name !== '' && !entry.integrity && !entry.inBundle,
      );
      expect(unhashed.map(([name]) => name)).toEqual([]);
    },
  );
});

describe('programs', () => {
  const INSTALLED_EVERYWHERE = ['sh'];
  const table = read('scripts/setup').match(/^programs='\n([^']+)'$/m)![1]!;
  const installed = table
    .trim()
    .split('\n')
    .map(row => row.split(' ')[0]!);
  const started = /\b(?:run|spawn|spawnSync|execFile|execFileSync)\(\s*'([^']+)'/g;

  test('what the product starts is what scripts/setup installs', () => {
    const found = listSources('src')
      .filter(path => !isTestFile(path))
      .flatMap(path =>
        [...read(path).matchAll(started)]
          .map(match => match[1]!)
          .filter(program => !installed.includes(program) && !INSTALLED_EVERYWHERE.includes(program))
          .map(program => `${path} starts ${program}, which scripts/setup does not install`),
      );
    expect(found).toEqual([]);
    expect(installed).toContain('haproxy');
  });
});
