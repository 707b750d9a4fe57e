/** A real store of which some methods misbehave. */
import type { HealthStore } from './health-store.ts';

export function storeWith(store: HealthStore, misbehaving: Partial<HealthStore>): HealthStore {
  return {
    update: (...args) => store.update(...args),
    resumeFailover: (...args) => store.resumeFailover(...args),
    lookForSilence: (...args) => store.lookForSilence(...args),
    stopFailover: (...args) => store.stopFailover(...args),
    markDoubted: (...args) => store.markDoubted(...args),
    clearDoubts: (...args) => store.clearDoubts(...args),
    ...misbehaving,
  };
}
