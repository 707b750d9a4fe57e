/** Keeps every state that the death of a process would leave: before and after each effect that it has on anything outside. */
import type { KeptState, OpenState, StateStore } from './kept-state.ts';
import type { Outside, SteppedClock } from './world.ts';

export interface Moment {
  /** The first moment at which it was so, for messages. */
  at: string;
  state: KeptState;
  nowMs: number;
}

export class Witness {
  /** Calls of drivers and writes that last, by name, as they began. */
  readonly effects: string[] = [];
  /** How often it looked: twice for each effect. */
  looks = 0;
  /** One for each state that differs from all others. */
  readonly moments = new Map<string, Moment>();
  readonly #store: StateStore;
  readonly #clock: SteppedClock;
  #state: OpenState | undefined;

  constructor(store: StateStore, clock: SteppedClock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** From now on; what came before was done by a process that lived. */
  watch(state: OpenState): void {
    this.#state = state;
  }

  /** To be called with each effect. Whoever calls it waits for nothing, so that nothing else happens meanwhile. */
  readonly look = (moment: 'before' | 'after', effect: string): void => {
    if (!this.#state) return;
    if (moment === 'before') this.effects.push(effect);
    this.looks++;
    const state = this.#store.keep(this.#state);
    if (this.moments.has(state.digest)) return;
    const at = `${moment} effect ${this.effects.length - 1} (${effect})`;
    this.moments.set(state.digest, { at, state, nowMs: this.#clock.now() });
  };

  /** The same outside, with every call of a driver witnessed; the database tells of its commits by itself. */
  wrap(outside: Outside): Outside {
    const wrapped = { ...outside };
    for (const seam of ['compute', 'network', 'amphora', 'authority', 'secrets'] as const)
      wrapped[seam] = this.#wrapDriver(seam, outside[seam]) as never;
    return wrapped;
  }

  #wrapDriver<T extends object>(seam: string, driver: T): T {
    return new Proxy(driver, {
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return async (...parameters: unknown[]) => {
          const effect = `${seam}.${String(name)}`;
          this.look('before', effect);
          try {
            return await value.apply(target, parameters);
          } finally {
            this.look('after', effect);
          }
        };
      },
    });
  }
}
