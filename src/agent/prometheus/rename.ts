/** haproxy's metrics under the names that users of a PROMETHEUS listener know. Source: contract dataplane.md 3. */

interface Names {
  from: string;
  to: string;
  /** The labels that haproxy has, and what they say here. */
  labels: Readonly<Record<string, string>>;
  /** What follows `from` and stays as it is; `old=new` does not. Everything else is dropped. */
  kept: string;
}

const TIMES = ['queue', 'connect', 'response', 'total']
  .map(what => `${what}_time_average_seconds max_${what}_time_seconds`)
  .join(' ');

const EVERYWHERE = `status current_sessions max_sessions limit_sessions sessions_total max_session_rate bytes_in_total
  bytes_out_total responses_denied_total failed_header_rewriting_total http_responses_total`;

const HTTP = `requests_denied_total http_requests_total http_cache_lookups_total http_cache_hits_total
  http_comp_bytes_in_total http_comp_bytes_out_total http_comp_bytes_bypassed_total http_comp_responses_total`;

const TOWARDS_MEMBERS = `last_session_seconds current_queue max_queue connection_attempts_total connection_reuses_total
  connection_errors_total response_errors_total retry_warnings_total redispatch_warnings_total client_aborts_total
  check_up_down_total check_last_change_seconds downtime_seconds_total loadbalanced_total ${TIMES}`;

const TABLE: readonly Names[] = [
  {
    ...{ from: 'haproxy_process_', to: 'octavia_loadbalancer_', labels: {} },
    kept: `max_connections current_connections connections_total requests_total max_ssl_connections
      current_ssl_connections ssl_connections_total current_connection_rate limit_connection_rate max_connection_rate
      current_session_rate limit_session_rate max_session_rate current_ssl_rate limit_ssl_rate max_ssl_rate
      current_frontend_ssl_key_rate max_frontend_ssl_key_rate frontend_ssl_reuse current_backend_ssl_key_rate
      max_backend_ssl_key_rate ssl_cache_lookups_total ssl_cache_misses_total http_comp_bytes_in_total
      http_comp_bytes_out_total limit_http_comp listeners dropped_logs_total`,
  },
  {
    ...{ from: 'haproxy_process_pool_', to: 'octavia_memory_pool_', labels: {} },
    kept: 'allocated_bytes used_bytes failures_total',
  },
  {
    ...{ from: 'haproxy_frontend_', to: 'octavia_listener_', labels: { proxy: 'listener' } },
    kept: `${EVERYWHERE} ${HTTP} limit_session_rate connections_rate_max connections_total request_errors_total
      denied_connections_total denied_sessions_total http_requests_rate_max intercepted_requests_total`,
  },
  {
    ...{ from: 'haproxy_backend_', to: 'octavia_pool_', labels: { proxy: 'pool' } },
    kept: `${EVERYWHERE} ${HTTP} ${TOWARDS_MEMBERS} server_aborts_total=member_aborts_total
      active_servers=active_members backup_servers=backup_members`,
  },
  {
    ...{ from: 'haproxy_server_', to: 'octavia_member_', labels: { proxy: 'pool', server: 'member' } },
    kept: `${EVERYWHERE} ${TOWARDS_MEMBERS} queue_limit server_aborts_total weight check_failures_total current_throttle
      idle_connections_current idle_connections_limit`,
  },
];

/** By haproxy's name. */
const METRICS = new Map(
  TABLE.flatMap(({ from, to, labels, kept }) =>
    kept.split(/\s+/).map(name => {
      const [old, renamed = old] = name.split('=');
      return [`${from}${old}`, { name: `${to}${renamed}`, labels }] as const;
    }),
  ),
);

/** Every name that a metric of haproxy can come to have. */
export const METRIC_NAMES: readonly string[] = [...METRICS.values()].map(({ name }) => name);

/** What is not in the table is dropped, and so is what the exporter would tell of itself. */
export function renameMetrics(text: string): string {
  const lines = text.split('\n').filter(line => !line.includes('prometheus-exporter'));
  return lines.map(renameLine).join('');
}

function renameLine(line: string): string {
  const [, comment = '', old = '', rest = ''] = /^(# (?:HELP|TYPE) )?(\w+)([ {].*)$/.exec(line) ?? [];
  const metric = METRICS.get(old);
  if (metric === undefined) return '';
  // A quotation mark inside a value has a backslash before it, so that this is never found in one.
  const renamed = rest.replace(/([{,])(\w+)="/g, (_, before: string, label: string) => {
    return `${before}${metric.labels[label] ?? label}="`;
  });
  return `${comment}${metric.name}${comment === '' ? renamed : rest}\n`;
}
