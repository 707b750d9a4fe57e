/** How many heartbeats one core takes: UDP, MAC, inflating, the rows they are held against, and writing what they counted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseHealth } from '../src/db/health.ts';
import { openDatabase } from '../src/db/open.ts';
import type { Db } from '../src/db/schema.ts';
import { HealthManager } from '../src/health-manager/health-manager.ts';
import { storeWith } from '../src/health-manager/health-store.fixture.ts';
import { systemClock } from '../src/lib/clock.ts';
import { silentLog } from '../src/lib/log.ts';
import { Secret } from '../src/lib/secret.ts';
import { InProcessQueue } from '../src/queue/in-process.ts';
import { decodeHeartbeat, encodeHeartbeat } from '../src/wire/heartbeat-codec.ts';
import { serverObstacle, startDatabaseServer } from '../test/database-server.ts';
import type { Bench, Context } from './bench-types.ts';
import { type Figure, Samples, type Table, toFigure } from './figures.ts';
import { type HeartbeatLoadBalancer, heartbeatOf, sketchCloud, writeCloud } from './heartbeat-cloud.ts';

const AMPHORAE = 1000;
const LISTENERS = 10;
const MEMBERS = 20;
const SECONDS = 3;
const KEY = 'a key of the benchmark';

export const heartbeats: Bench = {
  name: 'heartbeats',
  title: `heartbeats of ${AMPHORAE} amphorae with ${LISTENERS} listeners and ${MEMBERS} members each`,
  needsRoot: false,
  defaultRuns: 5,
  async run(context) {
    const cloud = sketchCloud(AMPHORAE, LISTENERS, MEMBERS);
    const decodeMs = decodingMs(cloud);
    await using made = new AsyncDisposableStack();
    const directory = mkdtempSync(join(tmpdir(), 'ottavia-bench-'));
    made.defer(() => rmSync(directory, { recursive: true, force: true }));
    const tables = [await measure(context, 'SQLite', `sqlite:///${join(directory, 'db')}`, cloud, decodeMs)];
    const obstacle = serverObstacle('MariaDB');
    if (obstacle !== undefined) return { tables, remark: `MariaDB was left out: ${obstacle}.` };
    const server = made.use(await startDatabaseServer('MariaDB'));
    tables.push(await measure(context, 'MariaDB', server.createDatabase('bench'), cloud, decodeMs));
    return { tables };
  },
};

/** Processor time of this process for one heartbeat: MAC, inflating, JSON. */
function decodingMs(cloud: readonly HeartbeatLoadBalancer[]): number {
  const key = new Secret(KEY);
  const packets = cloud.map(lb => encodeHeartbeat(heartbeatOf(lb), key));
  const decodeAll = () => {
    const before = process.cpuUsage();
    for (const packet of packets) decodeHeartbeat(packet, [key]);
    return cpuMsSince(before) / packets.length;
  };
  return Math.min(...Array.from({ length: 10 }, decodeAll));
}

async function measure(
  { runs, signal, say }: Context,
  title: string,
  url: string,
  cloud: HeartbeatLoadBalancer[],
  decodeMs: number,
): Promise<Table> {
  await using made = new AsyncDisposableStack();
  const db = await openDatabase(url);
  made.defer(() => db.destroy());
  await writeCloud(db, cloud);
  let updateMs = 0;
  const real = new DatabaseHealth(db);
  const store = storeWith(real, {
    update: async (...args) => {
      const startMs = performance.now();
      const owing = await real.update(...args);
      updateMs += performance.now() - startMs;
      return owing;
    },
  });
  const limits = { heartbeatIntervalMs: 10_000, heartbeatTimeoutMs: 60_000 };
  const parts = { store, queue: new InProcessQueue(), clock: systemClock, log: silentLog };
  const manager = new HealthManager(
    { bindIp: '127.0.0.1', bindPort: 0, keys: [new Secret(KEY)], ...limits },
    parts,
  );
  await manager.start();
  made.defer(() => manager.stop());
  const sender = spawn(
    process.execPath,
    [join(import.meta.dirname, 'heartbeat-sender.ts'), String(manager.address().port)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const ended = once(sender, 'exit');
  made.defer(async () => {
    sender.kill('SIGKILL');
    await ended;
  });
  sender.stdin.end(JSON.stringify({ key: KEY, load_balancers: cloud }));
  await once(sender.stdout, 'data', { signal });

  const samples = new Samples();
  const perCore: number[] = [];
  // The first is a warm-up.
  for (let run = -1; run < runs; run++) {
    const before = { counted: await countHeartbeats(db), cpu: process.cpuUsage(), atMs: performance.now() };
    updateMs = 0;
    await systemClock.sleep(SECONDS * 1000, signal);
    const [cpuMs, elapsedMs, writtenMs] = [cpuMsSince(before.cpu), performance.now() - before.atMs, updateMs];
    const count = (await countHeartbeats(db)) - before.counted;
    if (run < 0) continue;
    perCore.push((count * 1000) / cpuMs);
    samples.add('share of that time in decoding', (count * decodeMs * 100) / cpuMs);
    samples.add(
      'time between two instants in which a batch was being written',
      (writtenMs * 100) / elapsedMs,
    );
    say(`${title}: ${count} in ${Math.round(elapsedMs)} ms, ${Math.round(cpuMs)} ms of processor time`);
  }
  const aim = { aim: 20_000, more_is_better: true } as const;
  const figures: Figure[] = [
    toFigure('heartbeats for each second of processor time', 'heartbeats/s', perCore, aim),
    ...samples.figures('%'),
  ];
  return {
    title,
    note: 'More are sent than can be taken; what the kernel drops is not counted.',
    figures,
  };
}

/** Every heartbeat that was written counted one connection on each of its listeners. */
async function countHeartbeats(db: Db): Promise<number> {
  const { sum } = await db
    .selectFrom('listener_statistics')
    .select(eb => eb.fn.sum<number>('total_connections').as('sum'))
    .executeTakeFirstOrThrow();
  return Number(sum ?? 0) / LISTENERS;
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
