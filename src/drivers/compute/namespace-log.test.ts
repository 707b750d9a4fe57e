import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LOG_START as START } from './access-log.ts';
import { HAPROXY_LOG, OLDER_HAPROXY_LOG } from './instance-log.ts';
import { NamespaceLog } from './namespace-log.ts';

const NAME = 'amphora-1';

let dataDir: string;
let log: NamespaceLog;
const pathOf = (file: string) => join(dataDir, 'instances', NAME, 'upper', file);

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'namespace-log-'));
  log = new NamespaceLog(dataDir);
  mkdirSync(dirname(pathOf(HAPROXY_LOG)), { recursive: true });
});
afterEach(() => rmSync(dataDir, { recursive: true }));

const stamp = (n: number) => `2026-01-31T00:00:00.${String(n).padStart(6, '0')}`;
const line = (n: number, severity = 'info') => `${stamp(n)}+00:00 local0.${severity} haproxy[7]: line ${n}\n`;
const lines = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => line(first + i)).join('');
const append = (text: string, file = HAPROXY_LOG) => appendFileSync(pathOf(file), text);
const rotate = () => renameSync(pathOf(HAPROXY_LOG), pathOf(OLDER_HAPROXY_LOG));

async function newest(limit: number): Promise<string[]> {
  return (await log.read(NAME, { limit })).lines.map(({ text }) => text);
}

/** Reads on until nothing comes. */
async function drain(after = START) {
  const texts: string[] = [];
  for (let position = after; ; ) {
    const read = await log.read(NAME, { after: position });
    texts.push(...read.lines.map(({ text }) => text));
    if (read.position.file === position.file && read.position.offset === position.offset)
      return { texts, position };
    position = read.position;
  }
}

describe('the newest lines', () => {
  test('are none where there is no instance or no log yet', async () => {
    expect(await log.read('amphora-2', { limit: 5 })).toEqual({ lines: [], position: START });
    expect(await newest(5)).toEqual([]);
  });

  test('have their time and what haproxy said', async () => {
    append(`${stamp(1)}+00:00 local0.info haproxy[7]: a  "b" é\n`);
    expect((await log.read(NAME, { limit: 5 })).lines).toEqual([{ time: stamp(1), text: 'a  "b" é' }]);
  });

  test('are as many as asked for, the newest last, the older file too', async () => {
    append(lines(1, 3), OLDER_HAPROXY_LOG);
    append(lines(4, 5));
    expect(await newest(1)).toEqual(['line 5']);
    expect(await newest(4)).toEqual(['line 2', 'line 3', 'line 4', 'line 5']);
    expect(await newest(100)).toHaveLength(5);
    expect(await newest(0)).toEqual([]);
  });

  test('are found in a large file behind much that is nobody else’s business', async () => {
    append(lines(1, 2000));
    append(Array.from({ length: 5000 }, (_, i) => line(i, 'notice')).join(''));
    append(line(2001));
    expect(await newest(3)).toEqual(['line 1999', 'line 2000', 'line 2001']);
    expect(await newest(5000)).toHaveLength(2001);
  });

  test('leave out what haproxy says of itself, and what is being written', async () => {
    append(line(1) + line(2, 'notice') + line(3, 'alert') + line(4).slice(0, 40));
    expect(await newest(5)).toEqual(['line 1']);
    append(line(4).slice(40));
    expect(await newest(5)).toEqual(['line 1', 'line 4']);
  });

  test('are not read through a link that leads out of the instance', async () => {
    writeFileSync(join(dataDir, 'secret'), line(1));
    symlinkSync(join(dataDir, 'secret'), pathOf(HAPROXY_LOG));
    await expect(newest(5)).rejects.toThrow('Cannot read the log');
  });
});

describe('reading on', () => {
  test('gives each line once, also while the files are rotated', async () => {
    append(lines(1, 10));
    const { position } = await log.read(NAME, { limit: 2 });
    append(lines(11, 12));
    const first = await drain(position);
    expect(first.texts).toEqual(['line 11', 'line 12']);
    append(line(13));
    rotate();
    append(line(14));
    const second = await drain(first.position);
    expect(second.texts).toEqual(['line 13', 'line 14']);
    rotate();
    append(line(15));
    rotate();
    append(line(16));
    expect((await drain(second.position)).texts).toEqual(['line 15', 'line 16']);
  });

  test('begins with all of an instance that was not there before', async () => {
    expect(await drain()).toEqual({ texts: [], position: START });
    append(line(1), OLDER_HAPROXY_LOG);
    append(line(2));
    expect((await drain()).texts).toEqual(['line 1', 'line 2']);
  });

  test('gets through what does not fit in one read', async () => {
    append(lines(1, 30_000));
    expect((await drain()).texts).toHaveLength(30_000);
  });
});
