/** Garbage: instances and ports with names of ours whose row says that they are gone, or that have no row. */
import { findOwners } from '../../db/housekeeping.ts';
import type { Db } from '../../db/schema.ts';
import type { Compute } from '../../drivers/compute/compute.ts';
import type { Network } from '../../drivers/network/network.ts';
import { ownerIdIn } from '../../model/unowned.ts';
import { type AmphoraPass, type AmphoraProviderParts, step } from './parts.ts';

export interface Leftover {
  kind: 'instance' | 'port';
  name: string;
  /** Its owner was deleted here. Else nothing tells whose it is: another controller's, or of another database. */
  is_ours: boolean;
}

type World = { db: Db; compute: Compute; network: Network };

/**
 * Rows are written before things exist and go after them: a thing whose owner is not there is nobody's. Drivers list what is of
 * this system alone, and names that we would not give are left alone.
 */
export async function listLeftovers({ db, compute, network }: World): Promise<Leftover[]> {
  // The things first: the row of what is built meanwhile is there by then.
  const instances = await compute.listInstances();
  const ports = await network.listPortNames();
  const things = [
    ...instances.map(name => ({ kind: 'instance' as const, name, owner: ownerIdIn(name) })),
    ...ports.map(name => ({ kind: 'port' as const, name, owner: ownerIdIn(name) })),
  ];
  const owners = await findOwners(db, [...new Set(things.flatMap(({ owner }) => owner ?? []))]);
  return things.flatMap(({ kind, name, owner }) => {
    if (owner === undefined || owners.get(owner) === 'there') return [];
    return { kind, name, is_ours: owners.get(owner) === 'deleted' };
  });
}

/** Success when it is gone already. */
export function removeLeftover(
  { compute, network }: Omit<World, 'db'>,
  { kind, name }: Leftover,
): Promise<void> {
  return kind === 'instance' ? compute.deleteInstance(name) : network.deletePort(name);
}

/** Removes leftovers of ours that it has seen for long enough. What it saw is forgotten with the process, so that a new one waits again. */
export class GarbageCollector {
  readonly #parts: AmphoraProviderParts;
  readonly #seenAtMs = new Map<string, number>();
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: AmphoraProviderParts) {
    this.#parts = parts;
  }

  async collect(pass: AmphoraPass): Promise<void> {
    const { clock, log, settings } = this.#parts;
    const { mode, intervalMs, graceMs } = settings.garbage;
    const nowMs = clock.now();
    if (mode === 'off' || nowMs - this.#lookedAtMs < intervalMs) return;
    this.#lookedAtMs = nowMs;
    const leftovers = await listLeftovers(pass.parts);
    const names = new Set(leftovers.map(({ name }) => name));
    for (const name of this.#seenAtMs.keys()) if (!names.has(name)) this.#seenAtMs.delete(name);
    for (const leftover of leftovers) {
      const { kind, name, is_ours } = leftover;
      const seenAtMs = this.#seenAtMs.get(name) ?? nowMs;
      this.#seenAtMs.set(name, seenAtMs);
      if (nowMs - seenAtMs < graceMs) continue;
      const goes = is_ours && mode === 'remove';
      log.warn({ [kind]: name, is_ours }, `nobody owns this: it ${goes ? 'is removed' : 'stays'}`);
      if (goes)
        await step(pass, `remove ${kind} that nobody owns`, name, () => removeLeftover(pass.parts, leftover));
    }
  }
}
