/** One frontend per listener. Source: contract dataplane.md 4. */
import { TerminalError } from '../../lib/errors.ts';
import type { LoadBalancer } from '../../model/load-balancer.ts';
import { connectionLimit, hasRelease, type RenderContext } from './context.ts';
import type { Section } from './global.ts';
import { policyLines } from './l7.ts';
import { backendName } from './names.ts';
import { metricsLines } from './prometheus.ts';
import {
  address,
  type Line,
  line,
  logFormatText,
  number,
  operatorFormat,
  spaced,
  type Word,
  word,
  words,
} from './quote.ts';
import type { ServedListener } from './served.ts';
import { bindWords, httpsLines } from './tls.ts';

/** What the original logs of each connection, behind project and load balancer. */
export const DEFAULT_USER_LOG_FORMAT =
  '{{ project_id }} {{ lb_id }} %f %ci %cp %t %{+Q}r %ST %B %U %[ssl_c_verify] %{+Q}[ssl_c_s_dn] %b %s %Tt %tsc';

export function frontendSection(lb: LoadBalancer, served: ServedListener, context: RenderContext): Section {
  const { listener, mode, defaultPool } = served;
  const bound = (vip: string) => words`${address(vip)}:${number(listener.protocol_port)}`;
  const lines = [
    line`maxconn ${number(connectionLimit(listener, context.settings))}`,
    ...httpsLines(listener),
    ...vipAddresses(lb).map(vip => line`bind ${spaced([bound(vip), ...bindWords(listener, context)])}`),
    mode === 'http' ? line`mode http` : line`mode tcp`,
  ];
  // Not in the original, where a reload closes connections between two requests, and a client that is just sending the
  // next one fails. Newer patches of 2.4 have it as well, older ones reject it.
  if (mode === 'http' && hasRelease(context, 2, 6)) lines.push(line`option idle-close-on-response`);
  // Nor this: haproxy waits up to 200 ms for more of an answer before it sends a piece of it, such as an event of a stream.
  if (mode === 'http') lines.push(line`option http-no-delay`);
  if (mode === 'http') lines.push(...policyLines(served));
  if (defaultPool !== undefined) lines.push(line`default_backend ${backendName(defaultPool.pool, listener)}`);
  lines.push(line`timeout client ${number(listener.timeout_client_data)}`);
  if (listener.timeout_tcp_inspect > 0) {
    lines.push(line`tcp-request inspect-delay ${number(listener.timeout_tcp_inspect)}`);
  }
  lines.push(...metricsLines(served, context));
  if (context.settings.connectionLogging)
    lines.push(logFormatLine(lb, served, context.settings.userLogFormat));
  return { head: line`frontend ${word(listener.id)}`, lines };
}

/** The VIP and after it the additional ones, each without brackets even when it is IPv6. */
function vipAddresses(lb: LoadBalancer): string[] {
  if (lb.vip_address === null) {
    throw new TerminalError(`Cannot render haproxy.cfg of load balancer ${lb.id}: it has no VIP address`);
  }
  return [lb.vip_address, ...lb.additional_vips.flatMap(vip => vip.ip_address ?? [])];
}

/** In mode tcp there is no request and no status to log; those of scrapes the original does not log. */
function logFormatLine(
  lb: LoadBalancer,
  { mode, listener }: ServedListener,
  userLogFormat: string | null,
): Line {
  let format = userLogFormat ?? DEFAULT_USER_LOG_FORMAT;
  if (mode === 'tcp' || listener.protocol === 'PROMETHEUS')
    format = format.replaceAll(/%(\{\+Q\})?(ST|r)(?![A-Za-z])/g, '-');
  const parts = format.split(/(\{\{ ?(?:project_id|lb_id) ?\}\})/).map((part): Word => {
    if (/^\{\{ ?project_id/.test(part)) return logFormatText(lb.project_id ?? '-');
    if (/^\{\{ ?lb_id/.test(part)) return logFormatText(lb.id);
    return operatorFormat(part);
  });
  return line`log-format ${parts.reduce((all, part) => words`${all}${part}`, words``)}`;
}
