import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Counters, subtract } from './counters.ts';

const of = (n: number) => ({ bin: n, bout: 2 * n, ereq: 0, stot: n });

test('a counter that went back counts from zero', () => {
  expect(subtract(of(7), of(5))).toEqual(of(2));
  expect(subtract({ ...of(7), bin: 1 }, of(5))).toEqual({ ...of(2), bin: 1 });
  expect(subtract(of(7), undefined)).toEqual(of(7));
});

describe('counters', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'counters-'));
    path = join(directory, 'stats_counters.json');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('are told again until they were handed over, also after a restart', () => {
    const counters = new Counters(path);
    expect(counters.changes({ l1: of(3) })).toEqual({ l1: of(3) });
    expect(counters.changes({ l1: of(4) })).toEqual({ l1: of(4) });
    counters.remember({ l1: of(4) });
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(new Counters(path).changes({ l1: of(9), l2: of(1) })).toEqual({ l1: of(5), l2: of(1) });
  });

  test('begin anew for listeners whose haproxy did, however much they have counted since', () => {
    const counters = new Counters(path);
    counters.remember({ l1: of(3), l2: of(3) });
    counters.forget(['l1']);
    expect(counters.changes({ l1: of(5), l2: of(5) })).toEqual({ l1: of(5), l2: of(2) });
  });

  test('that were remembered too early are taken back once, but not over a new beginning', () => {
    const counters = new Counters(path);
    counters.remember({ l1: of(3), l2: of(3) });
    counters.remember({ l1: of(5), l2: of(5), l3: of(5) });
    counters.forget(['l2']);
    counters.takeBack();
    counters.takeBack();
    const changes = { l1: of(3), l2: of(6), l3: of(6) };
    expect(new Counters(path).changes({ l1: of(6), l2: of(6), l3: of(6) })).toEqual(changes);
  });

  test('survive a file that is torn', () => {
    writeFileSync(path, '{"l1":');
    expect(new Counters(path).changes({ l1: of(1) })).toEqual({ l1: of(1) });
  });
});
