/** UDP and SCTP listeners of this amphora: what is wanted lies in files, an engine makes it so. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { errorChain } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { AgentListener } from '../../wire/agent-api.ts';
import type { AgentConfig } from '../config.ts';
import { findText, removeFile, writeWhole } from '../files.ts';
import type { Look } from '../observe.ts';
import { Lane } from '../wait.ts';
import { type LvsListener, parseLvsConfig } from './config-text.ts';
import { type LvsEngine, observationOf } from './engine.ts';
import { type LvsFiles, listLvsListeners, lvsFiles } from './files.ts';
import { hasIpvs, IpvsEngine } from './ipvs-engine.ts';
import { NftEngine } from './nft-engine.ts';

export class Lvs {
  readonly #config: AgentConfig;
  readonly #log: Log;
  readonly #noteChange: () => void;
  readonly #lane = new Lane();
  #engine: Promise<LvsEngine> | undefined;
  /** By listener; a text that is the same is not read again. */
  readonly #read = new Map<string, { text: string; listener: LvsListener }>();

  constructor(config: AgentConfig, log: Log, noteChange: () => void) {
    this.#config = config;
    this.#log = log;
    this.#noteChange = noteChange;
  }

  files(listenerId: string): LvsFiles {
    return lvsFiles(this.#config.paths, listenerId);
  }

  has(listenerId: string): boolean {
    return existsSync(this.files(listenerId).config);
  }

  find(listenerId: string): string | undefined {
    return findText(this.files(listenerId).config);
  }

  /** Throws when the text is none that can be served; it is served from the next start or reload on. */
  store(listenerId: string, text: string): void {
    parseLvsConfig(text);
    writeWhole(this.files(listenerId).config, text);
  }

  vipsOf(listenerId: string): string[] {
    return this.#listener(listenerId).services.flatMap(service => service.vips);
  }

  /** Makes it served as its file says; true when it was not served at all before. */
  async start(listenerId: string): Promise<boolean> {
    const { wanted } = this.files(listenerId);
    const isNew = !existsSync(wanted);
    if (isNew) writeWhole(wanted, '');
    await this.#change(engine => engine.apply(listenerId, this.#listener(listenerId)));
    return isNew;
  }

  /** Success when it is not served. */
  async stop(listenerId: string): Promise<void> {
    removeFile(this.files(listenerId).wanted);
    await this.#change(async engine => {
      await engine.stop(listenerId);
      return true;
    });
  }

  /** Stops it and removes every file of it. */
  async remove(listenerId: string): Promise<void> {
    await this.stop(listenerId);
    removeFile(this.files(listenerId).config);
    this.#read.delete(listenerId);
  }

  /** Starts again what should be served and is not; what fails is tried again at the next look. */
  async tend(): Promise<void> {
    for (const [id, listener] of this.#wanted()) {
      const tend = async () => (await this.#getEngine()).tend(id, listener);
      await this.#lane.run(tend).catch(error => {
        // Other listeners are to be served all the same.
        this.#log.error({ listener_id: id, reason: errorChain(error) }, 'cannot serve a listener');
      });
    }
  }

  /** The counters and the number of flows are for heartbeats. */
  async look(withCounts: boolean): Promise<Look[]> {
    const wanted = this.#wanted();
    if (wanted.size === 0) return [];
    const seen = await (await this.#getEngine()).observe(wanted, withCounts);
    return seen
      .filter(each => wanted.get(each.listenerId)!.enabled)
      .map(each => ({
        loadBalancerId: each.listenerId,
        observation: observationOf(wanted.get(each.listenerId)!, each),
        leftOver: [],
      }));
  }

  /** Source: contract amphora-agent.md 4.2. */
  async list(): Promise<AgentListener[]> {
    const ids = listLvsListeners(this.#config.paths);
    const looks = await this.look(false);
    const isServed = (id: string) =>
      looks.some(each => each.loadBalancerId === id) && this.#listener(id).services.length > 0;
    return ids.map(uuid => ({ status: isServed(uuid) ? 'ACTIVE' : 'OFFLINE', uuid, type: 'UDP' }));
  }

  /** The agent has another topology: in a pair, keepalived looks at these listeners as well. */
  async noteTopology(): Promise<void> {
    if (this.#wanted().size > 0) await this.#change(async () => false);
  }

  async close(): Promise<void> {
    (await this.#engine)?.close();
  }

  #getEngine(): Promise<LvsEngine> {
    this.#engine ??= hasIpvs().then(has => {
      const { administrativeLogFacility, paths } = this.#config;
      if (!has) {
        const isSriov = () => existsSync(paths.firewallRules);
        const options = { log: this.#log, lane: this.#lane, noteChange: this.#noteChange };
        const { programs } = paths;
        return new NftEngine({ ...options, isSriov, programs, agentProgram: process.argv[1]! });
      }
      return new IpvsEngine(id => this.files(id), administrativeLogFacility, paths.programs);
    });
    return this.#engine;
  }

  #change(work: (engine: LvsEngine) => Promise<boolean>): Promise<void> {
    return this.#lane.run(async () => {
      const engine = await this.#getEngine();
      const isChange = await work(engine);
      this.#updateCheckScript(engine);
      if (isChange) this.#noteChange();
    });
  }

  #wanted(): Map<string, LvsListener> {
    const wanted = new Map<string, LvsListener>();
    for (const id of listLvsListeners(this.#config.paths)) {
      if (!existsSync(this.files(id).wanted)) continue;
      try {
        wanted.set(id, this.#listener(id));
      } catch (error) {
        // Another agent's, perhaps; the others are served, and the controller misses this one.
        this.#log.error({ listener_id: id, reason: errorChain(error) }, 'cannot read a configuration');
      }
    }
    return wanted;
  }

  #listener(listenerId: string): LvsListener {
    const text = this.find(listenerId) ?? '';
    const read = this.#read.get(listenerId);
    if (read?.text === text) return read.listener;
    const listener = parseLvsConfig(text);
    this.#read.set(listenerId, { text, listener });
    return listener;
  }

  /** In a pair, an amphora whose UDP listeners are not served must not hold the VIP. Source: contract amphora-agent.md 5.5. */
  #updateCheckScript(engine: LvsEngine): void {
    if (this.#config.topology !== 'ACTIVE_STANDBY') return;
    const path = join(this.#config.paths.vrrp, 'check_scripts', 'lvs_udp_check.sh');
    const checks = [...this.#wanted().keys()].map(id => `${engine.liveCommand(id)} >/dev/null || exit 1\n`);
    if (checks.length === 0) removeFile(path);
    else writeWhole(path, checks.join(''));
  }
}
