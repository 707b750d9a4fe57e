/** A namespace on a network of the system under test, with members and clients of many addresses in it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { containsAddress, numberToAddress, parseCidr } from '../../src/lib/addresses.ts';

const PROGRAM = join(import.meta.dirname, 'testdata/member.mjs');
const REPLY_LIMIT_MS = 45_000;

export interface SubnetOfHost {
  cidr: string;
  gateway_ip: string | null;
}

export type ServerKind = 'http' | 'https' | 'tcp' | 'proxy' | 'udp';

export interface Served {
  kind: ServerKind;
  name: string;
  port: number;
  /** For `https`. */
  pem?: { key: string; cert: string };
}

/** What a constant load came to so far. */
export interface LoadFigures {
  sent: number;
  failed: number;
  /** By reason. */
  failures: Record<string, number>;
  /** The longest time without an answer. */
  gapMs: number;
  sinceAnswerMs: number;
}

export interface ConstantLoad {
  figures(): Promise<LoadFigures>;
  /** With those that were under way. */
  stop(): Promise<LoadFigures>;
}

const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe', timeout: 30_000 }).toString();

/** An address in the half of the subnet that the system never gives away by itself. */
export function handPicked(subnet: SubnetOfHost, index: number): string {
  const { first, last, version } = parseCidr(subnet.cidr);
  const middle = version === 4 ? first + (last - first) / 2n + 1n : first + 0xffff_0000n;
  return numberToAddress(middle + 16n + BigInt(index), version);
}

export class MemberHost implements AsyncDisposable {
  readonly namespace: string;
  /** Each on its own, all usable by members and clients. */
  readonly addresses: readonly string[];
  readonly #link: string;
  readonly #prefixes: readonly string[];
  #child: ChildProcess | undefined;
  #sequence = 0;
  readonly #waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  readonly #served: Served[] = [];

  private constructor(subnets: readonly SubnetOfHost[], addresses: readonly string[]) {
    const id = randomBytes(4).toString('hex');
    this.namespace = `members-${id}`;
    this.#link = `mbr${id}`;
    this.addresses = addresses;
    this.#prefixes = addresses.map(address => {
      const subnet = subnets.find(each => containsAddress(each.cidr, address))!;
      return `${address}/${parseCidr(subnet.cidr).prefix}`;
    });
  }

  /** Plugged into the bridge of the subnets, with these addresses of theirs. */
  static open(
    subnets: readonly SubnetOfHost[],
    addresses: readonly string[],
    mtu = 1500,
  ): Promise<MemberHost> {
    return MemberHost.#make(subnets, addresses, mtu, host =>
      ip('link', 'set', host.#link, 'master', findBridge(subnets[0]!), 'up'),
    );
  }

  /**
   * Behind this host, which becomes a router: a link of its own between the two, on which the router has its subnet's gateway
   * address and all that is sent elsewhere goes to it.
   */
  openBehind(
    subnets: readonly SubnetOfHost[],
    addresses: readonly string[],
    mtu = 1500,
  ): Promise<MemberHost> {
    return MemberHost.#make(subnets, addresses, mtu, host => {
      ip('link', 'set', host.#link, 'netns', this.namespace);
      for (const switched of ['ipv4.ip_forward', 'ipv6.conf.all.forwarding'])
        ip('netns', 'exec', this.namespace, 'sysctl', '-q', `net.${switched}=1`);
      this.ip('link', 'set', host.#link, 'up');
      for (const { gateway_ip, cidr } of subnets) {
        const nodad = gateway_ip!.includes(':') ? ['nodad'] : [];
        const prefix = `${gateway_ip}/${parseCidr(cidr).prefix}`;
        this.ip('address', 'add', prefix, 'dev', host.#link, ...nodad);
        host.ip('route', 'add', 'default', 'via', gateway_ip!);
      }
    });
  }

  /** `join` brings the other end of its link to where it belongs. */
  static async #make(
    subnets: readonly SubnetOfHost[],
    addresses: readonly string[],
    mtu: number,
    join: (host: MemberHost) => void,
  ): Promise<MemberHost> {
    const host = new MemberHost(subnets, addresses);
    try {
      ip('netns', 'add', host.namespace);
      const peer = ['peer', 'name', 'eth0', 'mtu', String(mtu), 'netns', host.namespace];
      ip('link', 'add', host.#link, 'mtu', String(mtu), 'type', 'veth', ...peer);
      for (const words of ['link set lo up', 'link set eth0 up']) host.ip(...words.split(' '));
      for (const address of addresses) host.addAddress(address);
      join(host);
      await host.start();
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** `ip` words in its namespace. */
  ip(...words: string[]): string {
    return ip('-n', this.namespace, ...words);
  }

  /** Commands of nft, in its namespace. */
  setRules(input: string): void {
    execFileSync('ip', ['netns', 'exec', this.namespace, 'nft', '-f', '-'], { input, stdio: 'pipe' });
  }

  addAddress(address: string): void {
    const prefix = this.#prefixes[this.addresses.indexOf(address)]!;
    const nodad = address.includes(':') ? ['nodad'] : [];
    ip('-n', this.namespace, 'address', 'add', prefix, 'dev', 'eth0', ...nodad);
  }

  removeAddress(address: string): void {
    ip(
      ...['-n', this.namespace, 'address', 'delete'],
      ...[this.#prefixes[this.addresses.indexOf(address)]!, 'dev', 'eth0'],
    );
  }

  /** Starts the program, and in it every server that was open when it died. */
  async start(): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', this.namespace, process.execPath, PROGRAM], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child = child;
    // A command to a program that has just been killed is answered by its exit.
    child.stdin.on('error', () => {});
    createInterface(child.stdout).on('line', line => {
      const { id, result, error } = JSON.parse(line);
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result as never);
      else waiting?.reject(new Error(error));
    });
    child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the members are dead'));
      this.#waiting.clear();
    });
    for (const served of this.#served) await this.#tell('open', { ...served });
  }

  /** All of it dies at once, as a machine does. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async open(served: Served): Promise<void> {
    await this.#tell('open', { ...served });
    this.#served.push(served);
  }

  /** The port refuses connections from now on, and those that are open break. */
  async close(port: number): Promise<void> {
    this.#served.splice(
      this.#served.findIndex(served => served.port === port),
      1,
    );
    await this.#tell('close', { port });
  }

  /** What the server answers to GET /health from now on. */
  async setHealth(port: number, status: number): Promise<void> {
    await this.#tell('health', { port, status });
  }

  /** Answers what was asked of the server at `/held`, and was not answered so far. */
  async release(port: number): Promise<void> {
    await this.#tell('release', { port });
  }

  /** The most requests that the server has served at once. */
  peak(port: number): Promise<number> {
    return this.#tell('peak', { port });
  }

  /** One request from one of this host's addresses; `limitMs` is for each silence of the other side. */
  ask(url: string, from: string, limitMs?: number): Promise<{ status: number; body: string }> {
    return this.#tell('ask', { url, from, limitMs });
  }

  /** The answer to one datagram from one of this host's addresses: who answered, what was sent, whom he saw. */
  datagram(wish: {
    host: string;
    port: number;
    from: string;
    flow: string;
    text: string;
    limitMs?: number;
  }): Promise<string> {
    return this.#tell('datagram', wish);
  }

  /** Requests at a constant rate, whether or not those before were answered, each on a connection of its own. */
  async load(url: string, everyMs: number, limitMs: number): Promise<ConstantLoad> {
    const number = this.#sequence;
    await this.#tell('load', { number, url, everyMs, limitMs });
    return {
      figures: () => this.#tell('count', { number }),
      stop: () => this.#tell('unload', { number }),
    };
  }

  /** The common name of the certificate shown there. */
  certificateOf(host: string, port: number): Promise<string> {
    return this.#tell('certificate', { host, port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    // The link first: with its namespace it would go too, but not at once.
    if (existsSync(`/sys/class/net/${this.#link}`)) ip('link', 'delete', this.#link);
    if (existsSync(`/run/netns/${this.namespace}`)) ip('netns', 'delete', this.namespace);
  }

  async #tell<T>(command: string, options: object): Promise<T> {
    const id = this.#sequence++;
    const reply = new Promise<T>((resolve, reject) => {
      const limit = setTimeout(
        () => reject(new Error(`no reply to ${command} within ${REPLY_LIMIT_MS} ms`)),
        REPLY_LIMIT_MS,
      );
      const settled = <A>(settle: (value: A) => void) => {
        return (value: A) => {
          clearTimeout(limit);
          settle(value);
        };
      };
      this.#waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
    });
    this.#child!.stdin!.write(`${JSON.stringify({ id, command, ...options })}\n`);
    return reply;
  }
}

/** The link that has the subnet's gateway for an address. */
function findBridge({ gateway_ip }: SubnetOfHost): string {
  const links: { ifname: string; addr_info: { local: string }[] }[] = JSON.parse(
    ip('-json', 'address', 'show'),
  );
  const bridge = links.find(link => link.addr_info.some(address => address.local === gateway_ip));
  if (!bridge) throw new Error(`No link has the address ${gateway_ip}`);
  return bridge.ifname;
}
