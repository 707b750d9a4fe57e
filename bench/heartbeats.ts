/** How many heartbeats one core takes: UDP, MAC, inflating, the rows they are held against, and writing what they counted. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseHealth } from '../src/db/health.ts';
import { openDatabase } from '../src/db/open.ts';
import type { Db } from '../src/db/schema.ts';
import { HealthManager } from '../src/health-manager/health-manager.ts';
import { systemClock } from '../src/lib/clock.ts';
import { silentLog } from '../src/lib/log.ts';
import { Secret } from '../src/lib/secret.ts';
import { InProcessQueue } from '../src/queue/in-process.ts';
import { encodeHeartbeat } from '../src/wire/heartbeat-codec.ts';
import { SERVER_KINDS, serverObstacle, startDatabaseServer } from '../test/database-server.ts';
import type { Bench, Context } from './bench-types.ts';
import { Samples, type Table, toFigure } from './figures.ts';
import { type HeartbeatLoadBalancer, heartbeatOf, sketchCloud, writeCloud } from './heartbeat-cloud.ts';
import { profileShares, type Shares } from './profile-shares.ts';

const AMPHORAE = 1000;
const LISTENERS = 10;
const MEMBERS = 20;
const RATE = 20_000;
const SECONDS = 4;
const WRITTEN_WITHIN_MS = 20_000;
const KEY = 'a key of the benchmark';

const SHARES: Shares = {
  'checking the MAC': /^(openEnvelope|mac) /,
  inflating: / node:zlib$/,
  'reading the text': /\/wire\/heartbeat-/,
  'deciding what to write': /^decideHealth /,
  'the database': /\/src\/db\/|\/kysely\/|\/mysql2\/|\/pg[-\w]*\//,
  'collecting garbage': /^\(garbage collector\)/,
};
const REST = 'receiving, and all else';

export const heartbeats: Bench = {
  name: 'heartbeats',
  title: `heartbeats of ${AMPHORAE} amphorae with ${LISTENERS} listeners and ${MEMBERS} members each`,
  needsRoot: false,
  defaultRuns: 5,
  async run(context) {
    await using made = new AsyncDisposableStack();
    const directory = mkdtempSync(join(tmpdir(), 'ottavia-bench-'));
    made.defer(() => rmSync(directory, { recursive: true, force: true }));
    const tables = [await measure(context, 'SQLite', `sqlite:///${join(directory, 'db')}`)];
    const obstacles: string[] = [];
    for (const kind of SERVER_KINDS) {
      const obstacle = serverObstacle(kind);
      if (obstacle !== undefined) obstacles.push(`${kind} was left out: ${obstacle}.`);
      else {
        await using server = await startDatabaseServer(kind);
        tables.push(await measure(context, kind, server.createDatabase('bench')));
      }
    }
    return { tables, ...(obstacles.length > 0 && { remark: obstacles.join(' ') }) };
  },
};

async function measure(context: Context, title: string, url: string): Promise<Table> {
  const { runs, signal, say, profileDirectory } = context;
  await using made = new AsyncDisposableStack();
  const cloud = sketchCloud(AMPHORAE + 1, LISTENERS, MEMBERS);
  const probe = cloud.pop()!;
  const db = await openDatabase(url);
  made.defer(() => db.destroy());
  await writeCloud(db, [...cloud, probe]);
  const manager = new HealthManager(
    {
      ...{ bindIp: '127.0.0.1', bindPort: 0, keys: [new Secret(KEY)] },
      ...{ heartbeatIntervalMs: 10_000, heartbeatTimeoutMs: 60_000 },
    },
    {
      store: new DatabaseHealth(db),
      queue: new InProcessQueue(),
      clock: systemClock,
      log: silentLog,
    },
  );
  await manager.start();
  made.defer(() => manager.stop());
  const { port } = manager.address();
  const send = await startSender(made, port, cloud, signal);

  const perCore: number[] = [];
  const latencies: number[] = [];
  const rates = new Samples();
  const load = async () => {
    const before = { counted: await countHeartbeats(db), lost: countDrops(port), cpu: process.cpuUsage() };
    const startMs = performance.now();
    const sending = send(SECONDS * RATE);
    await systemClock.sleep((SECONDS * 1000) / 2, signal);
    const { statusMs, probes } = await timeStatus(db, port, probe, signal);
    await sending;
    const sent = SECONDS * RATE + probes;
    const sentMs = performance.now() - startMs;
    for (;;) {
      const lost = countDrops(port) - before.lost;
      const count = (await countHeartbeats(db)) - before.counted;
      const [elapsedMs, cpuMs] = [performance.now() - startMs, cpuMsSince(before.cpu)];
      if (count + lost === sent) return { sent, sentMs, lost, count, elapsedMs, cpuMs, statusMs };
      if (elapsedMs > sentMs + WRITTEN_WITHIN_MS)
        throw new Error(`Of ${sent} heartbeats ${count} were written and ${lost} dropped: some are missing`);
      await systemClock.sleep(50, signal);
    }
  };
  // The first is a warm-up.
  for (let run = -1; run < runs; run++) {
    const { sent, sentMs, lost, count, elapsedMs, cpuMs, statusMs } = await load();
    const figures = `${Math.round(elapsedMs)} ms, ${Math.round(cpuMs)} ms of processor time`;
    say(`${title}: ${count} of ${sent} in ${figures}, a status after ${Math.round(statusMs)} ms`);
    if (run < 0) continue;
    perCore.push((count * 1000) / cpuMs);
    latencies.push(statusMs);
    rates.add('offered', (sent * 1000) / sentMs);
    rates.add('of them dropped by the kernel', (lost * 1000) / sentMs);
    rates.add('written, until the last one is', (count * 1000) / elapsedMs);
  }
  const { percent, profile } = await profileShares(SHARES, REST, async () => {
    await load();
  });
  if (profileDirectory !== undefined)
    writeFileSync(join(profileDirectory, `heartbeats-${title}.cpuprofile`), JSON.stringify(profile));
  return {
    title,
    note: 'All that are offered are written or dropped by the kernel, else there are no figures. Shares are of the processor time of one more run.',
    figures: [
      toFigure('heartbeats for each second of processor time', 'heartbeats/s', perCore, {
        ...{ aim: RATE, more_is_better: true },
      }),
      ...rates.figures('heartbeats/s'),
      toFigure('from a heartbeat with another status to its row', 'ms', latencies, { aim: 1000 }),
      ...percent.map(([name, share]) => toFigure(`share of ${name}`, '%', [share])),
    ],
  };
}

/** Starts the sender; the result has it send so many and returns when they are sent. */
async function startSender(
  made: AsyncDisposableStack,
  port: number,
  cloud: readonly HeartbeatLoadBalancer[],
  signal: AbortSignal,
): Promise<(count: number) => Promise<void>> {
  const sender = spawn(process.execPath, [join(import.meta.dirname, 'heartbeat-sender.ts'), String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(sender, 'exit');
  made.defer(async () => {
    sender.kill('SIGKILL');
    await ended;
  });
  const tell = async (line: string) => {
    const answer = once(sender.stdout, 'data', { signal });
    sender.stdin.write(`${line}\n`);
    await answer;
  };
  await tell(JSON.stringify({ key: KEY, load_balancers: cloud }));
  return count => tell(`${count} ${RATE}`);
}

/** Has a member of the probe change, and waits until everybody can see it. What the kernel drops is sent again, as amphorae do. */
async function timeStatus(
  db: Db,
  port: number,
  probe: HeartbeatLoadBalancer,
  signal: AbortSignal,
): Promise<{ statusMs: number; probes: number }> {
  const member = db
    .selectFrom('member')
    .select('operating_status')
    .where('id', '=', probe.listeners[0]!.members[0]!);
  const statusOf = async () => (await member.executeTakeFirstOrThrow()).operating_status;
  const before = await statusOf();
  const packet = encodeHeartbeat(heartbeatOf(probe, before === 'ERROR' ? 0 : 1, true), new Secret(KEY));
  const socket = createSocket('udp4');
  const startMs = performance.now();
  const elapsedMs = () => performance.now() - startMs;
  let probes = 0;
  while ((await statusOf()) === before) {
    if (elapsedMs() > WRITTEN_WITHIN_MS) throw new Error('The status of the probe never came');
    if (elapsedMs() >= probes * 2000) {
      probes++;
      socket.send(packet, port, '127.0.0.1');
    }
    await systemClock.sleep(5, signal);
  }
  socket.close();
  return { statusMs: elapsedMs(), probes };
}

/** What the kernel dropped because nobody fetched it in time. Source: proc(5). */
function countDrops(port: number): number {
  const place = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const line = readFileSync('/proc/net/udp', 'utf8')
    .split('\n')
    .find(each => each.trim().split(/\s+/)[1]?.endsWith(place));
  return Number(line?.trim().split(/\s+/).at(-1) ?? Number.NaN);
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
