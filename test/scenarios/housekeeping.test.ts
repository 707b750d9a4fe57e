/** What housekeeping marks and the worker does about it: spares, certificates, leftovers, and rows whose time is over. */
import { expect, test } from 'vitest';
import { newAmphora } from '../../src/db/amphorae.ts';
import { openDatabase } from '../../src/db/open.ts';
import { encodeRow } from '../../src/db/rows.ts';
import { listSpares } from '../../src/db/spares.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { timestamp } from '../../src/lib/clock.ts';
import { instanceName, vrrpPortName } from '../../src/model/amphora.ts';
import { vipPortName } from '../../src/model/load-balancer.ts';
import type { GarbageSettings } from '../../src/providers/amphora/parts.ts';
import { servedWorld } from './picture.ts';
import { outsideOf, SteppedClock, SystemProcess, unsettledRows } from './world.ts';

const SUBNET = '10000000-0000-4000-8000-000000000000';
const DAY_MS = 86_400_000;

async function openWorld(garbage?: GarbageSettings) {
  const db = await openDatabase('sqlite://');
  const cloud = new NoopCloud();
  const clock = new SteppedClock();
  const outside = outsideOf(db, cloud);
  const system = new SystemProcess(outside, clock, 'worker', garbage);
  const createLoadBalancer = async (set: object = {}): Promise<string> => {
    const loadbalancer = { name: 'lb', vip_subnet_id: SUBNET, project_id: 'p', ...set };
    const answer = await system.request('POST', '/loadbalancers', { loadbalancer });
    expect(answer).toMatchObject({ status: 201 });
    await system.drain();
    return answer.body.loadbalancer.id;
  };
  const keepSpares = async (spares: number) => {
    await system.housekeeping({ spares }).keepSpares();
    await system.drain();
  };
  const amphoraeOf = async (id: string) =>
    (await system.request('GET', `/octavia/amphorae?loadbalancer_id=${id}`)).body.amphorae as {
      id: string;
      status: string;
      role: string;
      cert_expiration: string;
    }[];
  const close = async () => {
    await system.close();
    await db.destroy();
  };
  return {
    ...{ db, cloud, clock, outside, system, createLoadBalancer, keepSpares, amphoraeOf },
    [Symbol.asyncDispose]: close,
  };
}

test('so many spares are kept, whatever that number becomes', async () => {
  await using world = await openWorld();
  for (const size of [2, 3, 1, 0]) {
    await world.keepSpares(size);
    const spares = await listSpares(world.db);
    expect(spares.map(spare => spare.status)).toEqual(Array.from({ length: size }, () => 'READY'));
    expect([...world.cloud.instances.keys()]).toEqual(spares.map(spare => instanceName(spare.id)));
  }
});

test('a load balancer takes a spare, is served by it, and the next look fills the gap', async () => {
  await using world = await openWorld();
  await world.keepSpares(1);
  const [spare] = await listSpares(world.db);
  const { files } = world.cloud.instances.get(instanceName(spare!.id))!;
  files.set('/etc/octavia/amphora-agent.conf', 'as the settings were then');
  const id = await world.createLoadBalancer();
  expect(await world.amphoraeOf(id)).toMatchObject([
    { id: spare!.id, status: 'ALLOCATED', role: 'STANDALONE' },
  ]);
  expect(files.get('/etc/octavia/amphora-agent.conf')).toBe(`amphora_id = ${spare!.id}, SINGLE`);
  expect(await listSpares(world.db)).toEqual([]);
  await world.keepSpares(1);
  expect(await listSpares(world.db)).toHaveLength(1);
  expect(await unsettledRows(world.db)).toEqual([]);
  await servedWorld(world.db, world.cloud);
});

test('two load balancers at once take two spares', async () => {
  await using world = await openWorld();
  await world.keepSpares(2);
  const spares = (await listSpares(world.db)).map(spare => spare.id);
  const request = { loadbalancer: { vip_subnet_id: SUBNET, project_id: 'p' } };
  for (let i = 0; i < 2; i++) await world.system.request('POST', '/loadbalancers', request);
  await world.system.passOverAll();
  const taken = (await world.system.request('GET', '/octavia/amphorae')).body.amphorae;
  expect(taken.map((a: { id: string }) => a.id).sort()).toEqual(spares.sort());
  expect(new Set(taken.map((a: { loadbalancer_id: string }) => a.loadbalancer_id)).size).toBe(2);
  await world.system.drain();
});

test('a replacement is a spare as well', async () => {
  await using world = await openWorld();
  const id = await world.createLoadBalancer();
  await world.keepSpares(1);
  const [spare] = await listSpares(world.db);
  await world.system.request('PUT', `/loadbalancers/${id}/failover`);
  await world.system.drain();
  const [serving] = (await world.amphoraeOf(id)).filter(a => a.status === 'ALLOCATED');
  expect(serving!.id).toBe(spare!.id);
});

test('what asks for another instance or for two of them gets no spare', async () => {
  await using world = await openWorld();
  await world.keepSpares(2);
  const create = async (path: string, body: object) =>
    Object.values((await world.system.request('POST', path, body)).body)[0] as { id: string };
  for (const data of [{ compute_flavor: 'large' }, { loadbalancer_topology: 'ACTIVE_STANDBY' }]) {
    const name = Object.keys(data)[0];
    const flavorprofile = { name, provider_name: 'amphora', flavor_data: JSON.stringify(data) };
    const profile = await create('/flavorprofiles', { flavorprofile });
    const flavor = await create('/flavors', { flavor: { name, flavor_profile_id: profile.id } });
    await world.createLoadBalancer({ flavor_id: flavor.id });
  }
  expect(await listSpares(world.db)).toHaveLength(2);
});

test('a spare whose instance is lost is replaced', async () => {
  await using world = await openWorld();
  await world.keepSpares(1);
  const [lost] = await listSpares(world.db);
  world.cloud.instances.clear();
  await world.system.reconcileUnowned();
  await world.keepSpares(1);
  const spares = await listSpares(world.db);
  expect(spares).toMatchObject([{ status: 'READY' }]);
  expect(spares[0]!.id).not.toBe(lost!.id);
});

test('a certificate is renewed ahead of its end, once, and one that has ended costs its amphora the place', async () => {
  await using world = await openWorld();
  const issue = world.outside.authority.issueAgentCertificate;
  let issued = 0;
  world.outside.authority.issueAgentCertificate = async id => ({
    ...(await issue(id)),
    expires_at: timestamp(world.clock.now() + ++issued * 30 * DAY_MS),
  });
  const id = await world.createLoadBalancer();
  const [amphora] = await world.amphoraeOf(id);
  const housekeeping = world.system.housekeeping({ certificateBufferMs: 14 * DAY_MS });
  await housekeeping.renewCertificates();
  await world.system.drain();
  expect(issued).toBe(1);

  world.clock.step(17 * DAY_MS);
  world.cloud.instances.get(instanceName(amphora!.id))!.files.set('/etc/octavia/certs/server.pem', 'old');
  await housekeeping.renewCertificates();
  await housekeeping.renewCertificates();
  expect(
    (await world.system.request('GET', `/loadbalancers/${id}`)).body.loadbalancer.provisioning_status,
  ).toBe('ACTIVE');
  await world.system.drain();
  expect(issued).toBe(2);
  const [renewed] = await world.amphoraeOf(id);
  expect(renewed).toMatchObject({ id: amphora!.id, cert_busy: false, status: 'ALLOCATED' });
  expect(renewed!.cert_expiration > amphora!.cert_expiration).toBe(true);
  expect(
    world.cloud.instances.get(instanceName(amphora!.id))!.files.get('/etc/octavia/certs/server.pem'),
  ).toBe(`certificate of ${amphora!.id}`);
  expect(await unsettledRows(world.db)).toEqual([]);

  world.clock.step(61 * DAY_MS);
  await housekeeping.renewCertificates();
  await world.system.drain();
  expect(world.cloud.instances.has(instanceName(amphora!.id))).toBe(false);
  expect(await unsettledRows(world.db)).toEqual([]);
});

test('what is left of what was deleted is removed, and nothing else', async () => {
  await using world = await openWorld();
  const deleted = await world.createLoadBalancer();
  const [amphora] = await world.amphoraeOf(deleted);
  await world.system.request('DELETE', `/loadbalancers/${deleted}`);
  await world.createLoadBalancer();
  await world.keepSpares(1);
  const { compute, network } = world.outside;
  const ensurePort = (name: string) =>
    network.ensurePort({ name, network_id: SUBNET, project_id: null, fixed_ips: [] });
  // Of another controller or another database, and of who knows whom.
  const stranger = '99999999-0000-4000-8000-000000000000';
  await compute.ensureInstance({ name: instanceName(stranger), networks: [], files: [] });
  await ensurePort(vrrpPortName(stranger));
  await ensurePort('of somebody else');
  const before = world.cloud.snapshot();
  await compute.ensureInstance({ name: instanceName(amphora!.id), networks: [], files: [] });
  await ensurePort(vrrpPortName(amphora!.id));
  await ensurePort(vipPortName(deleted));
  await world.system.reconcileUnowned();
  expect(world.cloud.snapshot()).toEqual(before);
});

test('what is left over is given time, and stays when it is only to be reported', async () => {
  const id = '99999999-0000-4000-8000-000000000000';
  const graceMs = 600_000;
  for (const mode of ['remove', 'report', 'off'] as const) {
    await using world = await openWorld({ mode, intervalMs: 1000, graceMs });
    await world.db
      .insertInto('amphora')
      .values(
        encodeRow('amphora', {
          ...newAmphora({ loadbalancer_id: null, role: null }, 0),
          id,
          status: 'DELETED',
        }),
      )
      .execute();
    await world.outside.compute.ensureInstance({ name: instanceName(id), networks: [], files: [] });
    await world.keepSpares(0);
    await world.system.reconcileUnowned();
    world.clock.step(graceMs - 1);
    await world.system.reconcileUnowned();
    expect(world.cloud.instances.size).toBe(1);
    world.clock.step(1001);
    await world.system.reconcileUnowned();
    expect(world.cloud.instances.size, mode).toBe(mode === 'remove' ? 0 : 1);
  }
});

test('rows of what was deleted go when their time is over, not before', async () => {
  await using world = await openWorld();
  const id = await world.createLoadBalancer();
  const other = await world.createLoadBalancer();
  await world.system.request('DELETE', `/loadbalancers/${id}`);
  await world.system.drain();
  const count = async () => ({
    load_balancers: (await world.db.selectFrom('load_balancer').select('id').execute()).map(row => row.id),
    amphorae: (await world.db.selectFrom('amphora').select('id').execute()).length,
    passes: (await world.db.selectFrom('pass').select('id').where('loadbalancer_id', '=', id).execute())
      .length,
  });
  const before = await count();
  expect(before).toMatchObject({ amphorae: 2 });
  const housekeeping = world.system.housekeeping({});
  await housekeeping.purge();
  expect(await count()).toEqual(before);
  world.clock.step(8 * DAY_MS);
  await housekeeping.purge();
  expect(await count()).toEqual({ load_balancers: [other], amphorae: 1, passes: 0 });
});
