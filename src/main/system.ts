/** Settings → a wired system: the only place that knows every implementation. */
import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { ProviderEntry } from '../api/server.ts';
import { renderAgentConfig } from '../dataplane/agent-config.ts';
import { DatabaseHealth } from '../db/health.ts';
import { endAllLeases } from '../db/lease.ts';
import { NetworkTables } from '../db/networks.ts';
import { openDatabase } from '../db/open.ts';
import type { Db } from '../db/schema.ts';
import { SecretTables } from '../db/secrets.ts';
import { ensureUnownedLease } from '../db/spares.ts';
import { ensureSystemFact, setSystemFact } from '../db/system.ts';
import type { AmphoraDriver } from '../drivers/amphora/amphora.ts';
import { HttpAmphora } from '../drivers/amphora/http.ts';
import { NoopAmphora } from '../drivers/amphora/noop.ts';
import type { CertificateAuthority } from '../drivers/certificates/authority.ts';
import { LocalAuthority } from '../drivers/certificates/local.ts';
import { LocalSecrets } from '../drivers/certificates/local-secrets.ts';
import { NoopSecrets } from '../drivers/certificates/noop-secrets.ts';
import type { SecretStore } from '../drivers/certificates/secrets.ts';
import type { AccessLog } from '../drivers/compute/access-log.ts';
import type { Compute } from '../drivers/compute/compute.ts';
import { NamespaceCompute } from '../drivers/compute/namespace.ts';
import { NamespaceLog } from '../drivers/compute/namespace-log.ts';
import { NoopCompute } from '../drivers/compute/noop.ts';
import { BridgeNetwork } from '../drivers/network/bridge.ts';
import { type DefaultNetworks, ensureDefaultNetworks } from '../drivers/network/default-networks.ts';
import type { Network } from '../drivers/network/network.ts';
import { NoopNetwork } from '../drivers/network/noop.ts';
import type { NetworkCloud } from '../drivers/network/store.ts';
import { NoopCloud } from '../drivers/noop-cloud.ts';
import { HealthManager } from '../health-manager/health-manager.ts';
import { OverdueWatch } from '../health-manager/overdue.ts';
import { Housekeeping } from '../housekeeping/housekeeping.ts';
import { systemClock, timestamp } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import { AmphoraProvider } from '../providers/amphora/amphora-provider.ts';
import { NoopProvider } from '../providers/noop-provider.ts';
import type { Provider } from '../providers/provider.ts';
import type { PassesUnderWay } from '../providers/trace.ts';
import { InProcessQueue } from '../queue/in-process.ts';
import { Identity } from '../standalone/identity.ts';
import { Worker } from '../worker/worker.ts';
import { openKeystone, policyOf, wwwAuthenticateUriOf } from './access.ts';
import { apiSettingsOf, haproxySettingsOf, vrrpSettingsOf } from './api-settings.ts';
import { writeClientFiles } from './client-files.ts';
import { SECRETS_KEY_FILE } from './data-directory.ts';
import { garbageSettingsOf, housekeepingOptionsOf } from './housekeeping-settings.ts';
import { buildHttpServer, choosePort, localUrl } from './http-server.ts';
import { accessLogOf, rsyslogConfigOf } from './log-settings.ts';
import { ensureLogin } from './login.ts';
import { addNoopNetworks } from './noop-networks.ts';
import { SYSTEM_ID_FACT } from './purge.ts';
import type { Settings } from './settings.ts';
import { describedProviders } from './start-checks.ts';
import { startWebhooks } from './webhooks.ts';

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
  networks: (DefaultNetworks & { bridge: BridgeNetwork }) | undefined;
  /** Ends everything of this process, the newest first; amphorae go on. */
  stop(): Promise<void>;
}

/** What the drivers come to, whichever they are. */
interface Cloud {
  compute: Compute;
  network: Network & NetworkCloud;
  amphora: AmphoraDriver;
  managementNetworkId: string;
  /** Where heartbeats are received; undefined where none are sent. */
  heartbeatAddress: string | undefined;
  /** Absent where amphorae keep it out of reach. */
  accessLog?: AccessLog;
  networks: System['networks'];
}

const STOP_LIMIT_MS = 10_000;

/** Returns when requests are served; what was started before a failure is stopped again. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { settings, directory, systemId, log } = options;
  const policy = policyOf(settings, configDirectoryOf(options), log);
  await using started = new AsyncDisposableStack();
  const elsewhere = settings.database.connection.reveal();
  // The file in the data directory is nobody else's, as the lock there shows.
  const db = await openDatabase(elsewhere || directory.databaseUrl(), { isShared: elsewhere !== '' });
  started.defer(() => db.destroy());
  await setSystemFact(db, SYSTEM_ID_FACT, systemId);
  // The lock on the data directory shows that whoever held one is gone.
  await endAllLeases(db);
  await ensureUnownedLease(db);
  const authority = new LocalAuthority({
    directory: join(directory.path, 'ca'),
    agentDays: settings.certificates.cert_validity_time / 86_400,
  });
  const cloud = await openCloud(options, db, authority);
  const heartbeatKey = await ensureHeartbeatKey(settings, db);
  const queue = new InProcessQueue();
  const clock = systemClock;
  await startWebhooks(settings, started, { db, clock, log });
  const now = () => timestamp(clock.now());
  const secretTables = await SecretTables.open(db, join(directory.path, SECRETS_KEY_FILE), now);
  const secrets =
    settings.certificates.cert_manager === 'noop' ? new NoopSecrets() : new LocalSecrets(secretTables);

  if (cloud.heartbeatAddress !== undefined) {
    const health = settings.health_manager;
    const parts = { store: new DatabaseHealth(db), queue, clock, log };
    const heartbeatTimeoutMs = health.heartbeat_timeout * 1000;
    const manager = new HealthManager(
      {
        bindIp: cloud.heartbeatAddress,
        bindPort: health.bind_port,
        keys: [heartbeatKey],
        heartbeatIntervalMs: health.heartbeat_interval * 1000,
        heartbeatTimeoutMs,
      },
      parts,
    );
    await manager.start();
    started.defer(() => manager.stop());
    const checkIntervalMs = health.health_check_interval * 1000;
    const { failover_threshold: failoverThreshold, failover_threads: failoversAtOnce } = health;
    const limits = { heartbeatTimeoutMs, checkIntervalMs, failoverThreshold, failoversAtOnce };
    const overdue = new OverdueWatch(limits, parts);
    overdue.start();
    started.defer(() => overdue.stop());
  }

  const providers = buildProviders({ options, db, authority, secrets, cloud, heartbeatKey });
  const underWay: PassesUnderWay = new Map();
  const worker = new Worker({
    db,
    underWay,
    queue,
    providers,
    clock,
    log,
    owner: `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`,
    leaseTtlMs: settings.ottavia.lease_ttl * 1000,
    patienceMs: settings.ottavia.error_after * 1000,
    concurrency: settings.ottavia.worker_concurrency,
    sweepIntervalMs: settings.ottavia.sweep_interval * 1000,
  });

  const { bind_host: host, auth_strategy } = settings.api_settings;
  const port = await choosePort(host, settings.api_settings.bind_port);
  const url = localUrl(host, port);
  const login = auth_strategy === 'standalone' ? await ensureLogin(db, directory.path) : undefined;
  const tokenLifeMs = settings.ottavia.token_expiration * 1000;
  const keystone = auth_strategy === 'keystone' ? openKeystone(settings, policy) : undefined;
  if (keystone) started.defer(() => keystone.close());
  const identityUri = keystone ? wwwAuthenticateUriOf(settings.keystone_authtoken) : `${url}/identity`;
  const server = buildHttpServer({
    api: {
      db,
      queue,
      clock,
      log,
      providers,
      policy,
      secrets,
      underWay,
      accessLog: accessLogOf(settings, cloud.accessLog),
      settings: apiSettingsOf(settings, identityUri),
    },
    secretTables,
    cloud: cloud.network,
    identity: login && new Identity({ db, clock, tokenLifeMs }),
    keystone: keystone?.authenticate,
  });
  started.defer(() => closeWithin(STOP_LIMIT_MS, server));
  await server.listen({ host, port });
  // Whoever has an account in a Keystone has files of his own.
  if (!keystone) writeClientFiles(directory.path, { url, login });
  worker.start();
  started.defer(() => worker.stop());
  const housekeeping = new Housekeeping(housekeepingOptionsOf(settings), { db, queue, clock, log });
  housekeeping.start();
  started.defer(() => housekeeping.stop());

  const stack = started.move();
  return { url, systemId, networks: cloud.networks, stop: () => stack.disposeAsync() };
}

const configDirectoryOf = ({ configDirectory, directory }: SystemOptions): string =>
  configDirectory ?? directory.path;

/** Lets the requests under way end, but not for ever. */
async function closeWithin(limitMs: number, server: { close(): Promise<unknown> }): Promise<void> {
  const closed = new AbortController();
  const limit = systemClock.sleep(limitMs, closed.signal).catch(() => undefined); // Aborted: all of them ended.
  await Promise.race([server.close(), limit]);
  closed.abort();
}

async function openCloud(options: SystemOptions, db: Db, authority: CertificateAuthority): Promise<Cloud> {
  const { settings, directory, systemId, log, agentProgram } = options;
  if (settings.controller_worker.compute_driver === 'noop') {
    const cloud = new NoopCloud();
    const network = new NoopNetwork(cloud, addNoopNetworks(cloud));
    return {
      compute: new NoopCompute(cloud),
      network,
      amphora: new NoopAmphora(cloud),
      managementNetworkId: network.managementNetworkId,
      heartbeatAddress: undefined,
      networks: undefined,
    };
  }
  const store = new NetworkTables(db, () => timestamp(Date.now()));
  const bridge = new BridgeNetwork({ store, systemId, log });
  const { management_cidr, private_cidr, public_cidr } = settings.ottavia;
  const networks = await ensureDefaultNetworks(bridge, systemId, {
    management: management_cidr || undefined,
    private: private_cidr || undefined,
    public: public_cidr || undefined,
  });
  bridge.managementNetworkId = networks.management.network.id;
  await bridge.restore();
  const compute = new NamespaceCompute({
    ...{ dataDir: directory.path, systemId, network: bridge, agentProgram, log },
  });
  await compute.restore();
  const { rest_request_conn_timeout, rest_request_read_timeout } = settings.haproxy_amphora;
  return {
    compute,
    network: bridge,
    amphora: new HttpAmphora({
      authority,
      connectTimeoutMs: rest_request_conn_timeout * 1000,
      readTimeoutMs: rest_request_read_timeout * 1000,
    }),
    managementNetworkId: bridge.managementNetworkId,
    heartbeatAddress: settings.health_manager.bind_ip || networks.management.subnet.gateway_ip!,
    accessLog: new NamespaceLog(directory.path),
    networks: { ...networks, bridge },
  };
}

/** By the names that users may give. */
function buildProviders(parts: {
  options: SystemOptions;
  db: Db;
  authority: CertificateAuthority;
  secrets: SecretStore;
  cloud: Cloud;
  heartbeatKey: Secret;
}): Map<string, ProviderEntry> {
  const { cloud, db, authority, secrets, heartbeatKey } = parts;
  const { settings, log } = parts.options;
  const {
    controller_worker: worker,
    health_manager: health,
    haproxy_amphora,
    amphora_agent: agent,
  } = settings;
  const gateway = `${cloud.heartbeatAddress}:${health.bind_port}`;
  const listed = health.controller_ip_port_list;
  const amphora = new AmphoraProvider({
    ...{ db, authority, secrets, log, clock: systemClock },
    compute: cloud.compute,
    network: cloud.network,
    amphora: cloud.amphora,
    settings: {
      haproxy: haproxySettingsOf(settings),
      vrrp: vrrpSettingsOf(settings),
      bootNetworks:
        worker.amp_boot_network_list.length > 0
          ? [...worker.amp_boot_network_list]
          : [cloud.managementNetworkId],
      agentWaitMs: 10_000,
      agentPollMs: 20,
      askTries: haproxy_amphora.failover_connection_max_retries,
      askLimitMs: haproxy_amphora.failover_connection_retry_interval * 1000,
      bootLimitMs: worker.amp_active_retries * worker.amp_active_wait_sec * 1000,
      garbage: garbageSettingsOf(settings),
    },
    rsyslogConfig: rsyslogConfigOf(settings, configDirectoryOf(parts.options)),
    agentConfig: ({ id }, topology) =>
      renderAgentConfig({
        amphora_id: id,
        topology,
        debug: settings.DEFAULT.debug,
        base_path: haproxy_amphora.base_path,
        base_cert_dir: haproxy_amphora.base_cert_dir,
        haproxy_cmd: haproxy_amphora.haproxy_cmd,
        member_drain_timeout: haproxy_amphora.member_drain_timeout,
        user_log_facility: agent.user_log_facility,
        administrative_log_facility: agent.administrative_log_facility,
        controller_ip_port_list: listed.length > 0 ? listed : [gateway],
        heartbeat_interval: health.heartbeat_interval,
        heartbeat_key: heartbeatKey,
        agent_server_ca: agent.agent_server_ca,
        agent_server_cert: agent.agent_server_cert,
        agent_request_read_timeout: agent.agent_request_read_timeout,
        agent_tls_protocol: agent.agent_tls_protocol,
      }),
  });
  const all: Record<string, Provider> = {
    ...{ amphora, octavia: amphora },
    ...{ noop: new NoopProvider(), noop_driver: new NoopProvider('noop_driver') },
  };
  const enabled = describedProviders(settings.api_settings.enabled_provider_drivers);
  const entries = enabled.flatMap(([name, description]) => {
    const provider = all[name];
    return provider ? [[name, { provider, network: cloud.network, description }] as const] : [];
  });
  return new Map(entries);
}

async function ensureHeartbeatKey(settings: Settings, db: Db): Promise<Secret> {
  if (settings.health_manager.heartbeat_key.reveal() !== '') return settings.health_manager.heartbeat_key;
  return new Secret(await ensureSystemFact(db, 'heartbeat_key', () => randomBytes(32).toString('base64url')));
}
