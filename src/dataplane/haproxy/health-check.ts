/** How haproxy checks the members of a pool. Source: contract dataplane.md 6 and 8.2. */
import { TerminalError } from '../../lib/errors.ts';
import type { HealthMonitor } from '../../model/health-monitor.ts';
import {
  type Line,
  line,
  logFormatText,
  number,
  requestTarget,
  separated,
  type Word,
  word,
  words,
} from './quote.ts';

/** The directives of the backend; `checkWords` are those of each of its servers. */
export function checkLines(monitor: HealthMonitor, basePath: string): Line[] {
  const lines = [line`timeout check ${number(monitor.timeout)}s`];
  switch (monitor.type) {
    case 'HTTP':
    case 'HTTPS':
      lines.push(...httpLines(monitor));
      break;
    case 'PING':
      lines.push(line`option external-check`, line`external-check command ${word(basePath)}/ping-wrapper.sh`);
      break;
    case 'TCP':
    case 'TLS-HELLO':
    // LVS checks these itself; haproxy never meets them.
    case 'UDP-CONNECT':
    case 'SCTP':
      break;
  }
  return lines;
}

/** The words of a server line between the weight and the cookie, without the monitor's address and port. */
export function checkWords(monitor: HealthMonitor, alpn: Word | undefined): Word[] {
  const parts = [words`check`];
  // The original lets TLS-HELLO be a mere connect on pools that pass TLS through (contract dataplane.md 15); here
  // the check shakes hands. The certificate is the members' own business, as for HTTPS monitors.
  if (monitor.type === 'HTTPS' || monitor.type === 'TLS-HELLO') parts.push(words`check-ssl verify none`);
  if (alpn !== undefined) parts.push(words`check-alpn ${alpn}`);
  // haproxy rejects an interval of 0, which the API accepts: as often as the unit allows.
  parts.push(words`inter ${number(Math.max(monitor.delay, 1))}s`);
  parts.push(words`fall ${number(monitor.max_retries_down)}`, words`rise ${number(monitor.max_retries)}`);
  return parts;
}

/** The codes stand in order and the pattern is anchored, unlike the original's (contract dataplane.md 15). */
function httpLines(monitor: HealthMonitor): Line[] {
  const method = word(monitor.http_method ?? 'GET');
  const path = requestTarget(monitor.url_path ?? '/');
  const version =
    monitor.http_version === null ? words`` : words` HTTP/${word(monitor.http_version.toFixed(1))}`;
  const lines = [line`option httpchk ${method} ${path}${version}`];
  if (monitor.http_version === 1.1 && monitor.domain_name) {
    lines.push(line`http-check send hdr Host ${logFormatText(monitor.domain_name)}`);
  }
  const codes = expandCodes(monitor).map(number);
  lines.push(line`http-check expect rstatus ^(${separated(codes, '|')})$`);
  return lines;
}

/** `200`, `200, 202` or `200-204` as numbers, each once, in order. */
export function expandCodes({ id, expected_codes }: HealthMonitor): number[] {
  const codes = new Set<number>();
  for (const part of (expected_codes ?? '200').split(',')) {
    const [, first, last = first] = /^\s*(\d{3})(?:-(\d{3}))?\s*$/.exec(part) ?? [];
    if (first === undefined) {
      throw new TerminalError(
        `Cannot render health monitor ${id}: expected_codes ${JSON.stringify(expected_codes)} are no HTTP codes`,
      );
    }
    const [low, high] = [Number(first), Number(last)].sort((a, b) => a - b) as [number, number];
    for (let code = low; code <= high; code++) codes.add(code);
  }
  return [...codes].sort((a, b) => a - b);
}
