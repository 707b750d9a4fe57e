import { expect, test } from 'vitest';
import { newPort, type PortLimit, type PortRecord } from '../../model/cloud-network.ts';
import { renderVipFilter } from './vip-filter.ts';

const port = (id: string, set: Partial<PortRecord>) =>
  newPort({ id, network_id: 'n', mac_address: '', ...set });
const vip = (addresses: string[], limits: PortLimit[]) =>
  port('aaaa', { limits, fixed_ips: addresses.map(ip_address => ({ subnet_id: 's', ip_address })) });
const render = (...ports: PortRecord[]) => renderVipFilter('12345', ports).join('');

test('ports without limits need no rules', () => {
  expect(render(vip(['10.0.0.5'], []), port('bbbb', { allowed_addresses: ['10.0.0.5'] }))).toBe('');
});

test('a VIP that no port may use yet has its chains, and nothing leads to them', () => {
  const limited = vip(['10.0.0.5'], [{ protocol: 'udp', port: 53, cidrs: ['192.0.2.0/24'] }]);
  const stranger = port('cccc', { network_id: 'other', allowed_addresses: ['10.0.0.5'] });
  expect(render(limited, stranger)).toContain('chain limit4_udp_53_aaaa');
  expect(render(limited, stranger)).not.toContain('goto');
});

test('one look for all VIPs of a version, on each link; a version without networks is closed', () => {
  const limits: PortLimit[] = [
    { protocol: 'tcp', port: 80, cidrs: ['192.0.2.0/24', '192.0.2.7/32'] },
    { protocol: 'sctp', port: 90, cidrs: ['2001:db8::/32'] },
  ];
  const addresses = ['10.0.0.5', 'fd00::5'];
  const users = ['bbbb', 'cccc'].map(id => port(id, { allowed_addresses: addresses }));
  const [b, c] = ['op12345bbbb', 'op12345cccc'].map(link => `"${link}"`);
  const look = `    oifname . ip daddr . meta l4proto . th dport vmap { \
${b} . 10.0.0.5 . 6 . 80 : goto limit4_tcp_80_aaaa, ${c} . 10.0.0.5 . 6 . 80 : goto limit4_tcp_80_aaaa, \
${b} . 10.0.0.5 . 132 . 90 : goto limit4_sctp_90_aaaa, ${c} . 10.0.0.5 . 132 . 90 : goto limit4_sctp_90_aaaa }
    oifname . ip6 daddr . meta l4proto . th dport vmap { \
${b} . fd00::5 . 6 . 80 : goto limit6_tcp_80_aaaa, ${c} . fd00::5 . 6 . 80 : goto limit6_tcp_80_aaaa, \
${b} . fd00::5 . 132 . 90 : goto limit6_sctp_90_aaaa, ${c} . fd00::5 . 132 . 90 : goto limit6_sctp_90_aaaa }
`;
  expect(render(vip(addresses, limits), ...users)).toBe(`  chain limit4_tcp_80_aaaa {
    ip saddr { 192.0.2.0/24, 192.0.2.7/32 } accept
    drop
  }
  chain limit6_tcp_80_aaaa {
    drop
  }
  chain limit4_sctp_90_aaaa {
    drop
  }
  chain limit6_sctp_90_aaaa {
    ip6 saddr { 2001:db8::/32 } accept
    drop
  }
  chain vip_forward {
    type filter hook forward priority -5; policy accept;
${look}  }
  chain vip_output {
    type filter hook output priority -5; policy accept;
${look}  }
`);
});
