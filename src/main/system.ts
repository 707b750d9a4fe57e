/** The whole system in one process: all the programs' parts over one cloud of its own. */
import { join } from 'node:path';
import { openClock } from '../db/clock.ts';
import { endAllLeases } from '../db/lease.ts';
import { openDatabase } from '../db/open.ts';
import { SecretTables } from '../db/secrets.ts';
import { ensureUnownedLease } from '../db/spares.ts';
import { setSystemFact } from '../db/system.ts';
import { LocalAuthority } from '../drivers/certificates/local.ts';
import { LocalSecrets } from '../drivers/certificates/local-secrets.ts';
import { NoopSecrets } from '../drivers/certificates/noop-secrets.ts';
import { timestamp } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { policyOf } from './access.ts';
import { openHostCloud, openNoopCloud, type StandaloneCloud } from './cloud.ts';
import { SECRETS_KEY_FILE } from './data-directory.ts';
import { startEvents } from './events.ts';
import { ensureHeartbeatKey, type Parts } from './parts.ts';
import { buildProviders } from './providers.ts';
import { SYSTEM_ID_FACT } from './purge.ts';
import { openQueue } from './queue.ts';
import type { Settings } from './settings.ts';
import { startApi } from './start-api.ts';
import { startHealthManager } from './start-health-manager.ts';
import { startHousekeeping } from './start-housekeeping.ts';
import { startWorker } from './start-worker.ts';

export interface SystemOptions {
  settings: Settings;
  /** Where the files are: its path, and the URL of the database in it. */
  directory: { path: string; databaseUrl(): string };
  /** Where files are that the settings name without a path; the directory itself when absent. */
  configDirectory?: string;
  systemId: string;
  log: Log;
  /** The agent as one file. */
  agentProgram: string;
}

export interface System {
  url: string;
  systemId: string;
  /** Absent with the noop drivers. */
  networks: StandaloneCloud['networks'];
  /** Ends everything of this process, the newest first; amphorae go on. */
  stop(): Promise<void>;
}

/** Returns when requests are served; what was started before a failure is stopped again. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { settings, directory, systemId, log, agentProgram } = options;
  const configDirectory = options.configDirectory ?? directory.path;
  const policy = policyOf(settings, configDirectory, log);
  await using started = new AsyncDisposableStack();
  const elsewhere = settings.database.connection.reveal();
  // The file in the data directory is nobody else's, as the lock there shows.
  const database = elsewhere || directory.databaseUrl();
  const db = await openDatabase(database, { isShared: elsewhere !== '' });
  started.defer(() => db.destroy());
  await setSystemFact(db, SYSTEM_ID_FACT, systemId);
  // The lock on the data directory shows that whoever held one is gone.
  await endAllLeases(db);
  await ensureUnownedLease(db);
  const authority = new LocalAuthority({
    directory: join(directory.path, 'ca'),
    agentDays: settings.certificates.cert_validity_time / 86_400,
  });
  const cloud =
    settings.controller_worker.compute_driver === 'noop'
      ? openNoopCloud()
      : await openHostCloud({
          ...{ settings, db, authority, dataDir: directory.path, systemId, agentProgram, log },
        });
  const heartbeatKey = await ensureHeartbeatKey(settings, db);
  const clock = started.use(await openClock(db, database, log));
  const queue = await openQueue(settings, started, log);
  const parts: Parts = { settings, configDirectory, db, queue, clock, log, started };
  await startEvents(parts, { deliver: true });
  const now = () => timestamp(clock.now());
  const secretTables = await SecretTables.open(db, join(directory.path, SECRETS_KEY_FILE), now);
  const secrets =
    settings.certificates.cert_manager === 'noop' ? new NoopSecrets() : new LocalSecrets(secretTables);

  if (cloud.heartbeatAddress !== undefined)
    await startHealthManager(parts, { bindIp: cloud.heartbeatAddress, heartbeatKey });
  const providers = buildProviders(parts, { authority, secrets, cloud, heartbeatKey });
  const url = await startApi(parts, {
    ...{ policy, providers, secrets, accessLog: cloud.accessLog },
    standalone: { directory: directory.path, network: cloud.network, secretTables },
  });
  startWorker(parts, providers);
  startHousekeeping(parts);

  const stack = started.move();
  return { url, systemId, networks: cloud.networks, stop: () => stack.disposeAsync() };
}
