/** `ottavia pool …`. Source: contract clients.md 4.3. */
import { LB_ALGORITHMS, POOL_PROTOCOLS } from '../../model/pool.ts';
import { BASICS, CHANGE, noun, option, pairs, TLS_OPTIONS } from '../noun.ts';

export const pool = noun('pool', 'Load balancing:', 'Pools: members and how traffic is shared among them', {
  tagged: true,
  columns: 'id name protocol lb_algorithm admin_state_up provisioning_status operating_status',
  unset: `name description session-persistence tls-container-ref ca-tls-container-ref crl-container-ref
    tls-ciphers tls-versions alpn-protocols`,
  options: [
    ...BASICS,
    option('--listener <listener>', 'The listener that sends traffic to it', 'create'),
    option('--loadbalancer <loadbalancer>', 'The load balancer', 'create list'),
    option('--protocol <protocol>', 'What members speak', 'create!', { choices: POOL_PROTOCOLS }),
    option('--lb-algorithm <algorithm>', 'How a member is chosen', 'create! set', { choices: LB_ALGORITHMS }),
    option(
      '--session-persistence <pairs>',
      'type=SOURCE_IP, or type=APP_COOKIE,cookie_name=NAME, …',
      CHANGE,
      {
        read: pairs,
      },
    ),
    option('--tls-container-ref <ref>', 'Our certificate towards members'),
    option('--ca-tls-container-ref <ref>', "Verifies members' certificates"),
    option('--crl-container-ref <ref>', "Revoked members' certificates"),
    option('--enable-tls', 'TLS towards members', CHANGE, { field: 'tls_enabled', value: true }),
    option('--disable-tls', 'No TLS towards members', CHANGE, { field: 'tls_enabled', value: false }),
    ...TLS_OPTIONS,
  ],
});
