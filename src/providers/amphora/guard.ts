/** Drivers that act for a pass only while its lease is known to hold. */
import type { Pass } from '../provider.ts';
import type { AmphoraProviderParts } from './parts.ts';

/**
 * Every call looks first whether the lease may be over: a process that was halted goes on where it was, within a step, and
 * would undo what its successor did. Between the look and the call nothing else runs.
 */
export function guardedParts(parts: AmphoraProviderParts, pass: Omit<Pass, 'graph'>): AmphoraProviderParts {
  const guard = <T extends object>(driver: T): T =>
    new Proxy(driver, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return async (...parameters: unknown[]) => {
          pass.checkLease();
          return value.apply(target, parameters);
        };
      },
    });
  const { compute, network, amphora, secrets } = parts;
  return {
    ...parts,
    compute: guard(compute),
    network: guard(network),
    amphora: guard(amphora),
    secrets: guard(secrets),
  };
}
