/**
 * The agent: serves the controller's requests, keeps haproxy and keepalived running, reports what it sees. It imports only wire, model,
 * lib and Node, so that it travels as one file. haproxy and keepalived do not depend on it: they run on while it is gone.
 */
import { existsSync } from 'node:fs';
import type { Server } from 'node:https';
import { errorChain } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { type AgentConfig, haproxyFiles, readAgentConfig } from './config.ts';
import { Counters } from './counters.ts';
import { getInfo, listLoadBalancers } from './facts.ts';
import { findText } from './files.ts';
import { ensureBootFiles } from './haproxy/boot-files.ts';
import { listFrontends } from './haproxy/config-text.ts';
import { DeathWatch } from './haproxy/death-watch.ts';
import { Haproxy } from './haproxy/process.ts';
import { statusesOf } from './haproxy/stats.ts';
import { HeartbeatSender } from './heartbeat.ts';
import { Keepalived } from './keepalived/process.ts';
import { Lvs } from './lvs/lvs.ts';
import { Interfaces } from './network/interfaces.ts';
import { type Look, look } from './observe.ts';
import { serveMetrics } from './prometheus/proxy.ts';
import { createAgentServer, readCredentials } from './server.ts';
import { Lane } from './wait.ts';

const LONGEST_PAUSE_MS = 30_000;
/** A process closes what it has open a moment before it counts as ended. */
const ALARM_MS = 500;
const ALARMED_PAUSE_MS = 50;

export class Agent {
  readonly #config: AgentConfig;
  readonly #log: Log;
  /** Changes of the host: requests, restoring, restarting. */
  readonly #lane = new Lane();
  /** Messages: their counters must not mix. */
  readonly #reports = new Lane();
  readonly #haproxy: Haproxy;
  readonly #deaths = new DeathWatch(() => {
    this.#alarmedUntil = performance.now() + ALARM_MS;
    this.#watchSoon(0);
  });
  readonly #keepalived: Keepalived;
  readonly #lvs: Lvs;
  readonly #interfaces: Interfaces;
  readonly #counters: Counters;
  readonly #sender: HeartbeatSender;
  readonly #server: Server;
  #metrics: ReturnType<typeof serveMetrics> | undefined;
  #intervalMs: number;
  #lastSentAt = Number.NEGATIVE_INFINITY;
  #lastStatuses = '';
  #timer: NodeJS.Timeout | undefined;
  #alarmedUntil = 0;
  #stopped = false;
  #reviveFailures = 0;
  #reviveNotBefore = 0;

  constructor(config: AgentConfig, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#intervalMs = config.heartbeat.intervalMs;
    this.#counters = new Counters(config.paths.counters);
    this.#sender = new HeartbeatSender(config.amphoraId, config.heartbeat, this.#counters, log);
    this.#keepalived = new Keepalived(config);
    this.#lvs = new Lvs(config, log, () => this.#watchSoon(0));
    this.#interfaces = new Interfaces(config.paths, log);
    this.#haproxy = new Haproxy({
      config,
      log,
      aroundReset: (id, work) => this.#aroundReset(id, work),
    });
    this.#server = createAgentServer(
      {
        ...{
          config,
          log,
          haproxy: this.#haproxy,
          keepalived: this.#keepalived,
          lvs: this.#lvs,
          interfaces: this.#interfaces,
        },
        noteChange: () => this.#watchSoon(0),
        rereadSettings: () => this.#rereadSettings(),
        rereadCertificate: () => this.#server.setSecureContext(readCredentials(config.paths)),
      },
      this.#lane,
    );
  }

  /** Resolves when requests are answered; what has to be restored is done before the first change. */
  async start(agentProgram: string): Promise<void> {
    void this.#lane.run(() => this.#restore(agentProgram));
    // The controller's first question, whose answer takes another program its time; an error is for whoever asks.
    getInfo().catch(() => {});
    try {
      await this.#listen(this.#config.bindHost);
    } catch (error) {
      // A kernel without IPv6 has no address that means both.
      const noIpv6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '');
      if (!noIpv6 || this.#config.bindHost !== '::') throw error;
      await this.#listen('0.0.0.0');
    }
    this.#log.info({ port: this.#config.bindPort }, 'listening');
    this.#metrics = serveMetrics(this.#config.paths, this.#log);
    this.#watchSoon(0);
  }

  /** haproxy and keepalived run on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#deaths.close();
    await this.#lvs.close();
    this.#server.closeAllConnections();
    this.#metrics?.close();
    await new Promise(closed => this.#server.close(closed));
    this.#sender.close();
  }

  #listen(host: string): Promise<void> {
    return new Promise((listening, fail) => {
      this.#server.once('error', fail);
      this.#server.listen({ host, port: this.#config.bindPort }, () => {
        this.#server.off('error', fail);
        listening();
      });
    });
  }

  async #restore(agentProgram: string): Promise<void> {
    try {
      ensureBootFiles(this.#config.paths, agentProgram);
      await this.#interfaces.restore();
      await this.#keepalived.restore();
      for (const id of listLoadBalancers(this.#config.paths)) await this.#haproxy.admitClients(id);
    } catch (error) {
      // Requests are answered all the same, so that the controller sees what is wrong.
      this.#log.error({ reason: errorChain(error) }, 'cannot restore the inner namespace');
    }
    await this.#revive();
    await this.#lvs.tend();
  }

  /** Starts again what should run and does not; after a failure less often, because requests wait meanwhile. */
  async #revive(): Promise<void> {
    if (performance.now() < this.#reviveNotBefore) return;
    const { paths } = this.#config;
    for (const id of listLoadBalancers(paths)) {
      if (!existsSync(haproxyFiles(paths, id).wanted) || this.#haproxy.isRunning(id)) continue;
      await this.#attempt({ load_balancer_id: id }, 'haproxy is gone; starting it', () =>
        this.#haproxy.start(id, 'it was gone'),
      );
    }
    if (this.#keepalived.isWanted() && !this.#keepalived.isRunning()) {
      await this.#attempt({}, 'keepalived is gone or hangs; starting it', () => this.#keepalived.start());
    }
  }

  async #attempt(
    fields: Record<string, string>,
    message: string,
    work: () => Promise<unknown>,
  ): Promise<void> {
    this.#log.warn(fields, message);
    try {
      await work();
      this.#reviveFailures = 0;
    } catch (error) {
      // It is tried again at a later look.
      this.#log.error({ ...fields, reason: errorChain(error) }, 'start failed');
      const pauseMs = Math.min(1000 * 2 ** this.#reviveFailures++, LONGEST_PAUSE_MS);
      this.#reviveNotBefore = performance.now() + pauseMs;
    }
  }

  #watchSoon(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#watch(), delayMs);
  }

  async #watch(): Promise<void> {
    try {
      this.#keepalived.look();
      if (this.#isSomethingDead()) await this.#lane.run(() => this.#revive());
      const { paths } = this.#config;
      this.#deaths.watch(listLoadBalancers(paths).map(id => haproxyFiles(paths, id).masterSocket));
      await this.#lvs.tend();
      const looks = await this.#look(false);
      for (const { loadBalancerId, leftOver } of looks) {
        if (this.#haproxy.listOverdue(loadBalancerId).length > 0)
          await this.#lane.run(() => this.#haproxy.endDrains(loadBalancerId));
        if (leftOver.length > 0) await this.#lane.run(() => this.#haproxy.retire(loadBalancerId, leftOver));
      }
      const isDue = performance.now() - this.#lastSentAt >= this.#intervalMs;
      if (isDue || describe(looks) !== this.#lastStatuses) await this.#report();
    } catch (error) {
      // The next look finds what is still wrong.
      this.#log.error({ reason: errorChain(error) }, 'look failed');
    }
    const now = performance.now();
    const untilDueMs = this.#lastSentAt + this.#intervalMs - now;
    const pauseMs = now < this.#alarmedUntil ? ALARMED_PAUSE_MS : this.#config.statusCheckIntervalMs;
    this.#watchSoon(Math.max(Math.min(pauseMs, untilDueMs), 10));
  }

  #isSomethingDead(): boolean {
    const { paths } = this.#config;
    const isDead = (id: string) => existsSync(haproxyFiles(paths, id).wanted) && !this.#haproxy.isRunning(id);
    return (
      listLoadBalancers(paths).some(isDead) || (this.#keepalived.isWanted() && !this.#keepalived.isRunning())
    );
  }

  async #look(withCounts: boolean): Promise<Look[]> {
    const looks = [look(this.#config.paths, this.#log), this.#lvs.look(withCounts)];
    return (await Promise.all(looks)).flat();
  }

  #report(): Promise<void> {
    return this.#reports.run(() => this.#send());
  }

  /** No message is built while haproxy changes from one count to the next. */
  #aroundReset(loadBalancerId: string, work: () => Promise<void>): Promise<void> {
    return this.#reports.run(async () => {
      await this.#send();
      await work();
      this.#counters.forget(this.#listenersOf(loadBalancerId));
    });
  }

  /** A dead keepalived is reported by silence. Source: contract heartbeat.md 1. */
  async #send(): Promise<void> {
    this.#lastSentAt = performance.now();
    if (this.#keepalived.isConfigured() && !this.#keepalived.isRunning()) return;
    const looks = await this.#look(true);
    this.#lastStatuses = describe(looks);
    await this.#sender.send(looks);
  }

  #listenersOf(loadBalancerId: string): string[] {
    const config = findText(haproxyFiles(this.#config.paths, loadBalancerId).config) ?? '';
    return listFrontends(config).map(frontend => frontend.name);
  }

  #rereadSettings(): void {
    const { heartbeat, memberDrainTimeoutMs, topology } = readAgentConfig(this.#config.paths.configFile);
    if (this.#config.topology !== topology) {
      this.#config.topology = topology;
      this.#lvs.noteTopology().catch(error => {
        // The next change of a listener has it looked at.
        this.#log.error({ reason: errorChain(error) }, 'keepalived does not look at all listeners');
      });
    }
    this.#haproxy.drainTimeoutMs = memberDrainTimeoutMs;
    this.#intervalMs = heartbeat.intervalMs;
    this.#sender.settings = heartbeat;
    this.#lastSentAt = Number.NEGATIVE_INFINITY;
    this.#watchSoon(0);
  }
}

const describe = (looks: readonly Look[]): string =>
  looks.map(each => `${each.loadBalancerId} ${statusesOf(each.observation)}`).join('\n');
