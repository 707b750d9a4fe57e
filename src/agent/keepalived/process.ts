/** Runs keepalived, which holds the VIP of a pair, in the inner namespace. Source: contract amphora-agent.md 5.6. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../../lib/command.ts';
import { signalProcess } from '../../lib/signal.ts';
import type { AgentConfig } from '../config.ts';
import { findText, removeFile, writeWhole } from '../files.ts';
import { canonical, isAddress } from '../network/address.ts';
import { INNER_NAMESPACE } from '../network/namespace.ts';
import { countTurns, endProcess, findDaemon, listStartedWith } from '../process-table.ts';
import { awaitCondition } from '../wait.ts';
import { HangWatch } from './hang-watch.ts';
import { batch, forgetRoutes, type Held, listHeld, releaseLoopback, startOverVips } from './held-vips.ts';

const START_TIMEOUT_MS = 10_000;
const LONGEST_TAKEOVER_MS = 10_000;
const MARGIN_MS = 100;
/** Longer than the kernel keeps anything waiting that is preferred to all others. */
const LEAST_HANG_MS = 3_000;

/**
 * What the text says of the VIPs; after which silence the other half takes them: three adverts and less than a fourth; and how long one
 * that hangs has done nothing at all: it is due to send, to hear or to check more often.
 */
export function readVips(conf: string): { vips: Set<string>; takeoverMs: number; hangMs: number } {
  const blocks = [...conf.matchAll(/virtual_ipaddress(?:_excluded)?\s*\{([^}]*)\}/g)].map(
    ([, block]) => block!,
  );
  const words = blocks.flatMap(block => block.split('\n').map(line => line.trim().split(/[\s/]/)[0]!));
  const advertMs = Number(/^\s*advert_int\s+([\d.]+)/m.exec(conf)?.[1] ?? 1) * 1000;
  const takeoverMs = 4 * advertMs + MARGIN_MS;
  const checkMs = Number(/^\s*interval\s+([\d.]+)/m.exec(conf)?.[1] ?? 1) * 1000;
  const hangMs = Math.max(LEAST_HANG_MS, 2 * takeoverMs, 2 * checkMs);
  return { vips: new Set(words.filter(isAddress).map(canonical)), takeoverMs, hangMs };
}

export class Keepalived {
  readonly #config: AgentConfig;
  readonly configFile: string;
  readonly #pidFile: string;
  readonly #wanted: string;
  readonly #watch = new HangWatch();
  #hangs = false;

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

  /** One that hangs counts as dead: it keeps the VIPs beside the half that took them, and takes none. */
  isRunning(): boolean {
    return !this.#hangs && this.#find() !== undefined;
  }

  /** Looks whether it does anything; to be called regularly. */
  look(): void {
    if (!this.isWanted()) return;
    const turns = listStartedWith(this.configFile).map(pid => `${pid}:${countTurns(pid)}`);
    const idleMs = this.#watch.look(turns.join(), performance.now());
    this.#hangs = idleMs >= LEAST_HANG_MS && idleMs >= this.#read().hangMs;
  }

  /** A running one reads its configuration again; one that is the first here takes over VIPs that are here already. */
  async start(): Promise<void> {
    const isFirst = !existsSync(this.#wanted);
    writeWhole(this.#wanted, '');
    if (this.isRunning()) return this.#reload();
    if (isFirst) return startOverVips(this.#read().vips, () => this.#run());
    // The VIPs that a dead one has left are served until it starts and takes them away; from one that hangs they have been taken.
    if (!this.#hangs) await this.#awaitTakeover();
    await this.#run();
  }

  async #run(): Promise<void> {
    // As long as a child of one that died lives, keepalived does not start.
    await this.#endAll();
    this.#hangs = false;
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
    this.#prefer();
  }

  /** Where the kernel shares its time among sessions first, a process's own priority counts in its session only: not in time for a check. */
  #prefer(): void {
    try {
      writeFileSync(`/proc/${this.#find()}/autogroup`, '-20');
    } catch {
      // Another kernel, which has no such thing.
    }
  }

  /**
   * Ends it without a farewell, which would leave the VIPs with nobody for a moment: they are served here until the other half has
   * heard nothing for so long that it has taken them. Where there is no other half any more, they stay.
   */
  async stop(): Promise<void> {
    removeFile(this.#wanted);
    if (this.#find() !== undefined) {
      await this.#endAll();
      await (this.#config.topology === 'SINGLE' ? forgetRoutes() : this.#releaseVips());
    }
    removeFile(this.#pidFile);
    // One that is configured and does not run counts as dead.
    if (this.#config.topology === 'SINGLE') removeFile(this.configFile);
  }

  /** After a start that was cut short by the end of the agent. */
  async restore(): Promise<void> {
    if (this.isConfigured()) await releaseLoopback(this.#read().vips);
  }

  async #endAll(): Promise<void> {
    const pid = this.#find();
    // It would start its child again, which would say farewell when its parent is gone.
    if (pid !== undefined) signalProcess(pid, 'SIGSTOP');
    // Those that were started first, last.
    for (const pid of listStartedWith(this.configFile).sort((a, b) => b - a))
      await endProcess(pid, 'SIGKILL');
  }

  async #releaseVips(): Promise<void> {
    const held = await this.#awaitTakeover();
    if (held.length > 0) await batch(held.map(({ link, prefix }) => `address delete ${prefix} dev ${link}`));
  }

  /** Resolves when the other half has heard nothing for so long that it has the VIPs; with those that are still here besides. */
  async #awaitTakeover(): Promise<Held[]> {
    const { vips, takeoverMs } = this.#read();
    const held = await listHeld(vips);
    if (held.length > 0) await delay(Math.min(takeoverMs, LONGEST_TAKEOVER_MS));
    return held;
  }

  async reload(): Promise<void> {
    if (this.isRunning()) this.#reload();
    else await this.start();
  }

  #reload(): void {
    signalProcess(this.#find()!, 'SIGHUP');
  }

  #read(): ReturnType<typeof readVips> {
    return readVips(findText(this.configFile) ?? '');
  }

  #find(): number | undefined {
    return findDaemon(this.#pidFile, this.configFile);
  }
}
