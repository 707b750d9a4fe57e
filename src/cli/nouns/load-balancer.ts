/** `ottavia lb …`. Source: contract clients.md 4.1. */
import { COMMON_OPTIONS, DESCRIPTION, type Noun, PROJECT_FILTER, reference, upperCase } from '../noun.ts';

/** `subnet-id=X[,ip-address=Y]`, with the API's names. */
function additionalVip(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(',').map(pair => {
      const [key, value] = pair.split('=') as [string, string | undefined];
      if (!['subnet-id', 'ip-address'].includes(key) || !value)
        throw new Error('it must be subnet-id=SUBNET or subnet-id=SUBNET,ip-address=ADDRESS');
      return [key.replace('-', '_'), value];
    }),
  );
}

export const loadBalancer: Noun = {
  names: ['lb', 'loadbalancer'],
  sentence: 'Load balancers',
  singular: 'loadbalancer',
  plural: 'loadbalancers',
  columns: ['id', 'name', 'project_id', 'vip_address', 'provisioning_status', 'operating_status', 'provider'],
  cascade: true,
  options: [
    ...COMMON_OPTIONS,
    DESCRIPTION,
    {
      flags: '--vip-address <address>',
      field: 'vip_address',
      sentence: 'The address of the VIP',
      verbs: ['create'],
    },
    {
      flags: '--vip-subnet-id <subnet>',
      field: 'vip_subnet_id',
      target: 'subnet',
      sentence: 'The subnet of the VIP (name or id)',
      verbs: ['create', 'list'],
    },
    {
      flags: '--vip-network-id <network>',
      field: 'vip_network_id',
      target: 'network',
      sentence: 'The network of the VIP (name or id)',
      verbs: ['create', 'list'],
    },
    {
      flags: '--vip-port-id <port>',
      field: 'vip_port_id',
      target: 'port',
      sentence: 'A port that is to be the VIP (name or id)',
      verbs: ['create', 'list'],
    },
    {
      flags: '--vip-qos-policy-id <policy>',
      field: 'vip_qos_policy_id',
      target: 'qos-policy',
      read: reference,
      sentence: 'The QoS policy of the VIP (name, id or none)',
      verbs: ['create', 'set', 'list'],
    },
    {
      flags: '--vip-sg-id <group>',
      field: 'vip_sg_ids',
      target: 'security-group',
      repeated: true,
      sentence: 'A security group of the VIP (repeat for more)',
    },
    {
      flags: '--additional-vip <vip>',
      field: 'additional_vips',
      read: additionalVip,
      repeated: true,
      sentence: 'One more VIP: subnet-id=SUBNET[,ip-address=ADDRESS] (repeat for more)',
      verbs: ['create'],
    },
    { flags: '--project <id>', field: 'project_id', sentence: 'Whose it is', verbs: ['create'] },
    PROJECT_FILTER,
    { flags: '--provider <name>', field: 'provider', sentence: 'The provider', verbs: ['create', 'list'] },
    {
      flags: '--availability-zone <name>',
      field: 'availability_zone',
      sentence: 'The availability zone',
      verbs: ['create', 'list'],
    },
    {
      flags: '--flavor <flavor>',
      field: 'flavor_id',
      target: 'flavor',
      sentence: 'The flavor (name or id)',
      verbs: ['create', 'list'],
    },
    {
      flags: '--provisioning-status <status>',
      field: 'provisioning_status',
      read: upperCase,
      sentence: 'Those with this provisioning status',
      verbs: ['list'],
    },
    {
      flags: '--operating-status <status>',
      field: 'operating_status',
      read: upperCase,
      sentence: 'Those with this operating status',
      verbs: ['list'],
    },
  ],
};
