/** Octavia itself, as Debian ships it: API, worker and health manager in Python, with a message broker and a database of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Issuer, issueAuthority, issueLeaf } from '../../src/drivers/certificates/issue.ts';
import { clientObstacle } from '../clients/python-client.ts';
import { serverObstacle, startDatabaseServer } from '../database-server.ts';
import { freePort } from '../free-port.ts';
import { Lbaas } from '../host/lbaas.ts';
import { until } from '../host/until.ts';
import { brokerObstacle, listens, startMessageBroker } from '../message-broker.ts';

const START_LIMIT_MS = 90_000;
const AWAIT_WORKER = `
import sys, time, amqp
while True:
    with amqp.Connection(f'127.0.0.1:{sys.argv[1]}') as connection:
        try:
            connection.channel().queue_declare('octavia_provisioning_v2', passive=True)
            break
        except amqp.exceptions.NotFound:
            time.sleep(0.1)
`;
const DAY_MS = 86_400_000;

/** Why it cannot run here, or undefined when it can. */
export function controllerObstacle(): string | undefined {
  const modules = clientObstacle('octavia.cmd.octavia_worker');
  return modules ?? brokerObstacle() ?? serverObstacle('MariaDB');
}

export interface ControllerOptions {
  /** Where interop_cloud.py finds its cloud. */
  cloud: string;
  managementNetworkId: string;
  /** Where heartbeats are received. */
  heartbeatAddress: string;
}

export class PythonController implements AsyncDisposable {
  readonly directory: string;
  api!: Lbaas;
  readonly #made = new AsyncDisposableStack();
  readonly #options: ControllerOptions;

  private constructor(options: ControllerOptions) {
    this.#options = options;
    this.directory = mkdtempSync(join(tmpdir(), 'python-controller-'));
    this.#made.defer(() => rmSync(this.directory, { recursive: true }));
  }

  /** All its programs at work. */
  static async open(options: ControllerOptions): Promise<PythonController> {
    const controller = new PythonController(options);
    try {
      await controller.#start();
      return controller;
    } catch (error) {
      await controller[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What the programs have printed. */
  log(program: string): string {
    return readFileSync(join(this.directory, `${program}.log`), 'utf8');
  }

  /** A secret as Octavia's local certificate manager keeps it; returns its reference. */
  storeSecret(name: string, certificate: string, key?: string): string {
    writeFileSync(join(this.directory, 'secrets', `${name}.crt`), certificate);
    if (key !== undefined) writeFileSync(join(this.directory, 'secrets', `${name}.key`), key);
    return name;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#made.disposeAsync();
  }

  async #start(): Promise<void> {
    mkdirSync(join(this.directory, 'secrets'));
    const apiPort = await freePort();
    const starting = startMessageBroker();
    const database = this.#made.use(await startDatabaseServer('MariaDB'));
    const broker = this.#made.use(await starting);
    const brokerPort = broker.port;
    const ca = await this.#writeCertificates();
    const file = join(this.directory, 'octavia.conf');
    const connection = database.createDatabase('octavia');
    writeFileSync(file, this.#settings({ brokerPort, apiPort, connection, ca }));
    const config = ['--config-file', file];
    await ended('octavia-db-manage', this.#run('octavia-db-manage', [...config, 'upgrade', 'head']));
    for (const program of ['octavia-worker', 'octavia-health-manager', 'octavia-api'])
      this.#run(program, config);
    // What is sent before the worker listens is lost.
    await ended(
      'the look for the worker',
      this.#run('/usr/bin/python3', ['-c', AWAIT_WORKER, String(brokerPort)]),
    );
    await listening(apiPort);
    const cloud = { auth_type: 'none', endpoint: `http://127.0.0.1:${apiPort}` };
    writeFileSync(join(this.directory, 'clouds.yaml'), JSON.stringify({ clouds: { ottavia: cloud } }));
    this.api = new Lbaas(this.directory);
  }

  #run(program: string, args: string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...{ PATH: process.env.PATH, HOME: this.directory, LANG: 'C.UTF-8' },
        ...{ INTEROP_CLOUD: this.#options.cloud, PYTHONPATH: join(import.meta.dirname, 'cloud') },
        ...{ PYTHONDONTWRITEBYTECODE: '1', PYTHONWARNINGS: 'ignore', ...more },
      },
    });
    const log = join(this.directory, `${basename(program)}.log`);
    writeFileSync(log, '');
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', chunk => writeFileSync(log, chunk, { flag: 'a' }));
    this.#made.defer(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await gone;
      clearTimeout(limit);
    });
    return child;
  }

  async #writeCertificates(): Promise<Issuer> {
    const validity = {
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + 30 * DAY_MS),
    };
    const ca = await issueAuthority({ commonName: 'interop', ...validity });
    const client = await issueLeaf(ca, { commonName: 'controller', ...validity });
    const write = (name: string, text: string) =>
      writeFileSync(join(this.directory, name), text, { mode: 0o600 });
    write('ca.pem', ca.pem);
    write('ca.key', ca.key.reveal());
    write('client.pem', client.certificate + client.key.reveal());
    return ca;
  }

  #settings(parts: { brokerPort: number; apiPort: number; connection: string; ca: Issuer }): string {
    const path = (name: string) => join(this.directory, name);
    const { heartbeatAddress, managementNetworkId } = this.#options;
    return `[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:${parts.brokerPort}/
[api_settings]
bind_host = 127.0.0.1
bind_port = ${parts.apiPort}
auth_strategy = noauth
[database]
connection = ${parts.connection}
[oslo_messaging]
topic = octavia
[health_manager]
bind_ip = ${heartbeatAddress}
bind_port = 5555
controller_ip_port_list = ${heartbeatAddress}:5555
heartbeat_key = a key of the test
heartbeat_interval = 1
[certificates]
cert_manager = local_cert_manager
cert_generator = local_cert_generator
ca_certificate = ${path('ca.pem')}
ca_private_key = ${path('ca.key')}
storage_path = ${path('secrets')}
[haproxy_amphora]
client_cert = ${path('client.pem')}
server_ca = ${path('ca.pem')}
connection_max_retries = 60
connection_retry_interval = 1
[controller_worker]
workers = 1
client_ca = ${path('ca.pem')}
amp_boot_network_list = ${managementNetworkId}
amp_active_wait_sec = 1
amphora_driver = amphora_haproxy_rest_driver
compute_driver = interop
network_driver = interop
image_driver = image_noop_driver
volume_driver = volume_noop_driver
`;
  }
}

async function ended(program: string, child: ChildProcess): Promise<void> {
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}

const listening = (port: number): Promise<boolean> =>
  until(
    `a server at port ${port}`,
    () => listens(port),
    () => undefined,
    START_LIMIT_MS,
  );
