/** keepalived.conf of one half of a pair, of which one holds the VIPs. Source: contract dataplane.md 10. */
import { isIP } from 'node:net';
import type { Amphora } from '../../model/amphora.ts';
import type { LoadBalancerGraph } from '../../model/graph.ts';
import type { VrrpGroup } from '../../model/vrrp-group.ts';
import { type Block, print } from './blocks.ts';
import { address, filePath, identifier, number, prefix, seconds, type Text, text } from './quote.ts';

export interface VrrpSettings {
  basePath: string;
  /** Whole seconds: keepalived takes no others. */
  checkIntervalSeconds: number;
  failCount: number;
  successCount: number;
  garpRefreshSeconds: number;
  garpRefreshCount: number;
}

/** A VIP with what its subnet says about the way out. */
export interface RoutedVip {
  ip_address: string;
  subnet_cidr: string;
  gateway: string | null;
  host_routes: { destination: string; nexthop: string }[];
}

export interface VrrpContext {
  amphora: Amphora;
  /** The load balancer's own one first. */
  vips: readonly RoutedVip[];
  group: VrrpGroup;
  settings: VrrpSettings;
}

/** Who else may hold the VIPs at present: those that are to go hold them until the others have taken over. */
export function listVrrpPeers(graph: LoadBalancerGraph, own: Amphora): Amphora[] {
  const mayHold = (a: Amphora) => a.status === 'ALLOCATED' || a.status === 'PENDING_DELETE';
  return graph.amphorae.filter(
    a => a.id !== own.id && a.vrrp_ip !== null && a.vrrp_priority !== null && mayHold(a),
  );
}

/**
 * The peer of one that is alone: without any, keepalived would speak to the whole network, where other pairs have the same number. IPv6
 * sends nothing to `::1` from a link, and keepalived would complain of it at each advert.
 */
const NOBODY = { 4: '127.0.0.1', 6: 'fe80::ffff' };

/** A haproxy that is dead refuses at once; one that only takes its time is not dead. */
const CHECK_TIMEOUT_SECONDS = 3;

/** Throws unless the amphora has its address and its interface. */
export function renderVrrp(graph: LoadBalancerGraph, context: VrrpContext): string {
  const { amphora, group, settings } = context;
  const { vrrp_ip, vrrp_interface, vrrp_id, vrrp_priority } = amphora;
  if (vrrp_ip === null || vrrp_interface === null || vrrp_id === null || vrrp_priority === null)
    throw new Error(`Cannot configure keepalived of amphora ${amphora.id}: its VIP is not plugged yet`);
  const link = identifier(vrrp_interface);
  const [first, ...more] = context.vips;
  const vips = [first!, ...more.toSorted((a, b) => (a.ip_address < b.ip_address ? -1 : 1))];
  const isOwn = (vip: RoutedVip) => isIP(vip.ip_address) === isIP(vrrp_ip);
  const others = listVrrpPeers(graph, amphora).map(peer => peer.vrrp_ip!);
  const peers = others.length > 0 ? others : [NOBODY[isIP(vrrp_ip) as 4 | 6]];
  const blocks: Block[] = [
    // Adverts must go out in time while haproxy has all there is to do.
    {
      head: text`global_defs`,
      entries: [text`vrrp_priority -20`, text`script_user root`],
    },
    {
      head: text`vrrp_script check_script`,
      entries: [
        text`script ${filePath(settings.basePath)}/vrrp/check_script.sh`,
        text`interval ${number(settings.checkIntervalSeconds)}`,
        // Without it as long as the interval: of a busy machine both halves could give up the VIPs at once.
        text`timeout ${number(Math.max(settings.checkIntervalSeconds, CHECK_TIMEOUT_SECONDS))}`,
        text`fall ${number(settings.failCount)}`,
        text`rise ${number(settings.successCount)}`,
      ],
    },
    {
      head: text`vrrp_instance ${identifier(graph.load_balancer.id.replaceAll('-', ''))}`,
      entries: [
        text`interface ${link}`,
        text`virtual_router_id ${number(vrrp_id)}`,
        text`priority ${number(vrrp_priority)}`,
        text`nopreempt`,
        text`accept`,
        // Whoever asked in the moment of the change may have been answered by the other half as well.
        text`garp_master_delay 1`,
        text`garp_master_refresh ${number(settings.garpRefreshSeconds)}`,
        text`garp_master_refresh_repeat ${number(settings.garpRefreshCount)}`,
        ...versionEntries(group, isIP(vrrp_ip) as 4 | 6),
        // Two that did not hear of each other: the one that stays announces the VIPs again.
        text`higher_prio_send_advert`,
        // Addresses are used again, and all groups have the same number: nobody else's advert may count.
        text`check_unicast_src`,
        text`unicast_src_ip ${address(vrrp_ip)}`,
        { head: text`unicast_peer`, entries: peers.toSorted().map(address) },
        ...list(text`virtual_ipaddress`, vips.filter(isOwn).map(own)),
        ...list(text`virtual_ipaddress_excluded`, vips.filter(vip => !isOwn(vip)).map(own)),
        { head: text`virtual_routes`, entries: routesOf(vips, link) },
        {
          head: text`virtual_rules`,
          entries: vips.map(vip => text`from ${own(vip)}/${hostBits(vip)} table 1 priority 100`),
        },
        { head: text`track_script`, entries: [text`check_script`] },
      ],
    },
  ];
  return `${blocks.map(block => print(block).join('\n')).join('\n\n')}\n`;
}

/** Version 2 knows whole seconds and IPv4 only; version 3 has no passwords. */
function versionEntries({ auth_pass, advert_interval_ms }: VrrpGroup, family: 4 | 6): (Text | Block)[] {
  const interval = text`advert_int ${seconds(advert_interval_ms)}`;
  if (family === 6 || advert_interval_ms % 1000 !== 0) return [text`version 3`, interval];
  const entries = [text`auth_type PASS`, text`auth_pass ${identifier(auth_pass)}`];
  return [interval, { head: text`authentication`, entries }];
}

const own = (vip: RoutedVip): Text => address(vip.ip_address);
const hostBits = (vip: RoutedVip): Text => number(isIP(vip.ip_address) === 4 ? 32 : 128);
const list = (head: Text, entries: Text[]): Block[] => (entries.length > 0 ? [{ head, entries }] : []);

/**
 * One to each destination, the first VIP's: a table takes no second, and answers have their VIP's address anyhow. keepalived says
 * `via` where the original writes `gateway`, which it does not know.
 */
function routesOf(vips: readonly RoutedVip[], link: Text): Text[] {
  const routes = new Map<string, Text>();
  const add = (vip: RoutedVip, to: Text, how: Text) => {
    const key = `${isIP(vip.ip_address)} ${to}`;
    if (!routes.has(key)) routes.set(key, text`${to} ${how} table 1`);
  };
  for (const vip of vips) {
    const via = (gateway: string) => text`via ${address(gateway)} dev ${link} onlink`;
    add(vip, prefix(vip.subnet_cidr), text`dev ${link} src ${own(vip)} scope link`);
    if (vip.gateway !== null) add(vip, text`default`, via(vip.gateway));
    for (const route of vip.host_routes) add(vip, prefix(route.destination), via(route.nexthop));
  }
  return [...routes.values()];
}
