/** A whole system on noop drivers and a database in memory, driven by hand: API, worker and a clock that tests step. */
import type { FastifyInstance } from 'fastify';
import { type ApiDeps, buildApi, Policy } from '../../src/api/server.ts';
import { DEFAULT_API_SETTINGS } from '../../src/api/settings.ts';
import { DEFAULT_HAPROXY_SETTINGS } from '../../src/dataplane/haproxy/context.ts';
import { CHILD_TABLES } from '../../src/db/children.ts';
import { endAllLeases, loadBalancersOwingWork } from '../../src/db/lease.ts';
import { openDatabase } from '../../src/db/open.ts';
import type { Db } from '../../src/db/schema.ts';
import { listSpares } from '../../src/db/spares.ts';
import { NoopAmphora } from '../../src/drivers/amphora/noop.ts';
import type { CertificateAuthority } from '../../src/drivers/certificates/authority.ts';
import { NoopSecrets } from '../../src/drivers/certificates/noop-secrets.ts';
import { NoopCompute } from '../../src/drivers/compute/noop.ts';
import { NoopNetwork } from '../../src/drivers/network/noop.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { Housekeeping, type HousekeepingOptions } from '../../src/housekeeping/housekeeping.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { UNOWNED_ID } from '../../src/model/unowned.ts';
import { AmphoraProvider } from '../../src/providers/amphora/amphora-provider.ts';
import type { GarbageSettings } from '../../src/providers/amphora/parts.ts';
import { type PassParts, runPass } from '../../src/worker/pass.ts';
import { runUnownedPass } from '../../src/worker/unowned.ts';
import { servedWorld } from './picture.ts';

/** What is not worth a step of a test. */
const SHORT_MS = 500;

/** Time passes only when a test says so; sleepers wait for that, but for a short moment. */
export class SteppedClock implements Clock {
  #nowMs = Date.parse('2026-01-01T00:00:00Z');

  now(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms < SHORT_MS) return Promise.resolve();
    return new Promise((_, reject) => {
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }

  step(ms: number): void {
    this.#nowMs += ms;
  }
}

/** The parts through which a system touches anything outside itself; a test may put something in between. */
export interface Outside {
  db: Db;
  compute: NoopCompute;
  network: NoopNetwork;
  amphora: NoopAmphora;
  authority: CertificateAuthority;
  secrets: NoopSecrets;
}

export function outsideOf(db: Db, cloud: NoopCloud): Outside {
  return {
    db,
    compute: new NoopCompute(cloud),
    network: new NoopNetwork(cloud),
    amphora: new NoopAmphora(cloud),
    secrets: new NoopSecrets(),
    authority: {
      issueAgentCertificate: async id => ({
        pem: new Secret(`certificate of ${id}`),
        expires_at: '2027-01-01T00:00:00.000000',
      }),
      clientCa: async () => 'client CA',
      controllerCredentials: async () => ({ certificate: '', key: new Secret(''), serverCa: '' }),
    },
  };
}

export const LEASE_TTL_MS = 30_000;

const REMOVE_AT_ONCE: GarbageSettings = { mode: 'remove', intervalMs: 0, graceMs: 0 };

/** One process of the system: an API and a worker over the same outside. */
export class SystemProcess {
  readonly #apiParts: ApiDeps;
  /** Built by the first request: a process that only works has none. */
  #api: FastifyInstance | undefined;
  readonly #worker: PassParts;
  readonly #clock: SteppedClock;
  readonly #stop = new AbortController();

  constructor(outside: Outside, clock: SteppedClock, owner: string, garbage = REMOVE_AT_ONCE) {
    this.#clock = clock;
    const provider = new AmphoraProvider({
      ...outside,
      clock,
      log: silentLog,
      agentConfig: (amphora, topology) => `amphora_id = ${amphora.id}, ${topology}`,
      rsyslogConfig: '',
      settings: {
        haproxy: DEFAULT_HAPROXY_SETTINGS,
        vrrp: {
          ...{ basePath: '/var/lib/octavia', advertIntervalMs: 1000, checkIntervalSeconds: 5 },
          ...{ failCount: 2, successCount: 2, garpRefreshSeconds: 5, garpRefreshCount: 2 },
        },
        bootNetworks: ['00000000-0000-4000-8000-0000000000aa'],
        agentWaitMs: 0,
        agentPollMs: 1,
        askTries: 2,
        askLimitMs: 1000,
        bootLimitMs: 600_000,
        garbage,
      },
    });
    const providers = new Map([['amphora', { provider, network: outside.network }]]);
    this.#worker = {
      db: outside.db,
      providers,
      clock,
      log: silentLog,
      owner,
      leaseTtlMs: LEASE_TTL_MS,
      patienceMs: 60_000,
    };
    this.#apiParts = {
      db: outside.db,
      providers,
      clock,
      log: silentLog,
      queue: { notify: async () => {} },
      settings: DEFAULT_API_SETTINGS,
      policy: new Policy(),
      secrets: outside.secrets,
      accessLog: { unavailable: 'nothing is logged here' },
      authenticate: async () => ({
        user_id: 'u',
        project_id: 'p',
        roles: ['admin'],
        domain_id: null,
        system_scope: null,
        is_admin: true,
      }),
    };
  }

  async close(): Promise<void> {
    await this.#api?.close();
  }

  /** One request; every one takes a millisecond, so that rows have an order. */
  async request(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object) {
    this.#clock.step(1);
    const url = `/v2.0/lbaas${path}`;
    this.#api ??= buildApi(this.#apiParts);
    const answer = await this.#api.inject({ method, url, ...(body ? { payload: body } : {}) });
    return { status: answer.statusCode, body: answer.body === '' ? undefined : answer.json() };
  }

  /** Works like a worker until nothing is owed, stepping the clock over leases and back-off. */
  async drain(): Promise<void> {
    for (let round = 0; round < 500; round++) {
      const owing = await loadBalancersOwingWork(this.#worker.db, Number.MAX_SAFE_INTEGER / 2, 1000);
      const spares = await listSpares(this.#worker.db);
      const isTended = spares.every(spare => spare.status === 'READY');
      if (owing.length === 0 && isTended) return;
      if (!isTended) await this.reconcileUnowned();
      for (const id of owing) await runPass(this.#worker, id, this.#stop.signal);
      this.#clock.step(LEASE_TTL_MS / 10);
    }
    throw new Error('Work is still owed after 500 rounds');
  }

  /** What is done about the nudge that housekeeping sends. */
  async reconcileUnowned(): Promise<void> {
    await runUnownedPass(this.#worker, this.#stop.signal);
  }

  housekeeping(options: Partial<HousekeepingOptions>): Housekeeping {
    const { db, clock, log } = this.#worker;
    const week = 604_800_000;
    const defaults = {
      ...{ cleanupIntervalMs: 1000, certificateIntervalMs: 1000, sparesIntervalMs: 1000, spares: 0 },
      ...{
        amphoraExpiryMs: week,
        loadBalancerExpiryMs: week,
        certificateBufferMs: week,
        certificatesAtOnce: 10,
      },
    };
    return new Housekeeping({ ...defaults, ...options }, { db, clock, log, queue: this.#apiParts.queue });
  }

  /** One pass for each load balancer that owes work now, all at the same time. */
  async passOverAll(): Promise<void> {
    const owing = await loadBalancersOwingWork(this.#worker.db, this.#clock.now(), 1000);
    await Promise.all(owing.map(id => runPass(this.#worker, id, this.#stop.signal)));
  }
}

/** What users asked for and operators offer, as rows: all that a build depends on. */
const INTENT = [
  ...['flavor_profile', 'flavor', 'availability_zone_profile', 'availability_zone', 'load_balancer'],
  ...CHILD_TABLES,
] as const;

/** The same rows, built from nothing by a worker that nobody disturbs: what any other history must have led to. */
export async function freshBuild(db: Db, open = () => openDatabase('sqlite://')): Promise<unknown[]> {
  const fresh = await open();
  const cloud = new NoopCloud();
  const system = new SystemProcess(outsideOf(fresh, cloud), new SteppedClock(), 'fresh');
  try {
    for (const table of [...INTENT, 'lease'] as const) {
      const rows = await db
        .selectFrom(table as 'pool')
        .selectAll()
        .execute();
      for (const row of rows)
        await fresh
          .insertInto(table as 'pool')
          .values(row)
          .execute();
    }
    // Whoever had one is not here.
    await endAllLeases(fresh);
    await fresh.updateTable('load_balancer').set({ settled_generation: 0 }).execute();
    await system.drain();
    return await servedWorld(fresh, cloud);
  } finally {
    await system.close();
    await fresh.destroy();
  }
}

/** Equal for rows from which the same is built; only for those that are settled. */
export async function intentText(db: Db): Promise<string> {
  const tables: unknown[] = [];
  for (const table of INTENT) {
    const rows = await db
      .selectFrom(table as 'pool')
      .selectAll()
      .execute();
    const without = ({
      generation: _,
      updated_at: __,
      operating_status: ___,
      ...row
    }: (typeof rows)[number]) => ({ ...row, settled_generation: 0 });
    tables.push(rows.map(without));
  }
  return JSON.stringify(tables);
}

/** Every row that is not settled, as `table id status`; empty when all is well. */
export async function unsettledRows(db: Db): Promise<string[]> {
  const unsettled: string[] = [];
  for (const table of ['load_balancer', ...CHILD_TABLES] as const) {
    const rows = await db
      .selectFrom(table as 'load_balancer')
      .select(['id', 'provisioning_status'])
      .where('provisioning_status', 'not in', ['ACTIVE', 'DELETED'])
      .execute();
    for (const row of rows) unsettled.push(`${table} ${row.id} ${row.provisioning_status}`);
  }
  const amphorae = await db
    .selectFrom('amphora')
    .select(['id', 'status'])
    .where(eb =>
      eb.or([
        eb('status', 'not in', ['ALLOCATED', 'DELETED', 'READY']),
        eb.and([eb.or([eb('config_due', '=', 1), eb('cert_busy', '=', 1)]), eb('status', '=', 'ALLOCATED')]),
      ]),
    )
    .execute();
  for (const row of amphorae) unsettled.push(`amphora ${row.id} ${row.status}`);
  return unsettled;
}

/** Rows and things that are left over when every load balancer was deleted; empty when nothing is. */
export async function leftovers(db: Db, cloud: NoopCloud, secrets?: NoopSecrets): Promise<string[]> {
  const consumers = [...(secrets?.consumers ?? [])].filter(([, each]) => each.size > 0);
  const left = [
    ...cloud.ports.keys(),
    ...cloud.instances.keys(),
    ...consumers.map(([reference]) => reference),
  ];
  for (const table of [
    ...CHILD_TABLES,
    'lease',
    'amphora_member_port',
    'vrrp_group',
    'amphora_health',
    'listener_statistics',
    'secret_use',
  ] as const) {
    const all = await db
      .selectFrom(table as 'listener')
      .selectAll()
      .execute();
    // The lease on what no load balancer owns stays for good.
    const rows = all.filter(row => row.loadbalancer_id !== UNOWNED_ID);
    if (rows.length > 0) left.push(`${rows.length} rows in ${table}`);
  }
  return left.concat((await unsettledRows(db)).filter(row => row.startsWith('amphora')));
}
