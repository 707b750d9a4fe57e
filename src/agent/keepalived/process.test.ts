import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readVips } from './process.ts';

const GOLDEN = new URL('../../dataplane/keepalived/testdata-vrrp/', import.meta.url);

test.each([
  ['several-vips.conf', ['203.0.113.10', '203.0.113.11', '203.0.113.12', '2001:db8:0:0:0:0:0:10'], 4100],
  ['sub-second.conf', ['203.0.113.10'], 900],
])('%s: its VIPs, and when the other half has them', (file, vips, takeoverMs) => {
  const read = readVips(readFileSync(new URL(file, GOLDEN), 'utf8'));
  expect([...read.vips].sort()).toEqual(vips.sort());
  expect(read.takeoverMs).toBe(takeoverMs);
});
