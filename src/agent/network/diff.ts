/** What `ip` must do to make an interface what its file says. Pure. Source: contract amphora-agent.md 6. */
import { canonical, findPrefix, versionOf } from './address.ts';
import type { InterfaceFile, InterfaceRoute, InterfaceRule } from './interface-file.ts';

export interface PresentAddress {
  local: string;
  prefixlen: number;
  /** Neither from DHCP or router advertisements, nor link-local. */
  permanent: boolean;
}

/** The kernel's state as `ip -json` shows it, in the terms of the file. */
export interface Present {
  addresses: PresentAddress[];
  /** Only those made by hand (protocol static or boot). */
  routes: InterfaceRoute[];
  /** Only those with a source, made neither by the kernel nor by keepalived. */
  rules: InterfaceRule[];
}

export interface Changes {
  /** Must succeed. */
  addresses: string[];
  /** One that fails is logged. */
  routes: string[];
  rules: string[];
}

export function diffInterface(wish: InterfaceFile, present: Present): Changes {
  const addresses = diffAddresses(wish, present);
  const routes = diffRoutes(wish, present);
  return { addresses, routes, rules: wish.if_type === 'vip' ? diffRules(wish, present) : [] };
}

/** An address that is listed but not ours is keepalived's: neither added nor taken away. */
function diffAddresses(wish: InterfaceFile, present: Present): string[] {
  const key = (address: string, prefixlen: number) => `${canonical(address)}/${prefixlen}`;
  const listed = wish.addresses.flatMap(each => ('address' in each ? [each] : []));
  const wanted = new Set(listed.map(each => key(each.address, each.prefixlen)));
  const there = new Set(present.addresses.map(each => key(each.local, each.prefixlen)));
  // Connections to members come from the interface's own address, as keepalived and IPv4 have it: not from the VIP.
  const preferred = (owned?: boolean) => (owned ? ' preferred_lft 0' : '');
  const flags = ({ address, octavia_owned }: (typeof listed)[number]) =>
    versionOf(address) === 6 ? `${preferred(octavia_owned)} nodad` : '';
  const add = listed
    .filter(each => each.octavia_owned !== false && !there.has(key(each.address, each.prefixlen)))
    .map(each => `address add ${each.address}/${each.prefixlen} dev ${wish.name}${flags(each)}`);
  const remove = present.addresses
    .filter(each => each.permanent && !wanted.has(key(each.local, each.prefixlen)))
    .map(each => `address delete ${each.local}/${each.prefixlen} dev ${wish.name}`);
  return [...add, ...remove];
}

function diffRoutes(wish: InterfaceFile, present: Present): string[] {
  const wanted = new Map(wish.routes.map(route => [routeKey(route), route]));
  const there = new Map(present.routes.map(route => [routeKey(route), route]));
  // A route through a gateway needs the way to the gateway first, unless it is on-link; those are the last ones then.
  const add = [...wanted]
    .filter(([key]) => !there.has(key))
    .sort(([, a], [, b]) => Number('gateway' in a) - Number('gateway' in b));
  // What comes in the place of another one has replaced it; to delete that one then would delete the new one.
  const place = ({ dst, table }: InterfaceRoute) => `${destination(dst)} ${table}`;
  const replaced = new Set(add.map(([, route]) => place(route)));
  const remove = [...there].filter(([key, route]) => !wanted.has(key) && !replaced.has(place(route)));
  return [
    ...add.map(([, route]) => routeCommand('add', route, wish.name)),
    ...remove.map(([, route]) => routeCommand('delete', route, wish.name)),
  ];
}

const routeKey = (route: InterfaceRoute): string =>
  [
    destination(route.dst),
    route.gateway === undefined ? '' : canonical(route.gateway),
    route.prefsrc === undefined ? '' : canonical(route.prefsrc),
    route.table ?? 254,
  ].join(' ');

function destination(dst: string): string {
  const prefix = findPrefix(dst);
  return prefix === undefined ? dst : `${canonical(prefix.address)}/${prefix.length}`;
}

function routeCommand(action: 'add' | 'delete', route: InterfaceRoute, device: string): string {
  // The family follows from the addresses.
  const words = ['route', action, route.dst];
  if (route.gateway !== undefined) words.push('via', route.gateway);
  words.push('dev', device, 'proto', 'static');
  if (route.flags?.includes('onlink') && action === 'add') words.push('onlink');
  // IPv6 has no scopes.
  if (route.scope !== undefined && versionOf(route.dst) === 4) words.push('scope', route.scope);
  if (route.prefsrc !== undefined) words.push('src', route.prefsrc);
  if (route.table !== undefined) words.push('table', String(route.table));
  return words.join(' ');
}

function diffRules(wish: InterfaceFile, present: Present): string[] {
  const key = (rule: InterfaceRule) => `${canonical(rule.src)}/${rule.src_len} ${rule.table}`;
  const [wanted, there] = [wish.rules, present.rules].map(
    rules => new Map(rules.map(rule => [key(rule), rule])),
  );
  const command = (action: string, rule: InterfaceRule) =>
    `rule ${action} from ${rule.src}/${rule.src_len} table ${rule.table} priority 100 protocol static`;
  return [
    ...[...wanted!].filter(([k]) => !there!.has(k)).map(([, rule]) => command('add', rule)),
    ...[...there!].filter(([k]) => !wanted!.has(k)).map(([, rule]) => command('delete', rule)),
  ];
}
