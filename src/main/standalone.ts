/** `ottavia standalone`: the whole system in one process, on one data directory. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Log } from '../lib/log.ts';
import { DataDirectory, DirectoryInUse, holdsSystem } from './data-directory.ts';
import { openLog } from './logging.ts';
import { readSettings, type Settings } from './settings.ts';
import { describe, firstSignal, readFiles, StartError } from './start.ts';
import { extendPath, findStartProblems } from './start-checks.ts';
import type { System } from './system.ts';

/** The agent, bundled: `scripts/bundle-agent.ts` writes it. */
export const AGENT_PROGRAM = fileURLToPath(new URL('../../dist/agent.mjs', import.meta.url));

export interface StandaloneOptions {
  dataDir: string;
  /** `address:port`; without it what the settings say. */
  listen?: string;
  configFile?: string[];
  /** All drivers at once. */
  drivers?: 'noop';
  purge?: boolean;
  /** What runs in amphorae, as one file; our own agent when absent. */
  agentProgram?: string;
}

export interface Standalone {
  /** Such as `http://127.0.0.1:9876`. */
  url: string;
  dataDir: string;
  system: System;
  /** Ends everything of this process; amphorae go on carrying traffic. */
  stop(): Promise<void>;
}

/** The command itself: runs until a signal ends it. Returns the exit code. */
export async function runStandalone(options: StandaloneOptions): Promise<number> {
  extendPath(process.env);
  try {
    if (options.purge) {
      await runPurge(options);
      return 0;
    }
    const signal = firstSignal();
    const { settings } = readStandaloneSettings(options);
    const log = openLog(process.stderr, settings.DEFAULT.debug);
    const running = await startStandalone(options, log);
    process.stdout.write(`Ottavia listens on ${running.url}; its data directory is ${running.dataDir}\n`);
    // Whoever has an account in a Keystone has files of his own.
    if (settings.api_settings.auth_strategy !== 'keystone')
      process.stdout.write(
        `For a shell:         . ${join(running.dataDir, 'openrc')}\n` +
          `For OpenStack tools: OS_CLIENT_CONFIG_FILE=${join(running.dataDir, 'clouds.yaml')} openstack --os-cloud ottavia loadbalancer list\n`,
      );
    log.info({ url: running.url, data_dir: running.dataDir }, 'ready');
    log.info({ signal: await signal }, 'stopping; amphorae go on carrying traffic');
    await running.stop();
    log.info({}, 'stopped');
    return 0;
  } catch (error) {
    process.stderr.write(`${describe(error, options.dataDir)}\n`);
    return 1;
  }
}

/** Starts a system on the data directory, the first time from nothing; a first start that fails leaves nothing behind. */
export async function startStandalone(options: StandaloneOptions, log: Log): Promise<Standalone> {
  const { settings, remarks } = readStandaloneSettings(options);
  const { dataDir, agentProgram = AGENT_PROGRAM } = options;
  const problems = await findStartProblems({ settings, dataDir, agentProgram });
  // Who already runs there is told first: that its port is taken would only follow from it.
  if (problems.length > 0) {
    checkNotInUse(options.dataDir);
    throw new StartError(problems.join('\n'));
  }
  for (const remark of remarks) log.warn({}, remark);
  const isFirst = !holdsSystem(options.dataDir);
  const directory = DataDirectory.open(options.dataDir);
  // Loaded late, so that everything above answers at once.
  const { findSystemIdInDatabase, listSystemIds, purgeSystem } = await import('./purge.ts');
  const { startSystem } = await import('./system.ts');
  let systemId: string | undefined;
  try {
    const known = directory.findSystemId() ?? (await findSystemIdInDatabase(directory.databaseUrl()));
    systemId = directory.ensureSystemId(known, listSystemIds());
    const configFile = options.configFile?.at(-1);
    const system = await startSystem({
      ...{ settings, directory, systemId, log, agentProgram },
      configDirectory: configFile && dirname(resolve(configFile)),
    });
    return {
      url: system.url,
      system,
      dataDir: directory.path,
      async stop() {
        await system.stop();
        directory.close();
      },
    };
  } catch (error) {
    if (!isFirst) directory.close();
    else {
      if (systemId !== undefined) await purgeSystem({ systemId, dataDir: directory.path, log });
      directory.undo();
    }
    throw error;
  }
}

async function runPurge(options: StandaloneOptions): Promise<void> {
  const path = resolve(options.dataDir);
  if (!existsSync(path) || !holdsSystem(path)) {
    process.stdout.write(`Nothing to purge: ${path} holds no Ottavia system\n`);
    return;
  }
  const left = await purgeDirectory(options, openLog(process.stderr, false));
  const kept = left.length > 0 ? `; kept what is not ours: ${left.join(', ')}` : '';
  process.stdout.write(`Purged ${path}${kept}\n`);
}

/** Removes everything that the system on the data directory ever made; returns what else is in the directory. */
export async function purgeDirectory(options: StandaloneOptions, log: Log): Promise<string[]> {
  const directory = DataDirectory.open(options.dataDir);
  const { findSystemIdInDatabase, listSystemIds, purgeSystem } = await import('./purge.ts');
  try {
    const systemId = directory.findSystemId() ?? (await findSystemIdInDatabase(directory.databaseUrl()));
    if (systemId === undefined && listSystemIds().size > 0) {
      throw new StartError(
        `Cannot tell which namespaces and links belong to ${directory.path}: its system-id file and its database are gone or damaged. ` +
          'Find the five characters in the names of `ip netns list` (ottavia-…-) and `ip link` (ob…), write them into the file system-id there, and purge again',
      );
    }
    if (systemId !== undefined) await purgeSystem({ systemId, dataDir: directory.path, log });
  } catch (error) {
    directory.close();
    throw error;
  }
  return directory.remove();
}

export function readStandaloneSettings(options: StandaloneOptions): {
  settings: Settings;
  remarks: string[];
} {
  const listen = options.listen === undefined ? undefined : parseListen(options.listen);
  return readSettings({
    program: 'standalone',
    files: readFiles(options.configFile ?? []),
    environment: process.env,
    commandLine: {
      'api_settings.bind_host': listen?.host,
      'api_settings.bind_port': listen?.port,
      'controller_worker.compute_driver': options.drivers,
      'controller_worker.network_driver': options.drivers,
      'controller_worker.amphora_driver': options.drivers,
    },
  });
}

/** `address:port`, `[v6]:port`, `:port` or a port alone. */
export function parseListen(text: string): { host: string | undefined; port: string } {
  const match = /^(?:\[([^\]]+)\]:|([^:[\]]*):)?(\d{1,5})$/.exec(text);
  if (!match) {
    throw new StartError(
      `Cannot listen on ${text}: it must be address:port, such as 127.0.0.1:9876 or [::1]:9876`,
    );
  }
  return { host: match[1] ?? (match[2] || undefined), port: match[3]! };
}

function checkNotInUse(dataDir: string): void {
  if (!existsSync(join(dataDir, 'lock'))) return;
  try {
    DataDirectory.open(dataDir).close();
  } catch (error) {
    // Other problems of the directory stand in the list that is shown instead.
    if (error instanceof DirectoryInUse) throw error;
  }
}
