/** What an interface shall be, as the files in /etc/octavia/interfaces hold it. Source: contract amphora-agent.md 6. */
import type { Topology } from '../../model/load-balancer.ts';
import type { FixedIpInfo, HostRouteInfo, PlugNetwork, PlugVip } from '../../wire/agent-api.ts';
import { bitsOf, exploded, findPrefix, networkOf, versionOf } from './address.ts';

export type InterfaceAddress =
  | { address: string; prefixlen: number; octavia_owned?: boolean }
  | { dhcp?: true; ipv6auto?: true };

export interface InterfaceRoute {
  dst: string;
  gateway?: string;
  flags?: ['onlink'];
  scope?: 'link';
  prefsrc?: string;
  table?: number;
}

export interface InterfaceRule {
  src: string;
  src_len: number;
  table: number;
}

export interface InterfaceFile {
  name: string;
  if_type: 'vip' | 'backend' | 'lo';
  mtu?: number;
  addresses: InterfaceAddress[];
  routes: InterfaceRoute[];
  rules: InterfaceRule[];
  scripts: { up: { command: string }[]; down: { command: string }[] };
  is_sriov?: boolean;
}

/** The routing table of what is sent from a VIP. */
const VIP_TABLE = 1;

interface Vip {
  address: string;
  subnet_cidr: string;
  gateway: string | null;
  host_routes: HostRouteInfo[];
}

export interface VipRequest {
  name: string;
  topology: Topology;
  vip: string;
  request: PlugVip;
  /** More addresses of the same port, when it is plugged anew. */
  fixedIps?: FixedIpInfo[];
}

/** In a pair keepalived owns the VIPs and what is routed by them. Addresses were checked before. */
export function buildVipFile({ name, topology, vip, request, fixedIps = [] }: VipRequest): InterfaceFile {
  const vips: Vip[] = [
    { address: vip, ...request, host_routes: request.host_routes ?? [] },
    ...(request.additional_vips ?? []).map(each => ({ address: each.ip_address, ...each })),
  ];
  const isSingle = topology === 'SINGLE';
  const addresses: InterfaceAddress[] = [
    request.vrrp_ip === undefined
      ? ownAddressFromNetwork(vip)
      : { address: exploded(request.vrrp_ip), prefixlen: prefixOf(request.subnet_cidr) },
    ...vips.map(each => ({
      address: exploded(each.address),
      prefixlen: bitsOf(each.address),
      octavia_owned: isSingle,
    })),
    ...fixedIps.map(each => ({ address: exploded(each.ip_address), prefixlen: prefixOf(each.subnet_cidr) })),
  ];
  // Of several addresses IPv6 chooses the one most alike its destination, which the router there may not know.
  const sourceOf = ({ address }: Vip) =>
    versionOf(address) === 4 ? undefined : address === vip ? request.vrrp_ip : isSingle ? address : undefined;
  const routes = [
    ...vips.flatMap(each => vipRoutes(each, isSingle, fixedIps.length > 0 ? sourceOf(each) : undefined)),
    ...fixedIps.flatMap(f => fixedIpRoutes(f, isSingle)),
  ];
  const rules = vips.map(each => ({
    src: exploded(each.address),
    src_len: bitsOf(each.address),
    table: VIP_TABLE,
  }));
  const versions = [...vips.map(each => each.address), ...fixedIps.map(each => each.ip_address)].map(
    versionOf,
  );
  return {
    name,
    if_type: 'vip',
    ...(request.mtu === undefined ? {} : { mtu: request.mtu }),
    addresses: unique(addresses),
    routes: firstDefaults(unique(routes)),
    rules: isSingle ? rules : [],
    scripts: masquerade(name, versions, request.is_sriov ?? false),
    is_sriov: request.is_sriov ?? false,
  };
}

const ownAddressFromNetwork = (vip: string): InterfaceAddress =>
  versionOf(vip) === 6 ? { ipv6auto: true } : { dhcp: true };

function vipRoutes(vip: Vip, isSingle: boolean, source: string | undefined): InterfaceRoute[] {
  const subnet = networkOf(findPrefix(vip.subnet_cidr)!);
  const routes = vip.gateway ? defaultRoutes(vip.gateway, isSingle) : [];
  if (routes[0] && source !== undefined) routes[0].prefsrc = exploded(source);
  routes.push({ dst: subnet, scope: 'link' });
  if (isSingle) routes.push({ dst: subnet, prefsrc: exploded(vip.address), scope: 'link', table: VIP_TABLE });
  for (const route of vip.host_routes.map(hostRoute)) routes.push(route, { ...route, table: VIP_TABLE });
  return routes;
}

function fixedIpRoutes(fixedIp: FixedIpInfo, isSingle: boolean): InterfaceRoute[] {
  const routes = fixedIp.gateway ? defaultRoutes(fixedIp.gateway, isSingle) : [];
  return [...routes, ...fixedIp.host_routes.map(hostRoute)];
}

function defaultRoutes(via: string, isSingle: boolean): InterfaceRoute[] {
  const gateway = exploded(via);
  const dst = versionOf(via) === 6 ? '::/0' : '0.0.0.0/0';
  const main: InterfaceRoute = { dst, gateway, flags: ['onlink'] };
  return isSingle ? [main, { ...main, table: VIP_TABLE }] : [main];
}

function hostRoute(route: HostRouteInfo): InterfaceRoute {
  return {
    dst: networkOf(findPrefix(route.destination)!),
    gateway: exploded(route.nexthop),
    flags: ['onlink'],
  };
}

/** A member network: addresses and host routes, never a default route. */
export function buildPortFile(name: string, request: PlugNetwork): InterfaceFile {
  const fixedIps = request.fixed_ips ?? [];
  return {
    name,
    if_type: 'backend',
    ...(request.mtu === undefined ? {} : { mtu: request.mtu }),
    addresses:
      fixedIps.length === 0
        ? [{ dhcp: true, ipv6auto: true }]
        : fixedIps.map(each => ({
            address: exploded(each.ip_address),
            prefixlen: prefixOf(each.subnet_cidr),
          })),
    routes: unique(fixedIps.flatMap(each => each.host_routes.map(hostRoute))),
    rules: [],
    scripts: masquerade(
      name,
      fixedIps.map(each => versionOf(each.ip_address)),
      request.is_sriov ?? false,
    ),
    is_sriov: request.is_sriov ?? false,
  };
}

export const loopbackFile: InterfaceFile = {
  name: 'lo',
  if_type: 'lo',
  addresses: [{ address: '127.0.0.1', prefixlen: 8 }],
  routes: [],
  rules: [],
  scripts: { up: [], down: [] },
};

/** For UDP and SCTP, which are forwarded by the kernel. The program is part of the image. */
function masquerade(name: string, versions: readonly (4 | 6)[], isSriov: boolean): InterfaceFile['scripts'] {
  const families = [...new Set(versions)].sort();
  const script = (action: string) =>
    families.map(version => ({
      command: `/usr/local/bin/lvs-masquerade.sh ${action} ipv${version} ${name}${isSriov ? ' sriov' : ''}`,
    }));
  return { up: script('add'), down: script('delete') };
}

/** A table has one default route of each family: the first subnet's, which is the VIP's. */
const firstDefaults = (routes: readonly InterfaceRoute[]): InterfaceRoute[] =>
  routes.filter(({ dst, table }, index) => {
    const isFirst = routes.findIndex(other => other.dst === dst && other.table === table) === index;
    return isFirst || !dst.endsWith('/0');
  });

const prefixOf = (cidr: string): number => findPrefix(cidr)!.length;

function unique<T>(items: readonly T[]): T[] {
  return [...new Map(items.map(item => [JSON.stringify(item), item])).values()];
}
