/** Balances with nftables and connection tracking, for kernels without IPVS; the agent checks the members itself. */
import { CommandError, run } from '../../lib/command.ts';
import { errorChain } from '../../lib/errors.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import type { Lane } from '../wait.ts';
import { type CheckerOptions, CheckerProcess } from './checker-process.ts';
import type { LvsListener, LvsMember, Service } from './config-text.ts';
import { type LvsEngine, type LvsObservation, statusOfMember } from './engine.ts';
import { countFlows, endOtherFlows, type Flows, listFlows, targetOf } from './flows.ts';
import { chainOf, renderTransaction, type TableParts, tableOf } from './packet-rules.ts';

const TIMEOUT_MS = 20_000;
/** How often new flows are weighed against those that there are. */
const REWEIGH_MS = 500;

export interface NftEngineOptions extends CheckerOptions {
  /** The VIP bypasses the cloud's packet filter, so that the amphora has one of its own. */
  isSriov(): boolean;
  /** In which one change waits for another. */
  lane: Lane;
  /** A member went up or down. */
  noteChange(): void;
}

interface Served {
  listener: LvsListener;
  /** What checks found, by member; one that is not here is up. */
  isUp: Map<string, boolean>;
  /** What was written last, and what the table consists of since. */
  rules: string;
  parts: TableParts;
  writtenAt: number;
  /** Where flows may go; undefined while it is not known where they go. */
  targets: ReadonlySet<string> | undefined;
}

const NO_PARTS: TableParts = { chains: [], sets: [] };

export class NftEngine implements LvsEngine {
  readonly #options: NftEngineOptions;
  readonly #served = new Map<string, Served>();
  readonly #checker: CheckerProcess;

  constructor(options: NftEngineOptions) {
    this.#options = options;
    this.#checker = new CheckerProcess(options, (listenerId, memberId, isUp) =>
      this.#hear(listenerId, memberId, isUp),
    );
  }

  async apply(listenerId: string, listener: LvsListener): Promise<boolean> {
    const before = this.#served.get(listenerId);
    if (before?.listener === listener && before.targets !== undefined) return false;
    this.#served.set(listenerId, this.#serve(listener, before, await findParts(listenerId)));
    await this.#write(listenerId);
    // What nothing is said of any more goes nowhere.
    if (before !== undefined && listener.services.length < before.listener.services.length)
      await endOtherFlows(before.listener, this.#served.get(listenerId)!.targets!);
    this.#check();
    return true;
  }

  async stop(listenerId: string): Promise<void> {
    const listener = this.#served.get(listenerId)?.listener;
    this.#served.delete(listenerId);
    this.#check();
    const table = `inet ${tableOf(listenerId)}`;
    await nft(['-f', '-'], `add table ${table}\ndelete table ${table}\n`);
    if (listener !== undefined) await endOtherFlows(listener, new Set());
  }

  async tend(listenerId: string, listener: LvsListener): Promise<void> {
    const served = this.#served.get(listenerId);
    const isLeast = ({ algorithm, members }: Service) => algorithm === 'lc' && members.length > 1;
    if (served === undefined) {
      // A table that an agent before this one made says the same already.
      const parts = await findParts(listenerId);
      this.#served.set(listenerId, this.#serve(listener, undefined, parts));
      if (parts === undefined) await this.#write(listenerId);
    } else if (listener.services.some(isLeast) && performance.now() - served.writtenAt > REWEIGH_MS) {
      await this.#write(listenerId);
    }
    this.#check();
  }

  async observe(listeners: ReadonlyMap<string, LvsListener>, withCounts: boolean): Promise<LvsObservation[]> {
    const tables = withCounts ? parseCounters((await nft(['-j', 'list', 'counters'])).stdout) : undefined;
    const flows: Flows = withCounts ? await listFlows() : new Map();
    return [...this.#served].flatMap(([listenerId, { listener, isUp }]) => {
      const counters = tables?.get(tableOf(listenerId));
      if (!listeners.has(listenerId) || (withCounts && counters === undefined)) return [];
      const { in: bin, out, flows: begun } = counters ?? {};
      return {
        listenerId,
        counters: { bin: bin?.bytes ?? 0, bout: out?.bytes ?? 0, stot: begun?.packets ?? 0 },
        conns: [...countFlows(flows, listener).values()].reduce((sum, each) => sum + each, 0),
        statusOf: (member: LvsMember) => statusOfMember(member, isUp.get(member.id) ?? true),
      };
    });
  }

  liveCommand(listenerId: string): string {
    return `nft list table inet ${tableOf(listenerId)}`;
  }

  close(): void {
    this.#checker.close();
  }

  /** Members keep what was found about them; those that another agent knew are up when they had a chain. */
  #serve(listener: LvsListener, before: Served | undefined, parts: TableParts | undefined): Served {
    const wasUp = ({ id, weight }: LvsMember) =>
      before === undefined
        ? parts === undefined || weight === 0 || parts.chains.includes(chainOf(id))
        : (before.isUp.get(id) ?? true);
    const checked = membersOf(listener).filter(member => member.check !== undefined);
    return {
      listener,
      isUp: new Map(checked.map(member => [member.id, wasUp(member)])),
      rules: '',
      writtenAt: 0,
      parts: parts ?? NO_PARTS,
      targets: before?.targets,
    };
  }

  async #write(listenerId: string, isUp = this.#served.get(listenerId)!.isUp): Promise<void> {
    const served = this.#served.get(listenerId)!;
    const { listener, targets: before } = served;
    const isLeast = listener.services.some(service => service.algorithm === 'lc');
    const flows = isLeast ? countFlows(await listFlows(), listener) : new Map<string, number>();
    const isServed = (memberId: string) => isUp.get(memberId) ?? true;
    const flowsOf = (member: LvsMember) => flows.get(targetOf(member)) ?? 0;
    const wish = { listenerId, listener, isUp: isServed, flowsOf, isSriov: this.#options.isSriov() };
    const { text, parts } = renderTransaction(wish, served.parts);
    served.writtenAt = performance.now();
    if (text === served.rules) return;
    served.targets = undefined;
    await nft(['-f', '-'], text);
    Object.assign(served, { rules: text, parts });
    const targets = new Set(
      membersOf(listener)
        .filter(({ id }) => isServed(id))
        .map(targetOf),
    );
    const isGone = (target: string) => !targets.has(target);
    // Where there was no member, flows go nowhere.
    if (before === undefined || before.size === 0 || [...before].some(isGone))
      await endOtherFlows(listener, targets);
    served.targets = targets;
  }

  #check(): void {
    const wishes = [...this.#served].flatMap(([listenerId, { listener, isUp }]) =>
      membersOf(listener).flatMap(({ id, check }) =>
        check === undefined ? [] : [{ key: `${listenerId} ${id}`, isUp: isUp.get(id)!, check }],
      ),
    );
    this.#checker.want(wishes);
  }

  #hear(listenerId: string, memberId: string, isUp: boolean): void {
    const change = async () => {
      const served = this.#served.get(listenerId);
      if (served?.isUp.has(memberId) !== true) return;
      // Told to others only when it is so.
      const found = new Map(served.isUp).set(memberId, isUp);
      await this.#write(listenerId, found).finally(() => {
        served.isUp = found;
      });
    };
    const done = this.#options.lane.run(change).catch(error => {
      // The status is noted, and the next change writes all of it.
      this.#options.log.error(
        { listener_id: listenerId, reason: errorChain(error) },
        'cannot change packet rules',
      );
    });
    void done.then(() => this.#options.noteChange());
  }
}

const nft = (args: string[], input = '') =>
  run('ip', ['netns', 'exec', INNER_NAMESPACE, 'nft', ...args], { timeoutMs: TIMEOUT_MS, input });

interface NftObject {
  family: string;
  table: string;
  name: string;
  packets: number;
  bytes: number;
}

function parseCounters(json: string): Map<string, Record<string, NftObject>> {
  const { nftables } = JSON.parse(json) as { nftables: { counter?: NftObject }[] };
  const tables = new Map<string, Record<string, NftObject>>();
  for (const { counter } of nftables) {
    if (counter !== undefined)
      tables.set(counter.table, { ...tables.get(counter.table), [counter.name]: counter });
  }
  return tables;
}

const membersOf = (listener: LvsListener): LvsMember[] =>
  listener.services.flatMap(service => service.members);

/** undefined when the kernel has no such table. */
async function findParts(listenerId: string): Promise<TableParts | undefined> {
  try {
    const { stdout } = await nft(['-j', '-t', 'list', 'table', 'inet', tableOf(listenerId)]);
    const { nftables } = JSON.parse(stdout) as { nftables: { chain?: NftObject; set?: NftObject }[] };
    return {
      chains: nftables.flatMap(({ chain }) => chain?.name ?? []),
      sets: nftables.flatMap(({ set }) => set?.name ?? []),
    };
  } catch (error) {
    if (error instanceof CommandError && error.stderr.includes('No such file or directory')) return undefined;
    throw error;
  }
}
