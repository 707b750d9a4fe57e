/** A cloud in memory that is slow, fails, loses answers and lets amphorae die, and that remembers who did what under which lease. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NoopAmphora } from '../../src/drivers/amphora/noop.ts';
import { NoopSecrets } from '../../src/drivers/certificates/noop-secrets.ts';
import { NoopCompute } from '../../src/drivers/compute/noop.ts';
import { NoopNetwork } from '../../src/drivers/network/noop.ts';
import { NoopCloud, type NoopInstance } from '../../src/drivers/noop-cloud.ts';
import { type Amphora, instanceName } from '../../src/model/amphora.ts';
import type { Call, CloudServer } from './link.ts';

/** What changes the world; all else only looks. */
const EFFECT = /^(ensure|attach|detach|delete|release|plug|apply|rotate|configure)/;
const COMMON_DELAY_MS = 5;
/** Well below what a lease has left when a call is made under it. */
const LONGEST_DELAY_MS = 300;

export class ChaosCloud implements CloudServer {
  readonly world = new NoopCloud();
  readonly secrets = new NoopSecrets();
  readonly counts = new Map<string, number>();
  /** Instances whose agents neither answer nor report, by name. */
  readonly dead = new Set<string>();
  /** The share of calls that fail, before or after they took effect. */
  trouble = 0;
  readonly violations: string[] = [];
  /** Is given each call under a lease before it is carried out; what it returns is waited for before the answer goes out. */
  watch: ((program: string, call: Call) => Promise<void> | undefined) | undefined;
  readonly #newest = new Map<string, { fence: number; owner: string }>();
  readonly #random: () => number;
  readonly #drivers: Record<string, object>;

  constructor(random: () => number) {
    this.#random = random;
    this.#drivers = {
      compute: new NoopCompute(this.world),
      network: new NoopNetwork(this.world),
      amphora: new NoopAmphora(this.world),
      secrets: this.secrets,
    };
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  hear(_program: string, what: string): void {
    this.count(what);
  }

  async answer(program: string, call: Call): Promise<unknown> {
    const held = call.lease && this.watch?.(program, call);
    const random = this.#random();
    await sleep(random < 0.05 ? random * 20 * LONGEST_DELAY_MS : random * COMMON_DELAY_MS);
    const fails = this.#random() < this.trouble;
    const takesEffect = !fails || this.#random() < 0.5;
    const result = takesEffect ? await this.#carryOut(call) : undefined;
    await held;
    if (!fails) return result;
    this.count(takesEffect ? 'answers lost' : 'calls failed');
    throw new Error(`The cloud has lost ${takesEffect ? 'its answer' : 'the request'} (${call.name})`);
  }

  async #carryOut(call: Call): Promise<unknown> {
    const [seam = '', method = ''] = call.name.split('.');
    this.#note(call, method);
    const amphora = seam === 'amphora' ? (call.parameters[0] as Amphora) : undefined;
    if (amphora && this.dead.has(instanceName(amphora.id))) {
      if (method === 'findInfo') return undefined;
      throw new Error(`The agent of ${amphora.id} does not answer`);
    }
    const run = Reflect.get(this.#drivers[seam]!, method);
    return Reflect.apply(run, this.#drivers[seam], call.parameters);
  }

  /** Of a load balancer only the newest lease may have effects once it was seen here, and each belongs to one owner. */
  #note({ name, lease }: Call, method: string): void {
    const isEffect = EFFECT.test(method);
    if (isEffect) this.count(lease ? 'effects under a lease' : 'effects of the API');
    if (!lease) return;
    const { loadbalancer_id: id, fence, owner } = lease;
    const newest = this.#newest.get(id);
    if (newest?.fence === fence && newest.owner !== owner)
      this.violations.push(`${owner} and ${newest.owner} both have lease ${fence} of ${id}`);
    if (newest && fence < newest.fence && isEffect)
      this.violations.push(`${name} under lease ${fence} of ${id} came after one under ${newest.fence}`);
    if (!newest || fence > newest.fence) this.#newest.set(id, { fence, owner });
  }

  newestFence(id: string): number {
    return this.#newest.get(id)?.fence ?? 0;
  }

  /** Those whose agents run, with what they were told. */
  livingInstances(): NoopInstance[] {
    return [...this.world.instances.values()].filter(({ name }) => !this.dead.has(name));
  }
}
