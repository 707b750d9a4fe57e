/** The inner namespace, in which the load balancer's addresses, haproxy and keepalived live. Source: contract amphora-agent.md 5.8. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { run } from '../../lib/command.ts';
import type { Log } from '../../lib/log.ts';
import { findText, writeWhole } from '../files.ts';

export const INNER_NAMESPACE = 'amphora-haproxy';

const NAMESPACE_FILE = `/run/netns/${INNER_NAMESPACE}`;
const HOSTS_FILE = `/etc/netns/${INNER_NAMESPACE}/hosts`;
const TIMEOUT_MS = 10_000;

/**
 * Settings that exist per namespace. haproxy binds a VIP that keepalived has not brought here yet, hence nonlocal_bind; arp_notify lets
 * the kernel announce addresses. Source: contract dataplane.md 13, amphora-agent.md 5.8.
 */
const SETTINGS: Record<string, string> = {
  'net/ipv4/ip_nonlocal_bind': '1',
  'net/ipv6/ip_nonlocal_bind': '1',
  'net/ipv4/ip_forward': '1',
  'net/ipv6/conf/all/forwarding': '1',
  // Else the kernel takes away all addresses of a subnet with the first of them.
  'net/ipv4/conf/all/promote_secondaries': '1',
  'net/ipv4/conf/default/promote_secondaries': '1',
  'net/ipv4/conf/all/arp_notify': '1',
  'net/ipv4/conf/default/arp_notify': '1',
  'net/ipv4/vs/conntrack': '1',
  'net/ipv4/vs/expire_nodest_conn': '1',
  'net/ipv4/vs/expire_quiescent_template': '1',
  'net/core/somaxconn': '65534',
  'net/ipv4/tcp_max_syn_backlog': '100000',
  // Should a new haproxy not get the sockets of the old one, its own take over the clients that wait in their queues.
  'net/ipv4/tcp_migrate_req': '1',
  'net/ipv4/tcp_max_tw_buckets': '5800000',
  'net/ipv4/tcp_keepalive_time': '300',
  'net/ipv4/tcp_tw_reuse': '1',
  'net/ipv4/tcp_synack_retries': '3',
  'net/ipv4/tcp_mtu_probing': '1',
  'net/ipv4/tcp_fin_timeout': '5',
  'net/ipv4/tcp_rmem': '4096 87380 33554432',
  'net/ipv4/tcp_wmem': '4096 87380 33554432',
  'net/ipv4/ip_local_port_range': '1025 65534',
  'net/ipv4/ping_group_range': '0 2147483647',
};

export function namespaceExists(): boolean {
  return existsSync(NAMESPACE_FILE);
}

/** Makes the namespace when it is missing, with its settings; a setting that this kernel lacks is logged, not fatal. */
export async function ensureNamespace(log: Log): Promise<void> {
  nameHost();
  if (namespaceExists()) return;
  await run('ip', ['netns', 'add', INNER_NAMESPACE], { timeoutMs: TIMEOUT_MS });
  const script = Object.entries(SETTINGS)
    .map(([path, value]) => `echo '${value}' 2>/dev/null > /proc/sys/${path} || echo ${path}\n`)
    .join('');
  // The redirection of a subshell, so that a file that cannot be opened ends nothing.
  const refused = await run(
    'ip',
    ['netns', 'exec', INNER_NAMESPACE, 'sh', '-c', `{ ${script} } 2>/dev/null`],
    {
      timeoutMs: TIMEOUT_MS,
    },
  );
  const settings = refused.stdout.split('\n').filter(line => line !== '');
  if (settings.length > 0) log.warn({ settings }, 'kernel settings not made');
}

/**
 * `ip netns exec` lays this file over /etc/hosts. keepalived asks for the name of its own machine before it starts, and would wait for
 * name servers that cannot be reached from a tenant's network.
 */
function nameHost(): void {
  const known = findText('/etc/hosts') ?? '127.0.0.1 localhost\n';
  const named = known.split(/\s+/).includes(hostname())
    ? known
    : `${known.trimEnd()}\n127.0.1.1 ${hostname()}\n`;
  if (findText(HOSTS_FILE) !== named) writeWhole(HOSTS_FILE, named);
}
