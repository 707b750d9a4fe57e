/** Which protocols, monitors, session persistence and features go together. Source: contract api.md 17. */
import type { HealthMonitorType } from './health-monitor.ts';
import type { ListenerProtocol } from './listener.ts';
import type { LbAlgorithm, PoolProtocol, SessionPersistence } from './pool.ts';

/** Source: contract api.md 17.1. */
export const POOL_PROTOCOLS_OF_LISTENER: Readonly<Record<ListenerProtocol, readonly PoolProtocol[]>> = {
  HTTP: ['HTTP', 'PROXY', 'PROXYV2'],
  HTTPS: ['HTTPS', 'PROXY', 'PROXYV2', 'TCP'],
  TCP: ['HTTP', 'HTTPS', 'PROXY', 'PROXYV2', 'TCP'],
  TERMINATED_HTTPS: ['HTTP', 'PROXY', 'PROXYV2'],
  UDP: ['UDP'],
  SCTP: ['SCTP'],
  PROMETHEUS: [],
};

const STREAM_MONITORS: readonly HealthMonitorType[] = ['HTTP', 'HTTPS', 'PING', 'TCP', 'TLS-HELLO'];
const PACKET_MONITORS: readonly HealthMonitorType[] = ['HTTP', 'TCP', 'UDP-CONNECT', 'SCTP'];

/** Source: contract api.md 17.2. */
export const MONITOR_TYPES_OF_POOL: Readonly<Record<PoolProtocol, readonly HealthMonitorType[]>> = {
  HTTP: STREAM_MONITORS,
  HTTPS: STREAM_MONITORS,
  PROXY: STREAM_MONITORS,
  PROXYV2: STREAM_MONITORS,
  TCP: STREAM_MONITORS,
  UDP: PACKET_MONITORS,
  SCTP: PACKET_MONITORS,
};

/** A protocol whose listeners and pools haproxy never sees: LVS carries it, one process per listener. */
export function isLvsProtocol(protocol: ListenerProtocol | PoolProtocol): protocol is 'UDP' | 'SCTP' {
  return protocol === 'UDP' || protocol === 'SCTP';
}

/** haproxy does not spread by ports, LVS does. Source: contract api.md 17.5, where no pool of an amphora has it. */
export function isSpreadBy(pool: PoolProtocol, algorithm: LbAlgorithm): boolean {
  return algorithm !== 'SOURCE_IP_PORT' || isLvsProtocol(pool);
}

export function canUsePool(listener: ListenerProtocol, pool: PoolProtocol): boolean {
  return POOL_PROTOCOLS_OF_LISTENER[listener].includes(pool);
}

export function canUseMonitor(pool: PoolProtocol, type: HealthMonitorType): boolean {
  return MONITOR_TYPES_OF_POOL[pool].includes(type);
}

/** Source: contract api.md 17.3. */
export function canUsePersistence(pool: PoolProtocol, type: SessionPersistence['type']): boolean {
  return !isLvsProtocol(pool) || type === 'SOURCE_IP';
}

/** Whether `persistence_timeout` and `persistence_granularity` may be set. Source: contract api.md 17.3. */
export function canTunePersistence(pool: PoolProtocol): boolean {
  return isLvsProtocol(pool);
}

/** Two listeners of one load balancer may not share a port within a group. Source: contract api.md 6.3. */
export type PortGroup = 'TCP' | 'UDP' | 'SCTP';

export function portGroup(protocol: ListenerProtocol): PortGroup {
  return isLvsProtocol(protocol) ? protocol : 'TCP';
}

/** Source: contract api.md 6.4; the last is our own. */
export const PLAIN_INSERT_HEADERS = [
  'X-Forwarded-For',
  'X-Forwarded-Port',
  'X-Forwarded-Proto',
  'X-Forwarded-IP',
  'X-Client-IP',
  'X-Real-IP',
  'X-Request-ID',
] as const;
export const SSL_INSERT_HEADERS = [
  'X-SSL-Client-Verify',
  'X-SSL-Client-Has-Cert',
  'X-SSL-Client-DN',
  'X-SSL-Client-CN',
  'X-SSL-Issuer',
  'X-SSL-Client-SHA1',
  'X-SSL-Client-Not-Before',
  'X-SSL-Client-Not-After',
] as const;

export interface ListenerFeatures {
  default_pool: boolean;
  /** `unsupported`: the API knows it, the provider does not. */
  l7policies: 'yes' | 'unsupported' | 'no';
  /** The names that `insert_headers` may hold. */
  insert_headers: readonly string[];
  /** `default_tls_container_ref` and `sni_container_refs`. */
  tls_refs: 'required' | 'optional' | 'no';
  /** `client_ca_tls_container_ref`, `client_crl_container_ref`, `client_authentication`; `with_tls_refs` needs those. */
  client_authentication: 'yes' | 'with_tls_refs' | 'no';
  hsts: boolean;
  /** A POST without ciphers, versions and ALPN stores the configured defaults. */
  tls_defaults: 'yes' | 'with_tls_refs' | 'no';
}

const NO_TLS = { tls_refs: 'no', client_authentication: 'no', hsts: false, tls_defaults: 'no' } as const;
const STREAM: ListenerFeatures = {
  default_pool: true,
  l7policies: 'unsupported',
  insert_headers: [],
  ...NO_TLS,
};

/**
 * Source: contract api.md 17.4, except that a PROMETHEUS listener with certificates gets the TLS defaults
 * too, as api.md 6.5 asks. `allowed_cidrs` goes with every protocol.
 */
export const LISTENER_FEATURES: Readonly<Record<ListenerProtocol, ListenerFeatures>> = {
  HTTP: { ...STREAM, l7policies: 'yes', insert_headers: PLAIN_INSERT_HEADERS },
  HTTPS: STREAM,
  TCP: STREAM,
  TERMINATED_HTTPS: {
    default_pool: true,
    l7policies: 'yes',
    insert_headers: [...PLAIN_INSERT_HEADERS, ...SSL_INSERT_HEADERS],
    tls_refs: 'required',
    client_authentication: 'yes',
    hsts: true,
    tls_defaults: 'yes',
  },
  UDP: STREAM,
  SCTP: STREAM,
  PROMETHEUS: {
    default_pool: false,
    l7policies: 'no',
    insert_headers: [],
    tls_refs: 'optional',
    client_authentication: 'with_tls_refs',
    hsts: false,
    tls_defaults: 'with_tls_refs',
  },
};

/** Monitors that speak HTTP, and so may carry a method, a path, codes, a version and a domain name. */
export function isHttpMonitor(type: HealthMonitorType): boolean {
  return type === 'HTTP' || type === 'HTTPS';
}
