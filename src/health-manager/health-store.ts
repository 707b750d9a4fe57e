/** What the health manager needs of the database. */
import type { DoubtTimes, HealthChanges, Silence, WatchedAmphora } from '../model/health.ts';

/** Nudges are sent by the caller, after the method has returned. */
export interface HealthStore {
  /**
   * Reads what concerns these amphorae, lets `decide` say what is to change, and writes it, all in one transaction.
   * Returns the load balancers that owe work because of it.
   */
  update(
    amphoraIds: readonly string[],
    nowMs: number,
    decide: (watched: ReadonlyMap<string, WatchedAmphora>) => HealthChanges,
  ): Promise<string[]>;
  /** Amphorae that are held back though they report again go back to service; returns which. */
  resumeFailover(cutoffMs: number, nowMs: number): Promise<string[]>;
  /** Amphorae in service, or held back, that were last alive before the cutoff, and the doubts since `recentMs`. */
  lookForSilence(cutoffMs: number, recentMs: number): Promise<Silence>;
  /** Holds these amphorae back: too many are silent at once for the fault to be theirs. */
  stopFailover(amphoraIds: readonly string[], nowMs: number): Promise<void>;
  /** Has the worker ask the amphora; returns its load balancer, or undefined when there is nothing to ask. */
  markDoubted(amphoraId: string, times: DoubtTimes): Promise<string | undefined>;
  /** Forgets doubts that are not recent, of amphorae that are not silent. */
  clearDoubts(cutoffMs: number, recentMs: number): Promise<void>;
}
