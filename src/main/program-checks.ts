/** What must be right before one program of many starts: each problem one sentence with its remedy. */
import { findBrokerProblems } from './queue.ts';
import type { Settings } from './settings.ts';
import {
  findDriverMixProblems,
  findKeystoneProblems,
  findPortProblem,
  findProviderProblems,
  findTlsProblems,
  findWebhookProblems,
} from './start-checks.ts';

export type ProgramKind = 'api' | 'worker' | 'health-manager' | 'housekeeping';

/** Looks at everything that this program needs and makes nothing. `hasCloud`: the drivers are not those of the settings. */
export async function findProgramProblems(
  kind: ProgramKind,
  settings: Settings,
  hasCloud: boolean,
): Promise<string[]> {
  const { api_settings: api } = settings;
  const callsDrivers = kind === 'api' || kind === 'worker';
  return [
    ...findDatabaseProblems(settings),
    ...findWebhookProblems(settings),
    ...findBrokerProblems(settings),
    ...(callsDrivers ? findProviderProblems(settings) : []),
    ...(callsDrivers && !hasCloud
      ? [...findDriverMixProblems(settings), ...findDriverProblems(settings)]
      : []),
    ...(callsDrivers ? findSecretStoreProblems(settings) : []),
    ...(kind === 'worker' ? findAuthorityProblems(settings) : []),
    ...(kind === 'api'
      ? [
          ...findIdentityProblems(settings),
          ...findKeystoneProblems(settings),
          ...findTlsProblems(settings),
          ...(await findPortProblem(api.bind_host, api.bind_port, '[api_settings] bind_host and bind_port')),
        ]
      : []),
  ];
}

function findDatabaseProblems({ database }: Settings): string[] {
  if (!/^sqlite:|^$/.test(database.connection.reveal())) return [];
  return [
    'Cannot share a database of SQLite between programs: set [database] connection to one on a server, such as mysql+pymysql://user:password@host/octavia or postgresql://user:password@host/octavia',
  ];
}

function findDriverProblems({ controller_worker: drivers }: Settings): string[] {
  if (drivers.compute_driver === 'noop') return [];
  return [
    `Cannot use the drivers ${drivers.compute_driver} and ${drivers.network_driver} from a program of its own: set compute_driver, network_driver and amphora_driver to noop, or run ottavia standalone`,
  ];
}

function findSecretStoreProblems({ certificates }: Settings): string[] {
  if (certificates.cert_manager === 'noop') return [];
  return [
    `Cannot use the key manager ${certificates.cert_manager} from a program of its own: set [certificates] cert_manager to noop, or run ottavia standalone`,
  ];
}

function findIdentityProblems({ api_settings }: Settings): string[] {
  if (api_settings.auth_strategy !== 'standalone') return [];
  return [
    'Cannot serve an identity from a program of its own: set auth_strategy to keystone or noauth, or run ottavia standalone',
  ];
}

function findAuthorityProblems({ certificates }: Settings): string[] {
  const missing = (['ca_certificate', 'ca_private_key'] as const).filter(name => certificates[name] === null);
  if (missing.length === 0) return [];
  return [
    `Cannot sign certificates of agents: set ${missing.join(' and ')} in [certificates], the same for all workers`,
  ];
}
