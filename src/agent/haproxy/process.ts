/** Runs one haproxy per load balancer in the inner namespace: check, start, stop, and changes without a lost connection. */
import { mkdirSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError, run } from '../../lib/command.ts';
import { errorChain } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { peerName } from '../../lib/peer-name.ts';
import { signalProcess } from '../../lib/signal.ts';
import type { AgentApplied } from '../../wire/agent-api.ts';
import { type AgentConfig, type HaproxyFiles, haproxyFiles } from '../config.ts';
import { findText, removeFile, writeWhole } from '../files.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import { endProcess, findDaemon } from '../process-table.ts';
import { metricsSections } from '../prometheus/proxy.ts';
import { planWithCertificates, withCertificates } from './certificates.ts';
import { listServers, parseDocument } from './document.ts';
import { endSessions, listOverdue, noteDrains } from './drains.ts';
import { admitClients, doorSections, Handover, HOLD_CLIENTS } from './handover.ts';
import { enterChange } from './ledger.ts';
import { awaitBoth, awaitWorker, pauseBeforeReloadMs } from './master.ts';
import type { Plan, RuntimeCommand } from './plan.ts';
import { ensureQuickStart } from './quick-start.ts';
import { keepCheckResults } from './servers-state.ts';
import { ask } from './socket.ts';

const CHECK_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 20_000;
const COMMAND_TIMEOUT_MS = 5_000;

const reloadBlindly: Plan = { kind: 'reload', reason: 'what it runs is not known for sure' };

export interface HaproxyOptions {
  config: AgentConfig;
  log: Log;
  /** Runs the work, after which haproxy counts from zero; what it counted before must be read first, and nothing in between. */
  aroundReset(loadBalancerId: string, work: () => Promise<void>): Promise<void>;
}

/** Callers see to it that only one change happens at a time. */
export class Haproxy {
  readonly #options: HaproxyOptions;
  #quickStart: Promise<string[]> | undefined;
  #reloadedAt = Number.NEGATIVE_INFINITY;
  /** How long drained members keep their sessions; 0: until they end. */
  drainTimeoutMs: number;

  constructor(options: HaproxyOptions) {
    this.#options = options;
    this.drainTimeoutMs = options.config.memberDrainTimeoutMs;
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

  /** For an agent that cannot know how far its predecessor came with a reload. */
  async admitClients(loadBalancerId: string): Promise<void> {
    if (this.isRunning(loadBalancerId)) await admitClients(this.files(loadBalancerId).adminSocket);
  }

  /** Makes haproxy run what its file says, by the gentlest way there is; starts it when it does not run. */
  async apply(loadBalancerId: string): Promise<AgentApplied> {
    const files = this.files(loadBalancerId);
    const master = this.#findMaster(loadBalancerId);
    if (master === undefined) return this.start(loadBalancerId, 'it did not run');
    const wanted = withCertificates(findText(files.config) ?? '', findText);
    const running = findText(files.applied);
    const { plan, text } =
      running === undefined
        ? { plan: reloadBlindly, text: wanted }
        : planWithCertificates(running, wanted, findText);
    if (plan.kind === 'nothing') {
      writeWhole(files.applied, text, 0o600);
      return enterChange(files.ledger, 'nothing', '');
    }
    if (this.drainTimeoutMs > 0) await noteDrains(files, wanted, Date.now());
    // Until all of it is done, nobody may take the old text for what runs.
    removeFile(files.applied);
    let { reason } = plan;
    if (plan.kind === 'runtime') {
      try {
        await this.#command(files, plan.commands);
        writeWhole(files.applied, text, 0o600);
        return enterChange(files.ledger, 'runtime', reason);
      } catch (error) {
        // The file holds the whole wish, so a reload makes good whatever was done by half.
        reason = `${reason}: ${errorChain(error)}`;
      }
    }
    this.#options.log.info({ load_balancer_id: loadBalancerId, reason }, 'reloading haproxy');
    await this.#reload(loadBalancerId, master);
    writeWhole(files.applied, wanted, 0o600);
    return enterChange(files.ledger, 'reloaded', reason);
  }

  /** Success when it runs already. */
  async start(loadBalancerId: string, reason: string): Promise<AgentApplied> {
    const { config, log } = this.#options;
    const files = this.files(loadBalancerId);
    writeWhole(files.wanted, '');
    if (this.isRunning(loadBalancerId)) return enterChange(files.ledger, 'nothing', '');
    const wanted = withCertificates(findText(files.config) ?? '', findText);
    const { applied, serversState, pid, adminSocket, drains } = files;
    for (const stale of [applied, serversState, pid, adminSocket, drains]) removeFile(stale);
    await this.#writeExtra(loadBalancerId);
    const haproxy = [
      ...[config.haproxyCommand, '-W', '-D'],
      ...['-f', files.extra, '-f', files.config, '-f', config.paths.userGroup],
      ...(await this.#ensureQuickStart()),
      ...['-p', files.pid, '-L', peerName(config.amphoraId), '-S', `${files.masterSocket},mode,600`],
    ];
    const spawn = async () => {
      await run('ip', ['netns', 'exec', INNER_NAMESPACE, ...haproxy], { timeoutMs: START_TIMEOUT_MS });
      const master = this.#findMaster(loadBalancerId);
      if (master === undefined) throw new Error('haproxy ended');
      await awaitWorker(files, { master }, START_TIMEOUT_MS, () => this.#explain(files));
    };
    try {
      await this.#options.aroundReset(loadBalancerId, spawn);
    } catch (cause) {
      throw new Error(`Cannot start haproxy of load balancer ${loadBalancerId}`, { cause });
    }
    writeWhole(files.applied, wanted, 0o600);
    log.info({ load_balancer_id: loadBalancerId, reason }, 'haproxy started');
    return enterChange(files.ledger, 'started', reason);
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

  /** Ends what is left of drains whose time is over, so that `retire` can remove the servers that are to go. */
  async endDrains(loadBalancerId: string): Promise<void> {
    const servers = this.listOverdue(loadBalancerId);
    if (servers.length === 0) return;
    this.#options.log.info(
      { load_balancer_id: loadBalancerId, servers },
      'drained long enough; ending sessions',
    );
    await endSessions(this.files(loadBalancerId), servers);
  }

  /** What `endDrains` would end. */
  listOverdue(loadBalancerId: string): string[] {
    return listOverdue(this.files(loadBalancerId), this.drainTimeoutMs, Date.now());
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
    for (const { command, success, payload } of commands) {
      const answer = await ask(files.adminSocket, command, COMMAND_TIMEOUT_MS, payload);
      if (!success.test(answer)) throw new Error(`haproxy answers "${command}" with: ${answer}`);
    }
  }

  async #reload(loadBalancerId: string, master: number): Promise<void> {
    const files = this.files(loadBalancerId);
    const { processes, worker } = await awaitBoth(files, COMMAND_TIMEOUT_MS);
    const sinceLastMs = performance.now() - this.#reloadedAt;
    await delay(pauseBeforeReloadMs(processes?.oldWorkers.length ?? 0, sinceLastMs));
    const handover = worker === undefined ? undefined : await Handover.begin(files);
    await this.#writeExtra(loadBalancerId, handover && HOLD_CLIENTS);
    const before = { master, worker, reloads: processes?.reloads };
    const signal = async () => {
      await this.#saveServersState(files);
      await handover?.fill();
      signalProcess(master, 'SIGUSR2');
      await awaitWorker(files, before, START_TIMEOUT_MS, () => this.#explain(files));
      await handover?.admit();
      this.#reloadedAt = performance.now();
    };
    try {
      await this.#options.aroundReset(loadBalancerId, signal);
    } catch (cause) {
      throw new Error(`Cannot reload haproxy of load balancer ${loadBalancerId}`, { cause });
    } finally {
      handover?.end();
    }
  }

  async #writeExtra(loadBalancerId: string, more = ''): Promise<void> {
    const files = this.files(loadBalancerId);
    const door = doorSections(files, loadBalancerId, findText(files.config) ?? '');
    const metrics = await metricsSections(this.#options.config.paths, loadBalancerId);
    writeWhole(files.extra, renderExtra(files) + door + metrics + more, 0o600);
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
