/** Waiting in unit tests, with a limit that a busy machine keeps as well. */
import { vi } from 'vitest';

/** Resolves when the check throws no more. */
export const until = (check: () => unknown) => vi.waitFor(check, { timeout: 10_000, interval: 5 });
