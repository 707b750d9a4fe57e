/** keepalived.conf of a UDP or SCTP listener, read: what is balanced to whom, and how members are checked. Source: contract dataplane.md 11. */
import { isIP } from 'node:net';

export interface LvsListener {
  /** false: the text says that it is disabled. */
  enabled: boolean;
  pool: string | undefined;
  /** undefined while nothing is balanced. */
  protocol: 'udp' | 'sctp' | undefined;
  services: Service[];
  disabledMembers: string[];
  /** How many flows the listener may have at once. keepalived has the limit of each member, the API that of the listener. */
  limit: number | undefined;
}

/** What is balanced in one IP version. */
export interface Service {
  version: 4 | 6;
  vips: string[];
  port: number;
  algorithm: 'wrr' | 'lc' | 'sh' | 'sh-port';
  persistence: { seconds: number; mask: string } | undefined;
  members: LvsMember[];
}

export interface LvsMember {
  id: string;
  address: string;
  port: number;
  weight: number;
  /** Gets flows only while nobody else can. */
  backup: boolean;
  check: Check | undefined;
}

/** How a member is checked: a plain document, handed to the process that does it. */
export interface Check {
  type: 'udp' | 'sctp' | 'tcp' | 'http';
  address: string;
  port: number;
  timeoutMs: number;
  delayMs: number;
  /** Failures until it is down. */
  fall: number;
  /** Successes until it is up. */
  rise: number;
  http?: { path: string; host: string | undefined; codes: [low: number, high: number][] };
}

/** A line and what stands in its braces; of comments, the text. */
interface Node {
  words: string[];
  nodes: Node[];
}

/** Throws on a text whose meaning is not known for sure: whatever is written into packet rules has passed here. */
export function parseLvsConfig(text: string): LvsListener {
  const nodes = parseNodes(text);
  const comments = [
    ...text.matchAll(/^\s*# (?:Configuration for (\w+) ([\w-]+)|(\w+) ([\w-]+) is disabled)$/gm),
  ];
  const idsOf = (noun: string, disabled: boolean) =>
    comments.flatMap(([, on, onId, off, offId]) =>
      (disabled ? off : on) === noun ? [(disabled ? offId : onId)!] : [],
    );
  const members = idsOf('Member', false);
  const services = nodes
    .filter(node => node.words[0] === 'virtual_server')
    .map(node => readService(node, nodes, members));
  const limits = nodes.flatMap(node => node.nodes).map(node => amountOf(node, 'uthreshold'));
  const protocol = find(nodes.find(node => node.words[0] === 'virtual_server')?.nodes, 'protocol')?.words[1];
  return {
    enabled: idsOf('Listener', true).length === 0,
    pool: idsOf('Pool', false)[0],
    protocol: protocol === undefined ? undefined : oneOf(protocol.toLowerCase(), ['udp', 'sctp'] as const),
    services,
    disabledMembers: idsOf('Member', true),
    limit: limits.find(limit => limit !== undefined && limit > 0),
  };
}

function parseNodes(text: string): Node[] {
  const root: Node = { words: [], nodes: [] };
  const open = [root];
  for (const line of text.split('\n')) {
    const words = [...line.matchAll(/"([^"]*)"|([^\s"]+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
    // Comments with a meaning here, for which keepalived has no words: how often a check must succeed, and who stands by.
    if (words[0] === '#' && (words[1] === 'rise' || words[1] === 'backup')) words.shift();
    if (words.length === 0 || /^[#!]/.test(words[0]!)) continue;
    if (words[0] === '}') {
      open.pop();
      if (open.length === 0) throw new Error('A brace is closed that was not opened');
      continue;
    }
    const node: Node = { words, nodes: [] };
    open.at(-1)!.nodes.push(node);
    if (words.at(-1) !== '{') continue;
    words.pop();
    open.push(node);
  }
  if (open.length > 1) throw new Error(`The braces of ${open.at(-1)!.words[0]} are not closed`);
  return root.nodes;
}

const find = (nodes: readonly Node[] | undefined, name: string): Node | undefined =>
  nodes?.find(node => node.words[0] === name);

function amountOf(node: Node, name: string, fallback: number): number;
function amountOf(node: Node, name: string): number | undefined;
function amountOf(node: Node, name: string, fallback?: number): number | undefined {
  const value = find(node.nodes, name)?.words[1];
  return value === undefined ? fallback : numberOf(value);
}

function numberOf(value: string | undefined, most = Number.MAX_SAFE_INTEGER): number {
  if (!/^\d{1,15}$/.test(value ?? '') || Number(value) > most)
    throw new Error(`${value} is no number that can stand there`);
  return Number(value);
}

function oneOf<T extends string>(value: string | undefined, values: readonly T[]): T {
  if (!values.includes(value as T)) throw new Error(`${value} is none of ${values.join(', ')}`);
  return value as T;
}

function addressOf(value: string | undefined): string {
  if (isIP(value ?? '') === 0 || value!.includes('%')) throw new Error(`${value} is no IP address`);
  return value!;
}

const portOf = (value: string | undefined): number => numberOf(value, 65_535);

/** `members` are the ids in the comments, in the order of all real servers; those that are used up are taken off. */
function readService(server: Node, all: readonly Node[], members: string[]): Service {
  const name = server.words[2];
  const group = all.find(node => node.words[0] === 'virtual_server_group' && node.words[1] === name);
  if (server.words[1] !== 'group' || !group?.nodes[0]) throw new Error(`There is no group ${name}`);
  const vips = group.nodes.map(node => addressOf(node.words[0]));
  const version = isIP(vips[0]!) as 4 | 6;
  const granularity = find(server.nodes, 'persistence_granularity')?.words[1];
  const seconds = amountOf(server, 'persistence_timeout');
  return {
    version,
    vips,
    port: portOf(group.nodes[0].words[1]),
    algorithm: find(server.nodes, 'sh-port')
      ? 'sh-port'
      : oneOf(find(server.nodes, 'lb_algo')?.words[1], ['wrr', 'lc', 'sh']),
    persistence: seconds === undefined ? undefined : { seconds, mask: maskOf(version, granularity) },
    members: server.nodes
      .filter(node => node.words[0] === 'real_server')
      .map(node => readMember(node, server, members.shift())),
  };
}

/** As packet rules want it: an address of the version. */
function maskOf(version: 4 | 6, granularity: string | undefined): string {
  if (version === 4) return addressOf(granularity ?? '255.255.255.255');
  const prefix = numberOf(granularity ?? '128', 128);
  const bits = '1'.repeat(prefix).padEnd(128, '0');
  return bits
    .match(/.{16}/g)!
    .map(group => Number.parseInt(group, 2).toString(16))
    .join(':');
}

function readMember(node: Node, server: Node, id: string | undefined): LvsMember {
  if (id === undefined || !/^[\w-]{1,64}$/.test(id))
    throw new Error(`No comment names member ${node.words[1]}`);
  return {
    id,
    address: addressOf(node.words[1]),
    port: portOf(node.words[2]),
    weight: amountOf(node, 'weight', 1),
    backup: find(node.nodes, 'backup') !== undefined,
    check: readCheck(node, server),
  };
}

function readCheck(member: Node, server: Node): Check | undefined {
  const delayMs = 1000 * amountOf(server, 'delay_loop', 60);
  const times = { delayMs, fall: amountOf(server, 'retry', 1), rise: amountOf(server, 'rise', 1) };
  for (const block of member.nodes) {
    if (block.words[0] === 'MISC_CHECK') {
      const [program, ...args] = (find(block.nodes, 'misc_path')?.words[1] ?? '').split(' ');
      const [ip, port] = args.slice(-2);
      const type =
        oneOf(program!.split('/').at(-1), ['udp_check.sh', 'amphora-health-checker']) === 'udp_check.sh'
          ? 'udp'
          : 'sctp';
      const timeoutMs = 1000 * (type === 'udp' ? amountOf(block, 'misc_timeout', 1) : numberOf(args[2]));
      return { type, address: addressOf(ip), port: portOf(port), timeoutMs, ...times };
    }
    if (block.words[0] !== 'TCP_CHECK' && block.words[0] !== 'HTTP_GET') continue;
    const address = addressOf(find(block.nodes, 'connect_ip')?.words[1] ?? member.words[1]);
    const port = portOf(find(block.nodes, 'connect_port')?.words[1] ?? member.words[2]);
    const timeoutMs = 1000 * amountOf(block, 'connect_timeout', 5);
    const type = block.words[0] === 'TCP_CHECK' ? 'tcp' : 'http';
    const urls = block.nodes.filter(node => node.words[0] === 'url');
    const http = {
      path: find(urls[0]?.nodes, 'path')?.words[1] ?? '/',
      host: find(urls[0]?.nodes, 'virtualhost')?.words[1],
      // One block for each code, as the original writes them, means any of them.
      codes: urls.flatMap(url => (find(url.nodes, 'status_code')?.words.slice(1) ?? []).map(rangeOf)),
    };
    return { type, address, port, timeoutMs, ...times, ...(type === 'http' ? { http } : {}) };
  }
  return undefined;
}

function rangeOf(codes: string): [number, number] {
  const [low, high = low] = codes.split('-').map(code => numberOf(code, 999));
  return [low!, high!];
}
