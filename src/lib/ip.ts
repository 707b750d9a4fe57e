/** Typed lines for `ip -batch -` and typed readings of `ip -json`: links, addresses, routes and network namespaces. */
import { run } from './command.ts';

/** One line of a batch; made by the functions below only, so that nothing unquoted gets in. */
export type IpLine = string & { readonly kind?: 'ip batch line' };

/** Joins words to a line. A batch has no quoting: a word with a blank, a quote or a comment sign is refused. */
function line(...words: (string | number | undefined | false)[]): IpLine {
  const kept = words.filter(word => word !== undefined && word !== false).map(String);
  for (const word of kept) {
    if (!/^[A-Za-z0-9_.:/@%+=-]+$/.test(word))
      throw new Error(`Cannot use ${JSON.stringify(word)} as a word of ip`);
  }
  return kept.join(' ');
}

export const addNamespace = (name: string): IpLine => line('netns', 'add', name);
export const deleteNamespace = (name: string): IpLine => line('netns', 'delete', name);

/** A bridge that forwards at once, floods multicast and keeps its MAC address whatever is plugged into it. */
export const addBridge = (name: string, options: { mac: string; mtu: number }): IpLine =>
  line(
    ...['link', 'add', 'name', name, 'address', options.mac, 'mtu', options.mtu, 'type', 'bridge'],
    ...['stp_state', 0, 'forward_delay', 0, 'mcast_snooping', 0],
  );

export interface VethPeer {
  name: string;
  mac: string;
  /** Where it is made; the current namespace when absent. */
  namespace?: string;
}

/** A pair of which the peer is made in its namespace at once, without a moment in this one. */
export const addVeth = (name: string, peer: VethPeer, mtu: number): IpLine =>
  line(
    ...['link', 'add', 'name', name, 'mtu', mtu, 'type', 'veth'],
    ...['peer', 'name', peer.name, 'address', peer.mac, 'mtu', mtu],
    peer.namespace && 'netns',
    peer.namespace,
  );

export const setMaster = (name: string, master: string): IpLine =>
  line('link', 'set', name, 'master', master);
export const setUp = (name: string): IpLine => line('link', 'set', name, 'up');
export const setDown = (name: string): IpLine => line('link', 'set', name, 'down');
export const deleteLink = (name: string): IpLine => line('link', 'delete', name);
/** `address` with prefix length. IPv6 addresses are usable at once: we never give one twice, so nothing is probed. */
export const replaceAddress = (address: string, device: string): IpLine =>
  line('address', 'replace', address, 'dev', device, address.includes(':') && 'nodad');
export const deleteAddress = (address: string, device: string): IpLine =>
  line('address', 'delete', address, 'dev', device);
export const replaceDefaultRoute = (gateway: string, device: string): IpLine =>
  line('route', 'replace', gateway.includes(':') ? '::/0' : '0.0.0.0/0', 'via', gateway, 'dev', device);
/** Tells the kernel an address's new MAC address, so that a stale entry delays nobody. */
export const replaceNeighbour = (address: string, mac: string, device: string): IpLine =>
  line('neighbour', 'replace', address, 'lladdr', mac, 'dev', device, 'nud', 'stale');

export interface IpOptions {
  /** The network namespace to work in. */
  namespace?: string;
  timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** Runs the lines in one process, in order; the first that fails ends it. No lines, no process. */
export async function runIpBatch(lines: readonly IpLine[], options: IpOptions = {}): Promise<void> {
  if (lines.length === 0) return;
  await run('ip', [...inNamespace(options), '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
}

export interface IpLink {
  ifindex: number;
  ifname: string;
  flags: string[];
  mtu: number;
  master?: string;
  /** The MAC address. */
  address?: string;
  link_netnsid?: number;
}

export interface IpAddress {
  ifname: string;
  addr_info: { family: 'inet' | 'inet6'; local: string; prefixlen: number; scope: string }[];
}

export interface IpRoute {
  /** `default`, an address or a CIDR. */
  dst: string;
  gateway?: string;
  dev?: string;
}

export const listLinks = (options: IpOptions = {}): Promise<IpLink[]> => readJson(['link', 'show'], options);
export const listAddresses = (options: IpOptions = {}): Promise<IpAddress[]> =>
  readJson(['address', 'show'], options);

/** The routes of both families and all tables. */
export async function listRoutes(options: IpOptions = {}): Promise<IpRoute[]> {
  const [four, six] = await Promise.all([
    readJson<IpRoute>(['-4', 'route', 'show', 'table', 'all'], options),
    readJson<IpRoute>(['-6', 'route', 'show', 'table', 'all'], options),
  ]);
  return [...four, ...six];
}

async function readJson<T>(args: string[], options: IpOptions): Promise<T[]> {
  const flags = args.filter(arg => arg.startsWith('-'));
  const words = args.filter(arg => !arg.startsWith('-'));
  const { stdout } = await run('ip', [...inNamespace(options), '-json', ...flags, ...words], {
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
  });
  // An old ip leaves empty objects in place of what it filters out.
  const rows = stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[]);
  return rows.filter(row => Object.keys(row as object).length > 0);
}

const inNamespace = (options: IpOptions): string[] =>
  options.namespace ? ['-netns', options.namespace] : [];
