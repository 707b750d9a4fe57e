import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type AccessLog, LOG_START } from '../drivers/compute/access-log.ts';
import { errorChain } from '../lib/errors.ts';
import { accessLogOf, rsyslogConfigOf } from './log-settings.ts';
import { readSettings } from './settings.ts';

const settingsOf = (text: string) =>
  readSettings({ program: 'standalone', files: [{ path: 'octavia.conf', text }] }).settings;

test('all that octavia.conf says about logs reaches rsyslog', () => {
  const settings = settingsOf(`[amphora_agent]
tenant_log_targets = 192.0.2.1:10514, 2001:db8::10:10514
admin_log_targets = 192.0.2.2:514
forward_all_logs = True
disable_local_log_storage = True
log_protocol = tcp
log_queue_size = 11
log_retry_count = 12
log_retry_interval = 13
user_log_facility = 3
`);
  const text = rsyslogConfigOf(settings, '/');
  for (const part of [
    ...['target="192.0.2.1"', 'target="2001:db8::10"', 'target="192.0.2.2"', 'port="514"', 'protocol="TCP"'],
    ...['queue.size="11"', 'resumeRetryCount="12"', 'resumeInterval="13"', 'local3.=info call', '*.* stop'],
    '*.*;local3.none call admin_forwarding',
  ])
    expect(text).toContain(part);
  expect(rsyslogConfigOf(settingsOf(''), '/')).toBe('');
});

test('a template of the operator stands for all of it, or stops the start', () => {
  const directory = mkdtempSync(join(tmpdir(), 'log-settings-'));
  try {
    const settings = settingsOf('[amphora_agent]\nlogging_template_override = own.conf\n');
    const tell = () => {
      try {
        return rsyslogConfigOf(settings, directory);
      } catch (error) {
        return errorChain(error);
      }
    };
    expect(tell()).toMatch(/^Cannot use logging_template_override .*own\.conf: ENOENT/);
    writeFileSync(join(directory, 'own.conf'), '{% for x in y %}');
    expect(tell()).toMatch(/own\.conf: \{% for x in y %\} cannot be filled in/);
    writeFileSync(join(directory, 'own.conf'), 'local{{ user_log_facility }}.* stop\n');
    expect(tell()).toBe('local0.* stop\n');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('users are shown the log where there is one, and told why where not', () => {
  const log: AccessLog = { read: async () => ({ lines: [], position: LOG_START }) };
  expect(accessLogOf(settingsOf(''), log)).toBe(log);
  const reasonOf = (text: string, given?: AccessLog) => accessLogOf(settingsOf(text), given);
  expect(reasonOf('')).toEqual({ unavailable: 'this system keeps them nowhere that the API could read' });
  expect(reasonOf('[amphora_agent]\ndisable_local_log_storage = true', log)).toEqual({
    unavailable: 'this system keeps them nowhere that the API could read',
  });
  const targets = '[amphora_agent]\ntenant_log_targets = 192.0.2.1:514\n';
  expect(reasonOf(targets, log)).toBe(log);
  expect(reasonOf(targets)).toEqual({
    unavailable: 'they are sent to the log servers of this system, and kept nowhere else',
  });
  expect(reasonOf('[haproxy_amphora]\nconnection_logging = false', log)).toEqual({
    unavailable: 'connections are not logged on this system',
  });
});
