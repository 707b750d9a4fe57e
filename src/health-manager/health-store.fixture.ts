/** A real store of which some methods misbehave. */
import type { HealthStore } from './health-store.ts';

export function storeWith(store: HealthStore, misbehaving: Partial<HealthStore>): HealthStore {
  return {
    update: (...args) => store.update(...args),
    resumeFailover: (...args) => store.resumeFailover(...args),
    listOverdue: (...args) => store.listOverdue(...args),
    stopFailover: (...args) => store.stopFailover(...args),
    markFailed: (...args) => store.markFailed(...args),
    ...misbehaving,
  };
}
