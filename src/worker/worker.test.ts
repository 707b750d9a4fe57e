import { expect, test } from 'vitest';
import { changeLoadBalancer, markLoadBalancerDeleted } from '../db/change.ts';
import { LeaseLost } from '../db/lease.ts';
import type { Db } from '../db/schema.ts';
import { givenDatabase, givenLoadBalancer } from '../db/testing.ts';
import { findStanding, listPasses } from '../db/timeline.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLog } from '../lib/log.ts';
import { NoopProvider } from '../providers/noop-provider.ts';
import type { Pass, PassResult, Provider } from '../providers/provider.ts';
import { InProcessQueue } from '../queue/in-process.ts';
import { Worker } from './worker.ts';

/** A provider whose passes a test holds up and looks at. */
class WatchedProvider extends NoopProvider implements Provider {
  running = 0;
  mostAtOnce = 0;
  generations: number[] = [];
  behave: (pass: Pass) => Promise<PassResult> = async () => ({ done: true });

  override async reconcile(pass?: Pass): Promise<PassResult> {
    this.generations.push(pass!.graph.load_balancer.generation);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.running);
    try {
      return await this.behave(pass!);
    } finally {
      this.running--;
    }
  }
}

async function givenWorker(db: Db, concurrency = 4) {
  const provider = new WatchedProvider();
  const queue = new InProcessQueue();
  const worker = new Worker({
    db,
    queue,
    providers: new Map([['amphora', { provider }]]),
    clock: systemClock,
    log: silentLog,
    owner: 'test',
    leaseTtlMs: 10_000,
    patienceMs: 0,
    concurrency,
    sweepIntervalMs: 10,
  });
  worker.start();
  return { provider, queue, worker, [Symbol.asyncDispose]: () => worker.stop() };
}

const statusOf = async (db: Db, id: string) =>
  (await db.selectFrom('load_balancer').selectAll().where('id', '=', id).executeTakeFirstOrThrow())
    .provisioning_status;

const WAIT = { timeout: 15_000 };
const becomes = (db: Db, id: string, status: string) =>
  expect.poll(() => statusOf(db, id), WAIT).toBe(status);

test('a worker finds work that no nudge announced', async () => {
  await using db = await givenDatabase();
  await using _ = await givenWorker(db);
  const id = await givenLoadBalancer(db);
  await becomes(db, id, 'ACTIVE');
});

test('writes during a pass are coalesced into one more pass, and none is lost', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  const gate = Promise.withResolvers<void>();
  await using system = await givenWorker(db);
  system.provider.behave = () => gate.promise.then(() => ({ done: true }));
  await expect.poll(() => system.provider.running, WAIT).toBe(1);
  for (let i = 0; i < 5; i++) {
    await changeLoadBalancer(db, id, { nowMs: Date.now() }, async () => {});
    await system.queue.notify(id);
  }
  gate.resolve();
  await becomes(db, id, 'ACTIVE');
  expect(system.provider.generations).toEqual([1, 6]);
  expect(system.provider.mostAtOnce).toBe(1);
});

test('no more load balancers than the concurrency are worked on at once', async () => {
  await using db = await givenDatabase();
  const ids = [];
  for (let i = 0; i < 6; i++) ids.push(await givenLoadBalancer(db));
  await using system = await givenWorker(db, 2);
  // The first waits until another one is at work beside it.
  let met: () => void = () => {};
  const pair = new Promise<void>(resolve => {
    met = resolve;
  });
  system.provider.behave = async () => {
    if (system.provider.mostAtOnce >= 2) met();
    await pair;
    return { done: true };
  };
  for (const id of ids) await becomes(db, id, 'ACTIVE');
  expect(system.provider.mostAtOnce).toBe(2);
});

test('a failure is shown as ERROR with its reason, and the next success ends it', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  await using system = await givenWorker(db);
  let away = true;
  system.provider.behave = async () => {
    if (away) throw new Error('No valid host was found');
    return { done: true };
  };
  await becomes(db, id, 'ERROR');
  const row = await db
    .selectFrom('load_balancer')
    .select('error_reason')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  expect(row.error_reason).toBe('No valid host was found');
  away = false;
  await becomes(db, id, 'ACTIVE');
});

test('a pass that must wait is looked at again without counting as a failure', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  await using system = await givenWorker(db);
  let looks = 0;
  system.provider.behave = async () =>
    ++looks < 3 ? { done: false, waiting_for: 'an instance', again_after_ms: 5 } : { done: true };
  await becomes(db, id, 'ACTIVE');
  const passes = await db.selectFrom('pass').select('outcome').orderBy('started_at_ms').execute();
  expect(passes.map(p => p.outcome)).toEqual(['waiting', 'waiting', 'done']);
});

test('a deletion is carried out, and leaves a row that is DELETED', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  await using _ = await givenWorker(db);
  await becomes(db, id, 'ACTIVE');
  await markLoadBalancerDeleted(db, id, { nowMs: Date.now() }, async () => {});
  await becomes(db, id, 'DELETED');
});

test('a process that was halted for longer than its lease knows it before anything tells it', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  const trueNow = Date.now;
  let thrown: unknown;
  await using system = await givenWorker(db);
  system.provider.behave = async pass => {
    pass.checkLease();
    if (thrown) return { done: true };
    Date.now = () => trueNow() + 10_000;
    try {
      pass.checkLease();
    } catch (error) {
      thrown = error;
    }
    Date.now = trueNow;
    throw thrown;
  };
  await becomes(db, id, 'ACTIVE');
  expect(thrown).toBeInstanceOf(LeaseLost);
});

test('a worker that stops during a pass gives the lease back, and the next worker finishes', async () => {
  await using db = await givenDatabase();
  const id = await givenLoadBalancer(db);
  {
    await using system = await givenWorker(db);
    system.provider.behave = ({ signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    await expect.poll(() => system.provider.running, WAIT).toBe(1);
  }
  await using _ = await givenWorker(db);
  await becomes(db, id, 'ACTIVE');
});

test('while a pass runs, every process can see what it has done and which step it is at', async () => {
  await using db = await givenDatabase();
  const step = Promise.withResolvers<void>();
  const id = await givenLoadBalancer(db);
  await using system = await givenWorker(db);
  system.provider.behave = async ({ trace }) => {
    await trace.step('ensure VIP port', 'p1', async () => {});
    await trace.step('create instance', 'a1', () => step.promise);
    return { done: true };
  };
  const progress = async () => JSON.parse((await findStanding(db, id))!.lease!.progress ?? '{}');
  await expect.poll(progress, WAIT).toMatchObject({
    generation: 1,
    steps: [{ step: 'ensure VIP port', outcome: 'ok' }],
    current: { step: 'create instance', subject: 'a1' },
  });
  step.resolve();
  await becomes(db, id, 'ACTIVE');
});

test('however much a failure and its steps have to say, the user sees ERROR and why', async () => {
  await using db = await givenDatabase();
  await using system = await givenWorker(db);
  system.provider.behave = async pass => {
    for (let i = 0; i < 500; i++) await pass.trace.step(`step ${i} ${'…'.repeat(100)}`, 'a1', async () => {});
    return pass.trace.step('build', 'a1', () =>
      Promise.reject(new Error(`The cloud says \0${'ö'.repeat(100_000)}`)),
    );
  };
  const id = await givenLoadBalancer(db);
  await becomes(db, id, 'ERROR');
  const { error_reason } = await db
    .selectFrom('load_balancer')
    .select('error_reason')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  expect(error_reason).toMatch(/^The cloud says \u{fffd}ö+ … \(\d+ characters more\)$/u);
  const [pass] = await listPasses(db, id, 1);
  expect(JSON.parse(pass!.steps).at(-1)).toMatchObject({
    step: 'build',
    outcome: 'failed',
    cause: error_reason,
  });
});
