/** The health monitor: how the members of one pool are checked. */
import type { Resource } from './load-balancer.ts';

export const HEALTH_MONITOR_TYPES = [
  'HTTP',
  'HTTPS',
  'PING',
  'TCP',
  'TLS-HELLO',
  'UDP-CONNECT',
  'SCTP',
] as const;
export type HealthMonitorType = (typeof HEALTH_MONITOR_TYPES)[number];

export const HTTP_METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'TRACE',
  'OPTIONS',
  'CONNECT',
  'PATCH',
] as const;
export type HttpMethod = (typeof HTTP_METHODS)[number];

export interface HealthMonitor extends Resource {
  /** Not in the API: lets one query load a whole load balancer. */
  loadbalancer_id: string;
  pool_id: string;
  type: HealthMonitorType;
  /** Seconds between two checks. */
  delay: number;
  /** Seconds that one check may take. */
  timeout: number;
  /** Successes until a member is up again (haproxy's rise). */
  max_retries: number;
  /** Failures until a member is down (haproxy's fall). */
  max_retries_down: number;
  http_method: HttpMethod | null;
  url_path: string | null;
  /** `200`, `200, 202` or `200-204`. */
  expected_codes: string | null;
  http_version: number | null;
  domain_name: string | null;
}
