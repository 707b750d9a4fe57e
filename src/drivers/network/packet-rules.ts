/** Security groups, limited VIPs and floating IPs as nftables rules; pure. */
import { versionOf } from '../../lib/addresses.ts';
import type { PortRecord, SecurityGroupRuleRecord } from '../../model/cloud-network.ts';
import { findProtocolNumber } from '../../model/ip-protocols.ts';
import type { CloudRows } from './cloud-rows.ts';
import { hostLinkName, tableName } from './link-names.ts';
import { renderVipFilter } from './vip-filter.ts';

/** By family, the body of our table there; undefined where no table is needed. */
export type PacketRules = Record<'bridge' | 'ip', string | undefined>;

type FilterRows = Pick<CloudRows, 'port' | 'security_group_rule'>;
type Direction = SecurityGroupRuleRecord['direction'];

export function renderPacketRules(systemId: string, rows: CloudRows): PacketRules {
  const bridge = [...renderPortFilter(systemId, rows), ...renderVipFilter(systemId, rows.port)].join('');
  return { bridge: bridge === '' ? undefined : bridge, ip: renderFloatingIps(rows) };
}

/** Ends with every table as it is wished, in one transaction. `present` are the families that have our table now. */
export function renderTransaction(systemId: string, rules: PacketRules, present: readonly string[]): string {
  const table = tableName(systemId);
  return (['bridge', 'ip'] as const)
    .map(family => {
      const gone = present.includes(family) ? `delete table ${family} ${table}\n` : '';
      return rules[family] === undefined ? gone : `${gone}table ${family} ${table} {\n${rules[family]}}\n`;
    })
    .join('');
}

const chain = (name: string, lines: readonly string[]): string =>
  `  chain ${name} {\n${lines.map(line => `    ${line}\n`).join('')}  }\n`;

const hook = (type: string, at: string, priority: string): string =>
  `type ${type} hook ${at} priority ${priority}; policy accept;`;

const FLOWS = 'size 65536; flags dynamic,timeout; timeout 3m;';

// The kernel's connection tracking is not built into every bridge. A TCP connection cannot begin without its first packet,
// so that only this one is judged; of other protocols the answers to what was let through are remembered for a while.
const KNOWN = [
  'ether type != { ip, ip6 } accept',
  'icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem } accept',
  'icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
  'icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept',
  'tcp flags & (syn | ack) != syn accept',
  'ip saddr . ip daddr . ip protocol . th sport . th dport @flows4 accept',
  'ip6 saddr . ip6 daddr . meta l4proto . th sport . th dport @flows6 accept',
];
const LEARN = [
  'meta l4proto tcp accept',
  'ether type ip update @flows4 { ip daddr . ip saddr . ip protocol . th dport . th sport } accept',
  'ether type ip6 update @flows6 { ip6 daddr . ip6 saddr . meta l4proto . th dport . th sport } accept',
];

/**
 * Ports in security groups, and disabled ones, on the host's side of their links. What is said of a port that has no link
 * of its own, as a VIP's, holds for its addresses on the links of the ports that may use them.
 */
function renderPortFilter(systemId: string, rows: FilterRows): string[] {
  const filtered = rows.port.filter(port => port.security_groups.length > 0 || !port.admin_state_up);
  if (filtered.length === 0) return [];
  const set = (name: string, address: string) =>
    `  set ${name} { type ${address} . ${address} . inet_proto . inet_service . inet_service; ${FLOWS} }\n`;
  const jumps = { ingress: [] as string[], egress: [] as string[] };
  let chains = '';
  for (const port of filtered) {
    for (const direction of ['ingress', 'egress'] as const) {
      const name = `${direction}_${port.id.replaceAll('-', '')}`;
      chains += chain(name, renderPort(port, direction, rows));
      for (const match of matchesOf(systemId, port, direction, rows.port)) {
        jumps[direction].push(`${match} jump ${name}`);
      }
    }
  }
  // A verdict ends one chain of a hook only, so that a packet from port to port is judged on both sides.
  return [
    set('flows4', 'ipv4_addr'),
    set('flows6', 'ipv6_addr'),
    chain('known', KNOWN),
    chain('learn', LEARN),
    chains,
    chain('from_port', [hook('filter', 'forward', '-10'), ...jumps.egress]),
    chain('from_port_to_host', [hook('filter', 'input', '-10'), ...jumps.egress]),
    chain('to_port', [hook('filter', 'forward', '0'), ...jumps.ingress]),
    chain('from_host_to_port', [hook('filter', 'output', '0'), ...jumps.ingress]),
  ];
}

function matchesOf(
  systemId: string,
  port: PortRecord,
  direction: Direction,
  ports: readonly PortRecord[],
): string[] {
  const [link, side] = direction === 'ingress' ? ['oifname', 'daddr'] : ['iifname', 'saddr'];
  const own = `${link} "${hostLinkName(systemId, port.id)}"`;
  const borrowed = ports
    .filter(other => other.network_id === port.network_id && other.id !== port.id)
    .flatMap(other =>
      port.fixed_ips
        .filter(ip => other.allowed_addresses.includes(ip.ip_address))
        .map(ip => {
          const family = versionOf(ip.ip_address) === 6 ? 'ip6' : 'ip';
          return `${link} "${hostLinkName(systemId, other.id)}" ${family} ${side} ${ip.ip_address}`;
        }),
    );
  return [own, ...borrowed];
}

function renderPort(port: PortRecord, direction: Direction, rows: FilterRows): string[] {
  if (!port.admin_state_up) return ['drop'];
  const rules = rows.security_group_rule.filter(
    rule => rule.direction === direction && port.security_groups.includes(rule.security_group_id),
  );
  const matches = rules.map(rule => renderRule(rule, rows.port)).filter(match => match !== undefined);
  return ['jump known', ...new Set(matches.map(match => `${match} goto learn`)), 'drop'];
}

/** undefined for a rule that nothing can match now. */
function renderRule(rule: SecurityGroupRuleRecord, ports: readonly PortRecord[]): string | undefined {
  const six = rule.ethertype === 'IPv6';
  const family = six ? 'ip6' : 'ip';
  const words = [`ether type ${family}`];
  const remote = `${family} ${rule.direction === 'ingress' ? 'saddr' : 'daddr'}`;
  if (rule.remote_ip_prefix) words.push(`${remote} ${rule.remote_ip_prefix}`);
  if (rule.remote_group_id) {
    const addresses = ports
      .filter(port => port.security_groups.includes(rule.remote_group_id!))
      .flatMap(port => port.fixed_ips.map(ip => ip.ip_address))
      .filter(address => (versionOf(address) === 6) === six);
    if (addresses.length === 0) return undefined;
    words.push(`${remote} { ${[...new Set(addresses)].join(', ')} }`);
  }
  if (rule.protocol !== null) words.push(...renderProtocol(rule));
  return words.join(' ');
}

function renderProtocol({
  protocol,
  port_range_min: min,
  port_range_max: max,
}: SecurityGroupRuleRecord): string[] {
  const number = findProtocolNumber(protocol!);
  const words = [`meta l4proto ${number}`];
  if (number === 1 || number === 58) {
    const icmp = number === 1 ? 'icmp' : 'icmpv6';
    if (min !== null) words.push(`${icmp} type ${min}`);
    if (max !== null) words.push(`${icmp} code ${max}`);
  } else if (min !== null) words.push(`th dport ${min === max || max === null ? min : `${min}-${max}`}`);
  return words;
}

/** Each floating IP that leads somewhere, for those who come from outside and for the host itself. */
function renderFloatingIps({ floating_ip, port, subnet }: CloudRows): string | undefined {
  const led = floating_ip.filter(each => each.port_id !== null && each.fixed_ip_address !== null);
  if (led.length === 0) return undefined;
  const targets = led.map(each => `${each.floating_ip_address} : ${each.fixed_ip_address}`).join(', ');
  const translate = `dnat to ip daddr map { ${targets} }`;
  // Neighbours of the target would else get its answers directly, from an address that they did not ask.
  const neighbours = led.flatMap(({ port_id, fixed_ip_address }) => {
    const fixed = port
      .find(each => each.id === port_id)
      ?.fixed_ips.find(ip => ip.ip_address === fixed_ip_address);
    const cidr = subnet.find(each => each.id === fixed?.subnet_id)?.cidr;
    return cidr ? [`ip saddr ${cidr} ip daddr ${fixed_ip_address} ct status dnat masquerade`] : [];
  });
  return [
    chain('arriving', [hook('nat', 'prerouting', 'dstnat'), translate]),
    chain('own', [hook('nat', 'output', '-100'), translate]),
    chain('leaving', [hook('nat', 'postrouting', 'srcnat'), ...neighbours]),
  ].join('');
}
