/** The port that holds a VIP: made by the API, which must answer with the address, and made sure of by every pass. */
import { type LoadBalancer, type VipFacts, vipPortName } from '../../model/load-balancer.ts';
import type { Network, Port } from './network.ts';

/** Finds or makes the port of a load balancer whose VIP is ours. An address that was asked for stays as it was written. */
export async function ensureVipPort(network: Network, lb: LoadBalancer): Promise<VipFacts> {
  const subnet_id = lb.vip_subnet_id!;
  const port = await network.ensurePort({
    name: vipPortName(lb.id),
    network_id: lb.vip_network_id!,
    project_id: lb.project_id,
    device_id: `lb-${lb.id}`,
    fixed_ips: [
      { subnet_id, ip_address: lb.vip_address },
      ...lb.additional_vips.map(vip => ({ subnet_id: vip.subnet_id, ip_address: vip.ip_address })),
    ],
  });
  await network.ensureSecurityGroups(port.id, lb.vip_sg_ids);
  return {
    vip_port_id: port.id,
    vip_address: lb.vip_address ?? addressIn(port, subnet_id),
    additional_vips: lb.additional_vips.map(vip => ({
      subnet_id: vip.subnet_id,
      ip_address: vip.ip_address ?? addressIn(port, vip.subnet_id),
      port_id: port.id,
    })),
  };
}

function addressIn(port: Port, subnetId: string): string {
  const found = port.fixed_ips.find(ip => ip.subnet_id === subnetId);
  if (!found) throw new Error(`Cannot use VIP port ${port.id}: it has no address in subnet ${subnetId}`);
  return found.ip_address;
}
