/** The file by which a reloaded haproxy knows which servers are up: what checks found, never what was set at run time. */
import { listServers, parseDocument } from './document.ts';

/**
 * Keeps of `show servers state` what the wanted configuration does not decide. haproxy would else carry a drain, a maintenance or a
 * weight that was set over the socket into the new process, against the file, and TLS on or off as it was before. Lines of unknown servers are dropped.
 * Source: HAProxy 2.6 configuration manual, "load-server-state-from-file"; management guide, "show servers state".
 */
export function keepCheckResults(dump: string, wanted: string): string {
  const servers = listServers(parseDocument(wanted) ?? new Map());
  const lines = dump.trim().split('\n');
  const names = lines[1]?.replace(/^#\s*/, '').split(' ') ?? [];
  const column = (name: string) => names.indexOf(name);
  const kept = lines.slice(2).flatMap(line => {
    const words = line.split(' ');
    const server = servers.get(`${words[column('be_name')]}/${words[column('srv_name')]}`);
    const inForce =
      server !== undefined &&
      words[column('srv_admin_state')] === '0' &&
      words[column('srv_addr')] === server.address &&
      words[column('srv_port')] === server.port;
    if (!inForce || server.weight === 0 || server.disabled) return [];
    const decided = {
      ...{ srv_uweight: server.weight, srv_iweight: server.weight },
      srv_use_ssl: server.options.includes('ssl') ? 1 : 0,
      ...{ srv_check_port: server.checkPort ?? 0, srv_check_addr: '-' },
    };
    for (const [name, value] of Object.entries(decided)) {
      if (names.includes(name)) words[column(name)] = String(value);
    }
    return [words.join(' ')];
  });
  return `${[...lines.slice(0, 2), ...kept].join('\n')}\n`;
}
