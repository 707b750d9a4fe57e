import { describe, expect, test } from 'vitest';
import { decodeAgentConfig, decodeDestinations } from './config.ts';

const FILE = '/etc/octavia/amphora-agent.conf';
const MINIMAL = '[amphora_agent]\namphora_id = a1\n';

describe('decodeAgentConfig()', () => {
  test('takes the paths and numbers of the contract where the file is silent', () => {
    expect(decodeAgentConfig(MINIMAL, FILE)).toMatchObject({
      ...{ amphoraId: 'a1', topology: 'SINGLE', bindHost: '::', bindPort: 9443, statusCheckIntervalMs: 1000 },
      heartbeat: { destinations: [], intervalMs: 10_000 },
      paths: {
        base: '/var/lib/octavia',
        certificates: '/var/lib/octavia/certs',
        interfaces: '/etc/octavia/interfaces',
        pluggedInterfaces: '/var/lib/octavia/plugged_interfaces',
        serverCertificate: '/etc/octavia/certs/server.pem',
        clientCa: '/etc/octavia/certs/client_ca.pem',
      },
    });
  });

  test('follows base_path with every path below it, and is frozen', () => {
    const { paths } = decodeAgentConfig(`${MINIMAL}[haproxy_amphora]\nbase_path = /tmp/x\n`, FILE);
    expect([paths.certificates, paths.counters]).toEqual(['/tmp/x/certs', '/tmp/x/stats_counters.json']);
    expect(Object.isFrozen(paths)).toBe(true);
  });

  test('keeps the key from being printed', () => {
    const config = decodeAgentConfig(`${MINIMAL}[health_manager]\nheartbeat_key = hush\n`, FILE);
    expect(JSON.stringify(config)).not.toContain('hush');
    expect(config.heartbeat.key.reveal()).toBe('hush');
  });

  test('names what is missing or no number', () => {
    expect(() => decodeAgentConfig('', FILE)).toThrow('amphora_id');
    expect(() => decodeAgentConfig(`${MINIMAL}[haproxy_amphora]\nbind_port = many\n`, FILE)).toThrow(
      'bind_port',
    );
  });
});

test.each([
  ['10.0.0.1:5555, 10.0.0.2:5556', ['10.0.0.1 5555', '10.0.0.2 5556']],
  ['[2001:db8::1]:5555', ['2001:db8::1 5555']],
  ['health.example:5555,nonsense,10.0.0.1:5555', ['health.example 5555']],
  ['10.0.0.1:0, 10.0.0.2:5555', ['10.0.0.2 5555']],
  ['', []],
])('heartbeat destinations of %j', (list, expected) => {
  expect(decodeDestinations(list).map(({ host, port }) => `${host} ${port}`)).toEqual(expected);
});
