/** What a benchmark is, and what it is given. */
import type { Table } from './figures.ts';

export interface Context {
  /** How often to measure. */
  runs: number;
  /** Aborts on Ctrl-C: everything ends, and what was made is removed. */
  signal: AbortSignal;
  /** A line of progress. */
  say(line: string): void;
  /** Where the controller's CPU profile is written; undefined: none is taken. */
  profileDirectory: string | undefined;
}

export interface Bench {
  name: string;
  title: string;
  /** Whether it builds real amphorae, which only root can. */
  needsRoot: boolean;
  defaultRuns: number;
  run(context: Context): Promise<{ tables: Table[]; remark?: string }>;
}

/** Milliseconds since 1970 with fractions, comparable with the whole ones of the traces. */
export const nowMs = (): number => performance.timeOrigin + performance.now();
