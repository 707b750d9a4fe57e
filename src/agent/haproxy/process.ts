/** Runs one haproxy per load balancer in the inner namespace: check, start, stop, and changes without a lost connection. */
import { mkdirSync, rmSync } from 'node:fs';
import { CommandError, run } from '../../lib/command.ts';
import { errorChain } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { peerName } from '../../lib/peer-name.ts';
import { type AgentConfig, type HaproxyFiles, haproxyFiles } from '../config.ts';
import { findText, removeFile, writeWhole } from '../files.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import { endProcess, findDaemon, isAlive, signalProcess } from '../process-table.ts';
import { awaitCondition } from '../wait.ts';
import { listServers, parseDocument } from './document.ts';
import { planChange, type RuntimeCommand } from './plan.ts';
import { ensureQuickStart } from './quick-start.ts';
import { keepCheckResults } from './servers-state.ts';
import { ask } from './socket.ts';

const CHECK_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 20_000;
const MASTER_TIMEOUT_MS = 1_000;

export interface HaproxyOptions {
  config: AgentConfig;
  log: Log;
  /** Runs the work, after which haproxy counts from zero; what it counted before must be read first, and nothing in between. */
  aroundReset(loadBalancerId: string, work: () => Promise<void>): Promise<void>;
}

/** How a change reached haproxy. */
export type Applied = 'started' | 'reloaded' | 'runtime' | 'nothing';

/** Callers see to it that only one change happens at a time. */
export class Haproxy {
  readonly #options: HaproxyOptions;
  #quickStart: Promise<string[]> | undefined;

  constructor(options: HaproxyOptions) {
    this.#options = options;
  }

  files(loadBalancerId: string): HaproxyFiles {
    return haproxyFiles(this.#options.config.paths, loadBalancerId);
  }

  isRunning(loadBalancerId: string): boolean {
    return this.#findMaster(loadBalancerId) !== undefined;
  }

  /** Throws `CommandError` with haproxy's own words when it rejects the file. */
  async check(amphoraId: string, file: string): Promise<void> {
    const { haproxyCommand, paths } = this.#options.config;
    const args = ['-c', '-L', peerName(amphoraId), '-f', file, '-f', paths.userGroup];
    await run(haproxyCommand, [...args, ...(await this.#ensureQuickStart())], {
      timeoutMs: CHECK_TIMEOUT_MS,
    });
  }

  /** Makes haproxy run what its file says, by the gentlest way there is; starts it when it does not run. */
  async apply(loadBalancerId: string): Promise<Applied> {
    const files = this.files(loadBalancerId);
    const master = this.#findMaster(loadBalancerId);
    if (master === undefined) {
      await this.start(loadBalancerId);
      return 'started';
    }
    const wanted = findText(files.config) ?? '';
    const running = findText(files.applied);
    const plan =
      running === undefined
        ? ({ kind: 'reload', reason: 'what it runs is not known for sure' } as const)
        : planChange(running, wanted);
    if (plan.kind === 'nothing') {
      writeWhole(files.applied, wanted, 0o600);
      return 'nothing';
    }
    // Until all of it is done, nobody may take the old text for what runs.
    removeFile(files.applied);
    let reason = plan.kind === 'reload' ? plan.reason : '';
    if (plan.kind === 'runtime') {
      try {
        await this.#command(files, plan.commands);
        writeWhole(files.applied, wanted, 0o600);
        return 'runtime';
      } catch (error) {
        // The file holds the whole wish, so a reload makes good whatever was done by half.
        reason = errorChain(error);
      }
    }
    this.#options.log.info({ load_balancer_id: loadBalancerId, reason }, 'reloading haproxy');
    await this.#reload(loadBalancerId, master);
    writeWhole(files.applied, wanted, 0o600);
    return 'reloaded';
  }

  /** Success when it runs already. */
  async start(loadBalancerId: string): Promise<void> {
    const { config, log } = this.#options;
    const files = this.files(loadBalancerId);
    writeWhole(files.wanted, '');
    if (this.isRunning(loadBalancerId)) return;
    const wanted = findText(files.config) ?? '';
    for (const stale of [files.applied, files.serversState, files.pid, files.adminSocket]) removeFile(stale);
    writeWhole(files.extra, renderExtra(files), 0o600);
    const haproxy = [
      ...[config.haproxyCommand, '-W', '-D'],
      ...['-f', files.config, '-f', config.paths.userGroup, '-f', files.extra],
      ...(await this.#ensureQuickStart()),
      ...['-p', files.pid, '-L', peerName(config.amphoraId), '-S', `${files.masterSocket},mode,600`],
    ];
    const spawn = async () => {
      await run('ip', ['netns', 'exec', INNER_NAMESPACE, ...haproxy], { timeoutMs: START_TIMEOUT_MS });
      const master = this.#findMaster(loadBalancerId);
      if (master === undefined) throw new Error('haproxy ended');
      await this.#awaitWorker(files, { master });
    };
    try {
      await this.#options.aroundReset(loadBalancerId, spawn);
    } catch (cause) {
      throw new Error(`Cannot start haproxy of load balancer ${loadBalancerId}`, { cause });
    }
    writeWhole(files.applied, wanted, 0o600);
    log.info({ load_balancer_id: loadBalancerId }, 'haproxy started');
  }

  /** Success when it does not run. Connections end. */
  async stop(loadBalancerId: string): Promise<void> {
    const files = this.files(loadBalancerId);
    removeFile(files.wanted);
    const master = this.#findMaster(loadBalancerId);
    if (master !== undefined) await endProcess(master);
    for (const stale of [files.applied, files.pid]) removeFile(stale);
  }

  /** Stops it and removes every file of it. */
  async remove(loadBalancerId: string): Promise<void> {
    await this.stop(loadBalancerId);
    const files = this.files(loadBalancerId);
    rmSync(files.certificates, { recursive: true, force: true });
    rmSync(files.directory, { recursive: true, force: true });
  }

  /** The next change is a reload, because something other than the configuration file differs. */
  forgetApplied(loadBalancerId: string): void {
    removeFile(this.files(loadBalancerId).applied);
  }

  /** Removes servers from the running haproxy that only waited for their last connection; those in use stay for the next time. */
  async retire(loadBalancerId: string, servers: readonly string[]): Promise<void> {
    const files = this.files(loadBalancerId);
    // The configuration may have changed since the servers were seen.
    const applied = findText(files.applied);
    const document = applied === undefined ? undefined : parseDocument(applied);
    const listed = document && listServers(document);
    for (const server of servers) {
      if (listed?.has(server) === false) await ask(files.adminSocket, `del server ${server}`);
    }
  }

  #ensureQuickStart(): Promise<string[]> {
    const { haproxyCommand, paths } = this.#options.config;
    this.#quickStart ??= ensureQuickStart(haproxyCommand, paths.base);
    return this.#quickStart;
  }

  #findMaster(loadBalancerId: string): number | undefined {
    const files = this.files(loadBalancerId);
    return findDaemon(files.pid, files.config);
  }

  async #command(files: HaproxyFiles, commands: readonly RuntimeCommand[]): Promise<void> {
    for (const { command, success } of commands) {
      const answer = await ask(files.adminSocket, command);
      if (!success.test(answer)) throw new Error(`haproxy answers "${command}" with: ${answer}`);
    }
  }

  async #reload(loadBalancerId: string, master: number): Promise<void> {
    const files = this.files(loadBalancerId);
    writeWhole(files.extra, renderExtra(files), 0o600);
    const signal = async () => {
      const [worker, reloads] = await Promise.all([
        this.#findWorker(files),
        findReloads(files),
        this.#saveServersState(files),
      ]);
      signalProcess(master, 'SIGUSR2');
      await this.#awaitWorker(files, { master, worker, reloads: reloads?.total });
    };
    try {
      await this.#options.aroundReset(loadBalancerId, signal);
    } catch (cause) {
      throw new Error(`Cannot reload haproxy of load balancer ${loadBalancerId}`, { cause });
    }
  }

  /** Waits until another worker than the one before answers; ends early when the master gave the reload up or is gone. */
  async #awaitWorker(files: HaproxyFiles, before: Before): Promise<void> {
    let failure: string | undefined;
    const isDecided = async (): Promise<boolean> => {
      const worker = await this.#findWorker(files);
      if (worker !== undefined && worker !== before.worker) return true;
      if (!isAlive(before.master)) failure = 'haproxy ended';
      else if (before.reloads !== undefined) {
        const now = await findReloads(files);
        if (now !== undefined && now.total > before.reloads && now.failed > 0)
          failure = await this.#explain(files);
      }
      return failure !== undefined;
    };
    if (!(await awaitCondition(isDecided, START_TIMEOUT_MS))) {
      failure = `haproxy does not answer after ${START_TIMEOUT_MS} ms`;
    }
    if (failure !== undefined) throw new Error(failure);
  }

  async #findWorker(files: HaproxyFiles): Promise<string | undefined> {
    try {
      return /^Pid: (\d+)$/m.exec(await ask(files.adminSocket, 'show info', MASTER_TIMEOUT_MS))?.[1];
    } catch {
      // No worker listens there: the answer to the question.
      return undefined;
    }
  }

  async #explain(files: HaproxyFiles): Promise<string> {
    try {
      await this.check(this.#options.config.amphoraId, files.config);
      return 'the new process could not take over';
    } catch (error) {
      if (error instanceof CommandError) return `${error.stderr}${error.stdout}`;
      throw error;
    }
  }

  async #saveServersState(files: HaproxyFiles): Promise<void> {
    try {
      const dump = await ask(files.adminSocket, 'show servers state');
      writeWhole(files.serversState, keepCheckResults(dump, findText(files.config) ?? ''));
    } catch (error) {
      // The new process then takes every server for up until it was checked: worse, yet better than no reload.
      this.#options.log.warn({ err: error }, 'cannot save the state of servers');
    }
  }
}

interface Before {
  master: number;
  worker?: string;
  /** How many there were. */
  reloads?: number;
}

/** All reloads, and the failed ones since the last good one; the line of the master in 2.6. */
async function findReloads(files: HaproxyFiles): Promise<{ total: number; failed: number } | undefined> {
  try {
    const shown = await ask(files.masterSocket, 'show proc', MASTER_TIMEOUT_MS);
    const found = /\bmaster\s+(\d+)(?: \[failed: (\d+)\])?/.exec(shown);
    return found === null ? undefined : { total: Number(found[1]), failed: Number(found[2] ?? 0) };
  } catch {
    // A master that is busy reloading does not answer; it is asked again.
    return undefined;
  }
}

/**
 * The control socket of the tenant's file may only look. And where the limit of open files is below what `maxconn` asks for, fewer
 * connections are better than none.
 */
function renderExtra(files: HaproxyFiles): string {
  mkdirSync(files.directory, { recursive: true });
  return `global
    stats socket ${files.adminSocket} mode 600 level admin
    no strict-limits
`;
}
