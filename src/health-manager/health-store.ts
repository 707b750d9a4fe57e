/** What the health manager needs of the database. */
import type { HealthChanges, WatchedAmphora } from '../model/health.ts';

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
  /** Amphorae in service, or held back, that reported once and were last alive before the cutoff; longest silent first. */
  listOverdue(cutoffMs: number): Promise<string[]>;
  /** Holds these amphorae back: too many are silent at once for the fault to be theirs. */
  stopFailover(amphoraIds: readonly string[], nowMs: number): Promise<void>;
  /** Marks the amphora to be replaced; returns its load balancer, or undefined when there is nothing to replace. */
  markFailed(amphoraId: string, nowMs: number): Promise<string | undefined>;
}
