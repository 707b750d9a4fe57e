/** `ottavia lb …`. Source: contract clients.md 4.1. */
import { OPERATING_STATUSES, PROVISIONING_STATUSES } from '../../model/status.ts';
import { ALL, BASICS, CHANGE, noun, option, pairsOf, reference } from '../noun.ts';
import { addWhy } from '../why.ts';

const CHOSEN = 'create list';

export const loadBalancer = noun('loadbalancer', 'Load balancing:', 'Load balancers', {
  names: ['lb', 'loadbalancer'],
  tagged: true,
  cascade: true,
  columns: 'id name project_id vip_address provisioning_status operating_status provider',
  unset: 'name description flavor vip-qos-policy-id vip-sg-id',
  extend: addWhy,
  actions: [
    {
      name: 'failover',
      path: '/failover',
      method: 'PUT',
      sentence: 'Replace its amphorae, one after the other',
    },
    { name: 'stats', path: '/stats', sentence: 'Show what went through it' },
    { name: 'status', path: '/status', sentence: 'Show both statuses of it and of all that is under it' },
  ],
  options: [
    ...BASICS,
    option('--vip-address <address>', 'The address of the VIP', 'create'),
    option('--vip-subnet-id <subnet>', 'The subnet of the VIP', CHOSEN),
    option('--vip-network-id <network>', 'The network of the VIP', CHOSEN),
    option('--vip-port-id <port>', 'A port that is to be the VIP', CHOSEN),
    option('--vip-qos-policy-id <qos-policy>', 'The QoS policy of the VIP, or none', ALL, {
      read: reference,
    }),
    option('--vip-sg-id <security-group>', 'A security group of the VIP, repeat for more', CHANGE, {
      ...{ field: 'vip_sg_ids', repeated: true },
    }),
    option(
      '--additional-vip <vip>',
      'One more VIP: subnet-id=SUBNET[,ip-address=ADDRESS] (repeat for more)',
      'create',
      {
        ...{ field: 'additional_vips', repeated: true, read: pairsOf('subnet-id', 'ip-address') },
      },
    ),
    option('--project <project>', 'Whose it is', 'create'),
    option('--provider <provider>', 'The provider', CHOSEN),
    option('--availability-zone <availabilityzone>', 'The availability zone', CHOSEN),
    option('--flavor <flavor>', 'The flavor; another one changes topology and size in place', ALL),
    option('--provisioning-status <status>', 'Those with this provisioning status', 'list', {
      choices: PROVISIONING_STATUSES,
    }),
    option('--operating-status <status>', 'Those with this operating status', 'list', {
      choices: OPERATING_STATUSES,
    }),
  ],
});
