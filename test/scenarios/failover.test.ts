/** A load balancer and its amphorae, replaced at an operator's word; and what a flavor and a zone mean to compute. */
import { expect, test } from 'vitest';
import { changeLoadBalancer } from '../../src/db/change.ts';
import { loadGraph } from '../../src/db/graph.ts';
import { openDatabase } from '../../src/db/open.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { instanceName } from '../../src/model/amphora.ts';
import type { Topology } from '../../src/model/load-balancer.ts';
import { servedWorld } from './picture.ts';
import { freshBuild, outsideOf, SteppedClock, SystemProcess, unsettledRows } from './world.ts';

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

/** What the keepalived of each amphora was given, by role, with addresses told apart. */
async function givenVrrp({ db, cloud }: World, id: string) {
  const { amphorae } = (await loadGraph(db, id))!;
  return amphorae.map(each => {
    const conf = cloud.instances.get(instanceName(each.id))!.agent.keepalivedConf!;
    const peers = /unicast_peer \{\n([^}]*)\}/.exec(conf)![1]!.trim().split(/\s+/);
    return {
      ...{ id: each.id, role: each.role, address: each.vrrp_ip!, peers },
      own: /unicast_src_ip (\S+)/.exec(conf)![1],
      password: /auth_pass (\S+)/.exec(conf)![1],
      priority: /^ +priority (\d+)$/m.exec(conf)![1],
    };
  });
}

test('both halves of a pair know each other and nobody else, whoever was replaced', async () => {
  await using world = await openWorld();
  const id = await givenPair(world);
  const expectPair = async () => {
    const given = await givenVrrp(world, id);
    expect(given.map(each => `${each.role} ${each.priority}`).sort()).toEqual(['BACKUP 90', 'MASTER 100']);
    expect(given.map(each => each.own)).toEqual(given.map(each => each.address));
    expect(given.map(each => each.peers)).toEqual(given.toReversed().map(each => [each.address]));
    return new Set(given.map(each => each.password));
  };
  const passwords = await expectPair();
  expect(passwords.size).toBe(1);
  for (const role of ['MASTER', 'BACKUP']) {
    const one = (await givenVrrp(world, id)).find(each => each.role === role)!;
    await world.system.request('PUT', `/octavia/amphorae/${one.id}/failover`);
    await world.system.drain();
    expect(await expectPair()).toEqual(passwords);
    const fresh = (await givenVrrp(world, id)).find(each => each.role === role)!;
    const stays = (await givenVrrp(world, id)).find(each => each.role !== role)!;
    expect(world.cloud.instances.get(instanceName(fresh.id))!.apart_from).toEqual([instanceName(stays.id)]);
  }
  await world.system.request('PUT', `/loadbalancers/${id}/failover`);
  await world.system.drain();
  expect(await expectPair()).toEqual(passwords);
});

test.each([
  ['while its agent answers', () => {}],
  ['with its instance', (world: World, id: string) => void world.cloud.instances.delete(instanceName(id))],
])('a half that failed %s is replaced without the other being touched but for its peer', async (_, fail) => {
  await using world = await openWorld();
  const id = await givenPair(world);
  const [master, backup] = (await givenVrrp(world, id)).toSorted((a, b) => (a.role! > b.role! ? -1 : 1));
  fail(world, master!.id);
  await changeLoadBalancer(world.db, id, { nowMs: 0 }, async ({ trx }) => {
    await trx.updateTable('amphora').set({ status: 'ERROR' }).where('id', '=', master!.id).execute();
  });
  await world.system.drain();
  const after = await givenVrrp(world, id);
  expect(after.map(each => each.id)).not.toContain(master!.id);
  expect(after.find(each => each.role === 'BACKUP')!.id).toBe(backup!.id);
  expect(after.flatMap(each => each.peers).sort()).toEqual(after.map(each => each.address).sort());
});

test('a single one becomes a pair and the pair a single one, at the same address', async () => {
  await using world = await openWorld();
  const { db, system, create } = world;
  const lb = await create('/loadbalancers', {
    loadbalancer: {
      ...{ name: 'lb', vip_subnet_id: SUBNET, project_id: 'p' },
      listeners: [{ protocol: 'HTTP', protocol_port: 80 }],
    },
  });
  await system.drain();
  const single = await servedWorld(db, world.cloud);
  const become = async (topology: Topology) => {
    const options = { nowMs: 0 };
    await changeLoadBalancer(db, lb.id, options, async ({ trx }) => {
      await trx.updateTable('load_balancer').set({ topology }).execute();
    });
    await system.drain();
    expect(await unsettledRows(db)).toEqual([]);
  };
  await become('ACTIVE_STANDBY');
  const given = await givenVrrp(world, lb.id);
  expect(given.map(each => each.role).sort()).toEqual(['BACKUP', 'MASTER']);
  expect(given.map(each => each.peers)).toEqual(given.toReversed().map(each => [each.address]));
  expect(await servedWorld(db, world.cloud)).toEqual(await freshBuild(db));
  await become('SINGLE');
  expect(await servedWorld(db, world.cloud)).toEqual(single);
  expect(world.cloud.instances.size).toBe(1);
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
