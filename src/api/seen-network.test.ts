import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Authenticate } from '../model/caller.ts';
import { newNetwork, newPort } from '../model/cloud-network.ts';
import { type GivenApi, givenApi, SUBNET } from './testing.ts';

const HIDDEN = '00000000-0000-4000-8000-0000000000a0';
const HIDDEN_SUBNET = '00000000-0000-4000-8000-0000000000a1';
const HIDDEN_PORT = '00000000-0000-4000-8000-0000000000a2';
const GROUP = '00000000-0000-4000-8000-0000000000a3';

/** The token names the project; `admin` is one. */
const authenticate: Authenticate = ({ headers }) => {
  const project_id = String(headers['x-auth-token']);
  const roles = ['member', 'reader', 'load-balancer_member', ...(project_id === 'admin' ? ['admin'] : [])];
  const scope = { user_id: null, domain_id: null, system_scope: null };
  return { ...scope, project_id, roles, is_admin: project_id === 'admin' };
};

let api: GivenApi;
beforeAll(async () => {
  api = await givenApi({ authenticate });
  const network = { id: HIDDEN, name: '', project_id: 'owner', mtu: 1500, shared: false };
  api.cloud.addNetwork({ ...network, subnets: [HIDDEN_SUBNET] }, [
    {
      ...{ id: HIDDEN_SUBNET, name: '', project_id: 'owner', network_id: HIDDEN, ip_version: 4 },
      ...{ cidr: '10.50.0.0/24', gateway_ip: null, host_routes: [] },
    },
  ]);
  expect(await api.cloud.list('network')).toContainEqual(newNetwork(network));
  const fixed_ips = [{ subnet_id: HIDDEN_SUBNET, ip_address: '10.50.0.9' }];
  const port = { id: HIDDEN_PORT, network_id: HIDDEN, project_id: 'owner', mac_address: 'fa:16:3e:00:00:07' };
  await api.cloud.insert('port', newPort({ ...port, user_made: true, fixed_ips }));
  const group = { id: GROUP, project_id: 'owner', name: 'web', description: '' };
  await api.cloud.insert('security_group', group);
});
afterAll(() => api[Symbol.asyncDispose]());

const post = (project: string, path: string, body: object) =>
  api.request('POST', path, body, { 'x-auth-token': project });

test.each([
  { vip_network_id: HIDDEN },
  { vip_subnet_id: HIDDEN_SUBNET },
  { vip_port_id: HIDDEN_PORT },
  { vip_subnet_id: HIDDEN_SUBNET, vip_sg_ids: [GROUP] },
])('a VIP with %o is for the owner and for admins, and for others as if it were not there', async vip => {
  const body = { loadbalancer: vip };
  const refused = await post('stranger', '/loadbalancers', body);
  expect(refused).toMatchObject({ status: 400 });
  expect(refused.body.faultstring).toMatch(/There is no such/);
  expect(await post('owner', '/loadbalancers', body)).toMatchObject({ status: 201 });
});

test('an operator may let everybody name what he does not see', async () => {
  Object.assign(api.deps.settings, { allow_invisible_resource_usage: true });
  const body = { loadbalancer: { vip_subnet_id: HIDDEN_SUBNET } };
  expect(await post('stranger', '/loadbalancers', body)).toMatchObject({ status: 201 });
  Object.assign(api.deps.settings, { allow_invisible_resource_usage: false });
});

test("nobody uses another project's security group, and no member is on its subnet", async () => {
  const headers = { 'x-auth-token': 'stranger' };
  const created = await post('stranger', '/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } });
  const { id } = created.body.loadbalancer;
  const set = { loadbalancer: { vip_sg_ids: [GROUP] } };
  expect(await api.request('PUT', `/loadbalancers/${id}`, set, headers)).toMatchObject({ status: 400 });
  const pool = { loadbalancer_id: id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const made = await post('stranger', '/pools', { pool });
  const member = { address: '10.50.0.9', protocol_port: 80, subnet_id: HIDDEN_SUBNET };
  const path = `/pools/${made.body.pool.id}/members`;
  expect(await post('stranger', path, { member })).toMatchObject({ status: 400 });
  const batch = await api.request('PUT', path, { members: [member] }, headers);
  expect(batch).toMatchObject({ status: 400 });
  expect(await post('admin', path, { member })).toMatchObject({ status: 201 });
});
