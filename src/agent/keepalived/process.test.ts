import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readVips } from './process.ts';

const GOLDEN = new URL('../../dataplane/keepalived/testdata-vrrp/', import.meta.url);

test.each([
  [
    'several-vips.conf',
    ['203.0.113.10', '203.0.113.11', '203.0.113.12', '2001:db8:0:0:0:0:0:10'],
    4100,
    10_000,
  ],
  ['sub-second.conf', ['203.0.113.10'], 900, 3000],
])('%s: its VIPs, when the other half has them, and when it hangs', (file, vips, takeoverMs, hangMs) => {
  const read = readVips(readFileSync(new URL(file, GOLDEN), 'utf8'));
  expect([...read.vips].sort()).toEqual(vips.sort());
  expect(read).toMatchObject({ takeoverMs, hangMs });
});
