/** What the agent tells about its machine and its programs. Source: contract amphora-agent.md 4.2 to 4.4. */
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { CommandError, run } from '../lib/command.ts';
import {
  AGENT_API_VERSION,
  type AgentDetails,
  type AgentInfo,
  type AgentListener,
} from '../wire/agent-api.ts';
import { haproxyFiles, type Paths } from './config.ts';
import { findText } from './files.ts';
import { listFrontends } from './haproxy/config-text.ts';
import { findWorker } from './haproxy/master.ts';
import { INNER_NAMESPACE, namespaceExists } from './network/namespace.ts';

/** Every load balancer that has a configuration here. */
export function listLoadBalancers(paths: Paths): string[] {
  return readDirectory(paths.base)
    .filter(name => existsSync(haproxyFiles(paths, name).config))
    .sort();
}

function readDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    // Nothing was uploaded yet.
    return [];
  }
}

export function listListeners(paths: Paths): AgentListener[] {
  return listLoadBalancers(paths).flatMap(id =>
    listFrontends(findText(haproxyFiles(paths, id).config) ?? '').map(frontend => ({
      status: 'ACTIVE' as const,
      uuid: frontend.name,
      type: frontend.type,
    })),
  );
}

const PACKAGES = ['haproxy', 'keepalived', 'ipvsadm'] as const;
type Versions = Record<(typeof PACKAGES)[number], string>;

let versions: { of: number; value: Promise<Versions> } | undefined;

export async function getInfo(): Promise<AgentInfo> {
  const { haproxy, keepalived, ipvsadm } = await packageVersions();
  return {
    hostname: hostname(),
    haproxy_version: haproxy,
    api_version: AGENT_API_VERSION,
    keepalived_version: keepalived,
    ipvsadm_version: ipvsadm,
  };
}

/** Asked again only after packages changed: the question takes longer than all the rest. */
function packageVersions(): Promise<Versions> {
  let of = 0;
  try {
    of = statSync('/var/lib/dpkg/status').mtimeMs;
  } catch {
    // Not a Debian: rpm is asked below.
  }
  if (versions?.of !== of) versions = { of, value: of > 0 ? askDpkg() : askRpm() };
  return versions.value;
}

async function askDpkg(): Promise<Versions> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const format = '-f=${Package} ${Version}\n';
  return readVersions(await outputOf('dpkg-query', ['-W', format, ...PACKAGES]));
}

async function askRpm(): Promise<Versions> {
  return readVersions(await outputOf('rpm', ['-q', '--queryformat', '%{NAME} %{VERSION}\n', ...PACKAGES]));
}

/** A package that is not installed makes the question fail, yet the others are answered. */
async function outputOf(program: string, args: string[]): Promise<string> {
  try {
    return (await run(program, args, { timeoutMs: 10_000 })).stdout;
  } catch (error) {
    if (error instanceof CommandError) return error.stdout;
    throw error;
  }
}

function readVersions(text: string): Versions {
  const found = new Map(text.split('\n').map(line => line.split(' ') as [string, string]));
  return Object.fromEntries(PACKAGES.map(name => [name, found.get(name) ?? ''])) as Versions;
}

export async function getDetails(paths: Paths, lvs: readonly AgentListener[]): Promise<AgentDetails> {
  const ids = listLoadBalancers(paths);
  // One that hangs counts as none: what matters to whoever asks is whether it serves.
  const answers = await Promise.all(ids.map(id => findWorker(haproxyFiles(paths, id))));
  const disk = statfsSync('/');
  const available = disk.bavail * disk.bsize;
  return {
    ...(await getInfo()),
    networks: await networkCounters(),
    active: true,
    haproxy_count: answers.filter(worker => worker !== undefined).length,
    lvs_listener_process_count: lvs.filter(listener => listener.status === 'ACTIVE').length,
    cpu_count: availableParallelism(),
    cpu: parseCpu(findText('/proc/stat') ?? ''),
    memory: parseMemory(findText('/proc/meminfo') ?? ''),
    disk: { used: (disk.blocks - disk.bfree) * disk.bsize, available },
    load: (findText('/proc/loadavg') ?? '').split(' ').slice(0, 3) as [string, string, string],
    active_tuned_profiles: (findText('/etc/tuned/active_profile') ?? '').trim(),
    topology: 'SINGLE',
    topology_status: 'OK',
    changes_topology: true,
    listeners: [...listListeners(paths), ...lvs].map(listener => listener.uuid).sort(),
    packages: {},
  };
}

/** user, nice, system, idle, iowait, irq, softirq, … Source: proc(5). */
export function parseCpu(stat: string): AgentDetails['cpu'] {
  const jiffies = stat.split('\n')[0]!.trim().split(/\s+/).slice(1);
  const total = jiffies.reduce((sum, each) => sum + Number(each), 0);
  return { total, user: jiffies[0] ?? '0', system: jiffies[2] ?? '0', soft_irq: jiffies[6] ?? '0' };
}

export function parseMemory(meminfo: string): AgentDetails['memory'] {
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0);
  return {
    total: kilobytes('MemTotal'),
    free: kilobytes('MemFree'),
    buffers: kilobytes('Buffers'),
    cached: kilobytes('Cached'),
    swap_used: kilobytes('SwapCached'),
    shared: kilobytes('Shmem'),
    slab: kilobytes('Slab'),
  };
}

async function networkCounters(): Promise<AgentDetails['networks']> {
  if (!namespaceExists()) return {};
  const { stdout } = await run('ip', ['-netns', INNER_NAMESPACE, '-json', '-statistics', 'link', 'show'], {
    timeoutMs: 10_000,
  });
  const rows = JSON.parse(stdout || '[]') as {
    ifname: string;
    stats64: { rx: { bytes: number }; tx: { bytes: number } };
  }[];
  return Object.fromEntries(
    rows
      .filter(row => row.ifname.startsWith('eth'))
      .map(row => [row.ifname, { network_tx: row.stats64.tx.bytes, network_rx: row.stats64.rx.bytes }]),
  );
}
