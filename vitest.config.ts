/** How the tests run: few processes without isolation; what touches the host runs one file after another. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Importing the packages costs more than most tests: files share a process and clean up after themselves.
    isolate: false,
    pool: 'forks',
    maxWorkers: 2,
    teardownTimeout: 10_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['test/host/**', 'test/interop/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'host',
          include: ['test/host/**/*.test.ts', 'test/interop/**/*.test.ts'],
          // Links, namespaces and haproxy processes belong to the whole machine.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
