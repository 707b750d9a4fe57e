import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NetworkTables } from '../../db/networks.ts';
import { openDatabase } from '../../db/open.ts';
import { timestamp } from '../../lib/clock.ts';
import { MemoryNetworkStore } from './memory-store.ts';
import { ensurePortRow } from './port-rows.ts';
import type { NetworkStore, StoredPort, StoredSubnet } from './store.ts';

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

const SUBNET: StoredSubnet = {
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
};

describe.each(STORES)('a network store %s', (_, open) => {
  let store: NetworkStore;
  let close: () => Promise<void>;

  beforeAll(async () => {
    ({ store, close } = await open());
    await store.insertNetwork({ id: 'net-2', name: 'first', project_id: null, mtu: 1500 });
    await store.insertNetwork({ id: 'net-1', name: 'second', project_id: 'p', mtu: 9000 });
    await store.insertSubnet(SUBNET);
  });
  afterAll(() => close());

  const port = (id: string, more: Partial<StoredPort> = {}): StoredPort => ({
    ...{ id, name: `name-${id}`, project_id: null, network_id: 'net-1', mac_address: 'fa:16:3e:00:00:01' },
    ...{ fixed_ips: [], device_id: '', device_owner: 'Octavia', allowed_addresses: [] },
    ...more,
  });

  test('gives back what was put in, in that order', async () => {
    expect(await store.listNetworks()).toEqual([
      { id: 'net-2', name: 'first', project_id: null, mtu: 1500 },
      { id: 'net-1', name: 'second', project_id: 'p', mtu: 9000 },
    ]);
    expect(await store.listSubnets()).toEqual([SUBNET]);
    const fixed_ips = [{ subnet_id: 'subnet-1', ip_address: '10.0.0.6' }];
    const whole = port('whole', { fixed_ips, allowed_addresses: ['10.0.0.9'], device_id: 'lb-1' });
    await store.insertPort(whole);
    expect(await store.findPort('whole')).toEqual(whole);
    expect(await store.findPortByName('name-whole')).toEqual(whole);
    expect(await store.listPorts()).toEqual([whole]);
    expect(await store.listTakenAddresses('subnet-1')).toEqual(['10.0.0.6']);
    await store.updatePort('whole', { device_id: '' });
    await store.updatePort('whole', { allowed_addresses: [] });
    await store.updatePort('whole', {});
    expect(await store.findPort('whole')).toEqual({ ...whole, device_id: '', allowed_addresses: [] });
    await store.deletePort('whole');
    await store.deletePort('whole');
    expect(await store.listPorts()).toEqual([]);
    expect(await store.listTakenAddresses('subnet-1')).toEqual([]);
  });

  test('refuses a taken name and a taken address, and keeps nothing of the refused port', async () => {
    const fixed_ips = [{ subnet_id: 'subnet-1', ip_address: '10.0.0.6' }];
    await store.insertPort(port('a', { fixed_ips }));
    const refusals = [port('b', { name: 'name-a' }), port('c', { fixed_ips })];
    for (const refused of refusals) {
      await expect(store.insertPort(refused)).rejects.toMatchObject({ kind: 'conflict' });
    }
    await store.insertPort(port('d'));
    await expect(store.insertPortAddress('d', fixed_ips[0]!)).rejects.toMatchObject({ kind: 'conflict' });
    expect((await store.listPorts()).map(each => each.id)).toEqual(['a', 'd']);
    await store.deletePort('a');
    await store.deletePort('d');
  });

  test('holds any number of ports without a name, and finds none by it', async () => {
    await store.insertPort(port('a', { name: '' }));
    await store.insertPort(port('b', { name: '' }));
    expect(await store.findPortByName('')).toBeUndefined();
    expect((await store.findPort('b'))?.name).toBe('');
    await store.deletePort('a');
    await store.deletePort('b');
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
    for (const { id } of await store.listPorts()) await store.deletePort(id);
    await store.deleteSubnet('subnet-1');
    await store.deleteNetwork('net-1');
    expect(await store.listSubnets()).toEqual([]);
  });
});
