/**
 * A pair under load of processors and of traffic, and nothing happens to it: then nothing may happen. `OTTAVIA_SOAK_SECONDS=300 npm test --
 * test/host/takeover-soak` is a longer one.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { AccidentStage } from './accident-stage.ts';
import { keepalivedsOf } from './accidents.ts';
import { initOf, listAmphorae } from './amphora-processes.ts';
import { Load } from './http-client.ts';
import { titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const SECONDS = Number(process.env.OTTAVIA_SOAK_SECONDS ?? 20);
/** For each processor, each in a session of its own, as every amphora's haproxy is. */
const HOGS = 8;

test.skipIf(trafficObstacle)(
  titled(`${SECONDS} s of load, and no half of a pair takes over from the other`),
  { timeout: SECONDS * 1000 + 120_000 },
  async () => {
    await using stage = await AccidentStage.open();
    const { dataDir } = stage.system;
    const pair = listAmphorae(dataDir).filter(id => keepalivedsOf(dataDir, id).length > 0);
    const state = async () => ({
      statistics: await Promise.all(pair.map(id => readStatistics(dataDir, id))),
      processes: await Promise.all(pair.map(id => readProcesses(dataDir, id))),
      amphorae: listAmphorae(dataDir).sort(),
    });
    const before = await state();
    // Else neither adverts nor checks are in time when processors are scarce: then it takes ten times as many hogs to see it.
    for (const pid of before.processes.flat()) expect(autogroupOf(pid)).toMatch(/nice -20$|^$/);
    expect(before.statistics.map(each => each['Became master']).sort()).toEqual([0, 1]);
    const loads = stage
      .urls('ACTIVE_STANDBY')
      .flatMap(url =>
        [true, false].map(keepAlive => new Load(url, { keepAlive, lanes: 4, limitMs: 30_000 })),
      );
    const hogs = Array.from({ length: HOGS * availableParallelism() }, () =>
      spawn('sh', ['-c', 'while :; do :; done'], { detached: true, stdio: 'ignore' }),
    );
    try {
      await sleep(SECONDS * 1000);
    } finally {
      for (const hog of hogs) hog.kill('SIGKILL');
      await Promise.all(loads.map(load => load.stop()));
    }
    const requests = loads.reduce((sum, load) => sum + load.total, 0);
    const gapMs = Math.max(...loads.map(load => load.longestGapMs));
    console.log(`${SECONDS} s, ${hogs.length} hogs, ${requests} requests, gap ${gapMs.toFixed()} ms`);
    expect(loads.flatMap(load => load.failures)).toEqual([]);
    expect(requests).toBeGreaterThan(SECONDS * 10);
    expect(await state()).toEqual(before);
  },
);

/** Empty where the kernel shares its time among processes, not sessions. */
function autogroupOf(pid: number): string {
  const file = `/proc/${pid}/autogroup`;
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
}

/** The amphora's keepalived and its child. What it starts to check haproxy looks like that child too, until it runs its own program. */
const readProcesses = (dataDir: string, amphoraId: string) =>
  until('two processes of keepalived', () => {
    const pids = keepalivedsOf(dataDir, amphoraId).map(({ pid }) => pid);
    return pids.length === 2 && pids;
  });

const TRANSITIONS = ['Became master', 'Released master'] as const;

/** How often the amphora's keepalived has taken and given up the VIP since it was started. */
async function readStatistics(dataDir: string, amphoraId: string): Promise<Record<string, number>> {
  const file = `/proc/${initOf(dataDir, amphoraId)}/root/tmp/keepalived.stats`;
  rmSync(file, { force: true });
  process.kill(Math.min(...keepalivedsOf(dataDir, amphoraId).map(({ pid }) => pid)), 'SIGUSR2');
  return until('the statistics of keepalived', () => {
    const text = readFileSync(file, 'utf8');
    const counts = TRANSITIONS.map(name => [name, new RegExp(`${name}: (\\d+)`).exec(text)?.[1]] as const);
    if (counts.some(([, count]) => count === undefined)) return undefined;
    return Object.fromEntries(counts.map(([name, count]) => [name, Number(count)]));
  });
}
