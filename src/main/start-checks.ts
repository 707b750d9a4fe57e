/** What must be right before a standalone system makes anything: each problem one sentence with its remedy. */
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, dirname, join, resolve } from 'node:path';
import { errorChain } from '../lib/errors.ts';
import { TLS_VERSIONS } from '../model/listener.ts';
import { findBrokerProblems } from './queue.ts';
import type { Settings } from './settings.ts';

/** Programs of the host that amphorae in namespaces are made of, with the Debian package of each. */
const PROGRAMS = [
  ['haproxy', 'haproxy'],
  ['keepalived', 'keepalived'],
  ['rsyslogd', 'rsyslog'],
  ['ip', 'iproute2'],
  ['nft', 'nftables'],
  ['ping', 'iputils-ping'],
  ['unshare', 'util-linux'],
  ['nsenter', 'util-linux'],
  ['setsid', 'util-linux'],
  ['mount', 'mount'],
] as const;

/** The kernel's numbers of the capabilities that namespaces, mounts and links take. */
const CAPABILITIES = [
  ['CAP_NET_ADMIN', 12],
  ['CAP_SYS_ADMIN', 21],
] as const;

/** Enough for the database, the logs and the roots of a few amphorae, each with a copy of the agent. */
const MIN_FREE_BYTES = 32 * 1024 * 1024;

export interface StartNeeds {
  settings: Settings;
  dataDir: string;
  /** The agent as one file. */
  agentProgram: string;
}

/** Looks at everything and makes nothing; returns all problems. */
export async function findStartProblems(needs: StartNeeds): Promise<string[]> {
  const { controller_worker: drivers, api_settings: api } = needs.settings;
  const usesHost = drivers.compute_driver === 'namespace' || drivers.network_driver === 'bridge';
  return [
    ...findUnsupportedDrivers(needs.settings),
    ...findKeystoneProblems(needs.settings),
    ...findTlsProblems(needs.settings),
    ...findWebhookProblems(needs.settings),
    ...findBrokerProblems(needs.settings),
    ...(usesHost
      ? [...findMissingPrograms(), ...findMissingRights(), ...findMissingAgent(needs.agentProgram)]
      : []),
    ...findDirectoryProblems(needs.dataDir),
    ...(await findPortProblem(api.bind_host, api.bind_port)),
  ];
}

/** Providers that a user may choose, when they are enabled. */
export const PROVIDER_NAMES: readonly string[] = ['amphora', 'octavia', 'noop', 'noop_driver'];

/** The names in `name: description, …`, each with its description, where there is one. */
export function describedProviders(enabled: readonly string[]): [name: string, description?: string][] {
  return enabled.map(text => {
    const [name = '', ...words] = text.split(':');
    return [name.trim(), words.join(':').trim() || undefined];
  });
}

/** What only programs of their own can use has no meaning in one process yet. */
function findUnsupportedDrivers(settings: Settings): string[] {
  const { controller_worker: drivers, certificates } = settings;
  const problems: string[] = [];
  if (drivers.compute_driver === 'nova' || drivers.network_driver === 'neutron')
    problems.push(
      'Cannot use Nova or Neutron from standalone: set compute_driver to namespace or noop, and network_driver to bridge or noop',
    );
  if (certificates.cert_manager === 'barbican')
    problems.push('Cannot use a Barbican from standalone: set cert_manager to standalone or noop');
  return [...problems, ...findDriverMixProblems(settings), ...findProviderProblems(settings)];
}

export function findDriverMixProblems({ controller_worker: drivers }: Settings): string[] {
  const kinds = [
    drivers.compute_driver === 'noop',
    drivers.network_driver === 'noop',
    drivers.amphora_driver === 'noop',
  ];
  if (kinds.includes(true) && kinds.includes(false))
    return [
      'Cannot mix noop with real drivers: compute_driver, network_driver and amphora_driver must all be noop, or none; --drivers noop sets all three',
    ];
  return [];
}

export function findProviderProblems({ api_settings: api }: Settings): string[] {
  const problems: string[] = [];
  const providers = describedProviders(api.enabled_provider_drivers).map(([name]) => name);
  for (const name of providers.filter(each => !PROVIDER_NAMES.includes(each)))
    problems.push(
      `Cannot use provider ${name} of enabled_provider_drivers: there are ${PROVIDER_NAMES.join(', ')}`,
    );
  if (!providers.includes(api.default_provider_driver))
    problems.push(
      `Cannot use default_provider_driver ${api.default_provider_driver}: it is not among enabled_provider_drivers`,
    );
  return problems;
}

export function findKeystoneProblems({ api_settings, keystone_authtoken: auth }: Settings): string[] {
  if (api_settings.auth_strategy !== 'keystone') return [];
  const missing = [
    ...(auth.auth_url === null && auth.www_authenticate_uri === null ? ['auth_url'] : []),
    ...(auth.username === null ? ['username'] : []),
    ...(auth.password.reveal() === '' ? ['password'] : []),
  ];
  if (missing.length === 0) return [];
  return [
    `Cannot ask a Keystone about tokens: set ${missing.join(', ')} in [keystone_authtoken], or auth_strategy to standalone or noauth`,
  ];
}

export const webhookUrlsOf = ({ ottavia }: Settings): string[] => {
  const urls = ottavia.webhook_urls.reveal().split(',');
  return [...new Set(urls.map(url => url.trim()))].filter(url => url !== '');
};

/** URLs are not told: there may be a token in them. */
export function findWebhookProblems(settings: Settings): string[] {
  const urls = webhookUrlsOf(settings);
  const isBad = (url: string) => !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol);
  const bad = urls.flatMap((url, i) => (isBad(url) ? [`number ${i + 1}`] : []));
  return [
    ...(bad.length > 0
      ? [`Cannot use webhook_urls: ${bad.join(', ')} must begin with http:// or https://`]
      : []),
    ...(urls.length > 0 && settings.ottavia.webhook_secret.reveal() === ''
      ? ['Cannot sign events: set webhook_secret, which receivers of webhook_urls check them with']
      : []),
  ];
}

/** Defaults that users would be refused. Source: contract api.md 6.5. */
export function findTlsProblems({ api_settings: api }: Settings): string[] {
  const minimum = api.minimum_tls_version;
  const versions: readonly string[] = TLS_VERSIONS;
  if (minimum !== null && !versions.includes(minimum))
    return [`Cannot use minimum_tls_version ${minimum}: there are ${versions.join(', ')}`];
  return (['listener', 'pool'] as const).flatMap(kind => {
    const ciphers = api[`default_${kind}_ciphers`].split(':');
    const prohibited = ciphers.filter(cipher => api.tls_cipher_prohibit_list.includes(cipher));
    const old = api[`default_${kind}_tls_versions`].filter(
      version => versions.indexOf(version) < versions.indexOf(minimum ?? ''),
    );
    return [
      ...prohibited.map(c => `Cannot use ${c} of default_${kind}_ciphers: tls_cipher_prohibit_list holds it`),
      ...old.map(v => `Cannot use ${v} of default_${kind}_tls_versions: minimum_tls_version is ${minimum}`),
    ];
  });
}

function findMissingPrograms(): string[] {
  const missing = PROGRAMS.filter(([program]) => !findProgram(program));
  if (missing.length === 0) return [];
  const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
  const names = missing.map(([program]) => program).join(', ');
  return [
    `Cannot find ${names} on this machine. Install with: apt-get install -y --no-install-recommends ${packages}`,
  ];
}

/** Some shells of ordinary users, and some service managers, leave these out; the agent always looks there. */
const SYSTEM_DIRECTORIES = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];

function findProgram(name: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_DIRECTORIES];
  return directories.map(directory => join(directory, name)).find(isExecutable);
}

/** Makes sure that programs are found where the checks found them. */
export function extendPath(environment: NodeJS.ProcessEnv): void {
  const present = (environment.PATH ?? '').split(delimiter).filter(directory => directory !== '');
  environment.PATH = [...new Set([...present, ...SYSTEM_DIRECTORIES])].join(delimiter);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Absent and forbidden are the same here: it cannot be run.
    return false;
  }
}

function findMissingRights(): string[] {
  const remedy = 'Run it as root (sudo), or try it without amphorae: ottavia standalone --drivers noop';
  if (process.getuid?.() !== 0) return [`Cannot make network namespaces: only root can. ${remedy}`];
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const missing = CAPABILITIES.filter(
    ([, bit]) => effective && ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 0n,
  );
  if (missing.length === 0) return [];
  const names = missing.map(([name]) => name).join(' and ');
  return [
    `Cannot make network namespaces: this root lacks ${names}. In a container, start it with --privileged; else: ottavia standalone --drivers noop`,
  ];
}

function findMissingAgent(agentProgram: string): string[] {
  return existsSync(agentProgram)
    ? []
    : [`Cannot find the agent ${agentProgram}: it is not built. Build it with: npm run setup`];
}

function findDirectoryProblems(given: string): string[] {
  const path = resolve(given);
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  if (!statSync(existing).isDirectory())
    return [`Cannot use data directory ${path}: ${existing} is a file. Choose another with --data-dir`];
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch {
    return [
      `Cannot write to data directory ${path}: ${existing} is not writable. Choose another with --data-dir`,
    ];
  }
  const { bavail, bsize } = statfsSync(existing);
  const free = bavail * bsize;
  if (free >= MIN_FREE_BYTES) return [];
  const megabytes = (bytes: number) => Math.floor(bytes / 1024 / 1024);
  return [
    `Cannot use data directory ${path}: the disk is full (${megabytes(free)} MB free, ${megabytes(MIN_FREE_BYTES)} MB are needed). ` +
      'Free some space, or choose another directory with --data-dir',
  ];
}

export function findPortProblem(host: string, port: number, option = '--listen'): Promise<string[]> {
  if (port === 0) return Promise.resolve([]);
  return new Promise(done => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = `${host}:${port}`;
      const sentences: Record<string, string> = {
        EADDRINUSE: `Cannot listen on ${where}: another program does. Stop it, or choose another port with ${option}`,
        EADDRNOTAVAIL: `Cannot listen on ${where}: this machine does not have the address. Choose another with ${option}`,
        EACCES: `Cannot listen on ${where}: ports below 1024 are for root. Choose another port with ${option}`,
        ENOTFOUND: `Cannot listen on ${where}: there is no such host. Choose another with ${option}`,
      };
      done([sentences[error.code ?? ''] ?? `Cannot listen on ${where}: ${errorChain(error)}`]);
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => done([])));
  });
}
