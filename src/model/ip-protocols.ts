/** The names that security group rules may give to protocols, with their numbers. Source: Neutron's API reference, `protocol`. */

export const IP_PROTOCOLS: Readonly<Record<string, number>> = {
  ...{ ah: 51, dccp: 33, egp: 8, esp: 50, gre: 47, icmp: 1, icmpv6: 58, igmp: 2, ipip: 4 },
  ...{ 'ipv6-encap': 41, 'ipv6-frag': 44, 'ipv6-icmp': 58, 'ipv6-nonxt': 59, 'ipv6-opts': 60 },
  ...{ 'ipv6-route': 43, ospf: 89, pgm: 113, rsvp: 46, sctp: 132, tcp: 6, udp: 17, udplite: 136, vrrp: 112 },
};

/** Of a name or a number as text; undefined when it is neither. */
export function findProtocolNumber(protocol: string): number | undefined {
  if (Object.hasOwn(IP_PROTOCOLS, protocol)) return IP_PROTOCOLS[protocol];
  return /^\d{1,3}$/.test(protocol) && Number(protocol) <= 255 ? Number(protocol) : undefined;
}
