/** An agent in an instance of its own, with a management link to the host and a peer namespace on the VIP's network. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Issuer, issueAuthority, issueLeaf } from '../../src/drivers/certificates/issue.ts';
import { writeDirectory } from '../../src/drivers/compute/instance-files.ts';
import { endProcesses, findInit, startInit } from '../../src/drivers/compute/instance-processes.ts';
import { Secret } from '../../src/lib/secret.ts';
import { signalProcess } from '../../src/lib/signal.ts';
import { type DecodedHeartbeat, decodeHeartbeat } from '../../src/wire/heartbeat-codec.ts';
import { until } from './until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TRAFFIC = fileURLToPath(new URL('testdata/traffic.mjs', import.meta.url));

export const AMPHORA = '01742827-7aa1-4e2c-b2d9-6d4f1f200c79';
export const VIP = '10.66.0.100';
export const VIP_MAC = '02:aa:00:00:00:01';
export const MEMBER_MAC = '02:aa:00:00:00:02';
const KEY = new Secret('a key of the test');

const DAY_MS = 86_400_000;
const validity = () => ({
  notBefore: new Date(Date.now() - DAY_MS),
  notAfter: new Date(Date.now() + DAY_MS),
});
const ip = (...words: string[]) =>
  execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

export interface AgentReply {
  status: number;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: what the agent answers is looked at by each test
  json: any;
  etag: string | undefined;
}

export interface Load {
  /** Ends it and says how often each member answered. */
  stop(): Promise<{ counts: Record<string, number>; failures: string[] }>;
}

export class AgentInstance {
  readonly outer: string;
  readonly peer: string;
  readonly address: string;
  readonly directory: string;
  readonly heartbeats: DecodedHeartbeat[] = [];
  readonly #host: string;
  readonly #link: string;
  readonly #children: ChildProcess[] = [];
  #socket: Socket | undefined;
  #ca!: Issuer;
  #client!: Agent;
  #stranger!: Agent;
  readonly #topology: 'SINGLE' | 'ACTIVE_STANDBY';

  constructor(topology: 'SINGLE' | 'ACTIVE_STANDBY' = 'SINGLE') {
    this.#topology = topology;
    const number = process.pid % 250;
    this.#link = `agt${process.pid.toString(36)}`;
    this.outer = `${this.#link}-outer`;
    this.peer = `${this.#link}-peer`;
    this.#host = `10.231.${number}.1`;
    this.address = `10.231.${number}.2`;
    this.directory = mkdtempSync(join(tmpdir(), 'agent-'));
  }

  async build(): Promise<void> {
    execFileSync(process.execPath, ['scripts/bundle-agent.ts'], { cwd: ROOT });
    for (const namespace of [this.outer, this.peer]) ip('netns', 'add', namespace);
    ip('link', 'add', `${this.#link}m`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.outer);
    ip('addr', 'add', `${this.#host}/24`, 'dev', `${this.#link}m`);
    ip('link', 'set', `${this.#link}m`, 'up');
    for (const words of ['link set lo up', `addr add ${this.address}/24 dev eth0`, 'link set eth0 up']) {
      ip('-n', this.outer, ...words.split(' '));
    }
    ip('-n', this.peer, 'link', 'set', 'lo', 'up');
    this.#plug(VIP_MAC, 'vip', '10.66.0.1/24');
    this.#plug(MEMBER_MAC, 'member', '10.67.0.1/24');
    await this.#openSocket();
    await this.#issue();
    const files = [
      { path: '/etc/octavia/amphora-agent.conf', content: this.config(), mode: 0o600 },
      { path: '/etc/octavia/certs/server.pem', content: await this.serverPem(), mode: 0o600 },
      { path: '/etc/octavia/certs/client_ca.pem', content: this.#ca.pem, mode: 0o644 },
    ];
    const record = {
      name: 'agent-test',
      compute_id: 'agent-test',
      lb_network_ip: this.address,
      networks: [],
    };
    mkdirSync(this.directory, { recursive: true });
    const parts = { files, node: process.execPath, agent: join(ROOT, 'dist/agent.mjs') };
    await writeDirectory(this.directory, record, parts);
    await startInit(this.directory, `/run/netns/${this.outer}`);
  }

  /** Ends every process of it at once; its links come back anew, as after a restart of the host. */
  async reboot(): Promise<void> {
    await endProcesses(this.directory);
    for (const [mac, name, address] of [
      [VIP_MAC, 'vip', '10.66.0.1/24'],
      [MEMBER_MAC, 'member', '10.67.0.1/24'],
    ] as const) {
      // The kernel removes links with their namespace, a little after its last process.
      const links = () => ip('-n', this.peer, '-br', 'link');
      await until(`${name} to go with its namespace`, () => !links().includes(`${name}@`), links);
      this.#plug(mac, name, address);
    }
    await startInit(this.directory, `/run/netns/${this.outer}`);
  }

  /** Milliseconds from the start of one more agent to its first answer over mutual TLS, at a port of its own. */
  async timeStart(): Promise<number> {
    const init = findInit(this.directory)!.pid;
    const file = '/tmp/second-agent.conf';
    const text = this.config()
      .replace('9443', '9444')
      .replace('base_path = /var/lib/octavia', 'base_path = /tmp/second');
    const enter = ['-t', String(init), '-m', '-n', '-p', '-r', '-w'];
    execFileSync('nsenter', [...enter, 'tee', file], { input: text, stdio: ['pipe', 'ignore', 'inherit'] });
    const startedAt = performance.now();
    const program = ['/opt/ottavia/node', '/opt/ottavia/agent.mjs', '--config-file', file];
    const child = spawn('nsenter', [...enter, ...program], { stdio: 'ignore' });
    this.#children.push(child);
    for (;;) {
      try {
        await this.call('GET', '//', undefined, 'certificate', 9444);
        break;
      } catch (error) {
        if (performance.now() - startedAt > 20_000) throw error;
        await delay(2);
      }
    }
    const ms = performance.now() - startedAt;
    for (const pid of this.processes(file)) signalProcess(pid, 'SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return ms;
  }

  /** Leaves nothing behind. */
  async remove(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    this.#client?.destroy();
    this.#stranger?.destroy();
    this.#socket?.close();
    await endProcesses(this.directory);
    // The link first: with its namespace it would go too, but not at once, and the next instance has one of this name.
    if (existsSync(`/sys/class/net/${this.#link}m`)) ip('link', 'delete', `${this.#link}m`);
    for (const namespace of [this.outer, this.peer]) {
      if (existsSync(`/run/netns/${namespace}`)) ip('netns', 'delete', namespace);
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  config(key: string = KEY.reveal()): string {
    const port = this.#socket!.address().port;
    return `[haproxy_amphora]
base_cert_dir = /var/lib/octavia/certs
base_path = /var/lib/octavia
bind_host = ::
bind_port = 9443
[health_manager]
controller_ip_port_list = ${this.#host}:${port}
heartbeat_interval = 1
heartbeat_key = ${key}
[amphora_agent]
agent_server_ca = /etc/octavia/certs/client_ca.pem
agent_server_cert = /etc/octavia/certs/server.pem
amphora_id = ${AMPHORA}
status_check_interval = 0.2
[controller_worker]
loadbalancer_topology = ${this.#topology}
`;
  }

  async serverPem(): Promise<string> {
    const leaf = await issueLeaf(this.#ca, { commonName: AMPHORA, dnsName: AMPHORA, ...validity() });
    return leaf.certificate + leaf.key.reveal();
  }

  /** `presenting: 'nothing'` has no client certificate. */
  call(
    method: string,
    path: string,
    body?: unknown,
    presenting: 'certificate' | 'nothing' = 'certificate',
    port = 9443,
  ): Promise<AgentReply> {
    const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const agent = presenting === 'certificate' ? this.#client : this.#stranger;
    return new Promise((resolve, reject) => {
      const sent = request(
        { host: this.address, port, path, method, agent, servername: AMPHORA, timeout: 30_000 },
        response => {
          const chunks: Buffer[] = [];
          response.on('data', chunk => chunks.push(chunk));
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            const isJson = response.headers['content-type']?.includes('json');
            const json = isJson ? JSON.parse(text) : undefined;
            resolve({ status: response.statusCode!, body: text, json, etag: response.headers.etag });
          });
        },
      );
      sent.on('error', reject);
      sent.on('timeout', () => sent.destroy(new Error('timeout')));
      sent.end(payload);
    });
  }

  /** The serial number of the certificate that the agent shows to a new connection. */
  shownSerial(): Promise<string> {
    const { cert, key, ca } = this.#client.options;
    return new Promise((resolve, reject) => {
      const agent = new Agent({ cert, key, ca, keepAlive: false });
      const sent = request(
        { host: this.address, port: 9443, path: '/', agent, servername: AMPHORA },
        response => {
          const socket = response.socket as import('node:tls').TLSSocket;
          resolve(socket.getPeerCertificate().serialNumber);
          response.resume();
        },
      );
      sent.on('error', reject);
      sent.end();
    });
  }

  /** Resolves once the traffic program is at work. */
  async serve(...ports: number[]): Promise<ChildProcess> {
    return this.#traffic('serve', ...ports.map(String));
  }

  async load(url: string, keepAlive = false): Promise<Load> {
    const child = await this.#traffic('load', url, ...(keepAlive ? ['keep-alive'] : []));
    return {
      async stop() {
        const lines = createInterface(child.stdout!);
        const line = once(lines, 'line');
        child.stdin!.end();
        return JSON.parse((await line)[0]);
      },
    };
  }

  /** The body that one request from the peer's side brings, or what curl says instead. */
  fetch(url: string): string {
    try {
      return execFileSync('ip', ['netns', 'exec', this.peer, 'curl', '-sS', '-m', '5', url], {
        stdio: 'pipe',
      }).toString();
    } catch (error) {
      return String((error as { stderr: Buffer }).stderr);
    }
  }

  /** Runs a program inside the instance's namespaces and root. */
  inside(...command: string[]): string {
    const init = findInit(this.directory)!.pid;
    const enter = ['-t', String(init), '-m', '-n', '-p', '-r', '-w', ...command];
    return execFileSync('nsenter', enter, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  }

  /** Sets a kernel setting of the peer's namespace. */
  inPeerWrite(path: string, value: string): void {
    execFileSync('ip', ['netns', 'exec', this.peer, 'sh', '-c', `echo ${value} > /proc/sys/${path}`]);
  }

  /** `ip` words in the peer's namespace. */
  inPeer(...words: string[]): string {
    return ip('-n', this.peer, ...words);
  }

  /** Ids, on the host, of processes of the instance whose command line holds all of these words. */
  processes(...words: string[]): number[] {
    const init = findInit(this.directory)!.pid;
    const namespace = this.#pidNamespace(init);
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name) && this.#pidNamespace(Number(name)) === namespace)
      .map(Number)
      .filter(pid => words.every(word => readText(`/proc/${pid}/cmdline`).split('\0').includes(word)));
  }

  console(): string {
    return readText(join(this.directory, 'console.log'));
  }

  #pidNamespace(pid: number): string {
    try {
      return readlinkSync(`/proc/${pid}/ns/pid`);
    } catch {
      // It ended while we looked.
      return '';
    }
  }

  #plug(mac: string, name: string, peerAddress: string): void {
    const inner = ['peer', 'name', `new${name}`, 'address', mac, 'netns', this.outer];
    ip('link', 'add', name, 'netns', this.peer, 'type', 'veth', ...inner);
    ip('-n', this.peer, 'addr', 'add', peerAddress, 'dev', name);
    ip('-n', this.peer, 'link', 'set', name, 'up');
  }

  async #traffic(...args: string[]): Promise<ChildProcess> {
    const command = ['netns', 'exec', this.peer, process.execPath, TRAFFIC, ...args];
    const child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    await once(child.stdout!, 'data');
    return child;
  }

  async #openSocket(): Promise<void> {
    this.#socket = createSocket('udp4');
    this.#socket.on('message', packet => {
      const heartbeat = decodeHeartbeat(packet, [KEY, new Secret('another key')]);
      if (heartbeat) this.heartbeats.push(heartbeat);
    });
    this.#socket.bind(0, this.#host);
    await once(this.#socket, 'listening');
  }

  async #issue(): Promise<void> {
    this.#ca = await issueAuthority({ commonName: 'agent test', ...validity() });
    const { certificate, key } = await issueLeaf(this.#ca, { commonName: 'controller', ...validity() });
    const ca = this.#ca.pem;
    this.#client = new Agent({ cert: certificate, key: key.reveal(), ca, keepAlive: true });
    this.#stranger = new Agent({ ca, keepAlive: false });
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Gone, or not there yet.
    return '';
  }
}
