import { describe, expect, test } from 'vitest';
import { findStatsSocket, listBindAddresses, listFrontends, withoutGroup } from './config-text.ts';

const CONFIG = `# Configuration for loadbalancer lb1
global
    daemon
    user nobody
    stats socket /var/lib/octavia/lb1.sock mode 0666 level user

defaults
    no log

peers abc_peers
    peer one 10.0.0.1:1025

frontend prometheus-exporter-internal-endpoint
    bind 127.0.0.1:9101
    mode http

frontend l-http
    maxconn 50000
    bind 10.0.0.5:80
    bind 2001:db8::5:80
    mode http
    timeout client 50000

frontend l-tls
    redirect scheme https if !{ ssl_fc }
    bind 10.0.0.5:443 ssl crt-list /var/lib/octavia/certs/lb1/l-tls.pem   ciphers X alpn h2
    mode http

frontend l-tcp
    bind 10.0.0.5:25 
    mode tcp

backend p1:l-http
    mode http
`;

describe('what is read out of a configuration', () => {
  test('frontends with their types', () => {
    expect(listFrontends(CONFIG)).toEqual([
      { name: 'prometheus-exporter-internal-endpoint', type: 'HTTP' },
      { name: 'l-http', type: 'HTTP' },
      { name: 'l-tls', type: 'TERMINATED_HTTPS' },
      { name: 'l-tcp', type: 'TCP' },
    ]);
    expect(listFrontends('')).toEqual([]);
  });

  test('the stats socket and the addresses of clients', () => {
    expect(findStatsSocket(CONFIG)).toBe('/var/lib/octavia/lb1.sock');
    expect(findStatsSocket('global\n')).toBeUndefined();
    expect(listBindAddresses(CONFIG)).toEqual(['10.0.0.5', '2001:db8::5']);
  });
});

test.each([
  ['global\n    user nobody\n    group nogroup\n    daemon\n', 'global\n    user nobody\n    daemon\n'],
  ['global\n    user nobody\n', 'global\n    user nobody\n'],
])('the group of older controllers is dropped from %j', (text, expected) => {
  expect(withoutGroup(text)).toBe(expected);
});
