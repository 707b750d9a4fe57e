import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeFileLock } from './file-lock.ts';

test('one holder at a time, and the file stays empty', () => {
  const directory = mkdtempSync(join(tmpdir(), 'lock-'));
  const file = join(directory, 'lock');
  const first = takeFileLock(file);
  expect(first).toBeDefined();
  expect(takeFileLock(file)).toBeUndefined();
  first!.release();
  const second = takeFileLock(file);
  expect(second).toBeDefined();
  expect(statSync(file).size).toBe(0);
  second!.release();
  rmSync(directory, { recursive: true });
});
