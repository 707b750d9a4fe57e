/** Files that an amphora image brings along; where there is no image, the agent makes those that are missing. Source: contract amphora-agent.md 5.1. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Paths } from '../config.ts';
import { findText, writeWhole } from '../files.ts';
import { renderCheckProgram } from '../keepalived/check-script.ts';
import { ensureCheckPrograms } from '../lvs/programs.ts';

/** haproxy gives its checks an empty PATH. Source: HAProxy 2.6 configuration manual, "external-check path". */
const PING_WRAPPER = `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
case "$HAPROXY_SERVER_ADDR" in
  *:*) exec ping -6 -q -n -w 1 -c 1 "$HAPROXY_SERVER_ADDR" > /dev/null 2>&1 ;;
  *) exec ping -4 -q -n -w 1 -c 1 "$HAPROXY_SERVER_ADDR" > /dev/null 2>&1 ;;
esac
`;

/** `agentProgram` is the file that this process runs: the check program is one of its words. */
export function ensureBootFiles(paths: Paths, agentProgram: string): void {
  if (!existsSync(paths.userGroup)) {
    const group = /^nogroup:/m.test(findText('/etc/group') ?? '') ? 'nogroup' : 'haproxy';
    writeWhole(paths.userGroup, `global\n    group ${group}\n`);
  }
  if (!existsSync(paths.pingWrapper)) writeWhole(paths.pingWrapper, PING_WRAPPER, 0o755);
  ensureCheckPrograms(paths, agentProgram);
  const check = join(paths.programs, 'haproxy-vrrp-check');
  if (!existsSync(check)) {
    writeWhole(check, renderCheckProgram(`${process.execPath} ${agentProgram}`), 0o755);
  }
}
