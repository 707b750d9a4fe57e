/** Debian's unmodified Python amphora agent as the one file that an instance starts, with what its image has beside it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuiltAgent } from '../host/built-agent.ts';

const image = (name: string): string => readFileSync(join(import.meta.dirname, 'image', name), 'utf8');

/** Written into the instance's own root before the agent starts. */
const FILES: readonly [path: string, mode: number, content: string][] = [
  ['/usr/bin/systemctl', 0o755, image('systemctl')],
  ['/run/systemd/system/comm', 0o644, 'systemd\n'],
  // What is left are files of the image. Source: contract amphora-agent.md 5.1 and 6, dataplane.md 13.
  // Not every machine lets haproxy have as many files open as systemd would.
  [
    '/var/lib/octavia/haproxy-default-user-group.conf',
    0o644,
    'global\n    group nogroup\n    no strict-limits\n',
  ],
  [
    '/var/lib/octavia/ping-wrapper.sh',
    0o755,
    '#!/bin/sh\nexec ping -q -n -w 1 -c 1 "$HAPROXY_SERVER_ADDR" >/dev/null 2>&1\n',
  ],
  ['/etc/sysctl.d/99-amphora.conf', 0o644, 'net.ipv4.ip_nonlocal_bind = 1\nnet.ipv6.ip_nonlocal_bind = 1\n'],
  // Without LVS in the kernel there is no packet that it would have to masquerade.
  ['/usr/local/bin/octavia-agent-lvs-masquerade', 0o755, '#!/bin/sh\n'],
];

/** A program for `NamespaceCompute`. */
export function buildPythonAgent(): BuiltAgent & { directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'python-agent-'));
  const path = join(directory, 'agent.mjs');
  writeFileSync(
    path,
    `import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
// What this machine has there is not the image's.
for (const path of ['/etc/sysctl.conf', '/etc/sysctl.d', '/usr/lib/sysctl.d', '/etc/netns']) rmSync(path, { recursive: true, force: true });
for (const [path, mode, content] of ${JSON.stringify(FILES)}) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content, { mode });
}
// keepalived asks for it before it starts.
writeFileSync('/etc/hosts', \`127.0.0.1 localhost\n127.0.1.1 \${hostname()}\n\`);
// By the name of process 1 the agent knows which program starts its units.
execFileSync('mount', ['--bind', '/run/systemd/system/comm', '/proc/1/comm']);
process.execve('/usr/bin/amphora-agent', ['amphora-agent', ...process.argv.slice(2)]);
`,
  );
  return { path, directory, remove: () => rmSync(directory, { recursive: true }) };
}
