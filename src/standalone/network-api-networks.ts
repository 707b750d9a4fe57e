/** Networks of the network API. */
import { randomUUID } from 'node:crypto';
import { type NetworkRecord, newNetwork } from '../model/cloud-network.ts';
import { conflict } from './network-api-errors.ts';
import { flag, integer, text } from './network-api-fields.ts';
import { commonView, isNetworkVisible, type Resource, type Write } from './network-api-resource.ts';

const MTU = 1500;

export const networks: Resource<'network'> = {
  kind: 'network',
  path: 'networks',
  singular: 'network',
  plural: 'networks',
  title: 'Network',
  fields: {
    name: { kind: text, default: '', put: true },
    description: { kind: text, default: '', put: true },
    admin_state_up: { kind: flag, default: true, put: true },
    shared: { kind: flag, default: false, put: true, admin: true },
    'router:external': { kind: flag, default: false, put: true, admin: true },
    port_security_enabled: { kind: flag, default: true, put: true },
    mtu: { kind: integer(68, 65_535), default: MTU },
  },
  view: ({ router_external, ...network }, rows) => ({
    ...commonView(network),
    status: network.admin_state_up ? 'ACTIVE' : 'DOWN',
    'router:external': router_external,
    subnets: rows.subnet.filter(subnet => subnet.network_id === network.id).map(subnet => subnet.id),
    availability_zones: [],
    availability_zone_hints: [],
    ipv4_address_scope: null,
    ipv6_address_scope: null,
  }),
  isVisible: isNetworkVisible,
  async create({ 'router:external': router_external, ...body }, { cloud }) {
    const set = { ...(body as Partial<NetworkRecord>), router_external: Boolean(router_external) };
    const network = newNetwork({ ...set, id: randomUUID() });
    await cloud.store.insert('network', network);
    return network.id;
  },
  async update(network, { 'router:external': router_external, ...change }, write) {
    checkNotManagement(network.id, write);
    const set = change as Partial<NetworkRecord>;
    if (router_external !== undefined) set.router_external = Boolean(router_external);
    if (
      network.router_external &&
      set.router_external === false &&
      write.rows.floating_ip.some(each => each.floating_network_id === network.id)
    )
      throw conflict(
        'ExternalNetworkInUse',
        `External network ${network.id} cannot be changed: it has floating IPs.`,
      );
    await write.cloud.store.update('network', network.id, set);
  },
  async remove({ id }, write) {
    checkNotManagement(id, write);
    const { rows, cloud } = write;
    const port = rows.port.find(each => each.network_id === id);
    if (port)
      throw conflict(
        'NetworkInUse',
        `Unable to complete operation on network ${id}. There are one or more ports still in use on the network, such as ${port.id}.`,
      );
    for (const subnet of rows.subnet.filter(each => each.network_id === id)) {
      await cloud.store.delete('subnet', subnet.id);
    }
    await cloud.store.delete('network', id);
  },
};

/** Throws 409: the whole system would be cut off from its amphorae. */
export function checkNotManagement(networkId: string, { cloud }: Write): void {
  if (networkId === cloud.managementNetworkId)
    throw conflict(
      'NetworkInUse',
      `Network ${networkId} is what amphorae are reached on: it cannot be changed.`,
    );
}
