/** Balances with IPVS, which one keepalived per listener fills, where the kernel has it. Source: contract amphora-agent.md 5.7, heartbeat.md 3. */
import { statSync } from 'node:fs';
import { CommandError, run } from '../../lib/command.ts';
import { signalProcess } from '../../lib/signal.ts';
import { removeFile } from '../files.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import { endProcess, findDaemon } from '../process-table.ts';
import { awaitCondition } from '../wait.ts';
import type { LvsListener, LvsMember } from './config-text.ts';
import { type LvsEngine, type LvsObservation, statusOfMember } from './engine.ts';
import type { LvsFiles } from './files.ts';
import { targetOf } from './flows.ts';
import { parseIpVs, parseIpVsStatistics, serviceKey } from './ipvs-text.ts';

const TIMEOUT_MS = 10_000;
/** How long keepalived may take to fill the table: members that are not in it meanwhile are not down. */
const FILL_MS = 5_000;

export class IpvsEngine implements LvsEngine {
  readonly #files: (listenerId: string) => LvsFiles;
  readonly #logFacility: number;
  readonly #programs: string;
  readonly #applied = new Map<string, LvsListener>();

  constructor(files: (listenerId: string) => LvsFiles, logFacility: number, programs: string) {
    this.#files = files;
    this.#logFacility = logFacility;
    this.#programs = programs;
  }

  /**
   * The original restarts keepalived, which empties the table and forgets who was where; told to read its file again, it changes only
   * what differs.
   */
  async apply(listenerId: string, listener: LvsListener): Promise<boolean> {
    const running = this.#find(listenerId);
    if (running !== undefined && this.#applied.get(listenerId) === listener) return false;
    this.#applied.set(listenerId, listener);
    if (running !== undefined) {
      signalProcess(running, 'SIGHUP');
      return true;
    }
    const { config, pid, vrrpPid, checkPid } = this.#files(listenerId);
    for (const stale of [pid, vrrpPid, checkPid]) removeFile(stale);
    const keepalived = ['keepalived', `--log-facility=${this.#logFacility}`, '-f', config];
    await run(
      'ip',
      ['netns', 'exec', INNER_NAMESPACE, ...keepalived, '-p', pid, '-r', vrrpPid, '-c', checkPid],
      {
        timeoutMs: TIMEOUT_MS,
        env: { ...process.env, PATH: `${this.#programs}:/usr/sbin:/usr/bin:/sbin:/bin` },
      },
    );
    if (!(await awaitCondition(() => this.#find(listenerId) !== undefined, TIMEOUT_MS))) {
      throw new Error(`Cannot start keepalived of listener ${listenerId}: no process is behind ${pid}`);
    }
    return true;
  }

  async stop(listenerId: string): Promise<void> {
    const running = this.#find(listenerId);
    if (running !== undefined) await endProcess(running);
    const { pid, vrrpPid, checkPid } = this.#files(listenerId);
    for (const stale of [pid, vrrpPid, checkPid]) removeFile(stale);
  }

  async tend(listenerId: string, listener: LvsListener): Promise<void> {
    if (this.#find(listenerId) === undefined) await this.apply(listenerId, listener);
  }

  async observe(listeners: ReadonlyMap<string, LvsListener>): Promise<LvsObservation[]> {
    const running = [...listeners].filter(([id]) => this.#find(id) !== undefined);
    if (running.length === 0) return [];
    const inside = async (...command: string[]) =>
      (await run('ip', ['netns', 'exec', INNER_NAMESPACE, ...command], { timeoutMs: TIMEOUT_MS })).stdout;
    const table = parseIpVs(await inside('cat', '/proc/net/ip_vs'));
    const statistics = parseIpVsStatistics(await inside('ipvsadm', '-Ln', '--stats', '--exact'));
    return running.map(([listenerId, listener]) => {
      const keys = listener.services.flatMap(service =>
        service.vips.map(vip => serviceKey(listener.protocol!, vip, service.port)),
      );
      const targets = keys.flatMap(key => [...(table.get(key) ?? [])]);
      const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0);
      const sumOf = (field: 'bin' | 'bout' | 'stot') =>
        sum(keys.map(key => statistics.get(key)?.[field] ?? 0));
      const present = new Set(targets.map(([target]) => target));
      const changedAt = statSync(this.#files(listenerId).config).mtimeMs;
      const whenDown = Date.now() - changedAt < FILL_MS ? 'RESTARTING' : 'DOWN';
      return {
        listenerId,
        counters: { bin: sumOf('bin'), bout: sumOf('bout'), stot: sumOf('stot') },
        conns: sum(targets.map(([, active]) => active)),
        statusOf: (member: LvsMember) => statusOfMember(member, present.has(targetOf(member)), whenDown),
      };
    });
  }

  liveCommand(listenerId: string): string {
    return `kill -0 "$(cat ${this.#files(listenerId).pid})"`;
  }

  close(): void {}

  #find(listenerId: string): number | undefined {
    const { pid, config } = this.#files(listenerId);
    return findDaemon(pid, config);
  }
}

/** Whether this kernel has IPVS; the question makes it load its module. */
export async function hasIpvs(): Promise<boolean> {
  try {
    await run('ip', ['netns', 'exec', INNER_NAMESPACE, 'ipvsadm', '-Ln'], { timeoutMs: TIMEOUT_MS });
    return true;
  } catch (error) {
    // So it answers on a kernel without, and so does a machine without that program.
    if (error instanceof CommandError) return false;
    throw error;
  }
}
