/** A real standalone system with real amphorae: in this process, or in one of its own that may be killed. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isHaproxyInstalled } from '../../src/dataplane/haproxy/haproxy-check.fixture.ts';
import { silentLog } from '../../src/lib/log.ts';
import { purgeDirectory, type StandaloneOptions, startStandalone } from '../../src/main/standalone.ts';
import { extendPath } from '../../src/main/start-checks.ts';
import type { System } from '../../src/main/system.ts';
import { freePort } from '../free-port.ts';
import { OttaviaProcess } from '../ottavia-process.ts';
import { type HostState, hostTestsObstacle, readHostState } from './host-state.ts';
import { Lbaas } from './lbaas.ts';
import type { SubnetOfHost } from './member-host.ts';

/** Why tests with traffic cannot run here, in brackets for the title of what is skipped; undefined when they can. */
export const trafficObstacle = hostTestsObstacle ?? (isHaproxyInstalled() ? undefined : 'needs haproxy');

export const titled = (title: string): string =>
  trafficObstacle === undefined ? title : `${title} (${trafficObstacle})`;

export type Subnet = SubnetOfHost & { id: string; network_id: string };

export interface RealSystem extends AsyncDisposable {
  dataDir: string;
  systemId: string;
  api: Lbaas;
  /** For VIPs and members. */
  subnet: Subnet;
  hostState(): HostState;
}

export interface SystemHere extends RealSystem {
  networks: NonNullable<System['networks']>;
}

/** In this process: where its own end is not what is tested. `options` are for what is not as a user starts it. */
export async function openSystemHere(options: Partial<StandaloneOptions> = {}): Promise<SystemHere> {
  extendPath(process.env);
  const dataDir = mkdtempSync(join(tmpdir(), 'ottavia-traffic-'));
  await using made = new AsyncDisposableStack();
  made.defer(() => leaveNothing(dataDir));
  const { system, stop } = await startStandalone({ dataDir, listen: '127.0.0.1:0', ...options }, silentLog);
  made.defer(stop);
  const api = new Lbaas(dataDir);
  const { systemId, networks } = system;
  const parts = { dataDir, systemId, api, networks: networks!, subnet: await privateSubnet(api) };
  const stack = made.move();
  return {
    ...parts,
    hostState: () => readHostState(systemId, dataDir),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** In a process of its own, always on the same port, so that a client outlives its restarts. */
export class SystemProcess implements RealSystem {
  readonly dataDir: string;
  systemId = '';
  api!: Lbaas;
  subnet!: Subnet;
  readonly #environment: Record<string, string>;
  #port = 0;
  #program: OttaviaProcess | undefined;

  private constructor(environment: Record<string, string>) {
    this.dataDir = mkdtempSync(join(tmpdir(), 'ottavia-life-'));
    this.#environment = environment;
  }

  static async open(environment: Record<string, string> = {}): Promise<SystemProcess> {
    const system = new SystemProcess(environment);
    try {
      system.#port = await freePort();
      await system.start();
      system.systemId = readFileSync(join(system.dataDir, 'system-id'), 'utf8').trim();
      system.api = new Lbaas(system.dataDir);
      system.subnet = await privateSubnet(system.api);
      return system;
    } catch (error) {
      await system[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What the running program has logged so far. */
  get log(): string {
    return this.#program?.stderr ?? '';
  }

  /** With what the environment says besides, this time. */
  async start(more: Record<string, string> = {}): Promise<void> {
    const args = ['standalone', '--data-dir', this.dataDir, '--listen', `127.0.0.1:${this.#port}`];
    const env = { ...process.env, ...this.#environment, ...more };
    this.#program = new OttaviaProcess(args, { env });
    await this.#program.ready();
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    await this.#program!.end(signal);
  }

  hostState(): HostState {
    return readHostState(this.systemId, this.dataDir);
  }

  /** How many rows each table has, the empty ones left out. */
  countRows(): Record<string, number> {
    using db = new ReadOnly(join(this.dataDir, 'ottavia.db'));
    const tables = db.all("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'");
    const counts = tables.map(({ name }) => [
      String(name),
      Number(db.all(`select count(*) as n from "${name}"`)[0]!.n),
    ]);
    return Object.fromEntries(counts.filter(([, count]) => count !== 0));
  }

  query(sql: string): Record<string, unknown>[] {
    using db = new ReadOnly(join(this.dataDir, 'ottavia.db'));
    return db.all(sql);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#program && this.#program.child.exitCode === null && this.#program.child.signalCode === null) {
      await this.end('SIGTERM');
    }
    await leaveNothing(this.dataDir);
  }
}

class ReadOnly {
  readonly #db: DatabaseSync;
  constructor(path: string) {
    this.#db = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
  }
  all(sql: string): Record<string, unknown>[] {
    return this.#db.prepare(sql).all();
  }
  [Symbol.dispose](): void {
    this.#db.close();
  }
}

async function privateSubnet(api: Lbaas): Promise<Subnet> {
  const [subnet] = await api.client.list('network/subnets', { name: 'private-subnet' });
  return subnet as unknown as Subnet;
}

async function leaveNothing(dataDir: string): Promise<void> {
  await purgeDirectory({ dataDir }, silentLog);
  rmSync(dataDir, { recursive: true, force: true });
}
