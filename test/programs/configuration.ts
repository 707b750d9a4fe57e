/** The configuration file of an installation of several programs, with authorities of its own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueAuthority, issueLeaf } from '../../src/drivers/certificates/issue.ts';
import { freePort } from '../free-port.ts';

export interface Configuration extends Disposable {
  directory: string;
  /** What `--config-file` takes. */
  file: string;
  apiPort: number;
}

/** section → option → value. */
export type Sections = Record<string, Record<string, string | number | boolean>>;

const DAY_MS = 86_400_000;

/** On noop drivers, without authentication, on a port of the API's own; what `sections` says wins. */
export async function writeConfiguration(
  connection: string,
  sections: Sections = {},
): Promise<Configuration> {
  const directory = mkdtempSync(join(tmpdir(), 'ottavia-programs-'));
  const now = Date.now();
  const validity = { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + 300 * DAY_MS) };
  const ca = await issueAuthority({ commonName: 'programs', ...validity });
  const client = await issueLeaf(ca, { commonName: 'OctaviaController', ...validity });
  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const apiPort = await freePort();
  const all: Sections = {
    database: { connection },
    api_settings: { bind_host: '127.0.0.1', bind_port: apiPort, auth_strategy: 'noauth' },
    certificates: {
      cert_manager: 'noop',
      ca_certificate: write('ca.pem', ca.pem),
      ca_private_key: write('ca.key', ca.key.reveal()),
    },
    haproxy_amphora: {
      server_ca: join(directory, 'ca.pem'),
      client_cert: write('client.pem', client.certificate + client.key.reveal()),
    },
    controller_worker: {
      client_ca: join(directory, 'ca.pem'),
      ...{ compute_driver: 'noop', network_driver: 'noop', amphora_driver: 'noop' },
    },
    health_manager: { bind_port: 0, heartbeat_key: 'a key of the test' },
    house_keeping: {},
    ottavia: { sweep_interval: 1 },
  };
  for (const [section, options] of Object.entries(sections)) all[section] = { ...all[section], ...options };
  const text = Object.entries(all).map(([section, options]) =>
    [`[${section}]`, ...Object.entries(options).map(([name, value]) => `${name} = ${value}`)].join('\n'),
  );
  const file = write('octavia.conf', `${text.join('\n\n')}\n`);
  return { directory, file, apiPort, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}
