import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TerminalError } from '../lib/errors.ts';
import { lastValue, parseIni } from '../lib/ini.ts';
import { Secret } from '../lib/secret.ts';
import { renderAgentConfig } from './agent-config.ts';

const settings = {
  amphora_id: '6a0a1c1e-0000-4000-8000-000000000001',
  topology: 'SINGLE',
  controller_ip_port_list: ['192.0.2.1:5555', '[2001:db8::1]:5555'],
  heartbeat_interval: 10,
  heartbeat_key: new Secret('insecure'),
} as const;

test('the whole file', () => {
  expect(renderAgentConfig(settings)).toBe(`[DEFAULT]
debug = False
use_syslog = True
syslog_log_facility = LOG_LOCAL1

[haproxy_amphora]
base_cert_dir = /var/lib/octavia/certs
base_path = /var/lib/octavia
bind_host = ::
bind_port = 9443
haproxy_cmd = /usr/sbin/haproxy
user_log_facility = 0
administrative_log_facility = 1

[health_manager]
controller_ip_port_list = 192.0.2.1:5555, [2001:db8::1]:5555
heartbeat_interval = 10
heartbeat_key = insecure

[amphora_agent]
agent_server_ca = /etc/octavia/certs/client_ca.pem
agent_server_cert = /etc/octavia/certs/server.pem
agent_request_read_timeout = 180
amphora_id = 6a0a1c1e-0000-4000-8000-000000000001
amphora_udp_driver = keepalived_lvs
agent_tls_protocol = TLSv1.2
user_log_facility = 0
administrative_log_facility = 1

[controller_worker]
loadbalancer_topology = SINGLE
`);
});

test('a key arrives as it is, whatever it holds', () => {
  const key = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.string({ unit: fc.constantFrom(...` "'&<>=:#;[]%$\\`.split('')), minLength: 1, maxLength: 8 }),
  );
  fc.assert(
    // Spaces at the ends of a value are not kept by every reader.
    fc.property(
      key.filter(text => text.trim() === text),
      value => {
        const text = renderAgentConfig({ ...settings, heartbeat_key: new Secret(value) });
        const ini = parseIni(text);
        expect(lastValue(ini, 'health_manager', 'heartbeat_key')).toBe(value);
        expect([...ini.keys()]).toHaveLength(5);
      },
    ),
  );
});

test('a key that would begin another option is refused', () => {
  const heartbeat_key = new Secret('a\nbind_host = 0.0.0.0');
  expect(() => renderAgentConfig({ ...settings, heartbeat_key })).toThrow(TerminalError);
});
