/** Which bridges a system's rows want on the host, each with the host's addresses in it; pure. */
import { parseCidr } from '../../lib/addresses.ts';
import type { CloudRows } from './cloud-rows.ts';
import { bridgeName } from './link-names.ts';

export interface BridgeWish {
  network_id: string;
  name: string;
  mtu: number;
  up: boolean;
  /** With prefix length: gateways, and floating IPs that lead somewhere. */
  addresses: string[];
}

export function wishedBridges(
  systemId: string,
  rows: Pick<CloudRows, 'network' | 'subnet' | 'floating_ip'>,
): BridgeWish[] {
  return rows.network.map(({ id, mtu, admin_state_up }) => {
    const gateways = rows.subnet
      .filter(subnet => subnet.network_id === id && subnet.gateway_ip !== null)
      .map(subnet => `${subnet.gateway_ip}/${parseCidr(subnet.cidr).prefix}`);
    const floating = rows.floating_ip
      .filter(each => each.floating_network_id === id && each.port_id !== null)
      .map(each => `${each.floating_ip_address}/32`);
    const name = bridgeName(systemId, id);
    return { network_id: id, name, mtu, up: admin_state_up, addresses: [...gateways, ...floating] };
  });
}
