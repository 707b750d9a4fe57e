/** Interfaces of the inner namespace: found, brought in and made what their files say. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../lib/command.ts';
import { errorChain } from '../../lib/errors.ts';
import { type IpLink, listLinks } from '../../lib/ip.ts';
import type { Log } from '../../lib/log.ts';
import type { Paths } from '../config.ts';
import { findText, writeWhole } from '../files.ts';
import { findDaemon } from '../process-table.ts';
import { canonical } from './address.ts';
import { diffInterface, type Present } from './diff.ts';
import { ensureBaseRules, loadRules } from './firewall.ts';
import { type InterfaceFile, type InterfaceRoute, loopbackFile } from './interface-file.ts';
import { ensureNamespace, INNER_NAMESPACE } from './namespace.ts';

const TIMEOUT_MS = 10_000;
const DHCP_TIMEOUT_MS = 60_000;
const inner = { namespace: INNER_NAMESPACE };

const NOTHING_PRESENT: Present = { addresses: [], routes: [], rules: [] };

interface AddressRow {
  ifname: string;
  addr_info: { local: string; prefixlen: number; scope: string; dynamic?: boolean }[];
}

export class Interfaces {
  readonly #paths: Paths;
  readonly #log: Log;

  constructor(paths: Paths, log: Log) {
    this.#paths = paths;
    this.#log = log;
  }

  /** After a boot: the namespace with all interfaces that were ever plugged and are there, as their files say. */
  async restore(): Promise<void> {
    await ensureNamespace(this.#log);
    writeWhole(this.#filePath('lo'), JSON.stringify(loopbackFile));
    await this.#ip(['link set dev lo up']);
    const [outside, inside] = await Promise.all([listLinks(), listLinks(inner)]);
    for (const [mac, name] of listPlugged(this.#paths)) {
      const link = outside.find(each => each.address === mac);
      try {
        if (link !== undefined) await this.bringIn(link.ifname, name);
        if (link !== undefined || inside.some(each => each.ifname === name)) {
          await this.applyFile(name, link !== undefined);
        }
      } catch (error) {
        // The others still carry traffic, and the controller hears of this one when it plugs it again.
        this.#log.error({ interface: name, reason: errorChain(error) }, 'cannot restore an interface');
      }
    }
  }

  /** By MAC address, among those that were not brought in yet. */
  async findOutside(mac: string): Promise<IpLink | undefined> {
    return (await listLinks()).find(link => link.address === mac && link.ifname !== 'lo');
  }

  async listInside(): Promise<IpLink[]> {
    return listLinks(inner);
  }

  /** The name of the inner interface that holds this address. */
  async findByAddress(address: string): Promise<string | undefined> {
    const rows = await this.#json<AddressRow>(['address', 'show']);
    const wanted = canonical(address);
    const holds = (row: AddressRow) => row.addr_info?.some(each => canonical(each.local) === wanted);
    return rows.find(row => row.ifname !== undefined && holds(row))?.ifname;
  }

  async bringIn(outsideName: string, name: string): Promise<void> {
    await run('ip', ['link', 'set', 'dev', outsideName, 'netns', INNER_NAMESPACE, 'name', name], {
      timeoutMs: TIMEOUT_MS,
    });
  }

  remember(mac: string, file: InterfaceFile): void {
    writeWhole(this.#filePath(file.name), JSON.stringify(file));
    const plugged = listPlugged(this.#paths);
    if (plugged.has(mac)) return;
    const lines = [...plugged, [mac, file.name] as const].map(([address, name]) => `${address} ${name}\n`);
    writeWhole(this.#paths.pluggedInterfaces, lines.join(''));
  }

  /**
   * Makes the interface what its file says and tells its neighbours; success when it is so already. Without a file it is only
   * brought up. `isFresh`: it was just brought in, so there is nothing to compare with. `isQuiet`: neighbours are told later.
   */
  async applyFile(name: string, isFresh = false, isQuiet = false): Promise<void> {
    const text = findText(this.#filePath(name));
    const file = text === undefined ? undefined : (JSON.parse(text) as InterfaceFile);
    if (file?.is_sriov) {
      ensureBaseRules(this.#paths);
      await loadRules(this.#paths);
    }
    const up = `link set dev ${name}${file?.mtu === undefined ? '' : ` mtu ${file.mtu}`} up`;
    if (file === undefined) return this.#ip([up]);
    await this.#expectRouters(file);
    if (isFresh) {
      const changes = diffInterface(file, NOTHING_PRESENT);
      try {
        await this.#ip([up, ...changes.addresses, ...changes.routes.map(replacing), ...changes.rules]);
      } catch (error) {
        // Line by line below, where it is seen which of them cannot be.
        this.#log.debug({ interface: name, reason: errorChain(error) }, 'not all at once');
        isFresh = false;
      }
    }
    if (!isFresh) await this.#converge(file, up);
    await this.#askForAddress(file);
    for (const { command } of file.scripts.up) await this.#runScript(command);
    if (!isQuiet) await this.advertise(name);
  }

  async #converge(file: InterfaceFile, up: string): Promise<void> {
    await this.#ip([up]);
    const changes = diffInterface(file, await this.#present(file.name));
    await this.#ip(changes.addresses);
    await this.#attempt(changes.routes);
    await this.#attempt(changes.rules);
  }

  /**
   * Tells the neighbours where this interface's addresses are. The kernel does so for all of them when a link's address is set, even to
   * what it is, where arp_notify and ndisc_notify are on: a broadcast ARP request for IPv4, an unsolicited advertisement for IPv6. The
   * latter is not on before, because it announces each address at once that is added.
   */
  async advertise(name: string): Promise<void> {
    const link = (await this.listInside()).find(each => each.ifname === name);
    if (link?.address === undefined)
      throw new Error(`Cannot advertise the addresses of ${name}: no such interface`);
    const notify = `echo 1 > /proc/sys/net/ipv6/conf/${name}/ndisc_notify`;
    const announce = `exec ip link set dev ${name} address ${link.address}`;
    await this.#inNamespace(['sh', '-c', `${notify}; ${announce}`]);
  }

  #filePath(name: string): string {
    return join(this.#paths.interfaces, `${name}.json`);
  }

  /** Before the interface comes up: that is when the kernel asks for routers, if it may listen to them. */
  async #expectRouters({ name, addresses }: InterfaceFile): Promise<void> {
    if (!addresses.some(each => !('address' in each) && each.ipv6auto)) return;
    const settings = `/proc/sys/net/ipv6/conf/${name}`;
    await this.#inNamespace([
      ...['sh', '-c', `echo 2 > ${settings}/accept_ra && echo 1 > ${settings}/autoconf`],
    ]);
  }

  async #askForAddress({ name, addresses }: InterfaceFile): Promise<void> {
    if (!addresses.some(each => !('address' in each) && each.dhcp)) return;
    const leases = `/var/lib/dhclient/dhclient-${name}.leases`;
    const pid = `/run/dhclient-${name}.pid`;
    // The one that runs sees to its lease.
    if (findDaemon(pid, name) !== undefined) return;
    await this.#inNamespace(['dhclient', '-lf', leases, '-pf', pid, name], DHCP_TIMEOUT_MS);
  }

  async #present(name: string): Promise<Present> {
    const routesOf = (family: string) =>
      this.#json<Record<string, unknown>>(
        ['route', 'show', 'table', 'all', 'dev', name, 'proto', 'static'],
        family,
      );
    const rulesOf = (family: string) =>
      this.#json<Record<string, unknown>>(['rule', 'show'], family, '-details');
    const [rows, routes4, routes6, rules4, rules6] = await Promise.all([
      this.#json<AddressRow>(['address', 'show', 'dev', name]),
      ...[routesOf('-4'), routesOf('-6'), rulesOf('-4'), rulesOf('-6')],
    ]);
    return {
      addresses: rows
        .flatMap(row => (row as AddressRow).addr_info ?? [])
        .filter(each => each.scope !== 'link')
        .map(each => ({ local: each.local, prefixlen: each.prefixlen, permanent: each.dynamic !== true })),
      routes: [...routes4!.map(row => readRoute(row, 4)), ...routes6!.map(row => readRoute(row, 6))],
      rules: [...rules4!.flatMap(row => readRule(row, 32)), ...rules6!.flatMap(row => readRule(row, 128))],
    };
  }

  /** One at a time when the batch fails, so that one bad route costs only itself. */
  async #attempt(lines: readonly string[]): Promise<void> {
    const replacements = lines.map(replacing);
    try {
      await this.#ip(replacements);
    } catch {
      // Which of them failed is found out, and logged, below.
      for (const line of replacements) {
        try {
          await this.#ip([line]);
        } catch (error) {
          // As the original has it: an interface without one of its routes is better than none.
          if (!errorChain(error).includes('File exists'))
            this.#log.error({ line, reason: errorChain(error) }, 'ip refuses');
        }
      }
    }
  }

  async #runScript(command: string): Promise<void> {
    const [program, ...args] = command.split(' ');
    // The scripts are the image's; where there is no image, nothing here is forwarded by the kernel.
    if (!existsSync(program!)) return;
    await this.#inNamespace([program!, ...args]);
  }

  async #inNamespace(command: string[], timeoutMs = TIMEOUT_MS): Promise<void> {
    await run('ip', ['netns', 'exec', INNER_NAMESPACE, ...command], { timeoutMs });
  }

  async #ip(lines: readonly string[]): Promise<void> {
    // A rule is of IPv4 unless the program is told otherwise; of all else the family follows from the addresses.
    const isSix = (line: string) => line.startsWith('rule ') && line.includes(':');
    await this.#batch(lines.filter(line => !isSix(line)));
    await this.#batch(lines.filter(isSix), '-6');
  }

  async #batch(lines: readonly string[], ...flags: string[]): Promise<void> {
    if (lines.length === 0) return;
    const input = `${lines.join('\n')}\n`;
    await run('ip', ['-netns', INNER_NAMESPACE, ...flags, '-batch', '-'], { input, timeoutMs: TIMEOUT_MS });
  }

  async #json<T>(words: string[], ...flags: string[]): Promise<T[]> {
    const { stdout } = await run('ip', ['-netns', INNER_NAMESPACE, '-json', ...flags, ...words], {
      timeoutMs: TIMEOUT_MS,
    });
    return stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[]);
  }
}

/** The kernel has made the route to an address's own subnet with the address: the file's takes its place. */
const replacing = (line: string): string => line.replace(/^route add/, 'route replace');

function readRoute(row: Record<string, unknown>, version: 4 | 6): InterfaceRoute {
  const dst = row.dst === 'default' ? (version === 6 ? '::/0' : '0.0.0.0/0') : String(row.dst);
  const route: InterfaceRoute = { dst: dst.includes('/') ? dst : `${dst}/${version === 6 ? 128 : 32}` };
  if (row.gateway !== undefined) route.gateway = String(row.gateway);
  if (row.prefsrc !== undefined) route.prefsrc = String(row.prefsrc);
  if (row.table !== undefined && row.table !== 'main') route.table = Number(row.table);
  return route;
}

function readRule(row: Record<string, unknown>, bits: number) {
  const foreign = row.protocol === 'kernel' || row.protocol === 'keepalived' || row.protocol === '18';
  if (foreign || row.src === undefined || row.src === 'all' || !/^\d+$/.test(String(row.table))) return [];
  return [{ src: String(row.src), src_len: Number(row.srclen ?? bits), table: Number(row.table) }];
}

/** MAC address → name, as they were plugged. */
export function listPlugged(paths: Paths): Map<string, string> {
  const lines = (findText(paths.pluggedInterfaces) ?? '').split('\n').map(line => line.trim().split(/\s+/));
  return new Map(lines.flatMap(([mac, name]) => (mac && name ? [[mac, name] as const] : [])));
}
