/** The settings as the API and the renderers want them. */
import type { ApiSettings } from '../api/server.ts';
import type { HaproxySettings } from '../dataplane/haproxy/context.ts';
import { QUOTA_TABLES } from '../model/quota.ts';
import type { Settings } from './settings.ts';

export function apiSettingsOf(settings: Settings, wwwAuthenticateUri: string): ApiSettings {
  const { api_settings: api, networking, haproxy_amphora: amphora, cors } = settings;
  const limit = Number(api.pagination_max_limit);
  return {
    api_base_uri: api.api_base_uri,
    www_authenticate_uri: wwwAuthenticateUri,
    noauth: api.auth_strategy === 'noauth',
    cors,
    healthcheck_enabled: api.healthcheck_enabled,
    healthcheck_refresh_interval: api.healthcheck_refresh_interval,
    max_request_body_size: settings.oslo_middleware.max_request_body_size,
    // `infinite`, a negative number and anything else that is no number: no limit. Source: contract controller.md 15.
    pagination_max_limit: Number.isInteger(limit) && limit >= 0 ? limit : null,
    allow_pagination: api.allow_pagination,
    allow_sorting: api.allow_sorting,
    allow_filtering: api.allow_filtering,
    allow_field_selection: api.allow_field_selection,
    default_provider_driver: api.default_provider_driver,
    strict_immutability: api.strict_immutability,
    quotas: quotaDefaultsOf(settings),
    loadbalancer_topology: settings.controller_worker.loadbalancer_topology,
    allow_vip_network_id: networking.allow_vip_network_id,
    allow_vip_subnet_id: networking.allow_vip_subnet_id,
    allow_vip_port_id: networking.allow_vip_port_id,
    allow_invisible_resource_usage: networking.allow_invisible_resource_usage,
    valid_vip_networks: networking.valid_vip_networks.length > 0 ? networking.valid_vip_networks : null,
    denylist_vip_networks: networking.denylist_vip_networks,
    reserved_ips: networking.reserved_ips,
    allow_tls_terminated_listeners: api.allow_tls_terminated_listeners,
    allow_prometheus_listeners: api.allow_prometheus_listeners,
    allow_ping_health_monitors: api.allow_ping_health_monitors,
    udp_connect_min_interval_health_monitor: api.udp_connect_min_interval_health_monitor,
    timeout_client_data: amphora.timeout_client_data,
    timeout_member_connect: amphora.timeout_member_connect,
    timeout_member_data: amphora.timeout_member_data,
    timeout_tcp_inspect: amphora.timeout_tcp_inspect,
    listener_tls: {
      ciphers: api.default_listener_ciphers,
      versions: api.default_listener_tls_versions,
      alpn: api.default_listener_alpn_protocols,
    },
    pool_tls: {
      ciphers: api.default_pool_ciphers,
      versions: api.default_pool_tls_versions,
      alpn: api.default_pool_alpn_protocols,
    },
    tls_cipher_prohibit_list: api.tls_cipher_prohibit_list,
    minimum_tls_version: api.minimum_tls_version,
  };
}

function quotaDefaultsOf({ quotas }: Settings): ApiSettings['quotas'] {
  return Object.fromEntries(
    QUOTA_TABLES.map(name => [name, quotas[`default_${name}_quota`]]),
  ) as ApiSettings['quotas'];
}

export function vrrpSettingsOf({ keepalived_vrrp: vrrp, haproxy_amphora }: Settings) {
  return {
    basePath: haproxy_amphora.base_path,
    advertIntervalMs: Math.round(vrrp.vrrp_advert_int * 1000),
    checkIntervalSeconds: vrrp.vrrp_check_interval,
    failCount: vrrp.vrrp_fail_count,
    successCount: vrrp.vrrp_success_count,
    garpRefreshSeconds: vrrp.vrrp_garp_refresh_interval,
    garpRefreshCount: vrrp.vrrp_garp_refresh_count,
  };
}

export function haproxySettingsOf({
  haproxy_amphora: amphora,
  amphora_agent: agent,
}: Settings): HaproxySettings {
  return {
    basePath: amphora.base_path,
    baseCertDir: amphora.base_cert_dir,
    connectionLogging: amphora.connection_logging,
    userLogFacility: agent.user_log_facility,
    administrativeLogFacility: agent.administrative_log_facility,
    userLogFormat: amphora.user_log_format,
    defaultConnectionLimit: amphora.default_connection_limit,
    stickSize: amphora.haproxy_stick_size,
    timeoutTunnelMs: amphora.timeout_tunnel,
  };
}
