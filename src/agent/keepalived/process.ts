/** Runs keepalived, which holds the VIP of a pair, in the inner namespace. Source: contract amphora-agent.md 5.6. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../lib/command.ts';
import type { AgentConfig } from '../config.ts';
import { removeFile, writeWhole } from '../files.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import { endProcess, findDaemon, signalProcess } from '../process-table.ts';
import { awaitCondition } from '../wait.ts';

const START_TIMEOUT_MS = 10_000;

export class Keepalived {
  readonly #config: AgentConfig;
  readonly configFile: string;
  readonly #pidFile: string;
  readonly #wanted: string;

  constructor(config: AgentConfig) {
    this.#config = config;
    this.configFile = join(config.paths.vrrp, 'octavia-keepalived.conf');
    this.#pidFile = join(config.paths.vrrp, 'octavia-keepalived.pid');
    this.#wanted = join(config.paths.vrrp, 'agent-wanted');
  }

  isConfigured(): boolean {
    return existsSync(this.configFile);
  }

  isWanted(): boolean {
    return existsSync(this.#wanted) && this.isConfigured();
  }

  isRunning(): boolean {
    return this.#find() !== undefined;
  }

  /** A running one reads its configuration again. */
  async start(): Promise<void> {
    writeWhole(this.#wanted, '');
    if (this.isRunning()) return this.#reload();
    removeFile(this.#pidFile);
    const log = `--log-facility=${this.#config.administrativeLogFacility}`;
    const keepalived = ['keepalived', log, '-f', this.configFile, '-p', this.#pidFile];
    await run('ip', ['netns', 'exec', INNER_NAMESPACE, ...keepalived], {
      timeoutMs: START_TIMEOUT_MS,
      // It starts the check scripts, which look for their programs there.
      env: { ...process.env, PATH: `${this.#config.paths.programs}:/usr/sbin:/usr/bin:/sbin:/bin` },
    });
    if (!(await awaitCondition(() => this.isRunning(), START_TIMEOUT_MS))) {
      throw new Error(`Cannot start keepalived: no process is behind ${this.#pidFile}`);
    }
  }

  async stop(): Promise<void> {
    removeFile(this.#wanted);
    const pid = this.#find();
    if (pid !== undefined) await endProcess(pid);
    removeFile(this.#pidFile);
  }

  async reload(): Promise<void> {
    if (this.isRunning()) this.#reload();
    else await this.start();
  }

  #reload(): void {
    signalProcess(this.#find()!, 'SIGHUP');
  }

  #find(): number | undefined {
    return findDaemon(this.#pidFile, this.configFile);
  }
}
