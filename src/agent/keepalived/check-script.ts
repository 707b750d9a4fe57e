/** The scripts by which keepalived decides whether this amphora may hold the VIP. Source: contract amphora-agent.md 5.5. */
import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { haproxyFiles, type Paths } from '../config.ts';
import { listLoadBalancers } from '../facts.ts';
import { findText, removeFile, writeWhole } from '../files.ts';
import { findStatsSocket } from '../haproxy/config-text.ts';
import { ask } from '../haproxy/socket.ts';
import { listLvsListeners } from '../lvs/files.ts';

export function checkScriptPath(paths: Paths): string {
  return join(paths.vrrp, 'check_script.sh');
}

/** Runs each script of the directory; any that fails makes it fail. */
export function renderCheckScript(paths: Paths): string {
  return `#!/bin/bash
shopt -s nullglob
status=0
for script in ${paths.vrrp}/check_scripts/*; do
  bash "$script"
  status=$((status + $?))
done
exit $status
`;
}

/** undefined: no such script, because only UDP is served here. An amphora that serves nothing must not become master. */
export function renderHaproxyCheck(sockets: readonly string[], servesUdp: boolean): string | undefined {
  if (sockets.length > 0) return `haproxy-vrrp-check ${sockets.join(' ')}; exit $?\n`;
  return servesUdp ? undefined : 'exit 1\n';
}

/** Writes the script anew for the load balancers that are here, but for one that is about to be stopped. */
export function updateHaproxyCheck(paths: Paths, without?: string): void {
  const path = join(paths.vrrp, 'check_scripts', 'haproxy_check_script.sh');
  const ids = listLoadBalancers(paths).filter(id => id !== without);
  const sockets = ids.flatMap(id => findStatsSocket(findText(haproxyFiles(paths, id).config) ?? '') ?? []);
  const text = renderHaproxyCheck(sockets, listLvsListeners(paths).length > 0);
  if (text === undefined) removeFile(path);
  else writeWhole(path, text);
}

export function ensureCheckScript(paths: Paths): void {
  const path = checkScriptPath(paths);
  if (!existsSync(path)) writeWhole(path, renderCheckScript(paths), 0o755);
  chmodSync(path, 0o755);
}

/** The same as `countSilentSockets`. Quotes end it where it stands. */
const COUNT_IN_PERL = [
  '$SIG{ALRM} = sub { exit 1 }; alarm 5; my $silent = 0;',
  'for (@ARGV) { my $socket; my $answer = ""; socket($socket, PF_UNIX, SOCK_STREAM, 0)',
  '&& connect($socket, pack_sockaddr_un($_)) && syswrite($socket, "show stat -1 -1 -1\\n") or exit 1;',
  'sysread($socket, $answer, 4096); $silent++ if $answer !~ /\\S/ } exit $silent',
].join(' ');

/** `haproxy-vrrp-check`, which keepalived may run every second: Perl, where it is, takes a tenth of the time. */
export function renderCheckProgram(agent: string): string {
  return `#!/bin/sh
command -v perl > /dev/null && exec perl -MSocket -e '${COUNT_IN_PERL}' "$@"
exec ${agent} vrrp-check "$@"
`;
}

/** What `haproxy-vrrp-check` does: how many of the sockets show no statistics; any error counts as one. */
export async function countSilentSockets(sockets: readonly string[]): Promise<number> {
  try {
    const answers = await Promise.all(sockets.map(socket => ask(socket, 'show stat -1 -1 -1')));
    return answers.filter(answer => answer === '').length;
  } catch {
    // A socket that does not answer is what is being looked for.
    return 1;
  }
}
