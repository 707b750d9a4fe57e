/** Routes that bring a network interface into the inner namespace. Source: contract amphora-agent.md 4.5 and 4.6. */
import { existsSync, writeFileSync } from 'node:fs';
import { errorChain } from '../../lib/errors.ts';
import type { IpLink } from '../../lib/ip.ts';
import type { PlugNetwork, PlugVip } from '../../wire/agent-api.ts';
import { exploded, findPrefix, isAddress } from '../network/address.ts';
import { buildPortFile, buildVipFile, type InterfaceFile } from '../network/interface-file.ts';
import type { AgentParts } from '../parts.ts';
import { httpError, ok, Refusal } from '../reply.ts';
import { objectOf } from './params.ts';
import type { Route } from './route.ts';

/** Always this name. */
const VIP_INTERFACE = 'eth1';
const FIRST_MEMBER_INTERFACE = 2;

export const plugVip: Route = async (parts, request) => {
  const vip = request.params.vip!;
  const body = objectOf(request, 'Invalid subnet information');
  checkVip(vip, body);
  const plug = body as unknown as PlugVip;
  const mac = plug.mac_address.toLowerCase();
  const inside = await parts.interfaces.listInside();
  if (inside.some(link => link.address === mac))
    throw new Refusal(409, { message: 'Interface already exists' });
  const link = await findLink(parts, mac);
  const file = buildVipFile({ name: VIP_INTERFACE, topology: parts.config.topology, vip, request: plug });
  // Who had the VIP before serves it until haproxy runs here, which announces it. Half of a pair has only an address of its own yet, which
  // may have been another's: whoever remembers that one would send adverts to it.
  const isQuiet = parts.config.topology === 'SINGLE';
  await bring(parts, { mac, link, file, isQuiet }, 'Error plugging VIP');
  const addresses = [vip, ...(plug.additional_vips ?? []).map(each => each.ip_address)].map(exploded);
  return ok(202, `VIPs plugged on interface ${VIP_INTERFACE}: ${addresses.join(', ')}`);
};

export const plugNetwork: Route = async (parts, request) => {
  const body = objectOf(request, 'Invalid port information');
  checkNetwork(body);
  const plug = body as unknown as PlugNetwork;
  const mac = plug.mac_address.toLowerCase();
  const inside = await parts.interfaces.listInside();
  const present = inside.find(link => link.address === mac);
  if (present !== undefined) {
    parts.interfaces.remember(mac, fileOf(parts, present.ifname, plug));
    await perform('Error plugging network', () => parts.interfaces.applyFile(present.ifname));
    return ok(202, `Updated existing interface ${present.ifname}`);
  }
  const link = await findLink(parts, mac);
  const file = fileOf(parts, freeName(inside), plug);
  await bring(parts, { mac, link, file }, 'Error plugging network');
  return ok(202, `Plugged on interface ${file.name}`);
};

function fileOf({ config }: AgentParts, name: string, plug: PlugNetwork): InterfaceFile {
  const vip = plug.vip_net_info;
  if (vip === undefined) return buildPortFile(name, plug);
  const fixedIps = plug.fixed_ips ?? [];
  return buildVipFile({ name, topology: config.topology, vip: vip.vip, request: vip, fixedIps });
}

export function freeName(inside: readonly Pick<IpLink, 'ifname'>[]): string {
  for (let n = FIRST_MEMBER_INTERFACE; ; n++) {
    if (!inside.some(link => link.ifname === `eth${n}`)) return `eth${n}`;
  }
}

interface Plugging {
  mac: string;
  link: IpLink;
  file: InterfaceFile;
  isQuiet?: boolean;
}

async function bring(
  { interfaces }: AgentParts,
  { mac, link, file, isQuiet }: Plugging,
  failure: string,
): Promise<void> {
  interfaces.remember(mac, file);
  await perform(failure, async () => {
    await interfaces.bringIn(link.ifname, file.name);
    await interfaces.applyFile(file.name, true, isQuiet);
  });
}

async function perform(failure: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw new Refusal(500, { message: failure, details: errorChain(cause) }, { cause });
  }
}

const PCI_RESCAN = '/sys/bus/pci/rescan';

/** Controllers retry on these very words: a port that was just attached may not be seen yet. */
async function findLink({ interfaces, log }: AgentParts, mac: string): Promise<IpLink> {
  const link = await interfaces.findOutside(mac);
  if (link !== undefined) return link;
  try {
    if (existsSync(PCI_RESCAN)) writeFileSync(PCI_RESCAN, '1');
  } catch (error) {
    // Where the bus may not be scanned, ports come by themselves or not at all.
    log.debug({ reason: errorChain(error) }, 'cannot scan the PCI bus');
  }
  throw new Refusal(404, { details: 'No suitable network interface found' });
}

function checkVip(vip: string, body: Record<string, unknown>): void {
  const words = 'Invalid subnet information';
  const { subnet_cidr, gateway, mac_address, vrrp_ip, mtu, additional_vips } = body;
  const complete = isMac(mac_address) && findPrefix(subnet_cidr) !== undefined && gateway !== undefined;
  if (!complete || !isGateway(gateway) || !isMtu(mtu) || !areRoutes(body.host_routes))
    throw httpError(400, words);
  if (!isAddress(vip)) throw new Refusal(400, { message: `Invalid VIP: ${vip}` });
  if (vrrp_ip !== undefined && vrrp_ip !== null && !isAddress(vrrp_ip)) {
    throw new Refusal(400, { message: `Invalid VRRP Address: ${vrrp_ip}` });
  }
  if (vrrp_ip === null) delete body.vrrp_ip;
  for (const each of listOf(additional_vips, words)) {
    if (!isAddress(each.ip_address)) throw new Refusal(400, { message: `Invalid VIP: ${each.ip_address}` });
    const isComplete = findPrefix(each.subnet_cidr) !== undefined && isGateway(each.gateway);
    if (!isComplete || each.host_routes === undefined || !areRoutes(each.host_routes))
      throw httpError(400, words);
  }
}

function checkNetwork(body: Record<string, unknown>): void {
  if (!isMac(body.mac_address) || !isMtu(body.mtu)) throw httpError(400, 'Invalid port information');
  for (const each of listOf(body.fixed_ips, 'Invalid port information')) {
    const isRight = isAddress(each.ip_address) && findPrefix(each.subnet_cidr) && areRoutes(each.host_routes);
    if (!isRight || !isGateway(each.gateway)) throw new Refusal(400, { message: 'Invalid network port' });
    each.host_routes ??= [];
  }
  const vip = body.vip_net_info;
  if (vip === undefined || vip === null) {
    delete body.vip_net_info;
    return;
  }
  if (typeof vip !== 'object') throw httpError(400, 'Invalid port information');
  const info = vip as Record<string, unknown>;
  checkVip(String(info.vip), { mac_address: body.mac_address, ...info });
  if (info.vrrp_ip === null) delete info.vrrp_ip;
}

const isMac = (value: unknown): boolean =>
  typeof value === 'string' && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value);
const isMtu = (value: unknown): boolean =>
  value === undefined || value === null || (Number.isInteger(value) && Number(value) > 0);
const isGateway = (value: unknown): boolean =>
  value === null || value === undefined || value === '' || isAddress(value);

function areRoutes(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (!Array.isArray(value)) return false;
  return value.every(each => findPrefix(each?.destination) !== undefined && isAddress(each?.nexthop));
}

function listOf(value: unknown, words: string): Record<string, unknown>[] {
  if (value === undefined || value === null) return [];
  const isList = Array.isArray(value) && value.every(each => typeof each === 'object' && each !== null);
  if (!isList) throw httpError(400, words);
  return value as Record<string, unknown>[];
}
