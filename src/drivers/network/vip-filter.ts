/** Who reaches which protocol port of a VIP, as nftables rules; pure. */
import { versionOf } from '../../lib/addresses.ts';
import type { PortRecord } from '../../model/cloud-network.ts';
import { findProtocolNumber } from '../../model/ip-protocols.ts';
import { hostLinkName } from './link-names.ts';

/**
 * The chains of a table of the bridge family; none while no port is limited. One look finds a packet's rule among those of all
 * VIPs, on the links of the ports that may use them. Every packet is judged, not only a connection's first, so that a
 * client that is no longer let in is cut off. Later fragments have no protocol port; they pass, and are worth nothing without the first.
 */
export function renderVipFilter(systemId: string, ports: readonly PortRecord[]): string[] {
  const chains: string[] = [];
  const verdicts: Record<4 | 6, string[]> = { 4: [], 6: [] };
  for (const vip of ports.filter(port => port.limits.length > 0)) {
    const places = vip.fixed_ips.flatMap(({ ip_address }) =>
      ports
        .filter(port => port.network_id === vip.network_id && port.allowed_addresses.includes(ip_address))
        .map(port => ({ ip_address, link: hostLinkName(systemId, port.id) })),
    );
    for (const { protocol, port, cidrs } of vip.limits) {
      for (const version of [4, 6] as const) {
        const name = `limit${version}_${protocol}_${port}_${vip.id.replaceAll('-', '')}`;
        const own = cidrs.filter(cidr => versionOf(cidr) === version);
        const accept = `${FAMILY[version]} saddr { ${own.join(', ')} } accept`;
        chains.push(`  chain ${name} {\n${own.length > 0 ? `    ${accept}\n` : ''}    drop\n  }\n`);
        const keys = places
          .filter(({ ip_address }) => versionOf(ip_address) === version)
          .map(
            ({ ip_address, link }) => `"${link}" . ${ip_address} . ${findProtocolNumber(protocol)} . ${port}`,
          );
        verdicts[version].push(...keys.map(key => `${key} : goto ${name}`));
      }
    }
  }
  // They stand there before the first amphora is plugged: a table shows that ports count.
  if (chains.length === 0) return [];
  const lines = ([4, 6] as const)
    .filter(version => verdicts[version].length > 0)
    .map(version => {
      const map = verdicts[version].join(', ');
      return `    oifname . ${FAMILY[version]} daddr . meta l4proto . th dport vmap { ${map} }\n`;
    });
  const at = (hook: string) =>
    `  chain vip_${hook} {\n    type filter hook ${hook} priority -5; policy accept;\n${lines.join('')}  }\n`;
  return [...chains, at('forward'), at('output')];
}

const FAMILY = { 4: 'ip', 6: 'ip6' } as const;
