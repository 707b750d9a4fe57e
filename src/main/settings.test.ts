import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parseIni } from '../lib/ini.ts';
import { renderSample } from './sample.ts';
import { type ReadSettings, readSettings, rows, SettingsError } from './settings.ts';

function read(text: string, more: Partial<Parameters<typeof readSettings>[0]> = {}): ReadSettings {
  return readSettings({ program: 'standalone', files: [{ path: 'octavia.conf', text }], ...more });
}

function problemsOf(text: string): readonly string[] {
  try {
    read(text);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  throw new Error('no problem was found');
}

describe('readSettings()', () => {
  test('without any source gives each program its defaults', () => {
    const standalone = readSettings({ program: 'standalone' }).settings;
    const controller = readSettings({ program: 'controller' }).settings;
    expect(standalone.controller_worker.compute_driver).toBe('namespace');
    expect(controller.controller_worker.compute_driver).toBe('nova');
    expect(controller.health_manager.heartbeat_timeout).toBe(60);
    expect(controller.api_settings.bind_port).toBe(9876);
  });

  test('file, environment and command line win in this order', () => {
    const environment = { OS_API_SETTINGS__BIND_PORT: '2', OS_API_SETTINGS__BIND_HOST: '127.0.0.2' };
    const commandLine = { 'api_settings.bind_host': '127.0.0.3', 'api_settings.auth_strategy': undefined };
    const { settings } = read('[api_settings]\nbind_port = 1\nauth_strategy = noauth\n', {
      environment,
      commandLine,
    });
    expect(settings.api_settings).toMatchObject({
      bind_port: 2,
      bind_host: '127.0.0.3',
      auth_strategy: 'noauth',
    });
  });

  test('understands the driver names of Octavia', () => {
    const { settings } = read(`[controller_worker]
compute_driver = compute_noop_driver
network_driver = network_noop_driver
amphora_driver = amphora_haproxy_rest_driver
loadbalancer_topology = active_standby`);
    expect(settings.controller_worker).toMatchObject({
      compute_driver: 'noop',
      network_driver: 'noop',
      amphora_driver: 'http',
      loadbalancer_topology: 'ACTIVE_STANDBY',
    });
  });

  test('understands a Keystone as old files name it, and as new ones do', () => {
    const old = read(`[keystone_authtoken]
auth_uri = http://public:5000/v2.0
identity_uri = http://admin:35357
admin_user = octavia
admin_password = secret
admin_tenant_name = service`).settings.keystone_authtoken;
    const now = read(`[keystone_authtoken]
www_authenticate_uri = http://public:5000/v2.0
auth_url = http://admin:35357
auth_type = v3password
username = octavia
password = secret
project_name = service
memcached_servers = cache:11211`).settings.keystone_authtoken;
    expect(old).toEqual(now);
    expect(now).toMatchObject({
      auth_url: 'http://admin:35357',
      www_authenticate_uri: 'http://public:5000/v2.0',
      username: 'octavia',
      project_name: 'service',
      token_cache_time: 300,
      insecure: false,
    });
    expect(now.password.reveal()).toBe('secret');
    expect(() => read('[keystone_authtoken]\nauth_type = v3kerberos')).toThrow(
      'it must be one of password, v3password',
    );
  });

  test('understands old names, and prefers the new one where both stand', () => {
    expect(read('[DEFAULT]\nbind_port = 77').settings.api_settings.bind_port).toBe(77);
    expect(
      read('[api_settings]\nbind_port = 88\n[DEFAULT]\nbind_port = 77').settings.api_settings.bind_port,
    ).toBe(88);
  });

  test('names every problem of every source at once', () => {
    const text = `[api_settings]
bind_port = many
auth_strategy = password
[health_manager]
controller_ip_port_list = 10.0.0.1
[ottavia]
lease_tl = 5
management_cidr = here`;
    const problems = problemsOf(text);
    expect(problems).toHaveLength(5);
    const all = problems.join('\n');
    expect(all).toContain(
      'octavia.conf: [api_settings] bind_port = many: it must be an integer from 0 to 65535',
    );
    expect(all).toContain('auth_strategy = password: it must be one of');
    expect(all).toContain('10.0.0.1 is not address:port');
    expect(all).toContain('[ottavia] lease_tl is not an option; the nearest known is [ottavia] lease_ttl');
    expect(all).toContain('management_cidr = here');
  });

  test('reports a line that cannot be read with its number', () => {
    expect(problemsOf('[api_settings]\nwhat is this\n')[0]).toContain('octavia.conf: Cannot read line 2');
  });

  test('reads past known options, and says the nearest to an unknown one', () => {
    const { remarks } = read(`[haproxy_amphora]
key_path = /x
[health_manager]
heartbeat_kye = abc
[keystone_authtoken]
anything = goes
[nonsense]
qqqqqq = 1`);
    expect(remarks).toEqual([
      'octavia.conf: [haproxy_amphora] key_path has no effect in Ottavia',
      'octavia.conf: [health_manager] heartbeat_kye is not an option; the nearest known is [health_manager] heartbeat_key',
      'octavia.conf: [keystone_authtoken] anything has no effect in Ottavia',
      'octavia.conf: [nonsense] qqqqqq is not an option',
    ]);
  });

  test('replaces $references as oslo.config does', () => {
    const text = `[DEFAULT]
my_ip = 10.9.8.7
[api_settings]
bind_host = $my_ip
[health_manager]
bind_ip = \${api_settings.bind_host}
heartbeat_key = a$$b`;
    const { settings } = read(text);
    expect(settings.api_settings.bind_host).toBe('10.9.8.7');
    expect(settings.health_manager.bind_ip).toBe('10.9.8.7');
    expect(settings.health_manager.heartbeat_key.reveal()).toBe('a$b');
    expect(problemsOf('[health_manager]\nheartbeat_key = a$b')[0]).toContain('write $$');
    expect(problemsOf('[api_settings]\nbind_host = $bind_host')[0]).toContain('circle');
  });

  test('never prints a secret', () => {
    const { settings } = read('[health_manager]\nheartbeat_key = hush-hush');
    expect(inspect(settings, { depth: 5 }) + JSON.stringify(settings)).not.toContain('hush-hush');
  });

  test('is frozen', () => {
    const { settings } = read('');
    expect(() => Object.assign(settings.api_settings, { bind_port: 1 })).toThrow();
  });
});

describe('renderSample()', () => {
  test('with every # removed is a file that says the defaults', () => {
    const text = renderSample()
      .replaceAll(/^#(\w+ = )/gm, '$1')
      .replaceAll(/^#(\w+) = $/gm, '$1 =');
    const ini = parseIni(text);
    for (const { section, option } of rows()) expect(ini.get(section)?.has(option), option).toBe(true);
    const source = { program: 'controller', files: [{ path: 'sample', text }] } as const;
    const plain = (r: ReadSettings) => inspect(r.settings, { depth: 5 });
    expect(plain(readSettings(source))).toBe(plain(readSettings({ program: 'controller' })));
    expect(readSettings(source).remarks).toEqual([]);
  });
});
