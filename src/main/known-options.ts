/** Options of octavia.conf that Ottavia reads past: part of an operator's file, without a use here (yet). */

/** By section, names separated by blanks. Source: contract controller.md 15 and its list of removed options. */
const KNOWN: Record<string, string> = {
  DEFAULT: `host rpc_response_timeout executor_thread_pool_size
    allow_bulk api_extensions_path api_handler api_paste_config octavia_plugins`,
  api_settings: `api_handler api_v1_enabled api_v2_enabled`,
  amphora_agent: `agent_server_network_dir agent_server_network_file amphora_id
    amphora_udp_driver`,
  compute: 'max_retries retry_interval retry_backoff retry_max',
  networking: `max_retries retry_interval retry_backoff retry_max port_detach_timeout lb_network_name`,
  oslo_messaging: 'event_stream_topic',
  haproxy_amphora: `haproxy_template connection_max_retries connection_retry_interval
    active_connection_max_retries active_connection_retry_interval active_connection_rety_interval
    build_rate_limit build_active_retries
    build_retry_interval bind_host bind_port lb_network_interface respawn_count
    respawn_interval api_db_commit_retry_attempts api_db_commit_retry_initial_delay
    api_db_commit_retry_backoff api_db_commit_retry_max use_upstart user_group key_path`,
  health_manager: `health_update_threads stats_update_threads sock_rlimit status_update_threads
    event_streamer_driver event_stream_transport_url sync_provisioning_status health_update_driver stats_update_driver`,
  controller_worker: `workers amp_flavor_id amp_image_tag amp_image_owner_id amp_image_id amp_ssh_key_name
    amp_ssh_access_allowed amp_timezone amp_secgroup_list volume_driver image_driver distributor_driver
    statistics_drivers user_data_config_drive amphora_delete_retries amphora_delete_retry_interval
    db_commit_retry_attempts db_commit_retry_initial_delay db_commit_retry_backoff db_commit_retry_max
    cert_generator`,
  task_flow: `engine max_workers disable_revert persistence_connection jobboard_enabled jobboard_backend_driver
    jobboard_backend_hosts jobboard_backend_port jobboard_backend_username jobboard_backend_password
    jobboard_backend_namespace jobboard_redis_backend_db jobboard_redis_sentinel jobboard_redis_sentinel_username
    jobboard_redis_sentinel_password jobboard_redis_backend_ssl_options jobboard_redis_sentinel_ssl_options
    jobboard_zookeeper_ssl_options jobboard_etcd_ssl_options jobboard_etcd_timeout jobboard_etcd_api_path
    jobboard_expiration_time jobboard_save_logbook`,
  certificates: `cert_generator barbican_auth service_name endpoint region_name endpoint_type
    ca_certificates_file insecure server_certs_key_passphrase signing_digest storage_path`,
  keepalived_vrrp: `vrrp_advert_int vrrp_check_interval vrrp_fail_count vrrp_success_count vrrp_garp_refresh_interval
    vrrp_garp_refresh_count`,
  nova: `service_name endpoint region_name endpoint_type ca_certificates_file insecure enable_anti_affinity
    anti_affinity_policy random_amphora_name_length availability_zone`,
  cinder: `service_name endpoint region_name endpoint_type ca_certificates_file insecure availability_zone volume_size
    volume_type volume_create_retry_interval volume_create_timeout volume_create_max_retries`,
  glance: 'service_name endpoint region_name endpoint_type ca_certificates_file insecure',
  audit: 'enabled audit_map_file ignore_req_list',
  driver_agent: `status_socket_path stats_socket_path get_socket_path status_request_timeout status_max_processes
    stats_request_timeout stats_max_processes get_request_timeout get_max_processes max_process_warning_percent
    provider_agent_shutdown_timeout enabled_provider_agents`,
  anchor: 'url username password',
  keystone_authtoken_v3: 'admin_user_domain admin_project_domain',
};

/** Sections of libraries that Octavia is built on: their options are not listed here, so any name passes. */
const FOREIGN_SECTIONS = [
  'database',
  'DATABASE',
  'neutron',
  'service_auth',
  'keystone_authtoken',
  'oslo_messaging_rabbit',
  'oslo_messaging_notifications',
  'oslo_middleware',
  'oslo_policy',
  'oslo_concurrency',
  'audit_middleware_notifications',
  'healthcheck',
  'cors',
];

/** Options of oslo.log in `[DEFAULT]`. */
const FOREIGN_DEFAULTS =
  /^(log[_-]|use_|syslog|logging_|default_log_levels|instance_|publish_errors|rate_limit_|fatal_)/;

const names = new Map(Object.entries(KNOWN).map(([section, text]) => [section, text.trim().split(/\s+/)]));

export function isKnownOption(section: string, name: string): boolean {
  if (FOREIGN_SECTIONS.includes(section)) return true;
  if (section === 'DEFAULT' && FOREIGN_DEFAULTS.test(name)) return true;
  return names.get(section)?.includes(name) ?? false;
}

/** `section.option` of every listed one, to find the nearest to a misspelt name. */
export function knownOptionNames(): string[] {
  return [...names].flatMap(([section, options]) => options.map(option => `${section}.${option}`));
}
