/** One look at a member: whether it answers. Runs in the inner namespace. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../../lib/command.ts';
import { findText } from '../files.ts';
import type { Check } from './config-text.ts';
import { HEALTH_CHECKER } from './programs.ts';

/** Throws, or says false, when the member does not answer as it should. */
export interface Probe {
  look(): Promise<boolean>;
  close(): void;
}

const nothing = () => {};

export function openProbe(check: Check): Probe {
  switch (check.type) {
    case 'udp':
      return new UdpProbe(check);
    case 'tcp':
      return { look: () => lookTcp(check), close: nothing };
    case 'http':
      return { look: () => lookHttp(check), close: nothing };
    case 'sctp':
      return { look: () => lookSctp(check), close: nothing };
  }
}

async function lookTcp({ address, port, timeoutMs }: Check): Promise<boolean> {
  const socket = connect(port, address);
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(timeoutMs) });
    return true;
  } finally {
    socket.destroy();
  }
}

async function lookHttp({ address, port, timeoutMs, http }: Check): Promise<boolean> {
  const { path, host, codes } = http!;
  const signal = AbortSignal.timeout(timeoutMs);
  const headers = host === undefined ? {} : { host };
  const asked = request({ host: address, port, path, headers, agent: false, signal });
  asked.end();
  const [response] = (await once(asked, 'response', { signal })) as [import('node:http').IncomingMessage];
  response.destroy();
  const status = response.statusCode!;
  return codes.length === 0
    ? status >= 200 && status < 300
    : codes.some(([low, high]) => low <= status && status <= high);
}

async function lookSctp({ address, port, timeoutMs }: Check): Promise<boolean> {
  const args = ['sctp', '-t', String(timeoutMs / 1000), address, String(port)];
  await run(HEALTH_CHECKER, args, { timeoutMs: timeoutMs + 2_000 });
  return true;
}

/** The longest that is waited for the refusal of a port: members are near. */
const REFUSAL_MS = 1_000;
/** For what this machine itself is asked: no member is down because it is busy. */
const OWN_LIMIT_MS = 10_000;

/**
 * A datagram may be answered or not; that nobody takes it is told by an error. The kernel keeps to itself that a machine does not even
 * answer who it is, so that it is asked for those.
 */
class UdpProbe implements Probe {
  readonly #check: Check;
  #socket: Socket | undefined;
  #hear: () => void = nothing;
  #isRefused = false;

  constructor(check: Check) {
    this.#check = check;
  }

  async look(): Promise<boolean> {
    this.#isRefused = false;
    this.#socket ??= await this.#open();
    const heard = new Promise<void>(resolve => {
      this.#hear = resolve;
    });
    this.#socket.send('X', error => error && this.#refuse());
    await Promise.race([heard, delay(Math.min(this.#check.timeoutMs, REFUSAL_MS))]);
    return !this.#isRefused && !(await listSilentNeighbours()).includes(this.#check.address);
  }

  close(): void {
    this.#socket?.close();
  }

  async #open(): Promise<Socket> {
    await doubtNeighbours();
    const { address, port } = this.#check;
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.connect(port, address);
    await once(socket, 'connect');
    socket.on('error', () => this.#refuse());
    socket.on('message', () => this.#hear());
    return socket;
  }

  #refuse(): void {
    this.#isRefused = true;
    this.#hear();
  }
}

const DOUBT: Record<string, string> = { base_reachable_time_ms: '3000', delay_first_probe_time: '1' };

/** By itself the kernel trusts for most of a minute that a machine is still there; those that it knows are asked once more. */
async function doubtNeighbours(): Promise<void> {
  let isNew = false;
  for (const version of ['ipv4', 'ipv6']) {
    const directory = `/proc/sys/net/${version}/neigh`;
    for (const link of existsSync(directory) ? readdirSync(directory) : []) {
      for (const [name, value] of Object.entries(DOUBT)) {
        const file = `${directory}/${link}/${name}`;
        const text = findText(file);
        // A link may go while it is looked at.
        if (text === undefined || text.trim() === value) continue;
        writeFileSync(file, value);
        isNew = true;
      }
    }
  }
  if (isNew) await run('ip', ['neighbour', 'flush', 'all'], { timeoutMs: OWN_LIMIT_MS });
}

let silent: { since: number; addresses: Promise<string[]> } | undefined;

/** Addresses in reach that do not answer who has them; one question for all who ask at about the same time. */
function listSilentNeighbours(): Promise<string[]> {
  if (silent === undefined || performance.now() - silent.since > REFUSAL_MS / 4) {
    const states = ['nud', 'failed', 'nud', 'incomplete'];
    const asked = run('ip', ['-json', 'neighbour', 'show', ...states], { timeoutMs: OWN_LIMIT_MS });
    const addresses = asked.then(({ stdout }) =>
      JSON.parse(stdout || '[]').map((row: { dst: string }) => row.dst),
    );
    silent = { since: performance.now(), addresses };
  }
  return silent.addresses;
}

/** What `udp_check.sh ADDRESS PORT` of an image does, for keepalived: 0 when the port seems open. Source: contract amphora-agent.md 5.7. */
export async function checkUdpOnce([address, port]: readonly string[]): Promise<number> {
  const times = { timeoutMs: REFUSAL_MS, delayMs: 0, fall: 1, rise: 1 };
  const probe = new UdpProbe({ type: 'udp', address: address!, port: Number(port), ...times });
  const isUp = await probe.look().catch(() => false);
  probe.close();
  return isUp ? 0 : 1;
}
