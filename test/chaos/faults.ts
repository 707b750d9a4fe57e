/** What goes wrong, one thing after another, chosen by a seed: each is counted, and over when its promise is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { UNOWNED_ID } from '../../src/model/unowned.ts';
import { randomFrom } from '../scenarios/random.ts';
import type { ChaosCloud } from './chaos-cloud.ts';
import type { SupervisedProgram } from './programs.ts';

export interface Stage {
  programs: readonly SupervisedProgram[];
  cloud: ChaosCloud;
  leaseTtlMs: number;
  /** Absent where there is no broker. */
  broker: { restart(afterMs: number): Promise<void> } | undefined;
  database: { restart(afterMs: number): Promise<void>; halt(forMs: number): Promise<void> };
  setClock(program: string, offsetMs: number): void;
  /** Waits until this pass was given up; that it was settled instead is a problem. */
  abandoned(program: string, loadBalancerId: string, fence: number): Promise<void>;
}

type Fault = [weight: number, name: string, run: (stage: Stage, random: () => number) => Promise<void>];

const HALT_LIMIT_MS = 30_000;
/** Longer than between two sweeps, and shorter than what a program gives the cloud for an answer. */
const HELD_MS = 2500;

/** Those that are told apart by which processes they are about, and those by what the processes rely on. */
export const FAULTS: Record<'of programs' | 'around them', Fault[]> = {
  'of programs': [
    [
      4,
      'SIGKILL',
      async ({ programs }, random) => {
        randomFrom(random, programs).kill();
      },
    ],
    [
      2,
      'SIGSTOP',
      async ({ programs, leaseTtlMs }, random) => {
        const program = randomFrom(random, programs);
        program.halt();
        await sleep(leaseTtlMs * (0.3 + 1.5 * random()));
        program.goOn();
      },
    ],
    [3, 'SIGSTOP in a pass until the lease is gone', haltInPass],
    [2, 'clock step beside a pass', stepClockInPass],
    [
      2,
      'clock step',
      async ({ programs, setClock }, random) => {
        const stepMs = Math.round((random() - 0.5) * 2 * randomFrom(random, [10_000, 600_000, 86_400_000]));
        setClock(randomFrom(random, programs).name, stepMs);
      },
    ],
  ],
  'around them': [
    [2, 'database killed', ({ database }, random) => database.restart(random() * 3000)],
    [1, 'database halted', ({ database, leaseTtlMs }, random) => database.halt(random() * 2 * leaseTtlMs)],
    [1, 'broker killed', async ({ broker }, random) => broker?.restart(random() * 3000)],
    [
      3,
      'cloud in trouble',
      async ({ cloud }, random) => {
        cloud.trouble = 0.3 * random();
        await sleep(5000 * random());
        cloud.trouble = 0;
      },
    ],
    [
      4,
      'amphora dies',
      async ({ cloud }, random) => {
        const living = cloud.livingInstances();
        if (living.length > 0) cloud.dead.add(randomFrom(random, living).name);
      },
    ],
  ],
};

interface MetPass {
  program: SupervisedProgram;
  id: string;
  fence: number;
  /** Lets the answer go out for which the pass is waiting. */
  release(): void;
}

/** Waits for a pass that has asked the cloud for something, and holds back the answer; undefined when there is none for long. */
async function holdPass({ programs, cloud }: Stage, onMet = (_: SupervisedProgram) => {}) {
  const met = Promise.withResolvers<MetPass | undefined>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const limit = setTimeout(() => met.resolve(undefined), HALT_LIMIT_MS);
  cloud.watch = (name, { lease }) => {
    const program = programs.find(each => each.name === name && each.isReady && !each.isHalted);
    if (!program || !lease || lease.loadbalancer_id === UNOWNED_ID) return undefined;
    cloud.watch = undefined;
    onMet(program);
    met.resolve({ program, id: lease.loadbalancer_id, fence: lease.fence, release });
    return released;
  };
  const pass = await met.promise;
  cloud.watch = undefined;
  clearTimeout(limit);
  if (!pass) cloud.count('no pass to hold up');
  return pass;
}

/** A worker is halted while it waits for the cloud; it goes on when another one has taken its place there, and must be refused. */
export async function haltInPass(stage: Stage): Promise<void> {
  const pass = await holdPass(stage, program => program.halt());
  if (!pass) return;
  const { cloud, abandoned } = stage;
  const { program, id, fence } = pass;
  const deadline = performance.now() + HALT_LIMIT_MS;
  while (cloud.newestFence(id) <= fence && performance.now() < deadline) await sleep(20);
  const isSucceeded = cloud.newestFence(id) > fence;
  pass.release();
  program.goOn();
  cloud.count(`halted workers ${isSucceeded ? 'with' : 'without'} a successor`);
  if (isSucceeded) await abandoned(program.name, id, fence);
}

/** While a worker waits for the cloud all others are told that it is much later: nobody may take its place, or it goes on beside him. */
async function stepClockInPass(stage: Stage): Promise<void> {
  const pass = await holdPass(stage);
  if (!pass) return;
  const others = stage.programs.filter(each => each !== pass.program);
  for (const { name } of others) stage.setClock(name, 3_600_000);
  await sleep(HELD_MS);
  pass.release();
}

/** One fault after another until it is told to stop; the last one is ended. */
export async function causeFaults(
  faults: readonly Fault[],
  stage: Stage,
  random: () => number,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    await sleep(200 + 2000 * random());
    if (stop.aborted) return;
    let at = random() * faults.reduce((sum, [weight]) => sum + weight, 0);
    const [, name, run] = faults.find(([weight]) => {
      at -= weight;
      return at <= 0;
    })!;
    stage.cloud.count(name);
    await run(stage, random);
  }
}
