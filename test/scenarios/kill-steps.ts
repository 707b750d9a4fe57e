/** What the processes that die are at: requests of users and of operators, looks of housekeeping, and the worker after each. */
import { expect } from 'vitest';
import { markDoubted } from '../../src/db/doubts.ts';
import { loadGraph } from '../../src/db/graph.ts';
import { instanceName, vrrpPortName } from '../../src/model/amphora.ts';
import { vipPortName } from '../../src/model/load-balancer.ts';
import type { Actor } from './kill-at-every-step.ts';
import { outsideOf, type SystemProcess } from './world.ts';

const SUBNET = '10000000-0000-4000-8000-000000000000';
const MEMBER_SUBNET = '20000000-0000-4000-8000-000000000000';
/** In the VIP's network; the network in memory knows that from the last digit. */
const NEIGHBOUR_SUBNET = '30000000-0000-4000-8000-000000000000';
const NETWORK = '30000000-0000-4000-8000-000000000001';

export async function createTree({ system }: Actor): Promise<void> {
  const lb = await system.request('POST', '/loadbalancers', {
    loadbalancer: { name: 'lb', vip_network_id: NETWORK, vip_subnet_id: SUBNET, project_id: 'p' },
  });
  await system.drain();
  const { id } = lb.body.loadbalancer;
  const listener = await system.request('POST', '/listeners', {
    listener: {
      ...{ name: 'l', loadbalancer_id: id, protocol: 'HTTP', protocol_port: 80 },
      allowed_cidrs: ['192.0.2.0/24'],
    },
  });
  const pool = await system.request('POST', '/pools', {
    pool: {
      name: 'p',
      listener_id: listener.body.listener.id,
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
    },
  });
  await system.drain();
  const { id: poolId } = pool.body.pool;
  await system.request('POST', `/pools/${poolId}/members`, {
    member: { name: 'm1', address: '192.0.2.10', protocol_port: 80, subnet_id: MEMBER_SUBNET },
  });
  await system.request('POST', `/pools/${poolId}/members`, {
    member: { name: 'm2', address: '192.0.2.11', protocol_port: 80, subnet_id: NEIGHBOUR_SUBNET },
  });
  await system.request('POST', '/healthmonitors', {
    healthmonitor: { name: 'h', pool_id: poolId, type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 },
  });
  const addPolicy = (set: object) =>
    system.request('POST', '/l7policies', { l7policy: { listener_id: listener.body.listener.id, ...set } });
  await addPolicy({ name: 'a', action: 'REJECT' });
  const policy = await addPolicy({
    ...{ name: 'b', action: 'REDIRECT_TO_POOL', redirect_pool_id: poolId, position: 1 },
  });
  await system.request('POST', `/l7policies/${policy.body.l7policy.id}/rules`, {
    rule: { type: 'PATH', compare_type: 'STARTS_WITH', value: '/b' },
  });
  await system.drain();
}

const idOf = async (system: SystemProcess, path: string, name: string): Promise<string> => {
  const { body } = await system.request('GET', `${path}?name=${name}`);
  return (Object.values(body)[0] as { id: string }[])[0]!.id;
};

export async function updateTree({ system }: Actor): Promise<void> {
  const pool = await idOf(system, '/pools', 'p');
  await system.request('PUT', `/pools/${pool}/members`, {
    members: [
      { name: 'm2', address: '192.0.2.11', protocol_port: 80, weight: 7 },
      { name: 'm3', address: '192.0.2.12', protocol_port: 80 },
    ],
  });
  await system.drain();
  const monitor = await idOf(system, '/healthmonitors', 'h');
  await system.request('DELETE', `/healthmonitors/${monitor}`);
  await system.request('DELETE', `/l7policies/${await idOf(system, '/l7policies', 'b')}`);
  await system.request('PUT', `/pools/${pool}`, { pool: { lb_algorithm: 'LEAST_CONNECTIONS' } });
  await system.drain();
}

export async function createTls({ system }: Actor): Promise<void> {
  const tls = { protocol: 'TERMINATED_HTTPS', protocol_port: 443 };
  const listener = { name: 'tls', ...tls, default_tls_container_ref: 'http://secrets/1' };
  await system.request('POST', '/loadbalancers', {
    loadbalancer: { name: 'lb', vip_subnet_id: SUBNET, project_id: 'p', listeners: [listener] },
  });
  await system.drain();
}

export async function changeCertificates({ system }: Actor): Promise<void> {
  await system.request('PUT', `/listeners/${await idOf(system, '/listeners', 'tls')}`, {
    listener: { default_tls_container_ref: 'http://secrets/2' },
  });
  await system.drain();
}

export async function failOver({ system }: Actor): Promise<void> {
  const lb = await idOf(system, '/loadbalancers', 'lb');
  await system.request('PUT', `/loadbalancers/${lb}/failover`);
  await system.drain();
  const [amphora] = (await system.request('GET', '/octavia/amphorae')).body.amphorae;
  await system.request('PUT', `/octavia/amphorae/${amphora.id}/config`);
  await system.drain();
}

export async function createFlavor(system: SystemProcess, name: string, data: object): Promise<string> {
  const flavorprofile = { name, provider_name: 'amphora', flavor_data: JSON.stringify(data) };
  const { body } = await system.request('POST', '/flavorprofiles', { flavorprofile });
  const flavor = { name, flavor_profile_id: body.flavorprofile.id };
  return (await system.request('POST', '/flavors', { flavor })).body.flavor.id;
}

export async function createPair({ system }: Actor): Promise<void> {
  const flavor_id = await createFlavor(system, 'pair', { loadbalancer_topology: 'ACTIVE_STANDBY' });
  const listener = { name: 'l', protocol: 'HTTP', protocol_port: 80 };
  const placed = { vip_subnet_id: SUBNET, project_id: 'p', flavor_id };
  await system.request('POST', '/loadbalancers', {
    loadbalancer: { name: 'lb', ...placed, listeners: [listener] },
  });
  await system.drain();
}

export async function failOverHalf({ system }: Actor): Promise<void> {
  const [, master] = (await system.request('GET', '/octavia/amphorae?sort=role')).body.amphorae;
  await system.request('PUT', `/octavia/amphorae/${master.id}/failover`);
  await system.drain();
}

/** Doubts the first amphora, as a health manager does. */
export async function doubtFirst({ system, db, clock }: Actor): Promise<void> {
  const [amphora] = (await system.request('GET', '/octavia/amphorae?sort=role:desc')).body.amphorae;
  await markDoubted(db, amphora.id, { nowMs: clock.now(), askedBeforeMs: clock.now() });
}

/** Its instance is lost, which nobody knows yet. */
export async function loseFirst({ system, cloud }: Actor): Promise<void> {
  const [amphora] = (await system.request('GET', '/octavia/amphorae?sort=role:desc')).body.amphorae;
  expect(cloud.instances.delete(instanceName(amphora.id))).toBe(true);
}

export async function createWithSpare(actor: Actor): Promise<void> {
  const { system } = actor;
  await system.housekeeping({ spares: 2 }).keepSpares();
  await system.drain();
  await createTls(actor);
  await system.housekeeping({ spares: 1 }).keepSpares();
  await system.reconcileUnowned();
}

/** A load balancer takes the only spare, and the next look of housekeeping has another one built. */
export async function takeAndReplenish(actor: Actor): Promise<void> {
  const { system } = actor;
  await system.request('PUT', `/loadbalancers/${await idOf(system, '/loadbalancers', 'lb')}/failover`);
  await system.drain();
  await system.housekeeping({ spares: 1 }).keepSpares();
  await system.drain();
}

export async function renewCertificates({ system }: Actor): Promise<void> {
  const farAhead = 2 * 365 * 86_400_000;
  await system.housekeeping({ spares: 1, certificateBufferMs: farAhead }).renewCertificates();
  await system.drain();
}

/** A load balancer that was deleted, and things with its names, as a crash of other programs may leave them. */
export async function leaveGarbage(actor: Actor): Promise<void> {
  await createTree(actor);
  const { system, db, cloud } = actor;
  const id = await idOf(system, '/loadbalancers', 'lb');
  const [amphora] = (await loadGraph(db, id))!.amphorae;
  await system.request('DELETE', `/loadbalancers/${id}?cascade=true`);
  await system.drain();
  await createPair(actor);
  const { compute, network } = outsideOf(db, cloud);
  await compute.ensureInstance({ name: instanceName(amphora!.id), networks: [], files: [] });
  for (const name of [vrrpPortName(amphora!.id), vipPortName(id)])
    await network.ensurePort({ name, network_id: NETWORK, project_id: null, fixed_ips: [] });
}

export async function collectGarbage({ system }: Actor): Promise<void> {
  await system.housekeeping({}).keepSpares();
  await system.reconcileUnowned();
}

/** From no flavor to any that is named, and back to none with null. */
async function takeFlavor(system: SystemProcess, flavor_id: string | null): Promise<void> {
  const path = `/loadbalancers/${await idOf(system, '/loadbalancers', 'lb')}`;
  expect(await system.request('PUT', path, { loadbalancer: { flavor_id } })).toMatchObject({ status: 200 });
  await system.drain();
}

/** A load balancer, and the flavors that `become` asks for. */
export async function createWithFlavors(actor: Actor): Promise<void> {
  await createTree(actor);
  for (const [name, data] of Object.entries(FLAVORS)) await createFlavor(actor.system, name, data);
}

const FLAVORS = {
  pair: { loadbalancer_topology: 'ACTIVE_STANDBY' },
  large: { compute_flavor: 'large' },
  'large pair': { loadbalancer_topology: 'ACTIVE_STANDBY', compute_flavor: 'large' },
};

export const become =
  (name: keyof typeof FLAVORS | null) =>
  async ({ system }: Actor): Promise<void> =>
    takeFlavor(system, name && (await idOf(system, '/flavors', encodeURIComponent(name))));
