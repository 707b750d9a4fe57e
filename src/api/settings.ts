/** What an operator may set about the API, with the defaults of `octavia.conf`. Source: contract api.md 18. */
import type { QuotaDefaults } from '../db/quotas.ts';
import type { ListenerProtocol } from '../model/listener.ts';
import type { Topology } from '../model/load-balancer.ts';
import { QUOTA_TABLES, UNLIMITED } from '../model/quota.ts';

export interface TlsDefaults {
  ciphers: string;
  versions: readonly string[];
  alpn: readonly string[];
}

/** Which web sites may use the API from a browser, and how. */
export interface CorsSettings {
  /** `https://host:port`; `*` is every one. */
  allowed_origin: readonly string[];
  allow_credentials: boolean;
  expose_headers: readonly string[];
  allow_headers: readonly string[];
  allow_methods: readonly string[];
  /** In seconds. */
  max_age: number;
}

export interface ApiSettings {
  /** The URL that links begin with; null takes the one of the request. */
  api_base_uri: string | null;
  /** Nobody is asked who he is: everybody is an administrator, and quotas do not count. */
  noauth: boolean;
  /** Where clients get their token, for the 401 answer. */
  www_authenticate_uri: string;
  cors: CorsSettings;
  healthcheck_enabled: boolean;
  /** In seconds. */
  healthcheck_refresh_interval: number;
  max_request_body_size: number;
  /** null: no limit. */
  pagination_max_limit: number | null;
  allow_pagination: boolean;
  allow_sorting: boolean;
  allow_filtering: boolean;
  /**
   * Neutron's way, and no operator's choice: several values of one filter mean any of them, and a project is a filter like
   * others, which finds nothing where the caller may see nothing. Both are refused unless this is set.
   */
  filters_take_several?: boolean;
  allow_field_selection: boolean;
  default_provider_driver: string;
  /** Octavia's rule: a load balancer that is not ACTIVE refuses every write. */
  strict_immutability: boolean;
  loadbalancer_topology: Topology;
  /** The limits of a project that has none of its own. */
  quotas: QuotaDefaults;
  allow_vip_network_id: boolean;
  allow_vip_subnet_id: boolean;
  allow_vip_port_id: boolean;
  allow_invisible_resource_usage: boolean;
  /** null: every network. */
  valid_vip_networks: readonly string[] | null;
  denylist_vip_networks: readonly string[];
  reserved_ips: readonly string[];
  allow_tls_terminated_listeners: boolean;
  allow_prometheus_listeners: boolean;
  allow_ping_health_monitors: boolean;
  /** -1: no limit. */
  udp_connect_min_interval_health_monitor: number;
  timeout_client_data: number;
  timeout_member_connect: number;
  timeout_member_data: number;
  timeout_tcp_inspect: number;
  listener_tls: TlsDefaults;
  pool_tls: TlsDefaults;
  tls_cipher_prohibit_list: readonly string[];
  minimum_tls_version: string | null;
}

const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'DHE-RSA-AES128-GCM-SHA256',
  'DHE-RSA-AES256-GCM-SHA384',
  'DHE-RSA-CHACHA20-POLY1305',
].join(':');

const TLS: TlsDefaults = {
  ciphers: CIPHERS,
  versions: ['TLSv1.2', 'TLSv1.3'],
  alpn: ['h2', 'http/1.1', 'http/1.0'],
};

const UNLIMITED_QUOTAS = Object.fromEntries(QUOTA_TABLES.map(name => [name, UNLIMITED])) as QuotaDefaults;

export const DEFAULT_API_SETTINGS: Readonly<ApiSettings> = Object.freeze({
  api_base_uri: null,
  noauth: false,
  www_authenticate_uri: 'http://127.0.0.1:5000',
  cors: {
    allowed_origin: [],
    allow_credentials: true,
    expose_headers: ['X-Auth-Token', 'X-Openstack-Request-Id'],
    allow_headers: ['X-Auth-Token', 'X-Openstack-Request-Id'],
    allow_methods: ['GET', 'PUT', 'POST', 'DELETE'],
    max_age: 3600,
  },
  healthcheck_enabled: false,
  healthcheck_refresh_interval: 5,
  max_request_body_size: 114_688,
  pagination_max_limit: 1000,
  allow_pagination: true,
  allow_sorting: true,
  allow_filtering: true,
  allow_field_selection: true,
  default_provider_driver: 'amphora',
  strict_immutability: false,
  loadbalancer_topology: 'SINGLE',
  quotas: UNLIMITED_QUOTAS,
  allow_vip_network_id: true,
  allow_vip_subnet_id: true,
  allow_vip_port_id: true,
  allow_invisible_resource_usage: false,
  valid_vip_networks: null,
  denylist_vip_networks: [],
  reserved_ips: ['169.254.169.254'],
  allow_tls_terminated_listeners: true,
  allow_prometheus_listeners: true,
  allow_ping_health_monitors: true,
  udp_connect_min_interval_health_monitor: 3,
  timeout_client_data: 50_000,
  timeout_member_connect: 5_000,
  timeout_member_data: 50_000,
  timeout_tcp_inspect: 0,
  listener_tls: TLS,
  pool_tls: TLS,
  tls_cipher_prohibit_list: [],
  minimum_tls_version: null,
});

/** Without authentication nobody is limited. Source: contract rbac.md 6.8. */
export const findLimits = ({ noauth, quotas }: ApiSettings): QuotaDefaults | null => (noauth ? null : quotas);

/** The setting that switches a listener protocol off, where there is one. */
export function isProtocolAllowed(settings: ApiSettings, protocol: ListenerProtocol): boolean {
  if (protocol === 'TERMINATED_HTTPS') return settings.allow_tls_terminated_listeners;
  if (protocol === 'PROMETHEUS') return settings.allow_prometheus_listeners;
  return true;
}
