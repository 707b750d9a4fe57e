/** What every network driver must do: run by each implementation's test. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { containsAddress } from '../../lib/addresses.ts';
import type { Network, PortSpec, Subnet } from './network.ts';

export interface NetworkSubject {
  network: Network;
  /** Another driver object on the same cloud: what a restarted process has. */
  reopen(): Network;
  /** In this order in one network. */
  ipv4: Subnet;
  ipv6: Subnet;
  /** A security group without rules. */
  groupId: string;
  /** Leaves nothing behind. */
  tearDown(): Promise<void>;
}

export function networkContract(name: string, setUp: () => Promise<NetworkSubject>): void {
  describe(`${name} as a network`, () => {
    let subject: NetworkSubject;
    let ports = 0;

    beforeAll(async () => {
      subject = await setUp();
    });
    afterAll(() => subject.tearDown());

    const spec = (more: Partial<PortSpec> = {}): PortSpec => ({
      name: `octavia-test-${++ports}`,
      network_id: subject.ipv4.network_id,
      project_id: null,
      fixed_ips: [],
      ...more,
    });

    test('lists its network and the subnets of it in the order of creation', async () => {
      const { network, ipv4, ipv6 } = subject;
      expect((await network.subnetsOf(ipv4.network_id)).map(subnet => subnet.id)).toEqual([ipv4.id, ipv6.id]);
      expect((await network.findNetwork(ipv4.network_id))?.subnets).toEqual([ipv4.id, ipv6.id]);
      expect((await network.listNetworks()).map(each => each.id)).toContain(ipv4.network_id);
      expect((await network.listSubnets()).map(each => each.id)).toEqual(
        expect.arrayContaining([ipv4.id, ipv6.id]),
      );
      expect(await network.findSubnet(ipv6.id)).toMatchObject({ ip_version: 6, cidr: ipv6.cidr });
    });

    test('says undefined of what is not there', async () => {
      const { network } = subject;
      expect(await network.findNetwork('no-such-network')).toBeUndefined();
      expect(await network.findSubnet('no-such-subnet')).toBeUndefined();
      expect(await network.findPort('no-such-port')).toBeUndefined();
      expect(await network.findPortByName('no-such-port')).toBeUndefined();
    });

    test('gives a port without wishes one address of the first subnet', async () => {
      const wanted = spec({ device_id: 'lb-1' });
      const port = await subject.network.ensurePort(wanted);
      expect(port).toMatchObject({ name: wanted.name, device_owner: 'Octavia', device_id: 'lb-1' });
      expect(port.mac_address).toMatch(/^fa:16:3e(:[0-9a-f]{2}){3}$/);
      expect(port.fixed_ips).toHaveLength(1);
      expect(port.fixed_ips[0]!.subnet_id).toBe(subject.ipv4.id);
      expect(containsAddress(subject.ipv4.cidr, port.fixed_ips[0]!.ip_address)).toBe(true);
    });

    test('finds its port again instead of building a second one, also after a restart', async () => {
      const wanted = spec();
      const port = await subject.network.ensurePort(wanted);
      const again = await subject.reopen().ensurePort(wanted);
      expect(again).toEqual(port);
      expect(await subject.reopen().findPortByName(wanted.name)).toMatchObject({ id: port.id });
      expect(await subject.reopen().findPort(port.id)).toMatchObject({ name: wanted.name });
      const names = await subject.network.listPortNames();
      expect(names.filter(each => each === wanted.name)).toHaveLength(1);
    });

    test('gives no address twice, however many ask at once', async () => {
      const others = Array.from({ length: 20 }, () => spec());
      const made = await Promise.all(others.map(each => subject.network.ensurePort(each)));
      const addresses = made.flatMap(port => port.fixed_ips.map(ip => ip.ip_address));
      expect(new Set(addresses).size).toBe(20);
      expect(addresses).not.toContain(subject.ipv4.gateway_ip);
    });

    test('builds one port when two ask for the same name at once', async () => {
      const wanted = spec();
      const [one, two] = await Promise.all([
        subject.network.ensurePort(wanted),
        subject.reopen().ensurePort(wanted),
      ]);
      expect(one.id).toBe(two.id);
    });

    test('keeps the addresses that were asked for, of both versions', async () => {
      const four = addressIn(subject.ipv4, 77);
      const six = addressIn(subject.ipv6, 0x77);
      const port = await subject.network.ensurePort(
        spec({
          fixed_ips: [
            { subnet_id: subject.ipv4.id, ip_address: four },
            { subnet_id: subject.ipv6.id, ip_address: six.toUpperCase() },
          ],
        }),
      );
      expect(port.fixed_ips).toEqual([
        { subnet_id: subject.ipv4.id, ip_address: four },
        { subnet_id: subject.ipv6.id, ip_address: six },
      ]);
    });

    test('refuses an address that is taken, and one outside the subnet, and leaves no port', async () => {
      const ip_address = addressIn(subject.ipv4, 78);
      await subject.network.ensurePort(spec({ fixed_ips: [{ subnet_id: subject.ipv4.id, ip_address }] }));
      const taken = spec({ fixed_ips: [{ subnet_id: subject.ipv4.id, ip_address }] });
      await expect(subject.network.ensurePort(taken)).rejects.toMatchObject({ kind: 'conflict' });
      const outside = spec({ fixed_ips: [{ subnet_id: subject.ipv4.id, ip_address: '198.51.100.7' }] });
      await expect(subject.network.ensurePort(outside)).rejects.toMatchObject({ kind: 'invalid' });
      expect(await subject.network.findPortByName(taken.name)).toBeUndefined();
      expect(await subject.network.findPortByName(outside.name)).toBeUndefined();
    });

    test('gives one address to one of two who want it at once', async () => {
      const ip_address = addressIn(subject.ipv4, 79);
      const wishes = [1, 2].map(() => spec({ fixed_ips: [{ subnet_id: subject.ipv4.id, ip_address }] }));
      const outcomes = await Promise.allSettled(wishes.map(each => subject.network.ensurePort(each)));
      expect(outcomes.map(outcome => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
    });

    test('adds an address that a present port lacks, once', async () => {
      const wanted = spec();
      const before = await subject.network.ensurePort(wanted);
      const more = {
        ...wanted,
        fixed_ips: [{ subnet_id: subject.ipv6.id }],
        allowed_addresses: ['192.0.2.1', '2001:DB8:0::1'],
      };
      const after = await subject.network.ensurePort(more);
      expect(after.fixed_ips.map(ip => ip.subnet_id)).toEqual([subject.ipv4.id, subject.ipv6.id]);
      expect(after.fixed_ips[0]).toEqual(before.fixed_ips[0]);
      expect((await subject.network.ensurePort(more)).fixed_ips).toEqual(after.fixed_ips);
      const allowed_addresses = ['192.0.2.1', '2001:db8::1'];
      expect(await subject.network.findPort(after.id)).toMatchObject({ allowed_addresses });
    });

    test('counts the addresses that are left', async () => {
      const { network, ipv4 } = subject;
      const before = await network.countFreeAddresses(ipv4.id);
      expect(before).toBeGreaterThan(100);
      await network.ensurePort(spec({ fixed_ips: [{ subnet_id: ipv4.id }] }));
      expect(await network.countFreeAddresses(ipv4.id)).toBe(before - 1);
    });

    test('puts ports in security groups, as often as it is asked; an absent port is success', async () => {
      const { network, groupId } = subject;
      expect(await network.findSecurityGroup?.(groupId)).toMatchObject({ id: groupId });
      expect(await network.findSecurityGroup?.('no-such-group')).toBeUndefined();
      const wanted = spec();
      const { id } = await network.ensurePort(wanted);
      await network.ensureSecurityGroups(id, [groupId]);
      await subject.reopen().ensureSecurityGroups(id, [groupId]);
      expect(await network.findPort(id)).toMatchObject({ security_groups: [groupId] });
      await network.ensureSecurityGroups(id, []);
      expect(await network.findPort(id)).toMatchObject({ security_groups: [] });
      await network.deletePort(wanted.name);
      await network.ensureSecurityGroups(id, [groupId]);
    });

    test('keeps who may reach the protocol ports of an address, as often as it is asked; an absent port is success', async () => {
      const { network } = subject;
      const wanted = spec();
      const { id } = await network.ensurePort(wanted);
      const limit = { protocol: 'udp', port: 53, cidrs: ['192.0.2.0/24', '2001:db8::/32'] } as const;
      const access = [
        { ...limit, cidrs: [...limit.cidrs] },
        { protocol: 'tcp', port: 80, cidrs: null } as const,
      ];
      await network.ensureAccess(id, access);
      await subject.reopen().ensureAccess(id, access);
      expect(await network.findPort(id)).toMatchObject({ limits: [limit] });
      await network.ensureAccess(id, []);
      expect(await network.findPort(id)).toMatchObject({ limits: [] });
      await network.deletePort(wanted.name);
      await network.ensureAccess(id, access);
    });

    test('takes addresses of some subnets from a port, for others to have; an absent port is success', async () => {
      const { network, ipv4, ipv6 } = subject;
      const wanted = spec({ fixed_ips: [{ subnet_id: ipv4.id }, { subnet_id: ipv6.id }] });
      const { fixed_ips } = await network.ensurePort(wanted);
      const { ip_address } = fixed_ips.find(ip => ip.subnet_id === ipv6.id)!;
      await network.releaseAddresses(wanted.name, [ipv6.id]);
      await subject.reopen().releaseAddresses(wanted.name, [ipv6.id]);
      const left = (await network.findPortByName(wanted.name))!.fixed_ips;
      expect(left).toEqual(fixed_ips.filter(ip => ip.subnet_id === ipv4.id));
      const heir = await network.ensurePort(spec({ fixed_ips: [{ subnet_id: ipv6.id, ip_address }] }));
      expect(heir.fixed_ips).toEqual([{ subnet_id: ipv6.id, ip_address }]);
      await network.releaseAddresses('no-such-port', [ipv6.id]);
    });

    test('frees the address of a deleted port; an absent port is success', async () => {
      const ip_address = addressIn(subject.ipv4, 80);
      const wanted = spec({ fixed_ips: [{ subnet_id: subject.ipv4.id, ip_address }] });
      await subject.network.ensurePort(wanted);
      await subject.network.deletePort(wanted.name);
      await subject.reopen().deletePort(wanted.name);
      expect(await subject.network.listPortNames()).not.toContain(wanted.name);
      const heir = await subject.network.ensurePort({ ...wanted, name: `${wanted.name}-heir` });
      expect(heir.fixed_ips[0]!.ip_address).toBe(ip_address);
    });
  });
}

/** The address `offset` places after the network address of a subnet whose CIDR ends in `.0/…` or `::/…`. */
function addressIn(subnet: Subnet, offset: number): string {
  const base = subnet.cidr.split('/')[0]!;
  return subnet.ip_version === 4 ? base.replace(/0$/, String(offset)) : `${base}${offset.toString(16)}`;
}
