/** What an amphora carries, beside the same haproxy with a configuration written by hand, in the same namespaces. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { issueAuthority, issueLeaf } from '../src/drivers/certificates/issue.ts';
import { run } from '../src/lib/command.ts';
import { haproxiesOf, listAmphorae } from '../test/host/amphora-processes.ts';
import { handPicked, MemberHost, type SubnetOfHost } from '../test/host/member-host.ts';
import type { Bench, Context } from './bench-types.ts';
import { Samples, type Table, toFigure } from './figures.ts';
import { CONNECTIONS, findTool, type Load, loadWithWrk, ROUND_S } from './load.ts';
import { type BenchSystem, startSystem } from './system.ts';

const BODY = 'x'.repeat(1000);
const DAY_MS = 86_400_000;
const START_LIMIT_MS = 10_000;
/** The origin's: several, because each closed connection keeps a pair of ports busy for a minute. */
const ORIGIN_PORTS = [8081, 8082, 8083, 8084, 8085, 8086, 8087, 8088] as const;
/** The ports by hand are ours and this. */
const BY_HAND = 8000;
const AIM = 0.95;

interface Way {
  name: string;
  port: number;
  protocol: 'HTTP' | 'TERMINATED_HTTPS' | 'TCP' | 'UDP';
  headers?: Record<string, string>;
  aim?: number;
}

const WAYS: readonly Way[] = [
  { name: 'HTTP keep-alive', port: 80, protocol: 'HTTP', aim: AIM },
  { name: 'HTTP close', port: 80, protocol: 'HTTP', headers: { connection: 'close' }, aim: AIM },
  { name: 'TLS keep-alive', port: 443, protocol: 'TERMINATED_HTTPS' },
  {
    name: 'TLS close',
    port: 443,
    protocol: 'TERMINATED_HTTPS',
    headers: { connection: 'close' },
  },
  { name: 'TCP', port: 81, protocol: 'TCP' },
  { name: 'UDP', port: 53, protocol: 'UDP' },
];

export const dataplane: Bench = {
  name: 'dataplane',
  title: 'Traffic through an amphora, and through a haproxy configured by hand beside it',
  needsRoot: true,
  defaultRuns: 5,
  async run(context) {
    if ((await findTool()) !== 'wrk') throw new Error('Needs wrk: apt-get install wrk');
    const directory = mkdtempSync(join(tmpdir(), 'bench-dataplane-'));
    await using made = new AsyncDisposableStack();
    made.defer(() => rmSync(directory, { recursive: true, force: true }));
    const system = made.use(await startSystem(context));
    const host = system.subnet.gateway_ip;
    const pem = await issueCertificate();
    made.use(await startOrigin(directory, host));
    const echo = made.use(await Child.start(process.execPath, [program('datagrams.ts'), 'echo', host]));
    const ports = { stream: ORIGIN_PORTS, datagram: [Number(await echo.line())] };
    const vip = await createLoadBalancer(system, ports, pem);
    const inside = insideOf(system);
    made.use(await startByHand(directory, inside, vip, host, ports, pem));
    for (const way of WAYS.filter(({ protocol }) => protocol !== 'UDP')) {
      for (const port of [way.port, way.port + BY_HAND]) await awaitOk(urlOf(way, vip, port), context.signal);
    }
    const client = made.use(await openClient(system.subnet));
    const tables: Table[] = [];
    for (const way of WAYS) tables.push(await compare(way, context, { client, vip, host, ports }));
    return { tables };
  },
};

async function compare(way: Way, context: Context, { client, vip, host, ports }: World): Promise<Table> {
  const rates = new Samples();
  const latencies = new Samples();
  const ratios: number[] = [];
  const added: number[] = [];
  const [direct] = way.protocol === 'UDP' ? ports.datagram : ports.stream;
  const measure = (address: string, port: number, connections: number) =>
    way.protocol === 'UDP'
      ? loadWithDatagrams(context, address, port, connections, client.words)
      : loadWithWrk(context, urlOf(way, address, port), way.headers ?? {}, connections, client.words);
  for (let round = 0; round <= context.runs; round++) {
    const both = [
      { who: 'amphora', port: way.port },
      { who: 'by hand', port: way.port + BY_HAND },
    ];
    // Whoever comes first in one round comes second in the next.
    if (round % 2 === 1) both.reverse();
    const found: Record<string, { many: Load; one: Load }> = {};
    for (const { who, port } of both) {
      found[who] = { many: await measure(vip, port, CONNECTIONS), one: await measure(vip, port, 1) };
    }
    const bare = await measure(host, direct!, 1);
    if (round === 0) continue;
    const [ours, theirs] = [found.amphora!, found['by hand']!];
    rates.add('amphora', ours.many.perSecond);
    rates.add('by hand', theirs.many.perSecond);
    ratios.push(ours.many.perSecond / theirs.many.perSecond);
    latencies.add('amphora', ours.one.medianMs);
    latencies.add('by hand', theirs.one.medianMs);
    latencies.add('member asked directly', bare.medianMs);
    added.push((ours.one.medianMs - bare.medianMs) / (theirs.one.medianMs - bare.medianMs));
    context.say(
      `${way.name} ${round} of ${context.runs}: ${ours.many.perSecond.toFixed(0)}/s, ${ratios.at(-1)!.toFixed(3)} of by hand`,
    );
  }
  const aim = way.aim === undefined ? {} : { aim: way.aim };
  return {
    title: way.name,
    note: `${CONNECTIONS} connections for the rate, one for the time that a request takes (median of a round); rounds of ${ROUND_S} s, in turn.`,
    figures: [
      ...rates.figures('requests/s'),
      toFigure('rate: amphora ÷ by hand', 'x', ratios, { ...aim, more_is_better: true }),
      ...latencies.figures('ms').map(figure => ({ ...figure, name: `one request: ${figure.name}` })),
      toFigure('added latency: amphora ÷ by hand', 'x', added),
    ],
  };
}

interface World {
  client: Client;
  vip: string;
  /** The address of the members. */
  host: string;
  ports: Ports;
}

interface Ports {
  stream: readonly number[];
  datagram: readonly number[];
}

const program = (name: string): string => join(import.meta.dirname, name);

function urlOf({ protocol }: Way, address: string, port: number): string {
  // The origin speaks plain HTTP, whatever stands in front of it.
  const scheme = protocol === 'TERMINATED_HTTPS' && port % BY_HAND === 443 ? 'https' : 'http';
  return `${scheme}://${address}:${port}/`;
}

/** Until it answers: haproxy is given a moment to start. */
async function awaitOk(url: string, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(START_LIMIT_MS)]);
  const insecure = new Agent({ connect: { rejectUnauthorized: false } });
  for (;;) {
    const reply = await request(url, { dispatcher: insecure, signal: limit }).catch(() => undefined);
    await reply?.body.dump();
    if (reply?.statusCode === 200) break;
    await sleep(20, undefined, { signal: limit });
  }
  await insecure.close();
}

async function loadWithDatagrams(
  { signal }: Context,
  address: string,
  port: number,
  window: number,
  within: readonly string[],
): Promise<Load> {
  const args = [
    ...within.slice(1),
    process.execPath,
    program('datagrams.ts'),
    'load',
    address,
    String(port),
    String(ROUND_S),
    String(window),
  ];
  const { stdout } = await run(within[0]!, args, { signal });
  const load = JSON.parse(stdout) as Load & { lost: number };
  if (load.lost > load.requests / 1000)
    throw new Error(`${load.lost} of ${load.requests} datagrams got no answer from ${address}:${port}`);
  return load;
}

/** A child that prints a line when it is ready, and is killed in the end. */
class Child implements AsyncDisposable {
  readonly #child: ChildProcess;
  #printed = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.setEncoding('utf8').on('data', text => {
      this.#printed += text;
    });
  }

  static async start(command: string, args: string[]): Promise<Child> {
    // In a session of its own, as haproxy in its amphora is: the scheduler shares out by sessions.
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    await once(child, 'spawn');
    return new Child(child);
  }

  async line(): Promise<string> {
    const signal = AbortSignal.timeout(START_LIMIT_MS);
    while (!this.#printed.includes('\n')) await once(this.#child.stdout!, 'data', { signal });
    return this.#printed.split('\n', 1)[0]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}

interface Client extends AsyncDisposable {
  /** Those of a command that runs others where the client is. */
  words: readonly string[];
}

/** A machine of its own in the network of the VIP, which uses the ports of closed connections again at once. */
async function openClient(subnet: SubnetOfHost): Promise<Client> {
  const host = await MemberHost.open([subnet], [handPicked(subnet, 0)]);
  const words = ['ip', 'netns', 'exec', host.namespace];
  const settings = ['net.ipv4.tcp_tw_reuse=1', 'net.ipv4.ip_local_port_range=1025 65000'];
  await run(words[0]!, [...words.slice(1), 'sysctl', '-qw', ...settings]);
  return { words, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

/** The fastest web server at hand, so that members are not what is measured. */
async function startOrigin(directory: string, host: string): Promise<Child> {
  const file = join(directory, 'origin.cfg');
  writeFileSync(
    file,
    `defaults
    mode http
    timeout client 60s
    timeout http-keep-alive 60s
frontend origin
${ORIGIN_PORTS.map(port => `    bind ${host}:${port}\n`).join('')}    http-request return status 200 content-type text/plain string ${BODY}
`,
  );
  return Child.start('haproxy', ['-db', '-f', file]);
}

async function issueCertificate(): Promise<{ certificate: string; key: string }> {
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const authority = await issueAuthority({ commonName: 'bench', ...validity });
  const names = { commonName: 'bench.example', dnsName: 'bench.example' };
  const { certificate, key } = await issueLeaf(authority, { ...names, ...validity });
  return { certificate, key: key.reveal() };
}

/** A listener for each way, with one member; returns the VIP's address. */
async function createLoadBalancer(
  { api, subnet }: BenchSystem,
  ports: Ports,
  pem: { certificate: string; key: string },
): Promise<string> {
  const secret = (await api.send('POST', 'key-manager/v1/secrets', {
    ...{ name: 'bench', secret_type: 'opaque', payload: `${pem.certificate}\n${pem.key}` },
    payload_content_type: 'text/plain',
  })) as string;
  const lb = await api.create('loadbalancers', 'loadbalancer', { name: 'bench', vip_subnet_id: subnet.id });
  for (const { port, protocol } of WAYS.filter((way, i) => WAYS.findIndex(w => w.port === way.port) === i)) {
    const listener = await api.create('listeners', 'listener', {
      ...{ protocol, protocol_port: port, loadbalancer_id: lb.id },
      ...(protocol === 'TERMINATED_HTTPS' && { default_tls_container_ref: secret }),
    });
    const pool = await api.create('pools', 'pool', {
      ...{ protocol: protocol === 'TERMINATED_HTTPS' ? 'HTTP' : protocol, lb_algorithm: 'ROUND_ROBIN' },
      listener_id: listener.id,
    });
    await Promise.all(
      (protocol === 'UDP' ? ports.datagram : ports.stream).map(protocol_port =>
        api.create(`pools/${pool.id}/members`, 'member', {
          ...{ address: subnet.gateway_ip, subnet_id: subnet.id, protocol_port },
        }),
      ),
    );
  }
  await api.whenActive(lb.id, 20);
  return lb.vip_address as string;
}

/** The words that run a command in the network namespace of the amphora's haproxy, and the path to its files. */
function insideOf({ dataDir }: BenchSystem): { words: string[]; root: string } {
  const [amphora] = listAmphorae(dataDir);
  const { pid } = haproxiesOf(dataDir, amphora!)[0]!;
  return { words: ['nsenter', '-t', String(pid), '-n', '--'], root: `/proc/${pid}/root` };
}

/** What an operator would write for the same: as many threads, the same log, the same timeouts. */
async function startByHand(
  directory: string,
  { words, root }: { words: string[]; root: string },
  vip: string,
  host: string,
  ports: Ports,
  pem: { certificate: string; key: string },
): Promise<Child> {
  const certificate = join(directory, 'by-hand.pem');
  writeFileSync(certificate, `${pem.certificate}\n${pem.key}`, { mode: 0o600 });
  const servers = ports.stream.map((port, i) => `    server member${i} ${host}:${port}`).join('\n');
  const file = join(directory, 'by-hand.cfg');
  writeFileSync(
    file,
    `global
    maxconn 50000
    no strict-limits
    log ${root}/run/rsyslog/octavia/log local0
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    log global
    option httplog
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
frontend web
    bind ${vip}:${80 + BY_HAND}
    default_backend web
frontend secure
    bind ${vip}:${443 + BY_HAND} ssl crt ${certificate} alpn h2,http/1.1
    http-request set-header X-Forwarded-Proto https
    default_backend web
backend web
    balance roundrobin
${servers}
listen stream
    mode tcp
    option tcplog
    bind ${vip}:${81 + BY_HAND}
${servers}
`,
  );
  const [nsenter, ...rest] = words as [string, ...string[]];
  const child = await Child.start(nsenter, [...rest, 'haproxy', '-db', '-f', file]);
  execFileSync(nsenter, [...rest, 'nft', '-f', '-'], {
    input: `table ip by-hand {
  chain in { type nat hook prerouting priority dstnat; ip daddr ${vip} udp dport ${53 + BY_HAND} dnat to ${host}:${ports.datagram[0]}; }
  chain out { type nat hook postrouting priority srcnat; ip daddr ${host} udp dport ${ports.datagram[0]} masquerade; }
}
`,
    stdio: ['pipe', 'inherit', 'inherit'],
    timeout: START_LIMIT_MS,
  });
  return child;
}
