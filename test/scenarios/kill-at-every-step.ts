/** What every test of dying processes does: a scenario runs once, and what its death would have left at each step is recovered. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { markLoadBalancerDeleted } from '../../src/db/change.ts';
import type { Db } from '../../src/db/schema.ts';
import { markSpares } from '../../src/db/spares.ts';
import { NoopSecrets } from '../../src/drivers/certificates/noop-secrets.ts';
import type { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { type OpenState, StateStore } from './kept-state.ts';
import { servedWorld } from './picture.ts';
import { type Moment, Witness } from './witness.ts';
import {
  freshBuild,
  intentText,
  leftovers,
  outsideOf,
  SteppedClock,
  SystemProcess,
  unsettledRows,
} from './world.ts';

/** Longer than the lease of the dead: its work is free to be taken. */
const LATER_MS = 120_000;

/** A process and what it acts on, which a test may disturb. */
export interface Actor {
  system: SystemProcess;
  db: Db;
  cloud: NoopCloud;
  clock: SteppedClock;
}

/** What a user's session does, as requests that follow each other with the worker in between. */
export interface Scenario {
  name: string;
  /** Done by a process that lives. */
  given?: (actor: Actor) => Promise<void>;
  /** Done by the process that may die at each of its effects. */
  when: (actor: Actor) => Promise<void>;
  /** What housekeeping goes on doing all the time, for what no load balancer owes. */
  housekeeping?: (actor: Actor) => Promise<void>;
}

function actorIn({ db, cloud, consumers }: OpenState, clock: SteppedClock, name: string, witness?: Witness) {
  const secrets = Object.assign(new NoopSecrets(), { consumers });
  const outside = { ...outsideOf(db, cloud), secrets };
  const system = new SystemProcess(witness ? witness.wrap(outside) : outside, clock, name);
  return { db, cloud, clock, secrets, system };
}

async function removeAll({ db, system, clock }: Actor): Promise<void> {
  const alive = await db
    .selectFrom('load_balancer')
    .select('id')
    .where('provisioning_status', 'not in', ['PENDING_DELETE', 'DELETED'])
    .execute();
  const options = { nowMs: clock.now() };
  for (const { id } of alive) await markLoadBalancerDeleted(db, id, options, async () => {});
  await markSpares(db, 0, clock.now());
  await system.drain();
}

class Recovery {
  readonly #store: StateStore;
  readonly #scenario: Scenario;
  /** By what was asked for: many states lead to the same. */
  readonly #fresh = new Map<string, Promise<unknown[]>>();

  constructor(store: StateStore, scenario: Scenario) {
    this.#store = store;
    this.#scenario = scenario;
  }

  /** Another process finishes what was accepted, or is told to delete everything; in the end it deletes everything. */
  async run({ at, state, nowMs }: Moment, ending: 'finish' | 'delete'): Promise<void> {
    const then = `killed ${at}, then ${ending}`;
    await using opened = this.#store.open(state);
    const clock = new SteppedClock();
    clock.step(nowMs - clock.now() + LATER_MS);
    const actor = actorIn(opened, clock, 'successor');
    if (ending === 'finish') {
      await actor.system.drain();
      await this.#scenario.housekeeping?.(actor);
      expect(await unsettledRows(opened.db), then).toEqual([]);
      const served = await servedWorld(opened.db, opened.cloud).catch(error => {
        throw new Error(`${then}: ${error.message}`, { cause: error });
      });
      expect(served, then).toEqual(await this.#freshOf(opened.db));
    }
    await removeAll(actor);
    await this.#scenario.housekeeping?.(actor);
    await removeAll(actor);
    expect(await leftovers(opened.db, opened.cloud, actor.secrets), then).toEqual([]);
  }

  async #freshOf(db: Db): Promise<unknown[]> {
    const intent = await intentText(db);
    const known = this.#fresh.get(intent);
    if (known) return known;
    const built = freshBuild(db, async () => (await this.#store.openEmpty()).db);
    this.#fresh.set(intent, built);
    return built;
  }
}

/** One test for each scenario: dying before or after any effect, in each of the two ways on. */
export function killAtEveryStep(scenarios: readonly Scenario[]): void {
  describe.each(scenarios)('a process that dies during $name', scenario => {
    test('is followed by one that finishes what was accepted, and a delete leaves nothing', async () => {
      const store = new StateStore();
      onTestFinished(() => store[Symbol.dispose]());
      const clock = new SteppedClock();
      const witness = new Witness(store, clock);
      const moments = await watchScenario(store, scenario, clock, witness);
      expect(witness.effects.length).toBeGreaterThan(5);
      expect(witness.looks).toBe(2 * witness.effects.length);
      const recovery = new Recovery(store, scenario);
      for (const moment of moments)
        for (const ending of ['finish', 'delete'] as const) await recovery.run(moment, ending);
      console.log(
        `kill at every step, ${scenario.name}: ${witness.looks} moments over ${witness.effects.length} effects, ` +
          `${moments.length} states recovered twice`,
      );
    }, 120_000);
  });
}

async function watchScenario(store: StateStore, scenario: Scenario, clock: SteppedClock, witness: Witness) {
  await using opened = await store.openEmpty(witness.look);
  const before = actorIn(opened, clock, 'before');
  const mortal = actorIn(opened, clock, 'mortal', witness);
  try {
    await scenario.given?.(before);
    witness.watch(opened);
    await scenario.when(mortal);
    return [...witness.moments.values()];
  } finally {
    await before.system.close();
    await mortal.system.close();
  }
}
