/** A load balancer and its amphorae, replaced at an operator's word; and what a flavor and a zone mean to compute. */
import { expect, test } from 'vitest';
import { loadGraph } from '../../src/db/graph.ts';
import { openDatabase } from '../../src/db/open.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { instanceName } from '../../src/model/amphora.ts';
import { outsideOf, SteppedClock, SystemProcess, servedWorld, unsettledRows } from './world.ts';

const SUBNET = '10000000-0000-4000-8000-000000000000';
const MANAGEMENT = '00000000-0000-4000-8000-0000000000bb';

async function openWorld() {
  const db = await openDatabase('sqlite://');
  const cloud = new NoopCloud();
  const system = new SystemProcess(outsideOf(db, cloud), new SteppedClock(), 'worker');
  const create = async (path: string, body: object) => {
    const answer = await system.request('POST', path, body);
    expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 201 });
    return Object.values(answer.body)[0] as { id: string };
  };
  const close = async () => {
    await system.close();
    await db.destroy();
  };
  return { db, cloud, system, create, [Symbol.asyncDispose]: close };
}
type World = Awaited<ReturnType<typeof openWorld>>;

/** A load balancer with a listener, with an ACTIVE_STANDBY flavor and a zone. */
async function givenPair({ system, create }: World): Promise<string> {
  const profile = await create('/flavorprofiles', {
    flavorprofile: {
      ...{ name: 'p', provider_name: 'amphora' },
      flavor_data: '{"loadbalancer_topology": "ACTIVE_STANDBY", "compute_flavor": "large"}',
    },
  });
  const flavor = await create('/flavors', { flavor: { name: 'f', flavor_profile_id: profile.id } });
  const zoneProfile = await create('/availabilityzoneprofiles', {
    availability_zone_profile: {
      ...{ name: 'p', provider_name: 'amphora' },
      availability_zone_data: JSON.stringify({ compute_zone: 'left', management_network: MANAGEMENT }),
    },
  });
  await create('/availabilityzones', {
    availability_zone: { name: 'z', availability_zone_profile_id: zoneProfile.id },
  });
  const lb = await create('/loadbalancers', {
    loadbalancer: {
      ...{ name: 'lb', vip_subnet_id: SUBNET, project_id: 'p', flavor_id: flavor.id },
      availability_zone: 'z',
      listeners: [{ protocol: 'HTTP', protocol_port: 80 }],
    },
  });
  await system.drain();
  return lb.id;
}

test('a failover replaces both amphorae of a pair, and heals what was in ERROR', async () => {
  await using world = await openWorld();
  const id = await givenPair(world);
  const before = (await loadGraph(world.db, id))!;
  const served = await servedWorld(world.db, world.cloud);
  await world.db.updateTable('listener').set({ provisioning_status: 'ERROR' }).execute();
  await world.db.updateTable('load_balancer').set({ provisioning_status: 'ERROR' }).execute();
  expect((await world.system.request('PUT', `/loadbalancers/${id}/failover`)).status).toBe(202);
  const shown = (await world.system.request('GET', `/loadbalancers/${id}`)).body.loadbalancer;
  expect(shown.provisioning_status).toBe('PENDING_UPDATE');
  await world.system.drain();
  const after = (await loadGraph(world.db, id))!;
  expect(after.amphorae.map(each => each.role).sort()).toEqual(['BACKUP', 'MASTER']);
  for (const { id: old } of before.amphorae) expect(after.amphorae.map(each => each.id)).not.toContain(old);
  expect(await unsettledRows(world.db)).toEqual([]);
  expect(await servedWorld(world.db, world.cloud)).toEqual(served);
});

test('a failover of one amphora leaves the other', async () => {
  await using world = await openWorld();
  const id = await givenPair(world);
  const { amphorae } = (await world.system.request('GET', '/octavia/amphorae?sort=role')).body;
  const [backup, master] = amphorae;
  await world.system.request('PUT', `/octavia/amphorae/${master.id}/failover`);
  await world.system.drain();
  const after = (await loadGraph(world.db, id))!.amphorae;
  expect(after.find(each => each.role === 'BACKUP')!.id).toBe(backup.id);
  expect(after.find(each => each.role === 'MASTER')!.id).not.toBe(master.id);
  expect(await unsettledRows(world.db)).toEqual([]);
});

test('compute is asked for what flavor and zone say', async () => {
  await using world = await openWorld();
  const id = await givenPair(world);
  for (const amphora of (await loadGraph(world.db, id))!.amphorae) {
    expect(amphora).toMatchObject({ compute_flavor: 'large', cached_zone: 'left' });
    const instance = world.cloud.instances.get(instanceName(amphora.id));
    expect(instance).toMatchObject({ flavor: 'large', zone: 'left', networks: [MANAGEMENT] });
  }
});

test('an amphora is given its configuration again, and nothing else happens to it', async () => {
  await using world = await openWorld();
  const id = await givenPair(world);
  const [amphora] = (await loadGraph(world.db, id))!.amphorae;
  const { files } = world.cloud.instances.get(instanceName(amphora!.id))!;
  const path = '/etc/octavia/amphora-agent.conf';
  const text = files.get(path);
  files.set(path, 'forgotten');
  expect((await world.system.request('PUT', `/octavia/amphorae/${amphora!.id}/config`)).status).toBe(202);
  const shown = (await world.system.request('GET', `/loadbalancers/${id}`)).body.loadbalancer;
  expect(shown.provisioning_status).toBe('ACTIVE');
  await world.system.drain();
  expect(files.get(path)).toBe(text);
  expect(await unsettledRows(world.db)).toEqual([]);
});
