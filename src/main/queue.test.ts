import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog } from '../lib/log.ts';
import { brokerOptionsOf, findBrokerProblems } from './queue.ts';
import { readSettings } from './settings.ts';

const settingsOf = (text: string) =>
  readSettings({ program: 'controller', files: [{ path: 'octavia.conf', text }] }).settings;
const optionsOf = (url: string, text = '') => {
  const { tls, heartbeatSeconds, vhost } = brokerOptionsOf(settingsOf(text), url, silentLog);
  return { tls, heartbeatSeconds, vhost };
};

test('what the URL says stands before what the section of RabbitMQ says', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-queue-'));
  try {
    const ca = join(directory, 'ca.pem');
    writeFileSync(ca, 'the authority');
    const section = `[oslo_messaging_rabbit]\nrabbit_use_ssl = true\nkombu_ssl_ca_certs = ${ca}\nheartbeat_timeout_threshold = 7\n`;
    expect(optionsOf('rabbit://h/v')).toEqual({ tls: undefined, heartbeatSeconds: 60, vhost: 'v' });
    const tls = { ca: Buffer.from('the authority') };
    expect(optionsOf('rabbit://h/', section)).toEqual({ tls, heartbeatSeconds: 7, vhost: '/' });
    expect(optionsOf('rabbit://h/?ssl=0', section).tls).toBeUndefined();
    expect(optionsOf(`rabbit://h/?ssl=1&ssl_ca_file=${ca}`).tls).toEqual(tls);
    expect(optionsOf('rabbit://h/?ssl=true').tls).toEqual({ ca: undefined });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('notifications need a broker of their own or the one of all', () => {
  const notify = '[oslo_messaging_notifications]\ndriver = messagingv2\n';
  const sentence = 'Cannot send notifications: set [DEFAULT] transport_url to a RabbitMQ';
  expect(findBrokerProblems(settingsOf(notify))).toEqual([sentence]);
  expect(findBrokerProblems(settingsOf(`${notify}transport_url = rabbit://h/\n`))).toEqual([]);
  expect(findBrokerProblems(settingsOf(`${notify}[DEFAULT]\ntransport_url = rabbit://h/\n`))).toEqual([]);
  expect(findBrokerProblems(settingsOf('[oslo_messaging_notifications]\ntransport_url = x\n'))).toEqual([
    'Cannot use [oslo_messaging_notifications] transport_url: it must look like rabbit://user:password@host:5672/',
  ]);
  const off = `[controller_worker]\nevent_notifications = false\n${notify}`;
  expect(findBrokerProblems(settingsOf(off))).toEqual([]);
});
