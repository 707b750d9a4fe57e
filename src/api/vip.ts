/** Finds out where a new VIP goes from what the user named: port, network, subnet, address. Source: contract api.md 5.3. */
import type { CloudNetwork, Network, Port, Subnet } from '../drivers/network/network.ts';
import { canonicalAddress, containsAddress, type IpVersion } from '../lib/addresses.ts';
import { Fault } from '../lib/errors.ts';
import type { AdditionalVip } from '../model/load-balancer.ts';
import { refuse } from './body.ts';
import type { Env } from './resource.ts';
import type { ApiSettings } from './settings.ts';

export interface VipRequest {
  vip_port_id: string | null;
  vip_network_id: string | null;
  vip_subnet_id: string | null;
  vip_address: string | null;
  additional_vips: Partial<AdditionalVip>[];
}

export interface VipPlan {
  network_id: string;
  subnet_id: string;
  /** null: the network chooses. */
  address: string | null;
  /** The port that the user brought; null: one is to be made. */
  port: Port | null;
  additional: AdditionalVip[];
  versions: ReadonlySet<IpVersion>;
}

/** Throws `invalid` when something named does not exist or does not fit. */
export async function planVip(request: VipRequest, env: Env): Promise<VipPlan> {
  const { network, settings } = env;
  checkAllowed(request, settings);
  const place = await findPlace(request, env);
  if (settings.valid_vip_networks && !settings.valid_vip_networks.includes(place.network_id))
    refuse('vip_network_id', place.network_id, 'The operator of this system does not allow VIPs there.');
  if (settings.denylist_vip_networks.includes(place.network_id))
    refuse('vip_network_id', place.network_id, 'The operator of this system does not allow VIPs there.');
  const extra = await findAdditional(request, place, network);
  const versions = new Set([place.subnet.ip_version, ...extra.map(vip => vip.subnet.ip_version)]);
  return {
    network_id: place.network_id,
    subnet_id: place.subnet.id,
    address: place.address,
    port: place.port,
    additional: extra.map(({ subnet, ip_address }) => ({
      subnet_id: subnet.id,
      ip_address,
      port_id: place.port?.id ?? null,
    })),
    versions,
  };
}

function checkAllowed(request: VipRequest, settings: ApiSettings): void {
  const { vip_port_id, vip_network_id, vip_subnet_id } = request;
  if (!vip_port_id && !vip_network_id && !vip_subnet_id)
    throw new Fault('invalid', 'VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id.');
  for (const name of ['vip_port_id', 'vip_network_id', 'vip_subnet_id'] as const) {
    if (request[name] && !settings[`allow_${name}`])
      refuse(name, request[name], 'The operator of this system does not allow its use.');
  }
}

interface Place {
  network_id: string;
  subnet: Subnet;
  address: string | null;
  port: Port | null;
}

async function findPlace(request: VipRequest, env: Env): Promise<Place> {
  const { network } = env;
  if (request.vip_port_id) return placeOnPort(request, request.vip_port_id, network);
  if (request.vip_network_id) return placeInNetwork(request, request.vip_network_id, env);
  const subnet = await getSubnet(request.vip_subnet_id!, 'vip_subnet_id', network);
  return { network_id: subnet.network_id, subnet, address: request.vip_address, port: null };
}

async function placeOnPort(request: VipRequest, portId: string, network: Network): Promise<Place> {
  const port = await network.findPort(portId);
  if (!port) refuse('vip_port_id', portId, 'There is no such port.');
  if (port.device_id !== '') refuse('vip_port_id', portId, `The port is in use by device ${port.device_id}.`);
  const { vip_subnet_id: subnetId, vip_address: address } = request;
  if (subnetId) await getSubnet(subnetId, 'vip_subnet_id', network);
  const fits = port.fixed_ips.filter(
    ip =>
      (!subnetId || ip.subnet_id === subnetId) &&
      (!address || canonicalAddress(ip.ip_address) === canonicalAddress(address)),
  );
  const [ip] = fits;
  if (!ip) {
    if (subnetId) refuse('vip_subnet_id', subnetId, `Port ${portId} has no such address in it.`);
    refuse('vip_address', address, `Port ${portId} does not have it.`);
  }
  if (!subnetId && !address && fits.length > 1)
    refuse('vip_port_id', portId, 'The port has several addresses: name vip_subnet_id or vip_address.');
  const subnet = await getSubnet(ip.subnet_id, 'vip_port_id', network);
  return { network_id: port.network_id, subnet, address: address ?? ip.ip_address, port };
}

async function placeInNetwork(request: VipRequest, networkId: string, env: Env): Promise<Place> {
  const cloudNetwork = await env.network.findNetwork(networkId);
  if (!cloudNetwork) refuse('vip_network_id', networkId, 'There is no such network.');
  const subnet = await chooseSubnet(request, cloudNetwork, env);
  return { network_id: networkId, subnet, address: request.vip_address, port: null };
}

async function chooseSubnet(request: VipRequest, { id }: CloudNetwork, env: Env): Promise<Subnet> {
  const { network } = env;
  if (request.vip_subnet_id) {
    const subnet = await getSubnet(request.vip_subnet_id, 'vip_subnet_id', network, id);
    if (subnet.network_id !== id) refuse('vip_subnet_id', subnet.id, `It does not belong to network ${id}.`);
    return subnet;
  }
  const subnets = await network.subnetsOf(id);
  const { vip_address: address } = request;
  if (address) {
    const subnet = subnets.find(s => containsAddress(s.cidr, address));
    return subnet ?? refuse('vip_address', address, `No subnet of network ${id} contains it.`);
  }
  if (subnets.length === 0) refuse('vip_network_id', id, 'The network has no subnet.');
  const needed = addressesNeeded(env);
  const free = await Promise.all(subnets.map(s => network.countFreeAddresses(s.id)));
  const roomy = subnets.filter((_, i) => free[i]! >= needed);
  const subnet = roomy.find(s => s.ip_version === 4) ?? roomy[0];
  return subnet ?? refuse('vip_network_id', id, `None of its subnets has ${needed} addresses left.`);
}

/** The VIP's own, and one for each amphora. */
function addressesNeeded({ offer, settings }: Env): number {
  const topology = offer.loadbalancer_topology ?? settings.loadbalancer_topology;
  return topology === 'ACTIVE_STANDBY' ? 3 : 2;
}

interface AdditionalPlace {
  subnet: Subnet;
  ip_address: string | null;
}

async function findAdditional(
  request: VipRequest,
  place: Place,
  network: Network,
): Promise<AdditionalPlace[]> {
  const found: AdditionalPlace[] = [];
  const used = new Set([place.subnet.id]);
  for (const [i, vip] of request.additional_vips.entries()) {
    const at = `additional_vips[${i}].subnet_id`;
    const subnet = await getSubnet(vip.subnet_id!, at, network);
    if (used.has(subnet.id)) refuse(at, subnet.id, 'Only one VIP can be in a subnet.');
    if (subnet.network_id !== place.network_id) refuse(at, subnet.id, 'All VIPs must be in one network.');
    used.add(subnet.id);
    const onPort = place.port?.fixed_ips.find(ip => ip.subnet_id === subnet.id);
    if (place.port && !onPort) refuse(at, subnet.id, `Port ${place.port.id} has no address in it.`);
    found.push({ subnet, ip_address: vip.ip_address ?? onPort?.ip_address ?? null });
  }
  return found;
}

async function getSubnet(id: string, at: string, network: Network, networkId?: string): Promise<Subnet> {
  const subnet = await network.findSubnet(id, networkId);
  if (!subnet) refuse(at, id, 'There is no such subnet.');
  return subnet;
}
