/** Every setting as one row: section, name, type, default, sentence, old names. The names are those of octavia.conf. */
import { Secret } from '../lib/secret.ts';
import {
  addressPorts,
  boolean,
  choice,
  cidr,
  colonList,
  decimal,
  integer,
  list,
  optionalInteger,
  optionalText,
  secret,
  text,
} from './setting-types.ts';

const CIPHERS =
  'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:' +
  'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:' +
  'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:' +
  'DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305';
const quota = (what: string) =>
  integer(
    -1,
    [-1, 2_000_000_000],
    `How many ${what} a project may have unless it has a quota; -1: any number.`,
  );

const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'];
const ALPN_PROTOCOLS = ['h2', 'http/1.1', 'http/1.0'];

/**
 * `standalone` is the default where everything runs in one process, when it differs from octavia.conf's own.
 * Source of names and defaults: contract controller.md 15, heartbeat.md 7; section `ottavia` is our own.
 */
export const SETTINGS = {
  DEFAULT: {
    debug: boolean(false, 'Log more: every step of every pass.'),
    transport_url: secret(
      '',
      'The RabbitMQ that programs nudge each other through, `rabbit://user:password@host:5672/`; without one, workers find what there is to do by looking.',
    ),
    control_exchange: text('octavia', 'The exchange that notifications are sent to.'),
  },
  api_settings: {
    bind_host: text('127.0.0.1', 'The address that the API listens on.', { old: ['DEFAULT.bind_host'] }),
    bind_port: integer(9876, [0, 65535], 'The port that the API listens on; 0 lets the system choose.', {
      old: ['DEFAULT.bind_port'],
    }),
    auth_strategy: choice(
      'keystone',
      { keystone: [], noauth: ['none'], testing: [], standalone: [] },
      'Who says who a caller is: the identity API of standalone, a Keystone, or nobody (noauth).',
      { standalone: 'standalone', old: ['DEFAULT.auth_strategy'] },
    ),
    api_base_uri: optionalText(
      'The start of every link that the API prints; without it, the address of the request.',
    ),
    allow_pagination: boolean(true, 'Lists come in pages.', { old: ['DEFAULT.allow_pagination'] }),
    allow_sorting: boolean(true, 'Lists can be sorted.', { old: ['DEFAULT.allow_sorting'] }),
    allow_filtering: boolean(true, 'Lists can be filtered.'),
    allow_field_selection: boolean(true, 'Lists can be asked for some fields only.'),
    pagination_max_limit: text(
      '1000',
      'The most rows of one page; `infinite` or a negative number: no limit.',
      {
        old: ['DEFAULT.pagination_max_limit'],
      },
    ),
    allow_ping_health_monitors: boolean(true, 'Health monitors of type PING may be made.'),
    allow_tls_terminated_listeners: boolean(true, 'Listeners that end TLS may be made.'),
    allow_prometheus_listeners: boolean(true, 'Listeners that show metrics may be made.'),
    default_provider_driver: text('amphora', 'The provider of a load balancer that names none.'),
    udp_connect_min_interval_health_monitor: integer(
      3,
      [-1, 2_147_483_647],
      'The least delay, in seconds, of a health monitor of type UDP-CONNECT.',
    ),
    enabled_provider_drivers: list('Providers that users may choose, each `name` or `name: description`.', {
      default: ['amphora', 'octavia'],
    }),
    healthcheck_enabled: boolean(false, 'GET /healthcheck answers whether the database does.'),
    healthcheck_refresh_interval: integer(
      5,
      [0, 3600],
      'Seconds that one look at the database counts for GET /healthcheck.',
    ),
    default_listener_ciphers: text(CIPHERS, 'OpenSSL cipher string of listeners that have none.'),
    default_pool_ciphers: text(CIPHERS, 'OpenSSL cipher string of pools that have none.'),
    default_listener_tls_versions: list('TLS versions of listeners that name none.', {
      default: TLS_VERSIONS,
    }),
    default_pool_tls_versions: list('TLS versions of pools that name none.', { default: TLS_VERSIONS }),
    default_listener_alpn_protocols: list('ALPN protocols of listeners that name none.', {
      default: ALPN_PROTOCOLS,
    }),
    default_pool_alpn_protocols: list('ALPN protocols of pools that name none.', { default: ALPN_PROTOCOLS }),
    minimum_tls_version: optionalText('Older TLS versions are refused.'),
    tls_cipher_prohibit_list: colonList('Ciphers that nobody may use, separated by colons.', {
      old: ['api_settings.tls_cipher_blacklist'],
    }),
    strict_immutability: boolean(
      false,
      'Refuse writes to anything that is not ACTIVE, as Octavia does; without it they are queued.',
    ),
  },
  keystone_authtoken: {
    auth_url: optionalText('The Keystone that is asked about tokens; without it, www_authenticate_uri.', {
      old: ['keystone_authtoken.identity_uri'],
    }),
    www_authenticate_uri: optionalText('The Keystone that users are told of; without it, auth_url.', {
      old: ['keystone_authtoken.auth_uri'],
    }),
    auth_type: choice('password', { password: ['v3password'] }, "How the service's own user logs in.", {
      old: ['keystone_authtoken.auth_plugin'],
    }),
    username: optionalText("The service's own user, who may look at tokens.", {
      old: ['keystone_authtoken.user_name', 'keystone_authtoken.admin_user'],
    }),
    password: secret('', 'Its password.', { old: ['keystone_authtoken.admin_password'] }),
    project_name: optionalText('The project that it works in.', {
      old: ['keystone_authtoken.tenant_name', 'keystone_authtoken.admin_tenant_name'],
    }),
    user_domain_id: optionalText('The domain of the user, by its id.'),
    user_domain_name: optionalText('The domain of the user; without either, the one with the id `default`.'),
    project_domain_id: optionalText('The domain of the project, by its id.'),
    project_domain_name: optionalText(
      'The domain of the project; without either, the one with the id `default`.',
    ),
    cafile: optionalText("Who signed Keystone's certificate; without it, whom the system trusts."),
    insecure: boolean(false, "Take any certificate for Keystone's."),
    token_cache_time: integer(300, [-1, 86_400], 'Seconds that a token counts without asking; -1: none.'),
    http_connect_timeout: optionalInteger([1, 3600], 'Seconds that connecting to Keystone may take.'),
    http_request_max_retries: integer(3, [0, 100], 'How often a question to Keystone is repeated.'),
  },
  oslo_policy: {
    policy_file: optionalText(
      'Rules that replace the default ones; without it, policy.yaml beside the configuration file, if it is there.',
    ),
    enforce_new_defaults: boolean(true, 'Only the roles reader, member and admin count.'),
    enforce_scope: boolean(true, 'A token of the whole system is no administrator by context_is_admin.'),
  },
  cors: {
    allowed_origin: list('Web sites that may use the API from a browser, `https://host`, or `*`.'),
    allow_credentials: boolean(true, 'They may send credentials.'),
    expose_headers: list('Headers of answers that they may read.', {
      default: ['X-Auth-Token', 'X-Openstack-Request-Id'],
    }),
    allow_headers: list('Headers that they may send.', {
      default: ['X-Auth-Token', 'X-Openstack-Request-Id'],
    }),
    allow_methods: list('Methods that they may use.', { default: ['GET', 'PUT', 'POST', 'DELETE'] }),
    max_age: integer(3600, [0, 2_147_483_647], 'Seconds that a browser may rely on such an answer.'),
  },
  oslo_middleware: {
    max_request_body_size: integer(114_688, [1024, 1_073_741_824], 'Larger bodies are refused, in bytes.'),
  },
  database: {
    connection: secret(
      'sqlite://',
      'The database; `sqlite:///absolute/path` is a file. Standalone keeps it in the data directory.',
      { standalone: new Secret(''), old: ['DEFAULT.sql_connection', 'DATABASE.sql_connection'] },
    ),
  },
  oslo_messaging: {
    topic: optionalText('What the queue of nudges is named after; without it, ottavia.'),
  },
  oslo_messaging_rabbit: {
    ssl: boolean(false, 'RabbitMQ is spoken to by TLS.', {
      old: ['oslo_messaging_rabbit.rabbit_use_ssl'],
    }),
    ssl_ca_file: optionalText("Who signed RabbitMQ's certificate; without it, whom the system trusts.", {
      old: ['oslo_messaging_rabbit.kombu_ssl_ca_certs'],
    }),
    heartbeat_timeout_threshold: integer(
      60,
      [0, 3600],
      'Seconds of silence after which RabbitMQ counts as gone.',
    ),
    amqp_durable_queues: boolean(false, 'Exchange and queues of notifications outlive RabbitMQ.', {
      old: ['oslo_messaging_rabbit.rabbit_durable_queues'],
    }),
    rabbit_quorum_queue: boolean(
      false,
      'Queues of notifications are quorum queues, and so outlive RabbitMQ.',
    ),
  },
  oslo_messaging_notifications: {
    driver: choice(
      'noop',
      { noop: ['', 'test'], messagingv2: [], messaging: [] },
      'How every change of a status of load balancers is told to other services of OpenStack.',
      { old: ['DEFAULT.notification_driver'] },
    ),
    transport_url: secret('', 'Their RabbitMQ; without it, the one of [DEFAULT].', {
      old: ['DEFAULT.notification_transport_url'],
    }),
    topics: list('What the queues of notifications are named after.', {
      default: ['notifications'],
      old: ['DEFAULT.notification_topics'],
    }),
  },
  health_manager: {
    bind_ip: text('127.0.0.1', 'The address that receives heartbeats.', { standalone: '' }),
    bind_port: integer(5555, [0, 65535], 'The UDP port that receives heartbeats.'),
    heartbeat_key: secret('', 'The key that heartbeats are signed with. Standalone makes its own at random.'),
    heartbeat_interval: integer(10, [1, 3600], 'Seconds between two heartbeats of an amphora.', {
      standalone: 1,
    }),
    heartbeat_timeout: integer(
      60,
      [1, 86_400],
      'Seconds of silence after which an amphora counts as failed.',
      {
        standalone: 3,
      },
    ),
    health_check_interval: integer(3, [1, 3600], 'Seconds between two looks for silent amphorae.', {
      standalone: 1,
    }),
    failover_threshold: optionalInteger(
      [0, 1_000_000],
      'With as many silent amphorae as this at once nothing is replaced: the network is at fault, not they. Without a number: a fifth of all.',
    ),
    failover_threads: integer(10, [1, 1000], 'Silent amphorae that are asked or replaced at the same time.'),
    controller_ip_port_list: addressPorts(
      'Where amphorae send heartbeats, `address:port, …`. Standalone: the gateway of the management network.',
    ),
  },
  house_keeping: {
    cleanup_interval: integer(
      30,
      [1, 86_400],
      'Seconds between two removals of the rows of what was deleted.',
    ),
    amphora_expiry_age: integer(
      604_800,
      [0, 315_360_000],
      'Seconds that the row of a deleted amphora is kept.',
    ),
    load_balancer_expiry_age: integer(
      604_800,
      [0, 315_360_000],
      'Seconds that the row of a deleted load balancer is kept.',
    ),
    cert_interval: integer(3600, [1, 86_400], 'Seconds between two looks for certificates that end soon.'),
    cert_expiry_buffer: integer(
      1_209_600,
      [0, 315_360_000],
      'Seconds before its end that the certificate of an amphora is renewed.',
    ),
    cert_rotate_threads: integer(
      10,
      [1, 10_000],
      'Certificates of amphorae that are renewed after one such look.',
    ),
    spare_amphora_pool_size: integer(
      0,
      [0, 1000],
      'Amphorae that are kept ready for SINGLE load balancers which ask for nothing special.',
    ),
    spare_check_interval: integer(
      30,
      [1, 86_400],
      'Seconds between two looks after spare amphorae and leftovers.',
      { standalone: 5 },
    ),
    garbage: choice(
      'remove',
      { remove: [], report: [], off: [] },
      'What becomes of instances and ports of ours that no row owns: `report` only logs them.',
    ),
    garbage_interval: integer(300, [1, 86_400], 'Seconds between two looks for what no row owns.'),
    garbage_grace: integer(600, [0, 604_800], 'Seconds that nothing must have owned a thing before it goes.'),
  },
  controller_worker: {
    loadbalancer_topology: choice(
      'SINGLE',
      { SINGLE: [], ACTIVE_STANDBY: [] },
      'The topology of a load balancer whose flavor says nothing.',
    ),
    compute_driver: choice(
      'nova',
      { nova: ['compute_nova_driver'], namespace: [], noop: ['compute_noop_driver'] },
      'What makes amphorae.',
      { standalone: 'namespace' },
    ),
    network_driver: choice(
      'neutron',
      { neutron: ['allowed_address_pairs_driver'], bridge: [], noop: ['network_noop_driver'] },
      'What makes ports.',
      { standalone: 'bridge' },
    ),
    amphora_driver: choice(
      'http',
      {
        http: ['amphora_haproxy_rest_driver', 'amphora_haproxy_ssh_driver'],
        noop: ['amphora_noop_driver'],
      },
      'How the worker talks to agents.',
    ),
    event_notifications: boolean(true, 'Notifications are sent, if they have a driver.'),
    amp_boot_network_list: list(
      'Networks of every amphora, the management network first; standalone has its own.',
      {
        old: ['controller_worker.amp_network'],
      },
    ),
    client_ca: text('/etc/octavia/certs/ca_01.pem', 'What agents verify controllers with.'),
    amp_active_retries: integer(
      30,
      [1, 100_000],
      'How often a booting instance is looked at before it counts as failed.',
    ),
    amp_active_wait_sec: integer(10, [1, 3600], 'Seconds between two such looks.', { standalone: 1 }),
  },
  haproxy_amphora: {
    rest_request_conn_timeout: integer(10, [1, 3600], 'Seconds that connecting to an agent may take.'),
    rest_request_read_timeout: integer(60, [1, 3600], 'Seconds that an agent may take to answer.'),
    failover_connection_max_retries: integer(
      2,
      [1, 100],
      'How often a silent amphora is asked before it is replaced.',
    ),
    failover_connection_retry_interval: integer(5, [1, 3600], 'Seconds that it has for each answer.', {
      standalone: 2,
    }),
    client_cert: text('/etc/octavia/certs/client.pem', "The controllers' certificate and key, for agents."),
    server_ca: text('/etc/octavia/certs/server_ca.pem', 'What controllers verify agents with.'),
    timeout_client_data: integer(50_000, [0, 86_400_000], 'Milliseconds; the default of new listeners.'),
    timeout_member_connect: integer(5000, [0, 86_400_000], 'Milliseconds; the default of new listeners.'),
    timeout_member_data: integer(50_000, [0, 86_400_000], 'Milliseconds; the default of new listeners.'),
    timeout_tcp_inspect: integer(0, [0, 86_400_000], 'Milliseconds; the default of new listeners.'),
    timeout_tunnel: integer(
      3_600_000,
      [0, 2_147_483_647],
      'Milliseconds that a WebSocket may be silent; 0: as long as a request.',
    ),
    default_connection_limit: integer(
      50_000,
      [-1, 1_000_000],
      'Connections of a listener that has no limit of its own.',
    ),
    base_path: text('/var/lib/octavia', "Where an amphora keeps haproxy's files."),
    base_cert_dir: text('/var/lib/octavia/certs', 'Where an amphora keeps certificates.'),
    haproxy_cmd: text('/usr/sbin/haproxy', 'The haproxy of an amphora.'),
    member_drain_timeout: integer(
      0,
      [0, 2_147_483],
      'Seconds that a member keeps its sessions after it was removed, disabled or given weight 0; 0: until they end.',
    ),
    haproxy_stick_size: text('10k', 'Entries of a table of session persistence.'),
    user_log_format: optionalText("The format of haproxy's log; without it, the one of Octavia."),
    connection_logging: boolean(true, 'haproxy logs every connection.'),
  },
  amphora_agent: {
    agent_server_ca: text('/etc/octavia/certs/client_ca.pem', 'In the amphora: what verifies controllers.'),
    agent_server_cert: text(
      '/etc/octavia/certs/server.pem',
      "In the amphora: the agent's certificate and key.",
    ),
    agent_tls_protocol: text('TLSv1.2', 'The oldest TLS version that the agent speaks.'),
    user_log_facility: integer(0, [0, 7], 'LOG_LOCAL<n> of lines about traffic.'),
    administrative_log_facility: integer(1, [0, 7], 'LOG_LOCAL<n> of all other lines.'),
    tenant_log_targets: addressPorts(
      'Syslog servers that amphorae send lines about traffic to; the second one when the first is down.',
    ),
    admin_log_targets: addressPorts('Syslog servers that amphorae send their other lines to.'),
    forward_all_logs: boolean(false, "All of an amphora's other lines are sent, not only those of haproxy."),
    disable_local_log_storage: boolean(false, 'Amphorae keep no logs themselves.'),
    log_protocol: choice(
      'UDP',
      { UDP: [], TCP: [] },
      'How lines are sent; only TCP notices that a server is down.',
    ),
    log_queue_size: integer(10_000, [1, 10_000_000], 'Lines that wait in an amphora for a server.'),
    log_retry_count: integer(5, [-1, 1_000_000], 'Tries to reach a server before the next one is used.'),
    log_retry_interval: integer(2, [0, 86_400], 'Seconds between two such tries.'),
    logging_template_override: optionalText("A file that amphorae are given as rsyslog's configuration."),
    agent_request_read_timeout: integer(
      180,
      [1, 3600],
      'Seconds that the agent waits for the rest of a request.',
    ),
  },
  keepalived_vrrp: {
    vrrp_advert_int: decimal(
      1,
      [0.05, 40],
      'Seconds between two adverts of who of a pair holds the VIP; after three without, the other takes it.',
      { standalone: 0.15 },
    ),
    vrrp_check_interval: integer(5, [1, 3600], 'Seconds between two looks whether haproxy answers.', {
      standalone: 1,
    }),
    vrrp_fail_count: integer(
      2,
      [1, 100],
      'Looks without an answer after which an amphora gives up the VIP.',
      {
        standalone: 1,
      },
    ),
    vrrp_success_count: integer(2, [1, 100], 'Looks with an answer after which it may have the VIP again.', {
      standalone: 1,
    }),
    vrrp_garp_refresh_interval: integer(5, [0, 3600], 'Seconds between two announcements of where VIPs are.'),
    vrrp_garp_refresh_count: integer(2, [1, 100], 'How often each of them is sent.'),
  },
  certificates: {
    cert_manager: choice(
      'barbican',
      { barbican: ['barbican_cert_manager'], standalone: [], noop: ['noop_cert_manager'] },
      'The key manager that references of listeners and pools lead to; noop has whatever it is asked for.',
      { standalone: 'standalone' },
    ),
    ca_certificate: optionalText(
      'The authority that signs the certificates of agents; standalone has its own, as for the other files of authorities.',
    ),
    ca_private_key: optionalText('Its key.'),
    ca_private_key_passphrase: secret('', 'What the key is encrypted with.'),
    cert_validity_time: integer(
      2_592_000,
      [60, 3_153_600_000],
      "Seconds that an agent's certificate is valid.",
    ),
  },
  networking: {
    allow_vip_network_id: boolean(true, 'A VIP may be asked for by its network.'),
    allow_vip_subnet_id: boolean(true, 'A VIP may be asked for by its subnet.'),
    allow_vip_port_id: boolean(true, 'A VIP may be a port that the user brings.'),
    allow_invisible_resource_usage: boolean(
      false,
      'Users may name networks, subnets and ports that they do not see.',
    ),
    valid_vip_networks: list('Networks that VIPs may be in; empty: all.'),
    denylist_vip_networks: list('Networks that VIPs may not be in.'),
    reserved_ips: list('Addresses that no member may have.', { default: ['169.254.169.254'] }),
  },
  quotas: {
    default_load_balancer_quota: quota('load balancers'),
    default_listener_quota: quota('listeners'),
    default_member_quota: quota('members'),
    default_pool_quota: quota('pools'),
    default_health_monitor_quota: quota('health monitors'),
    default_l7policy_quota: quota('L7 policies'),
    default_l7rule_quota: quota('L7 rules'),
  },
  ottavia: {
    management_cidr: cidr(
      'The management network of standalone. Empty: a free one is chosen at the first start and kept.',
    ),
    private_cidr: cidr(
      'The first network for VIPs and members of standalone. Empty: a free one is chosen at the first start and kept.',
    ),
    public_cidr: cidr(
      'The network of standalone that floating IPs come from. Empty: a free one is chosen at the first start and kept.',
    ),
    token_expiration: integer(
      3600,
      [1, 31_536_000],
      'Seconds that a token of the standalone identity is good for.',
    ),
    worker_concurrency: integer(
      8,
      [1, 1000],
      'Load balancers that one worker process makes real at the same time.',
    ),
    lease_ttl: integer(
      20,
      [1, 3600],
      'Seconds after which another worker takes over from one that fell silent.',
    ),
    sweep_interval: integer(5, [1, 3600], 'Seconds between two looks for work that no message announced.', {
      standalone: 1,
    }),
    error_after: integer(
      300,
      [0, 86_400],
      'Seconds of failing after which a load balancer shows ERROR; it is tried on.',
      {
        standalone: 60,
      },
    ),
    webhook_urls: secret(
      '',
      'Where every change of a status of load balancers is told, URLs separated by commas; empty: nowhere.',
    ),
    webhook_secret: secret('', 'The key that events are signed with, in the header X-Ottavia-Signature.'),
    webhook_timeout: integer(10, [1, 30], 'Seconds that a receiver of events may take to answer.'),
  },
} as const;
