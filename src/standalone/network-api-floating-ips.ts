/** Floating IPs: addresses of an external network that lead to the address of a port. */
import { randomUUID } from 'node:crypto';
import { macAddressOf } from '../drivers/network/mac-address.ts';
import { insertPortRow } from '../drivers/network/port-rows.ts';
import { versionOf } from '../lib/addresses.ts';
import { type FloatingIpRecord, newPort } from '../model/cloud-network.ts';
import { absent, conflict, invalid } from './network-api-errors.ts';
import { address, nullable, text, uuid } from './network-api-fields.ts';
import { FLOATING_IP_OWNER, inNeutronsWords } from './network-api-ports.ts';
import { commonView, getNetwork, isOwner, type Resource, type Write } from './network-api-resource.ts';

export const floatingIps: Resource<'floating_ip'> = {
  kind: 'floating_ip',
  path: 'floatingips',
  singular: 'floatingip',
  plural: 'floatingips',
  title: 'Floating IP',
  fields: {
    description: { kind: text, default: '', put: true },
    floating_network_id: { kind: uuid, required: true },
    floating_ip_address: { kind: nullable(address), default: null, admin: true },
    subnet_id: { kind: nullable(uuid), default: null },
    port_id: { kind: nullable(uuid), default: null, put: true },
    fixed_ip_address: { kind: nullable(address), put: true },
  },
  view: ({ floating_port_id: _, ...floating }, rows) => {
    const port = rows.port.find(each => each.id === floating.port_id);
    const details =
      port &&
      (({ name, network_id, mac_address, admin_state_up, device_id, device_owner }) => ({
        name,
        network_id,
        mac_address,
        admin_state_up,
        device_id,
        device_owner,
      }))(port);
    return {
      ...commonView(floating),
      status: floating.port_id === null ? 'DOWN' : 'ACTIVE',
      router_id: null,
      port_details: details ?? null,
      port_forwardings: [],
    };
  },
  async create(body, write) {
    const network = getNetwork(String(body.floating_network_id), write);
    if (!network.router_external)
      throw invalid(`Network ${network.id} is not a valid external network`, 'BadRequest');
    const subnets = write.rows.subnet.filter(each => each.network_id === network.id && each.ip_version === 4);
    const subnet = body.subnet_id ? subnets.find(each => each.id === body.subnet_id) : subnets[0];
    if (!subnet) throw invalid(`Network ${network.id} does not contain such an IPv4 subnet`, 'BadRequest');
    const id = randomUUID();
    const target = targetOf(id, body, write);
    const portId = randomUUID();
    const port = newPort({
      ...{ id: portId, network_id: network.id, mac_address: macAddressOf(portId), user_made: true },
      ...{ device_id: id, device_owner: FLOATING_IP_OWNER },
    });
    const wanted = [{ subnet_id: subnet.id, ip_address: body.floating_ip_address as string | null }];
    const held = await inNeutronsWords(wanted, () => insertPortRow(write.cloud.store, port, wanted));
    const { project_id, description } = body as Pick<FloatingIpRecord, 'project_id' | 'description'>;
    await write.cloud.store.insert('floating_ip', {
      ...{ id, project_id, description, floating_network_id: network.id, floating_port_id: portId },
      floating_ip_address: held!.fixed_ips[0]!.ip_address,
      ...target,
    });
    return id;
  },
  async update(floating, body, write) {
    const { description } = body as Partial<FloatingIpRecord>;
    // Without a port named, it stays where it leads. Source: Neutron's API reference, update floating IP.
    const moves = body.port_id !== undefined || body.fixed_ip_address !== undefined;
    const wish = {
      port_id: body.port_id ?? (body.port_id === null ? null : floating.port_id),
      fixed_ip_address: body.fixed_ip_address,
    };
    await write.cloud.store.update('floating_ip', floating.id, {
      ...(description === undefined ? {} : { description }),
      ...(moves ? targetOf(floating.id, wish, write) : {}),
    });
  },
  async remove(floating, { cloud }) {
    // The address is given back last, so that it is nobody else's while it still leads here.
    await cloud.store.delete('floating_ip', floating.id);
    await cloud.store.delete('port', floating.floating_port_id);
  },
};

/** Where it is to lead. Throws when that is no address of a port that the caller sees, or when another leads there. */
function targetOf(
  id: string,
  wish: { port_id?: unknown; fixed_ip_address?: unknown },
  { rows, caller }: Write,
): Pick<FloatingIpRecord, 'port_id' | 'fixed_ip_address'> {
  if (!wish.port_id) {
    if (wish.fixed_ip_address)
      throw invalid('Specified fixed_ip_address but no port_id was given.', 'BadRequest');
    return { port_id: null, fixed_ip_address: null };
  }
  const port = rows.port.find(each => each.id === wish.port_id);
  if (!port || !isOwner(port, caller)) throw absent('Port', String(wish.port_id));
  const own = port.fixed_ips.filter(ip => versionOf(ip.ip_address) === 4).map(ip => ip.ip_address);
  const target = wish.fixed_ip_address ? own.find(each => each === wish.fixed_ip_address) : own[0];
  if (target === undefined)
    throw invalid(
      `Port ${port.id} does not have fixed ip ${wish.fixed_ip_address ?? 'addresses of IPv4'}.`,
      'BadRequest',
    );
  const network = rows.network.find(each => each.id === port.network_id);
  if (network?.router_external)
    throw invalid(`Port ${port.id} is on an external network itself.`, 'BadRequest');
  const other = rows.floating_ip.find(
    each => each.id !== id && each.port_id === port.id && each.fixed_ip_address === target,
  );
  if (other)
    throw conflict(
      'FloatingIPPortAlreadyAssociated',
      `Cannot associate floating IP ${id} with port ${port.id} using fixed IP ${target}, as that fixed IP already has floating IP ${other.floating_ip_address}.`,
    );
  return { port_id: port.id, fixed_ip_address: target };
}
