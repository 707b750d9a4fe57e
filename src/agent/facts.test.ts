import { expect, test } from 'vitest';
import { parseCpu, parseMemory } from './facts.ts';

test('the processor line of /proc/stat, jiffies as text as the original has them', () => {
  expect(parseCpu('cpu  10 2 30 400 5 0 7 0 0 0\ncpu0 1 1 1\n')).toEqual({
    ...{ total: 454, user: '10', system: '30', soft_irq: '7' },
  });
});

test('/proc/meminfo in kB, with 0 for what a kernel does not show', () => {
  const text =
    'MemTotal:       2000 kB\nMemFree: 1000 kB\nBuffers: 1 kB\nCached: 5 kB\nSwapCached: 0 kB\nShmem: 3 kB\n';
  expect(parseMemory(text)).toEqual({
    ...{ total: 2000, free: 1000, buffers: 1, cached: 5, swap_used: 0, shared: 3, slab: 0 },
  });
});
