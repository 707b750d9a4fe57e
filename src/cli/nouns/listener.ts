/** `ottavia listener …`. Source: contract clients.md 4.2. */
import { CLIENT_AUTHENTICATION_MODES, LISTENER_PROTOCOLS } from '../../model/listener.ts';
import { BASICS, CHANGE, integer, noun, option, pairs, port, reference, TLS_OPTIONS } from '../noun.ts';

export const listener = noun('listener', 'Load balancing:', 'Listeners: a protocol and a port on the VIP', {
  parentField: { kind: 'loadbalancer', field: 'loadbalancer_id' },
  tagged: true,
  columns: 'id name protocol protocol_port default_pool_id provisioning_status operating_status',
  unset: `name description connection-limit default-pool insert-headers allowed-cidrs
    timeout-client-data timeout-member-connect timeout-member-data timeout-tcp-inspect
    default-tls-container-ref sni-container-refs client-ca-tls-container-ref client-crl-container-ref
    client-authentication tls-ciphers tls-versions alpn-protocols
    hsts-max-age hsts-include-subdomains hsts-preload`,
  actions: [{ name: 'stats', path: '/stats', sentence: 'Show what went through it' }],
  options: [
    ...BASICS,
    option('--loadbalancer <loadbalancer>', 'Those of this load balancer', 'list'),
    option('--protocol <protocol>', 'What clients speak', 'create!', { choices: LISTENER_PROTOCOLS }),
    option('--protocol-port <number>', 'The port that clients connect to', 'create!', { read: port }),
    option('--connection-limit <limit>', 'Most connections at once; -1: no limit', CHANGE, { read: integer }),
    option('--default-pool <pool>', 'Where traffic goes'),
    option('--insert-headers <pairs>', 'Headers for members: K=V,K=V', CHANGE, { read: pairs }),
    option('--timeout-client-data <ms>', 'How long a client may be silent', CHANGE, { read: integer }),
    option('--timeout-member-connect <ms>', 'How long connecting may take', CHANGE, { read: integer }),
    option('--timeout-member-data <ms>', 'How long a member may be silent', CHANGE, { read: integer }),
    option('--timeout-tcp-inspect <ms>', 'How long more packets are waited for', CHANGE, { read: integer }),
    option('--allowed-cidr <cidr>', 'Clients that may connect (repeat for more)', CHANGE, {
      ...{ field: 'allowed_cidrs', repeated: true },
    }),
    option('--default-tls-container-ref <ref>', 'The certificate: a secret or container', CHANGE, {
      read: reference,
    }),
    option('--sni-container-refs <ref...>', 'One more certificate, chosen by SNI (repeat for more)', CHANGE, {
      repeated: true,
    }),
    option('--client-ca-tls-container-ref <ref>', "Verifies clients' certificates", CHANGE, {
      read: reference,
    }),
    option('--client-crl-container-ref <ref>', "Revoked clients' certificates", CHANGE, { read: reference }),
    option('--client-authentication <mode>', 'Whether clients need certificates', CHANGE, {
      choices: CLIENT_AUTHENTICATION_MODES,
    }),
    ...TLS_OPTIONS,
    option('--hsts-max-age <seconds>', 'Browsers use TLS only, this long', CHANGE, { read: integer }),
    option('--hsts-include-subdomains', 'HSTS for subdomains too', CHANGE, { value: true }),
    option('--hsts-preload', 'HSTS preload', CHANGE, { value: true }),
  ],
});
