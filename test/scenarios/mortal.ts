/** A process that dies at a chosen moment: before or after the effect of its n-th call to anything outside. */
import type { Db } from '../../src/db/schema.ts';
import type { Outside } from './world.ts';

export type Moment = 'before' | 'after';

/** What every call of a dead process ends with, whatever it would have done. */
export class ProcessDied extends Error {
  constructor() {
    super('The process is dead');
    this.name = 'ProcessDied';
  }
}

export class Mortal {
  /** The calls that were made, by name: `network.ensurePort`, `transaction`. */
  readonly calls: string[] = [];
  dead = false;
  readonly #dieAt: { call: number; moment: Moment } | undefined;

  constructor(dieAt?: { call: number; moment: Moment }) {
    this.#dieAt = dieAt;
  }

  async call<T>(name: string, run: () => Promise<T>): Promise<T> {
    this.#checkAlive();
    const number = this.calls.push(name) - 1;
    const fatal = this.#dieAt?.call === number ? this.#dieAt.moment : undefined;
    if (fatal === 'before') this.dead = true;
    this.#checkAlive();
    const result = await run();
    if (fatal === 'after') this.dead = true;
    this.#checkAlive();
    return result;
  }

  /** The same outside, every call through which may be the last. */
  wrap(outside: Outside): Outside {
    return {
      db: this.#wrapDatabase(outside.db),
      compute: this.#wrapDriver('compute', outside.compute),
      network: this.#wrapDriver('network', outside.network),
      amphora: this.#wrapDriver('amphora', outside.amphora),
      authority: this.#wrapDriver('authority', outside.authority),
      secrets: this.#wrapDriver('secrets', outside.secrets),
    };
  }

  #wrapDriver<T extends object>(seam: string, driver: T): T {
    return new Proxy(driver, {
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...parameters: unknown[]) =>
          this.call(`${seam}.${String(name)}`, () => value.apply(target, parameters));
      },
    });
  }

  /** A transaction is one call: it happens whole or not at all. */
  #wrapDatabase(db: Db): Db {
    return new Proxy(db, {
      get: (target, name) => {
        this.#checkAlive();
        if (name === 'transaction') {
          const execute = (run: (trx: Db) => Promise<unknown>) =>
            this.call('transaction', () => target.transaction().execute(run as never));
          return () => ({ execute });
        }
        const value = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  #checkAlive(): void {
    if (this.dead) throw new ProcessDied();
  }
}
