/** `ottavia api|worker|health-manager|housekeeping`: one program of many that share a database, and a broker if there is one. */
import { dirname, resolve } from 'node:path';
import { openClock } from '../db/clock.ts';
import { openDatabase } from '../db/open.ts';
import { ensureUnownedLease } from '../db/spares.ts';
import { FileAuthority } from '../drivers/certificates/files.ts';
import { NoopSecrets } from '../drivers/certificates/noop-secrets.ts';
import { systemClock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { policyOf } from './access.ts';
import { type Cloud, openNoopCloud } from './cloud.ts';
import { startEvents } from './events.ts';
import { openLog } from './logging.ts';
import { ensureHeartbeatKey, type Parts } from './parts.ts';
import { findProgramProblems, type ProgramKind } from './program-checks.ts';
import { buildProviders } from './providers.ts';
import { openQueue } from './queue.ts';
import { readSettings, type Settings } from './settings.ts';
import { describe, firstSignal, readFiles, StartError } from './start.ts';
import { startApi } from './start-api.ts';
import { extendPath } from './start-checks.ts';
import { startHealthManager } from './start-health-manager.ts';
import { startHousekeeping } from './start-housekeeping.ts';
import { startWorker } from './start-worker.ts';

export interface ProgramOptions {
  configFile?: string[];
  /** The drivers; without it those that the settings choose. */
  cloud?: Cloud;
}

export interface Program {
  /** Of the API alone. */
  url: string | undefined;
  /** Ends everything of this process, the newest first: passes give their leases back. */
  stop(): Promise<void>;
}

/** What holds up a stop for longer is left behind: leases run out, and so do claims. */
const STOP_LIMIT_MS = 10_000;

/** The command itself: runs until a signal ends it. Returns the exit code. */
export async function runProgram(kind: ProgramKind, options: ProgramOptions): Promise<number> {
  extendPath(process.env);
  try {
    const signal = firstSignal();
    const { settings } = readProgramSettings(options);
    const log = openLog(process.stderr, settings.DEFAULT.debug, { program: kind, pid: process.pid });
    const starting = startProgram(kind, options, log);
    // Whoever waits for a database can be stopped as well: nothing is begun yet.
    const program = await Promise.race([starting, signal]);
    if (typeof program === 'string') process.exit(0);
    log.info({ signal: await signal }, 'stopping');
    const limit = systemClock.sleep(STOP_LIMIT_MS).then(() => 'limit' as const);
    if ((await Promise.race([program.stop(), limit])) === 'limit')
      log.warn({ limit_ms: STOP_LIMIT_MS }, 'stopped without waiting any longer for what is under way');
    else log.info({}, 'stopped');
    // What was left behind would hold up the end of the process.
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`);
    return 1;
  }
}

/** Returns when the program is at work; what was started before a failure is stopped again. */
export async function startProgram(kind: ProgramKind, options: ProgramOptions, log: Log): Promise<Program> {
  const { settings, remarks } = readProgramSettings(options);
  const problems = await findProgramProblems(kind, settings, options.cloud !== undefined);
  if (problems.length > 0) throw new StartError(problems.join('\n'));
  for (const remark of remarks) log.warn({}, remark);
  const configFile = options.configFile?.at(-1);
  const configDirectory = configFile === undefined ? process.cwd() : dirname(resolve(configFile));
  // What can be told without the database is told first.
  const policy = policyOf(settings, configDirectory, log);
  const authority = authorityOf(settings, configDirectory);
  if (kind === 'worker') await authority.check();

  await using started = new AsyncDisposableStack();
  const connection = settings.database.connection.reveal();
  const db = await openDatabase(connection);
  started.defer(() => db.destroy());
  await ensureUnownedLease(db);
  const clock = started.use(await openClock(db, connection, log));
  const heartbeatKey = await ensureHeartbeatKey(settings, db);
  const queue = await openQueue(settings, started, log);
  const parts: Parts = { settings, configDirectory, db, queue, clock, log, started };
  if (settings.DEFAULT.transport_url.reveal() === '')
    log.warn({}, 'no transport_url: workers find what there is to do by looking, every sweep_interval');
  await startEvents(parts, { deliver: kind === 'housekeeping' });

  let url: string | undefined;
  const cloud = options.cloud ?? openNoopCloud();
  const secrets = new NoopSecrets();
  const providers = () => buildProviders(parts, { authority, secrets, cloud, heartbeatKey });
  if (kind === 'api') {
    const { accessLog } = cloud;
    url = await startApi(parts, { policy, providers: providers(), secrets, accessLog });
    log.info({ url }, 'ready: serves the API');
  } else if (kind === 'worker') {
    startWorker(parts, providers());
    const { worker_concurrency: at_once, sweep_interval } = settings.ottavia;
    log.info({ at_once, sweep_interval }, 'ready: makes load balancers real');
  } else if (kind === 'health-manager') {
    const bindIp = settings.health_manager.bind_ip;
    const where = await startHealthManager(parts, { bindIp, heartbeatKey });
    log.info({ where }, 'ready: receives heartbeats and looks for silent amphorae');
  } else {
    startHousekeeping(parts);
    log.info({}, 'ready: purges rows, renews certificates, keeps spare amphorae, delivers events');
  }
  const stack = started.move();
  return { url, stop: () => stack.disposeAsync() };
}

function readProgramSettings({ configFile }: ProgramOptions) {
  return readSettings({
    program: 'controller',
    files: readFiles(configFile ?? []),
    environment: process.env,
  });
}

function authorityOf(settings: Settings, directory: string): FileAuthority {
  const { certificates, haproxy_amphora: amphora, controller_worker: worker } = settings;
  const at = (path: string) => resolve(directory, path);
  const passphrase = certificates.ca_private_key_passphrase;
  return new FileAuthority(
    {
      caCertificate: at(certificates.ca_certificate ?? ''),
      caPrivateKey: at(certificates.ca_private_key ?? ''),
      passphrase: passphrase.reveal() === '' ? undefined : passphrase,
      serverCa: at(amphora.server_ca),
      clientCa: at(worker.client_ca),
      clientCert: at(amphora.client_cert),
    },
    certificates.cert_validity_time * 1000,
  );
}
