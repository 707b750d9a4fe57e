/** What flavors and availability zones may ask of the amphora provider. Source of the names: contract api.md 13. */
import { TOPOLOGIES } from '../../model/load-balancer.ts';
import type { Capability } from '../provider.ts';

export const FLAVOR_CAPABILITIES: readonly Capability[] = [
  {
    name: 'loadbalancer_topology',
    description:
      'How many amphorae carry a load balancer: one (SINGLE), or two of which one waits (ACTIVE_STANDBY).',
    value: TOPOLOGIES,
  },
  {
    name: 'compute_flavor',
    description: 'The flavor that compute gives the instance of an amphora.',
    value: 'text',
  },
  { name: 'amp_image_tag', description: 'The tag of the image that amphorae boot from.', value: 'text' },
  { name: 'sriov_vip', description: 'Whether the VIP is on an SR-IOV port.', value: 'boolean' },
  {
    name: 'allow_member_sriov',
    description: 'Whether members may be asked to be reached through SR-IOV ports.',
    value: 'boolean',
  },
];

export const AVAILABILITY_ZONE_CAPABILITIES: readonly Capability[] = [
  {
    name: 'compute_zone',
    description: 'The availability zone of compute that amphorae are in.',
    value: 'text',
  },
  {
    name: 'volume_zone',
    description: 'The availability zone of the volumes that amphorae boot from.',
    value: 'text',
  },
  {
    name: 'management_network',
    description: 'The network in which controller and amphorae talk, instead of the configured one.',
    value: 'network',
  },
  {
    name: 'valid_vip_networks',
    description: 'The networks that VIPs may be in, instead of the configured ones.',
    value: 'networks',
  },
];
