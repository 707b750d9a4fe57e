/** The interfaces of an amphora: one in the VIP's network, one in each network of members. */
import { deleteMemberPort, listMemberPorts, type MemberPort, putMemberPort } from '../../db/member-ports.ts';
import type { Port, Subnet } from '../../drivers/network/network.ts';
import { TerminalError } from '../../lib/errors.ts';
import { type Amphora, instanceName, memberPortName, vrrpPortName } from '../../model/amphora.ts';
import { update } from './instance.ts';
import { type AmphoraPass, step } from './parts.ts';
import { memberSubnets } from './plan.ts';

/**
 * Puts the amphora's own port beside the VIP into its instance, for which no agent is needed. undefined when the VIP is
 * plugged already. Source: contract controller.md 9.3.
 */
export async function ensureVrrpPort(pass: AmphoraPass, amphora: Amphora): Promise<Port | undefined> {
  if (amphora.vrrp_interface !== null) return undefined;
  const lb = pass.graph.load_balancer;
  const { network, compute } = pass.parts;
  const subnet = await getSubnet(pass, lb.vip_subnet_id!);
  const port = await step(pass, 'ensure VRRP port', amphora.id, () =>
    network.ensurePort({
      name: vrrpPortName(amphora.id),
      network_id: subnet.network_id,
      project_id: lb.project_id,
      fixed_ips: [{ subnet_id: subnet.id }],
      allowed_addresses: [lb.vip_address!, ...lb.additional_vips.map(v => v.ip_address!)],
    }),
  );
  await step(pass, 'attach VRRP port', amphora.id, () =>
    compute.attachPort(instanceName(amphora.id), port.id),
  );
  return port;
}

/** Has the agent take the port, and the VIP with it. */
export async function plugVip(pass: AmphoraPass, amphora: Amphora, port: Port): Promise<void> {
  const lb = pass.graph.load_balancer;
  const { amphora: driver } = pass.parts;
  const vip = lb.vip_address!;
  const subnet = await getSubnet(pass, lb.vip_subnet_id!);
  const vrrp_ip = port.fixed_ips[0]!.ip_address;
  const request = {
    subnet_cidr: subnet.cidr,
    gateway: subnet.gateway_ip,
    mac_address: port.mac_address,
    mtu: await mtuOf(pass, subnet.network_id),
    vrrp_ip,
    host_routes: subnet.host_routes,
    additional_vips: await Promise.all(
      lb.additional_vips.map(async v => {
        const own = await getSubnet(pass, v.subnet_id);
        return {
          ip_address: v.ip_address!,
          subnet_cidr: own.cidr,
          gateway: own.gateway_ip,
          host_routes: own.host_routes,
        };
      }),
    ),
  };
  await step(pass, 'plug VIP', amphora.id, () => driver.plugVip(amphora, vip, request));
  const vrrp_interface = await driver.interfaceOf(amphora, vrrp_ip);
  await step(pass, 'store VRRP port', amphora.id, () =>
    update(pass, amphora, {
      vrrp_ip,
      ha_ip: vip,
      vrrp_port_id: port.id,
      ha_port_id: lb.vip_port_id,
      vrrp_interface,
    }),
  );
}

/** Plugs the networks that members need; those that none needs any more go after the configuration is applied. */
export async function ensureMemberNetworks(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const wanted = await wantedNetworks(pass);
  const present = await listMemberPorts(pass.parts.db, amphora.id);
  for (const [networkId, subnets] of wanted) {
    const known = present.find(p => p.network_id === networkId);
    const plugged = subnets.map(s => s.id);
    if (known?.port_id && plugged.every(id => known.plugged_subnets.includes(id))) continue;
    await plugNetwork(pass, amphora, networkId, subnets, known);
  }
}

/** Releases the ports in networks without members. */
export async function releaseMemberNetworks(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const wanted = await wantedNetworks(pass);
  for (const { network_id } of await listMemberPorts(pass.parts.db, amphora.id)) {
    if (!wanted.has(network_id)) await releaseMemberPort(pass, amphora, network_id);
  }
}

/** World first, then the row. */
export async function releaseMemberPort(
  pass: AmphoraPass,
  amphora: Amphora,
  networkId: string,
): Promise<void> {
  const { network, compute, db } = pass.parts;
  const name = memberPortName(amphora.id, networkId);
  await step(pass, 'release member port', amphora.id, async () => {
    const port = await network.findPortByName(name);
    if (port) await compute.detachPort(instanceName(amphora.id), port.id);
    await network.deletePort(name);
    await deleteMemberPort(db, pass.lease, amphora.id, networkId);
  });
}

async function plugNetwork(
  pass: AmphoraPass,
  amphora: Amphora,
  networkId: string,
  subnets: Subnet[],
  known: MemberPort | undefined,
): Promise<void> {
  const { network, compute, db, amphora: driver } = pass.parts;
  const row = known ?? { amphora_id: amphora.id, network_id: networkId, port_id: null, plugged_subnets: [] };
  if (!known) {
    await step(pass, 'note member port', amphora.id, () => putMemberPort(db, pass.lease, row));
  }
  const port = await step(pass, 'ensure member port', amphora.id, () =>
    network.ensurePort({
      name: memberPortName(amphora.id, networkId),
      network_id: networkId,
      project_id: pass.graph.load_balancer.project_id,
      fixed_ips: subnets.map(subnet => ({ subnet_id: subnet.id })),
    }),
  );
  await step(pass, 'attach member port', amphora.id, () =>
    compute.attachPort(instanceName(amphora.id), port.id),
  );
  const request = {
    mac_address: port.mac_address,
    fixed_ips: fixedIpsOf(port, subnets),
    mtu: await mtuOf(pass, networkId),
  };
  await step(pass, 'plug member network', amphora.id, () => driver.plugNetwork(amphora, request));
  await step(pass, 'store member port', amphora.id, () =>
    putMemberPort(db, pass.lease, { ...row, port_id: port.id, plugged_subnets: subnets.map(s => s.id) }),
  );
}

function fixedIpsOf(port: Port, subnets: Subnet[]) {
  return port.fixed_ips.flatMap(({ subnet_id, ip_address }) => {
    const subnet = subnets.find(s => s.id === subnet_id);
    if (!subnet) return [];
    return [
      { ip_address, subnet_cidr: subnet.cidr, host_routes: subnet.host_routes, gateway: subnet.gateway_ip },
    ];
  });
}

/** Networks of members beside the VIP's own, each with the subnets needed in it. */
async function wantedNetworks(pass: AmphoraPass): Promise<Map<string, Subnet[]>> {
  const wanted = new Map<string, Subnet[]>();
  for (const id of memberSubnets(pass.graph)) {
    const subnet = await getSubnet(pass, id);
    // Other subnets of the VIP's own network are reached through the VIP's interface and its routes.
    if (subnet.network_id === pass.graph.load_balancer.vip_network_id) continue;
    wanted.set(subnet.network_id, [...(wanted.get(subnet.network_id) ?? []), subnet]);
  }
  return wanted;
}

async function getSubnet(pass: AmphoraPass, id: string): Promise<Subnet> {
  const subnet = await pass.parts.network.findSubnet(id);
  if (!subnet)
    throw new TerminalError(
      `Cannot plug load balancer ${pass.graph.load_balancer.id} into subnet ${id}: the subnet does not exist`,
    );
  return subnet;
}

async function mtuOf(pass: AmphoraPass, networkId: string): Promise<number | undefined> {
  return (await pass.parts.network.findNetwork(networkId))?.mtu;
}
