import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NetworkTables } from '../../db/networks.ts';
import { openDatabase } from '../../db/open.ts';
import { timestamp } from '../../lib/clock.ts';
import {
  type FloatingIpRecord,
  newNetwork,
  newPort,
  type PortRecord,
  type SecurityGroupRuleRecord,
  type SubnetRecord,
} from '../../model/cloud-network.ts';
import { MemoryNetworkStore } from './memory-store.ts';
import { ensureGroupsOfRow, ensurePortRow } from './port-rows.ts';
import type { NetworkStore } from './store.ts';

const STORES: [string, () => Promise<{ store: NetworkStore; close(): Promise<void> }>][] = [
  ['in memory', async () => ({ store: new MemoryNetworkStore(), close: async () => {} })],
  [
    'in SQLite',
    async () => {
      const db = await openDatabase('sqlite://');
      let ms = 0;
      return { store: new NetworkTables(db, () => timestamp(ms++)), close: () => db.destroy() };
    },
  ],
];

const SUBNET: SubnetRecord = {
  ...{
    id: 'subnet-1',
    name: 'v4',
    project_id: null,
    network_id: 'net-1',
    ip_version: 4,
    cidr: '10.0.0.0/29',
  },
  ...{ gateway_ip: '10.0.0.1', host_routes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.2' }] },
  allocation_pools: [{ start: '10.0.0.2', end: '10.0.0.5' }],
  ...{ description: '', dns_nameservers: ['192.0.2.53'], enable_dhcp: false },
};

const FIRST = newNetwork({ id: 'net-2', name: 'first', shared: true });
const SECOND = newNetwork({ id: 'net-1', name: 'second', project_id: 'p', mtu: 9000, admin_state_up: false });

describe.each(STORES)('a network store %s', (_, open) => {
  let store: NetworkStore;
  let close: () => Promise<void>;

  beforeAll(async () => {
    ({ store, close } = await open());
    await store.insert('network', FIRST);
    await store.insert('network', SECOND);
    await store.insert('subnet', SUBNET);
  });
  afterAll(() => close());

  const port = (id: string, more: Partial<PortRecord> = {}): PortRecord =>
    newPort({
      ...{ id, name: `name-${id}`, network_id: 'net-1', mac_address: 'fa:16:3e:00:00:01' },
      ...more,
    });

  test('gives back what was put in, in that order', async () => {
    expect(await store.list('network')).toEqual([FIRST, SECOND]);
    expect(await store.list('subnet')).toEqual([SUBNET]);
    const fixed_ips = [{ subnet_id: 'subnet-1', ip_address: '10.0.0.6' }];
    const whole = port('whole', { fixed_ips, allowed_addresses: ['10.0.0.9'], device_id: 'lb-1' });
    await store.insert('port', whole);
    expect(await store.findPort('whole')).toEqual(whole);
    expect(await store.findPortByName('name-whole')).toEqual(whole);
    expect(await store.list('port')).toEqual([whole]);
    expect(await store.listTakenAddresses('subnet-1')).toEqual(['10.0.0.6']);
    await store.update('port', 'whole', { device_id: '' });
    await store.update('port', 'whole', { allowed_addresses: [] });
    await store.update('port', 'whole', {});
    expect(await store.findPort('whole')).toEqual({ ...whole, device_id: '', allowed_addresses: [] });
    await store.delete('port', 'whole');
    await store.delete('port', 'whole');
    expect(await store.list('port')).toEqual([]);
    expect(await store.listTakenAddresses('subnet-1')).toEqual([]);
  });

  test('refuses a taken name and a taken address, and keeps nothing of the refused port', async () => {
    const fixed_ips = [{ subnet_id: 'subnet-1', ip_address: '10.0.0.6' }];
    await store.insert('port', port('a', { fixed_ips }));
    const refusals = [port('b', { name: 'name-a' }), port('c', { fixed_ips })];
    for (const refused of refusals) {
      await expect(store.insert('port', refused)).rejects.toMatchObject({ kind: 'conflict' });
    }
    await store.insert('port', port('d'));
    await expect(store.insertPortAddress('d', fixed_ips[0]!)).rejects.toMatchObject({ kind: 'conflict' });
    expect((await store.list('port')).map(each => each.id)).toEqual(['a', 'd']);
    await store.delete('port', 'a');
    await store.delete('port', 'd');
  });

  test('holds any number of ports without a name, and finds none by it', async () => {
    await store.insert('port', port('a', { name: '' }));
    await store.insert('port', port('b', { name: '' }));
    expect(await store.findPortByName('')).toBeUndefined();
    expect((await store.findPort('b'))?.name).toBe('');
    await store.delete('port', 'a');
    await store.delete('port', 'b');
  });

  test('changes a port with its addresses, or not at all', async () => {
    const address = (ip_address: string) => [{ subnet_id: 'subnet-1', ip_address }];
    await store.insert('port', port('a', { fixed_ips: address('10.0.0.2') }));
    const own = port('b', { user_made: true, name: 'any', fixed_ips: address('10.0.0.3') });
    await store.insert('port', own);
    const change = { name: 'name-a', admin_state_up: false, fixed_ips: address('10.0.0.4') };
    await store.update('port', 'b', change);
    expect(await store.findPort('b')).toEqual({ ...own, ...change });
    // A user may give any name: only our own port is found by it.
    expect((await store.findPortByName('name-a'))?.id).toBe('a');
    const refused = store.update('port', 'b', { name: 'x', fixed_ips: address('10.0.0.2') });
    await expect(refused).rejects.toMatchObject({ kind: 'conflict' });
    expect(await store.listTakenAddresses('subnet-1')).toEqual(
      expect.arrayContaining(['10.0.0.2', '10.0.0.4']),
    );
    await store.delete('port', 'a');
    await store.delete('port', 'b');
  });

  test('deletes nothing that is in use', async () => {
    const fixed_ips = [{ subnet_id: 'subnet-1', ip_address: '10.0.0.2' }];
    await store.insert('port', port('a', { fixed_ips }));
    for (const [kind, id] of [
      ['network', 'net-1'],
      ['subnet', 'subnet-1'],
    ] as const) {
      await expect(store.delete(kind, id)).rejects.toMatchObject({ kind: 'conflict' });
    }
    await store.delete('port', 'a');
    await expect(store.delete('network', 'net-1')).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('deletes rules with their group, and lets floating IPs of a deleted port lead nowhere', async () => {
    const group = (id: string) => ({ id, name: id, project_id: 'p', description: '' });
    const rule = (id: string, security_group_id: string, remote_group_id: string | null) =>
      ({
        ...{
          id,
          project_id: 'p',
          description: '',
          security_group_id,
          direction: 'ingress',
          ethertype: 'IPv4',
        },
        ...{
          protocol: 'tcp',
          port_range_min: 80,
          port_range_max: 90,
          remote_ip_prefix: null,
          remote_group_id,
        },
      }) as SecurityGroupRuleRecord;
    await store.insert('security_group', group('g'));
    await store.insert('security_group', group('h'));
    const rules = [rule('r1', 'g', null), rule('r2', 'h', 'g'), rule('r3', 'h', null)];
    for (const each of rules) await store.insert('security_group_rule', each);
    expect(await store.list('security_group_rule')).toEqual(rules);
    await store.delete('security_group', 'g');
    expect(await store.list('security_group_rule')).toEqual([rules[2]]);
    await store.delete('security_group', 'h');

    await store.insert('port', port('a'));
    const floating: FloatingIpRecord = {
      ...{ id: 'f', project_id: 'p', description: '', floating_network_id: 'net-2' },
      ...{
        floating_ip_address: '192.0.2.9',
        floating_port_id: 'x',
        port_id: 'a',
        fixed_ip_address: '10.0.0.2',
      },
    };
    await store.insert('floating_ip', floating);
    await store.delete('port', 'a');
    expect(await store.list('floating_ip')).toEqual([{ ...floating, port_id: null, fixed_ip_address: null }]);
    await store.delete('floating_ip', 'f');
    expect(await store.list('floating_ip')).toEqual([]);
  });

  test('keeps the groups that a user chose when those that were asked for change', async () => {
    await store.insert('port', port('a', { security_groups: ['by-hand'] }));
    const groupsAfter = async (asked: string[]) => {
      await ensureGroupsOfRow(store, 'a', asked);
      return (await store.findPort('a'))?.security_groups;
    };
    expect(await groupsAfter(['asked'])).toEqual(['asked', 'by-hand']);
    expect(await ensureGroupsOfRow(store, 'a', ['asked'])).toBe(false);
    expect(await groupsAfter([])).toEqual(['by-hand']);
    await store.delete('port', 'a');
    expect(await ensureGroupsOfRow(store, 'a', ['asked'])).toBe(false);
  });

  test('is allocated to the last address by many at once, and no further', async () => {
    const ask = (name: string) => ({ name, network_id: 'net-1', project_id: null, fixed_ips: [] });
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const outcomes = await Promise.allSettled(names.map(name => ensurePortRow(store, ask(name))));
    expect(outcomes.filter(outcome => outcome.status === 'fulfilled')).toHaveLength(4);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason.message).toContain('No more IP addresses');
    }
    expect((await store.listTakenAddresses('subnet-1')).sort()).toEqual([
      '10.0.0.2',
      '10.0.0.3',
      '10.0.0.4',
      '10.0.0.5',
    ]);
    for (const { id } of await store.list('port')) await store.delete('port', id);
    await store.delete('subnet', 'subnet-1');
    await store.delete('network', 'net-1');
    expect(await store.list('subnet')).toEqual([]);
  });
});
