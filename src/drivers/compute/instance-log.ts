/** The rsyslogd of a namespace instance: its files, which an image would bring along, and how it is kept running. */
import { quoted } from '../../dataplane/rsyslog.ts';
import type { InstanceFile } from './compute.ts';

/** Lines about connections and haproxy's own; the older ones are in a second file. */
export const HAPROXY_LOG = '/var/log/haproxy.log';
export const OLDER_HAPROXY_LOG = `${HAPROXY_LOG}.1`;

/** haproxy logs connections at this level, and nothing else. Source: contract dataplane.md 13. */
export const CONNECTION_SEVERITY = 'info';

/** Of each of the two files: some 30,000 connections. */
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

const MAIN_FILE = '/etc/rsyslog.conf';
const ROTATION_SCRIPT = '/usr/local/sbin/rotate-haproxy-log';

/** Time, facility and severity, program, and what it says. */
const LINE =
  '%timestamp:::date-rfc3339,date-utc% %syslogfacility-text%.%syslogseverity-text% %syslogtag%%msg%\\n';

/**
 * Nothing but what haproxy's socket takes: 4 MB and a few milliseconds. There is no main queue, which would grow where
 * haproxy can rather lose lines; the name is given, since rsyslogd would ask name servers that amphorae do not reach. The
 * files lie over those of the host, the log being there from the start.
 */
export function renderLogFiles(hostname: string): InstanceFile[] {
  const main = `global(localHostname=${quoted(hostname)} net.enableDNS="off")
main_queue(queue.type="Direct")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/run/rsyslog/octavia/log" CreatePath="on")
include(file="/etc/rsyslog.d/10-rsyslog.conf" mode="optional")
include(file="/etc/rsyslog.d/49-haproxy.conf")
`;
  const haproxy = `template(name="kept" type="string" string="${LINE}")
:programname, startswith, "haproxy" {
  action(type="omfile" file="${HAPROXY_LOG}" template="kept"
         rotation.sizeLimit="${LOG_LIMIT_BYTES}" rotation.sizeLimitCommand="${ROTATION_SCRIPT}")
  stop
}
`;
  const rotate = `#!/bin/sh\nexec mv -f ${HAPROXY_LOG} ${OLDER_HAPROXY_LOG}\n`;
  return [
    { path: MAIN_FILE, content: main, mode: 0o644 },
    { path: '/etc/rsyslog.d/49-haproxy.conf', content: haproxy, mode: 0o644 },
    { path: ROTATION_SCRIPT, content: rotate, mode: 0o755 },
    { path: HAPROXY_LOG, content: '', mode: 0o640 },
  ];
}

/**
 * For a shell: runs it, and again whenever it ends. As many lines may wait in its socket as in an image, where systemd says
 * so; the kernel's own 10 are soon too few.
 */
export const KEEP_LOGGING = `echo 512 > /proc/sys/net/unix/max_dgram_qlen
  while :; do
    rsyslogd -n -i NONE -f ${MAIN_FILE}
    sleep 1
  done`;
