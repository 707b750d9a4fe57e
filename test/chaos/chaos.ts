/** One run of chaos: an installation of several programs under random load and faults, and what must be true after it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { loadGraph } from '../../src/db/graph.ts';
import { loadBalancersOwingWork } from '../../src/db/lease.ts';
import { openDatabase } from '../../src/db/open.ts';
import type { Db } from '../../src/db/schema.ts';
import { errorChain } from '../../src/lib/errors.ts';
import { Secret } from '../../src/lib/secret.ts';
import type { ProgramKind } from '../../src/main/program-checks.ts';
import { instanceName } from '../../src/model/amphora.ts';
import { type ServerKind, startDatabaseServer } from '../database-server.ts';
import { freePort } from '../free-port.ts';
import { startMessageBroker } from '../message-broker.ts';
import { type Sections, writeConfiguration } from '../programs/configuration.ts';
import { servedWorld } from '../scenarios/picture.ts';
import { seededRandom } from '../scenarios/random.ts';
import { freshBuild, leftovers, unsettledRows } from '../scenarios/world.ts';
import { sendHeartbeats } from './amphorae.ts';
import { ChaosCloud } from './chaos-cloud.ts';
import { ChaosClient, treeOf } from './client.ts';
import { causeFaults, FAULTS, haltInPass, type Stage } from './faults.ts';
import { serveCloud } from './link.ts';
import { type LogLine, SupervisedProgram } from './programs.ts';

export interface ChaosOptions {
  database: ServerKind;
  seconds: number;
  seed: number;
}

/** `OTTAVIA_CHAOS_SECONDS` and `OTTAVIA_CHAOS_SEED`, or these seconds and any seed. */
export function chaosOptions(database: ServerKind, seconds: number): ChaosOptions {
  const { OTTAVIA_CHAOS_SECONDS, OTTAVIA_CHAOS_SEED } = process.env;
  const options = {
    database,
    seconds: Number(OTTAVIA_CHAOS_SECONDS ?? seconds),
    seed: Number(OTTAVIA_CHAOS_SEED ?? Date.now() % 1_000_000),
  };
  console.log(`chaos over ${database}: seed ${options.seed}, ${options.seconds} s of faults`);
  return options;
}

export interface ChaosResult {
  seed: number;
  database: ServerKind;
  seconds: number;
  load_balancers: number;
  accepted_writes: number;
  /** Requests by status, or by why there was none. */
  requests: Record<string, number>;
  /** Faults, effects and messages. */
  counts: Record<string, number>;
  /** By what the worker said at the end of each. */
  passes: Record<string, number>;
  /** Passes that were ended because their lease was not theirs any more, by who noticed. */
  refused: Record<'by the fence in the database' | 'by the age of the lease', number>;
  seconds_to_settle: number;
  /** Each a sentence; empty when all is well. */
  problems: string[];
}

const LEASE_TTL_MS = 3000;
const HEARTBEAT_KEY = 'a key of the test';
const CLIENTS = 3;
const CLEAN_LIMIT_MS = 120_000;
const START_LIMIT_MS = 120_000;
/** What the API holds while it gets a VIP is held for a minute when it dies; the longest back-off is one, too. */
export const SETTLE_LIMIT_MS = 150_000;
const PROGRAMS: readonly (readonly [ProgramKind, string])[] = [
  ['api', 'api-1'],
  ['api', 'api-2'],
  ['worker', 'worker-1'],
  ['worker', 'worker-2'],
  ['health-manager', 'health-manager-1'],
  ['health-manager', 'health-manager-2'],
  ['housekeeping', 'housekeeping'],
];

export async function runChaos({ database, seconds, seed }: ChaosOptions): Promise<ChaosResult> {
  await using ends = new AsyncDisposableStack();
  const problems: string[] = [];
  const passes = new Map<string, number>();
  const refused = { 'by the fence in the database': 0, 'by the age of the lease': 0 };
  const random = (part: number) => seededRandom(seed * 100 + part);

  const directory = mkdtempSync(join(tmpdir(), 'ottavia-chaos-'));
  let isClean = false;
  ends.defer(() => {
    if (isClean) rmSync(directory, { recursive: true });
  });
  const server = ends.use(await startDatabaseServer(database));
  const broker = ends.use(await startMessageBroker());
  const url = server.createDatabase('octavia');
  const db = await openDatabase(url);
  ends.defer(() => db.destroy());

  const cloud = new ChaosCloud(random(1));
  const socket = join(directory, 'cloud');
  const link = await serveCloud(socket, cloud);
  ends.defer(() => link.end());

  const settled = new Map<string, string>();
  const gaveUp = new Map<string, () => void>();
  const onLine = (program: string, line: LogLine) => {
    const isReplaced = line.msg === 'silent amphora is replaced';
    if (isReplaced && !cloud.dead.has(instanceName(line.amphora_id!)))
      cloud.count('living amphorae replaced');
    if (line.load_balancer_id && line.fence !== undefined) {
      const { msg, fence, load_balancer_id: id, reason = '' } = line;
      passes.set(msg, (passes.get(msg) ?? 0) + 1);
      if (msg.startsWith('pass abandoned')) {
        if (reason.includes('taken over')) refused['by the fence in the database']++;
        if (reason.includes('may have run out')) refused['by the age of the lease']++;
        gaveUp.get(`${program} ${id} ${fence}`)?.();
        return;
      }
      // Said after it was written; failures are told before.
      if (!/^load balancer (settled|removed)$/.test(msg)) return;
      const known = settled.get(`${id} ${fence}`);
      if (known) problems.push(`Lease ${fence} of ${id} settled twice: by ${known} and by ${program}`);
      settled.set(`${id} ${fence}`, program);
    }
  };
  const apiPorts = [await freePort(), await freePort()];
  const heartbeatPorts = [await freePort(), await freePort()];
  const programs: SupervisedProgram[] = [];
  ends.defer(async () => void (await Promise.all(programs.map(each => each.stop()))));
  for (const [kind, name] of PROGRAMS) {
    const index = Number(name.at(-1)) - 1 || 0;
    const configuration = ends.use(
      await writeConfiguration(url, {
        ...SETTINGS,
        DEFAULT: { transport_url: broker.url },
        api_settings: { bind_port: apiPorts[index]!, auth_strategy: 'noauth' },
        controller_worker: {
          ...SETTINGS.controller_worker,
          // So that there are load balancers of both kinds.
          loadbalancer_topology: index === 0 ? 'SINGLE' : 'ACTIVE_STANDBY',
        },
        health_manager: {
          ...SETTINGS.health_manager,
          ...{ bind_port: heartbeatPorts[index]!, heartbeat_key: HEARTBEAT_KEY },
          controller_ip_port_list: heartbeatPorts.map(port => `127.0.0.1:${port}`).join(','),
        },
      }),
    );
    programs.push(
      new SupervisedProgram({ kind, name, configFile: configuration.file }, { socket, directory, onLine }),
    );
  }
  await until(`all programs to be ready, which log to ${directory}`, START_LIMIT_MS, async () =>
    programs.every(each => each.isReady),
  );
  const key = new Secret(HEARTBEAT_KEY);
  ends.defer(sendHeartbeats(cloud, heartbeatPorts, key, 1000));

  const stage: Stage = {
    ...{ programs, cloud, broker, database: server, leaseTtlMs: LEASE_TTL_MS },
    setClock: (program, clock_offset_ms) => link.tell(program, { clock_offset_ms }),
    async abandoned(program, id, fence) {
      const told = Promise.withResolvers<void>();
      gaveUp.set(`${program} ${id} ${fence}`, told.resolve);
      const limit = sleep(20_000).then(() => 'late' as const);
      // Where the database was away meanwhile, it was the first to refuse.
      if ((await Promise.race([told.promise, limit])) === 'late') cloud.count('halted and not refused');
      if (settled.has(`${id} ${fence}`)) problems.push(`Lease ${fence} of ${id} settled after a newer one`);
    },
  };
  const apis = apiPorts.map(port => `http://127.0.0.1:${port}`);
  const clients = Array.from({ length: CLIENTS }, (_, i) => new ChaosClient(`c${i}`, apis, random(10 + i)));
  const loadStops = new AbortController();
  const faultsStop = new AbortController();
  const load = clients.map(client => client.run(loadStops.signal));
  const faults = Object.values(FAULTS).map((each, i) =>
    causeFaults(each, stage, random(20 + i), faultsStop.signal),
  );
  // Where this ends early, nothing goes on against what is no more.
  ends.defer(async () => {
    for (const each of [loadStops, faultsStop]) each.abort();
    await Promise.allSettled([...load, ...faults]);
  });
  await Promise.race([sleep(seconds * 1000), ...load, ...faults]);
  faultsStop.abort();
  await Promise.all(faults);
  // What a run is about has happened in each, however short it was.
  const isWithout = () =>
    !cloud.counts.has('halted workers with a successor') ||
    Object.values(refused).every(count => count === 0);
  for (let i = 0; i < 3 && isWithout(); i++) await haltInPass(stage);
  loadStops.abort();
  await Promise.all(load);

  for (const program of programs) link.tell(program.name, { clock_offset_ms: 0 });
  const began = performance.now();
  let unsettled: string[] = [];
  await until('everything to settle', SETTLE_LIMIT_MS, async () => {
    unsettled = await whatIsStuck(db, cloud);
    return unsettled.length === 0;
  }).catch(error => problems.push(`${errorChain(error)}: ${unsettled.join('; ')}`));
  const secondsToSettle = (performance.now() - began) / 1000;

  problems.push(...(await findBrokenPromises(db, clients)));
  problems.push(...programs.flatMap(each => each.crashes), ...cloud.violations);
  await compareWorlds(db, cloud).catch(error => problems.push(error.message));
  const loadBalancers = await db.selectFrom('load_balancer').select('id').execute();
  if (problems.length === 0)
    await deleteAll(apis[0]!, db, cloud).catch(error => problems.push(error.message));
  isClean = problems.length === 0;
  if (!isClean) problems.push(`the logs are in ${directory}`);
  return {
    ...{ seed, database, seconds, load_balancers: loadBalancers.length },
    accepted_writes: clients.reduce((sum, client) => sum + client.accepted, 0),
    requests: sums(clients.map(client => client.outcomes)),
    ...{ counts: sums([cloud.counts]), passes: sums([passes]), refused },
    seconds_to_settle: Math.round(secondsToSettle * 10) / 10,
    problems,
  };
}

const SETTINGS = {
  controller_worker: {
    // As in the fresh build that the world is compared with.
    amp_boot_network_list: '00000000-0000-4000-8000-0000000000aa',
    // Some die before they were ever reached.
    ...{ amp_active_retries: 15, amp_active_wait_sec: 1 },
  },
  haproxy_amphora: { failover_connection_retry_interval: 1 },
  health_manager: { heartbeat_interval: 1, heartbeat_timeout: 6, health_check_interval: 1 },
  house_keeping: {
    ...{ cleanup_interval: 1, spare_amphora_pool_size: 1, spare_check_interval: 1 },
    ...{ garbage_interval: 1, garbage_grace: 5 },
  },
  ottavia: { lease_ttl: LEASE_TTL_MS / 1000, sweep_interval: 1, error_after: 300 },
} satisfies Sections;

/** What is still owed, held, or dead; empty when all is well. */
async function whatIsStuck(db: Db, cloud: ChaosCloud): Promise<string[]> {
  const owing = await loadBalancersOwingWork(db, Number.MAX_SAFE_INTEGER, 1000);
  // One of a program that died is over when its time is; nobody takes it back where no work is owed.
  const held = await db
    .selectFrom('lease')
    .selectAll()
    .where('owner', 'is not', null)
    .where('expires_at_ms', '>', Date.now())
    .execute();
  const amphorae = await db
    .selectFrom('amphora')
    .select(['id', 'status'])
    .where('status', '<>', 'DELETED')
    .execute();
  return [
    ...(await unsettledRows(db)),
    ...owing.map(id => `load balancer ${id} owes work`),
    ...held.map(lease => `${lease.owner} holds the lease of ${lease.loadbalancer_id}`),
    ...amphorae.filter(({ id }) => cloud.dead.has(instanceName(id))).map(({ id }) => `amphora ${id} is dead`),
  ];
}

/** What was accepted is there, what was refused is not, and what nobody answered is one of the two. */
async function findBrokenPromises(db: Db, clients: readonly ChaosClient[]): Promise<string[]> {
  const rows = await db
    .selectFrom('load_balancer')
    .select(['id', 'name'])
    .where('provisioning_status', '<>', 'DELETED')
    .execute();
  const broken: string[] = [];
  for (const wish of clients.flatMap(client => client.wishes)) {
    const own = rows.filter(row => row.name === wish.name);
    const graph = own[0] && (await loadGraph(db, own[0].id));
    const tree = graph && treeOf(graph);
    if (own.length > 1 || !wish.may.some(each => isDeepStrictEqual(each, tree)))
      broken.push(`${wish.name} is ${JSON.stringify(tree)}, and may be ${JSON.stringify(wish.may)}`);
  }
  return broken;
}

/** The amphorae, ports and configurations are those that a worker whom nobody disturbs makes of the same rows. */
async function compareWorlds(db: Db, cloud: ChaosCloud): Promise<void> {
  let difference = '';
  await until('the world to equal a fresh build', CLEAN_LIMIT_MS, async () => {
    try {
      const served = withoutAgentConfig(await servedWorld(db, cloud.world));
      const fresh = withoutAgentConfig(await freshBuild(db));
      if (isDeepStrictEqual(served, fresh)) return true;
      difference = firstDifference(served, fresh);
    } catch (error) {
      // What nobody owns is removed by and by.
      difference = (error as Error).message;
    }
    return false;
  }).catch(error => {
    throw new Error(`${error.message}: ${difference}`);
  });
}

/** The innermost place where they differ. */
function firstDifference(is: unknown, shouldBe: unknown, place = ''): string {
  const parts = (value: unknown) => Object(value) as Record<string, unknown>;
  const names = [...new Set([...Object.keys(parts(is)), ...Object.keys(parts(shouldBe))])];
  const name = names.find(each => !isDeepStrictEqual(parts(is)[each], parts(shouldBe)[each]));
  const isLeaf = typeof is !== 'object' || typeof shouldBe !== 'object' || name === undefined;
  if (isLeaf) return `${place} is ${JSON.stringify(is)} instead of ${JSON.stringify(shouldBe)}`;
  return firstDifference(parts(is)[name], parts(shouldBe)[name], `${place}.${name}`);
}

/** The settings of the fresh build are others. */
function withoutAgentConfig(world: unknown[]): unknown[] {
  return JSON.parse(JSON.stringify(world, (key, value) => (key === 'agentConfig' ? undefined : value)));
}

async function deleteAll(api: string, db: Db, cloud: ChaosCloud): Promise<void> {
  const headers = { 'x-project-id': 'p' };
  const url = `${api}/v2.0/lbaas/loadbalancers`;
  // The API may be on its way up, and so may its database.
  await until('all load balancers to be deleted', CLEAN_LIMIT_MS, async () => {
    const { loadbalancers } = (await (await fetch(url, { headers })).json()) as {
      loadbalancers: { id: string; provisioning_status: string }[];
    };
    const staying = loadbalancers.filter(lb => lb.provisioning_status !== 'PENDING_DELETE');
    for (const { id } of staying) await fetch(`${url}/${id}?cascade=true`, { method: 'DELETE', headers });
    return staying.length === 0;
  });
  let left: string[] = [];
  await until('nothing to be left over', CLEAN_LIMIT_MS, async () => {
    const spares = await db
      .selectFrom('amphora')
      .select('id')
      .where('loadbalancer_id', 'is', null)
      .where('status', '<>', 'DELETED')
      .execute();
    const kept = new Set(spares.flatMap(({ id }) => [id, instanceName(id)]));
    left = (await leftovers(db, cloud.world)).filter(
      each => ![...kept].some(id => each.includes(id)) && !each.endsWith('rows in amphora_health'),
    );
    return left.length === 0;
  }).catch(error => {
    throw new Error(`${error.message}: ${left.join('; ')}`);
  });
}

/** Throws when it is not so within the limit; a database that is on its way up is asked again. */
async function until(what: string, limitMs: number, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      if (await isSo()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`Waited ${limitMs} ms for ${what}`, { cause: last });
    await sleep(200);
  }
}

function sums(maps: readonly ReadonlyMap<string, number>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const [name, count] of maps.flatMap(map => [...map])) sum[name] = (sum[name] ?? 0) + count;
  return Object.fromEntries(Object.entries(sum).sort(([a], [b]) => (a < b ? -1 : 1)));
}
