/** `ottavia member …`. Source: contract clients.md 4.4. */
import { COMMON_OPTIONS, integer, type Noun, port } from '../noun.ts';

function weight(text: string): number {
  const number = integer(text);
  if (number < 0 || number > 256) throw new Error('it must be from 0 to 256');
  return number;
}

export const member: Noun = {
  names: ['member'],
  sentence: 'Members of a pool: addresses that traffic goes to',
  singular: 'member',
  plural: 'members',
  parent: { target: 'pool', field: 'pool_id' },
  nested: true,
  columns: ['id', 'name', 'address', 'protocol_port', 'weight', 'provisioning_status', 'operating_status'],
  options: [
    ...COMMON_OPTIONS,
    {
      flags: '--address <address>',
      field: 'address',
      required: true,
      sentence: 'Its address',
      verbs: ['create'],
    },
    {
      flags: '--protocol-port <port>',
      field: 'protocol_port',
      read: port,
      required: true,
      sentence: 'Its port',
      verbs: ['create'],
    },
    {
      flags: '--weight <weight>',
      field: 'weight',
      read: weight,
      sentence: '0 to 256; 0 takes no new connections',
    },
    {
      flags: '--subnet-id <subnet>',
      field: 'subnet_id',
      target: 'subnet',
      sentence: 'The subnet it is reached through (name or id)',
      verbs: ['create'],
    },
    {
      flags: '--monitor-address <address>',
      field: 'monitor_address',
      sentence: 'Checked instead of its address',
    },
    {
      flags: '--monitor-port <port>',
      field: 'monitor_port',
      read: port,
      sentence: 'Checked instead of its port',
    },
    {
      flags: '--enable-backup',
      field: 'backup',
      value: true,
      sentence: 'Used only when all others are down',
    },
    { flags: '--disable-backup', field: 'backup', value: false, sentence: 'Used like the others' },
    {
      flags: '--request-sriov',
      field: 'request_sriov',
      value: true,
      sentence: 'Reach it through an SR-IOV port',
      verbs: ['create'],
    },
  ],
};
