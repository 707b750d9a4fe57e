/** What the host's own network namespace holds now: links from sysfs (no process), address ranges in use from `ip`. */
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { findCanonicalAddress, versionOf } from '../../lib/addresses.ts';
import { run } from '../../lib/command.ts';
import { deleteLink, listAddresses, listRoutes } from '../../lib/ip.ts';

const CLASS_NET = '/sys/class/net';

export const listLinkNames = (): string[] => readdirSync(CLASS_NET);
export const linkExists = (name: string): boolean => existsSync(`${CLASS_NET}/${name}`);

/** Where iproute2 keeps the names of network namespaces. */
export const NAMESPACE_DIRECTORY = '/run/netns';
export const namespaceExists = (name: string): boolean => existsSync(`${NAMESPACE_DIRECTORY}/${name}`);
export const listNamespaces = (): string[] =>
  existsSync(NAMESPACE_DIRECTORY) ? readdirSync(NAMESPACE_DIRECTORY) : [];

/** Up and on this bridge. */
export function isPlugged(name: string, bridge: string): boolean {
  try {
    const isUp = (Number(readFileSync(`${CLASS_NET}/${name}/flags`, 'utf8')) & 1) === 1;
    return isUp && basename(readlinkSync(`${CLASS_NET}/${name}/master`)) === bridge;
  } catch {
    // The link or its master vanished while we looked: not plugged, which the caller repairs.
    return false;
  }
}

/** Deletes the links and with them their other ends, wherever these are; absent is success. */
export async function deleteLinks(names: readonly string[]): Promise<void> {
  const present = names.filter(linkExists);
  if (present.length === 0) return;
  const input = `${present.map(deleteLink).join('\n')}\n`;
  try {
    await run('ip', ['-force', '-batch', '-'], { input, timeoutMs: 10_000 });
  } catch (cause) {
    // A pair whose other end's namespace is ending vanishes by itself; what counts is that nothing is left.
    const left = present.filter(linkExists);
    if (left.length > 0) throw new Error(`Cannot delete links ${left.join(', ')}`, { cause });
  }
}

/** Sets a per-link switch of the kernel; false when this kernel has no such switch. */
export function setLinkSwitch(family: 'ipv4' | 'ipv6', link: string, name: string, value: string): boolean {
  const path = `/proc/sys/net/${family}/conf/${link}/${name}`;
  if (!existsSync(path)) return false;
  writeFileSync(path, value);
  return true;
}

/** Every range that the host has an address or a route in, default routes excepted. */
export async function listUsedCidrs(): Promise<string[]> {
  const [addresses, routes] = await Promise.all([listAddresses(), listRoutes()]);
  const own = addresses.flatMap(link => link.addr_info.map(info => `${info.local}/${info.prefixlen}`));
  const routed = routes
    .filter(route => route.dst !== 'default')
    .map(route => (route.dst.includes('/') ? route.dst : withFullPrefix(route.dst)));
  return [...new Set([...own, ...routed.filter(cidr => cidr !== undefined)])];
}

function withFullPrefix(dst: string): string | undefined {
  const address = findCanonicalAddress(dst);
  return address && `${address}/${versionOf(address) === 4 ? 32 : 128}`;
}
