import { expect, test } from 'vitest';
import type { Subnet } from '../drivers/network/network.ts';
import { newPort } from '../model/cloud-network.ts';
import { givenApi, NETWORK, SUBNET } from './testing.ts';

const CROWDED = '00000000-0000-4000-8000-0000000000b0';
const id = (n: number) => `00000000-0000-4000-8000-0000000000b${n}`;

const subnetOf = (n: number, cidr: string): Subnet => ({
  ...{ id: id(n), name: '', project_id: null, network_id: CROWDED, cidr, gateway_ip: null, host_routes: [] },
  ip_version: cidr.includes(':') ? 6 : 4,
});

test.each([
  ['the first of IPv4', 'SINGLE', ['2001:db8:1::/64', '10.60.0.0/24', '10.61.0.0/24'], id(2)],
  ['one of IPv4 with room for the VIP and an amphora', 'SINGLE', ['10.60.0.0/32', '10.61.0.0/30'], id(2)],
  ['one with room for two amphorae', 'ACTIVE_STANDBY', ['10.60.0.0/30', '10.61.0.0/29'], id(2)],
  ['IPv6 where no other has room', 'ACTIVE_STANDBY', ['10.60.0.0/30', '2001:db8:1::/64'], id(2)],
  ['none without room', 'ACTIVE_STANDBY', ['10.60.0.0/30', '10.61.0.0/30'], undefined],
] as const)('a network alone means %s', async (_what, loadbalancer_topology, cidrs, chosen) => {
  await using api = await givenApi({ settings: { loadbalancer_topology } });
  const subnets = cidrs.map((cidr, i) => subnetOf(i + 1, cidr));
  const network = { id: CROWDED, name: '', project_id: null, mtu: 1500 };
  api.cloud.addNetwork({ ...network, subnets: subnets.map(subnet => subnet.id) }, subnets);
  const body = { loadbalancer: { vip_network_id: CROWDED } };
  const { status, body: answer } = await api.request('POST', '/loadbalancers', body);
  if (chosen) expect(answer.loadbalancer.vip_subnet_id).toBe(chosen);
  else
    expect({ status, text: answer.faultstring }).toMatchObject({
      status: 400,
      text: expect.stringContaining('addresses left'),
    });
});

test("a port keeps its QoS policy, unless the load balancer's user says otherwise", async () => {
  await using api = await givenApi();
  const policy = id(9);
  for (const [n, set, kept] of [
    [7, {}, policy],
    [8, { vip_qos_policy_id: null }, null],
  ] as const) {
    const fixed_ips = [{ subnet_id: SUBNET, ip_address: `10.1.0.5${n}` }];
    const port = newPort({
      id: id(n),
      network_id: NETWORK,
      mac_address: `fa:16:3e:00:00:0${n}`,
      user_made: true,
      fixed_ips,
    });
    // Only a network that has policies says this of a port.
    await api.cloud.insert('port', Object.assign(port, { qos_policy_id: policy }));
    const lb = await api.create('/loadbalancers', { loadbalancer: { vip_port_id: id(n), ...set } });
    expect(lb.vip_qos_policy_id).toBe(kept);
  }
});
