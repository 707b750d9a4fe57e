/** `ottavia pool …`. Source: contract clients.md 4.3. */
import {
  COMMON_OPTIONS,
  DESCRIPTION,
  type Noun,
  PROJECT_FILTER,
  pairs,
  TLS_OPTIONS,
  upperCase,
} from '../noun.ts';

export const pool: Noun = {
  names: ['pool'],
  sentence: 'Pools: members and how traffic is shared among them',
  singular: 'pool',
  plural: 'pools',
  columns: [
    'id',
    'name',
    'protocol',
    'lb_algorithm',
    'admin_state_up',
    'provisioning_status',
    'operating_status',
  ],
  options: [
    ...COMMON_OPTIONS,
    DESCRIPTION,
    PROJECT_FILTER,
    {
      flags: '--listener <listener>',
      field: 'listener_id',
      target: 'listener',
      sentence: 'The listener that sends traffic to it (name or id)',
      verbs: ['create'],
    },
    {
      flags: '--loadbalancer <lb>',
      field: 'loadbalancer_id',
      target: 'loadbalancer',
      sentence: 'The load balancer (name or id)',
      verbs: ['create', 'list'],
    },
    {
      flags: '--protocol <protocol>',
      field: 'protocol',
      read: upperCase,
      required: true,
      sentence: 'HTTP, HTTPS, PROXY, PROXYV2, TCP, UDP or SCTP',
      verbs: ['create'],
    },
    {
      flags: '--lb-algorithm <algorithm>',
      field: 'lb_algorithm',
      read: upperCase,
      required: true,
      sentence: 'ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_IP or SOURCE_IP_PORT',
    },
    {
      flags: '--session-persistence <pairs>',
      field: 'session_persistence',
      read: pairs,
      sentence: 'type=SOURCE_IP, or type=APP_COOKIE,cookie_name=NAME, …',
    },
    {
      flags: '--tls-container-ref <ref>',
      field: 'tls_container_ref',
      sentence: 'Our certificate towards members',
    },
    {
      flags: '--ca-tls-container-ref <ref>',
      field: 'ca_tls_container_ref',
      sentence: "Verifies members' certificates",
    },
    {
      flags: '--crl-container-ref <ref>',
      field: 'crl_container_ref',
      sentence: "Revoked members' certificates",
    },
    { flags: '--enable-tls', field: 'tls_enabled', value: true, sentence: 'TLS towards members' },
    { flags: '--disable-tls', field: 'tls_enabled', value: false, sentence: 'No TLS towards members' },
    ...TLS_OPTIONS,
  ],
};
