/** The interfaces of an amphora: one in the VIP's network, one in each network of members. */

import type { RoutedVip } from '../../dataplane/keepalived/vrrp.ts';
import { deleteMemberPort, listMemberPorts, type MemberPort, putMemberPort } from '../../db/member-ports.ts';
import type { Port, Subnet } from '../../drivers/network/network.ts';
import { TerminalError } from '../../lib/errors.ts';
import { type Amphora, instanceName, memberPortName, vrrpPortName } from '../../model/amphora.ts';
import { update } from './instance.ts';
import { type AmphoraPass, step } from './parts.ts';
import { furtherSubnets } from './plan.ts';

/**
 * Puts the amphora's own port beside the VIP into its instance, for which no agent is needed. undefined when the VIP is
 * plugged already. Source: contract controller.md 9.3.
 */
export async function ensureVrrpPort(pass: AmphoraPass, amphora: Amphora): Promise<Port | undefined> {
  if (amphora.vrrp_interface !== null) return undefined;
  const { network, compute } = pass.parts;
  const spec = vrrpPortSpec(pass, amphora);
  const port = await step(pass, 'ensure VRRP port', amphora.id, () => network.ensurePort(spec));
  await step(pass, 'attach VRRP port', amphora.id, () =>
    compute.attachPort(instanceName(amphora.id), port.id),
  );
  return port;
}

function vrrpPortSpec({ graph: { load_balancer: lb } }: AmphoraPass, amphora: Amphora) {
  return {
    name: vrrpPortName(amphora.id),
    network_id: lb.vip_network_id!,
    project_id: lb.project_id,
    fixed_ips: [{ subnet_id: lb.vip_subnet_id! }],
    allowed_addresses: [lb.vip_address!, ...lb.additional_vips.map(v => v.ip_address!)],
  };
}

/** Has the agent take the port, and the VIP with it. */
export async function plugVip(pass: AmphoraPass, amphora: Amphora, port: Port): Promise<void> {
  const lb = pass.graph.load_balancer;
  const { amphora: driver } = pass.parts;
  const { vip, ...request } = await vipRequest(pass, port);
  await step(pass, 'plug VIP', amphora.id, () => driver.plugVip(amphora, vip, request));
  const { vrrp_ip } = request;
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

async function vipRequest(pass: AmphoraPass, port: Port) {
  const lb = pass.graph.load_balancer;
  const [vip, ...additional_vips] = await listVips(pass);
  const { ip_address, ...routed } = vip!;
  return {
    vip: ip_address,
    ...routed,
    mac_address: port.mac_address,
    mtu: await mtuOf(pass, lb.vip_network_id!),
    vrrp_ip: port.fixed_ips.find(ip => ip.subnet_id === lb.vip_subnet_id)!.ip_address,
    additional_vips,
  };
}

/** The VIP's interface once more, as the agent's topology has it now, with its addresses announced. */
export async function replugVip(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const { db, network, amphora: driver } = pass.parts;
  const port = await network.ensurePort(vrrpPortSpec(pass, amphora));
  const networkId = pass.graph.load_balancer.vip_network_id!;
  const known = (await listMemberPorts(db, amphora.id)).find(each => each.network_id === networkId);
  const request = await plugRequest(pass, port, known?.plugged_subnets ?? []);
  await step(pass, 'plug VIP again', amphora.id, () => driver.plugNetwork(amphora, request));
}

/** The load balancer's own one first. */
export function listVips(pass: AmphoraPass): Promise<RoutedVip[]> {
  const lb = pass.graph.load_balancer;
  const own = { ip_address: lb.vip_address, subnet_id: lb.vip_subnet_id! };
  return Promise.all(
    [own, ...lb.additional_vips].map(async ({ ip_address, subnet_id }) => {
      const { cidr, gateway_ip, host_routes } = await getSubnet(pass, subnet_id);
      return { ip_address: ip_address!, subnet_cidr: cidr, gateway: gateway_ip, host_routes };
    }),
  );
}

/**
 * Plugs what members and further VIPs need: an interface in each network, with an address in each subnet; in the VIP's network
 * these are more addresses of the VRRP port. What none needs any more goes after the configuration is applied.
 */
export async function ensureMemberNetworks(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const present = await listMemberPorts(pass.parts.db, amphora.id);
  for (const [networkId, subnets] of await wantedNetworks(pass)) {
    const known = present.find(p => p.network_id === networkId);
    const wanted = new Set([...(known?.plugged_subnets ?? []), ...subnets]);
    if (known?.port_id && wanted.size === known.plugged_subnets.length) continue;
    await plugNetwork(pass, amphora, networkId, [...wanted], known);
  }
}

/** Gives back addresses in subnets without members, and ports in networks without any. */
export async function releaseMemberNetworks(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  const wanted = await wantedNetworks(pass);
  for (const known of await listMemberPorts(pass.parts.db, amphora.id)) {
    const { network_id, plugged_subnets } = known;
    const subnets = wanted.get(network_id) ?? [];
    if (subnets.length === plugged_subnets.length && subnets.length > 0) continue;
    const isVips = network_id === pass.graph.load_balancer.vip_network_id;
    if (isVips || subnets.length > 0) await plugNetwork(pass, amphora, network_id, subnets, known);
    if (subnets.length === 0) await releaseMemberPort(pass, amphora, known);
  }
}

/** World first, then the row. The VRRP port has another name, and stays. */
export async function releaseMemberPort(
  pass: AmphoraPass,
  amphora: Amphora,
  known: MemberPort,
): Promise<void> {
  const { network, compute, db } = pass.parts;
  const name = memberPortName(amphora.id, known.network_id);
  await step(pass, 'release member port', amphora.id, async () => {
    // Whoever wants it again before it is gone does not take it for whole.
    await putMemberPort(db, pass.lease, { ...known, port_id: null });
    const port = await network.findPortByName(name);
    if (port) await compute.detachPort(instanceName(amphora.id), port.id);
    await network.deletePort(name);
    await deleteMemberPort(db, pass.lease, amphora.id, known.network_id);
  });
}

/** Ends with an address in each of these subnets, and in no other that the row names. */
async function plugNetwork(
  pass: AmphoraPass,
  amphora: Amphora,
  networkId: string,
  subnetIds: string[],
  known: MemberPort | undefined,
): Promise<void> {
  const { network, compute, db, amphora: driver } = pass.parts;
  // Until it is done the row names every subnet in which the port may have an address, and no port.
  const plugged_subnets = [...new Set([...(known?.plugged_subnets ?? []), ...subnetIds])];
  const row = { amphora_id: amphora.id, network_id: networkId, port_id: null, plugged_subnets };
  await step(pass, 'note member port', amphora.id, () => putMemberPort(db, pass.lease, row));
  const { load_balancer: lb } = pass.graph;
  const isVips = networkId === lb.vip_network_id;
  const name = memberPortName(amphora.id, networkId);
  const spec = isVips
    ? vrrpPortSpec(pass, amphora)
    : { name, network_id: networkId, project_id: lb.project_id, fixed_ips: [] };
  const fixed_ips = [...spec.fixed_ips, ...subnetIds.map(subnet_id => ({ subnet_id }))];
  const port = await step(pass, 'ensure member port', amphora.id, () =>
    network.ensurePort({ ...spec, fixed_ips }),
  );
  await step(pass, 'attach member port', amphora.id, () =>
    compute.attachPort(instanceName(amphora.id), port.id),
  );
  const request = await plugRequest(pass, port, subnetIds);
  await step(pass, 'plug member network', amphora.id, () => driver.plugNetwork(amphora, request));
  const surplus = row.plugged_subnets.filter(id => !subnetIds.includes(id));
  if (surplus.length > 0) {
    await step(pass, 'give back addresses', amphora.id, () => network.releaseAddresses(spec.name, surplus));
  }
  await step(pass, 'store member port', amphora.id, () =>
    putMemberPort(db, pass.lease, { ...row, port_id: port.id, plugged_subnets: subnetIds }),
  );
}

async function plugRequest(pass: AmphoraPass, port: Port, subnetIds: string[]) {
  const isVips = port.network_id === pass.graph.load_balancer.vip_network_id;
  return {
    mac_address: port.mac_address,
    fixed_ips: fixedIpsOf(port, await Promise.all(subnetIds.map(id => getSubnet(pass, id)))),
    mtu: await mtuOf(pass, port.network_id),
    ...(isVips && { vip_net_info: await vipRequest(pass, port) }),
  };
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

/** By network, the subnets beside the VIP's own. */
async function wantedNetworks(pass: AmphoraPass): Promise<Map<string, string[]>> {
  const wanted = new Map<string, string[]>();
  for (const id of furtherSubnets(pass.graph)) {
    const { network_id } = await getSubnet(pass, id);
    wanted.set(network_id, [...(wanted.get(network_id) ?? []), id]);
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
