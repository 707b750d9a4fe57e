/** Amphorae as operators see them, and what they may ask for. */
import { expect, test } from 'vitest';
import { loadGraph } from '../../db/graph.ts';
import { encodeRow } from '../../db/rows.ts';
import type { Amphora } from '../../model/amphora.ts';
import { buildGraph } from '../../model/graph.fixture.ts';
import { did, givenWorld, type World } from '../testing-scenarios.ts';

async function givenAmphora(world: World, set: Partial<Amphora>): Promise<void> {
  const amphora = { ...buildGraph({ amphorae: [{}] }).amphorae[0]!, loadbalancer_id: world.ids.lb!, ...set };
  await world.db.insertInto('amphora').values(encodeRow('amphora', amphora)).execute();
}

const statusOf = async (world: World, id: string) =>
  (await world.db.selectFrom('amphora').select('status').where('id', '=', id).executeTakeFirst())?.status;
const lbOf = async (world: World) => (await loadGraph(world.db, world.ids.lb!))!.load_balancer;
const AMPHORAE = '/v2.0/octavia/amphorae';

test('all fields but our own are shown, and deleted ones are not', async () => {
  await using world = await givenWorld();
  await givenAmphora(world, { id: 'a', role: 'MASTER', created_at: '2026-01-01T00:00:00.000001' });
  await givenAmphora(world, { id: 'gone', status: 'DELETED' });
  await givenAmphora(world, { id: 'b', loadbalancer_id: world.ids.other!, role: 'BACKUP' });
  const { body } = await world.request('GET', `${AMPHORAE}/a`);
  expect(Object.keys(body.amphora).sort()).toEqual(
    [
      ...[
        'id',
        'loadbalancer_id',
        'haproxy_changes',
        'compute_id',
        'lb_network_ip',
        'vrrp_ip',
        'ha_ip',
        'vrrp_port_id',
      ],
      ...['ha_port_id', 'cert_expiration', 'cert_busy', 'role', 'status', 'vrrp_interface', 'vrrp_id'],
      ...['vrrp_priority', 'cached_zone', 'created_at', 'updated_at', 'image_id', 'compute_flavor'],
    ].sort(),
  );
  const listed = async (query: string) =>
    (await world.request('GET', `${AMPHORAE}${query}`)).body.amphorae.map((each: { id: string }) => each.id);
  expect(await listed('')).toEqual(['b', 'a']);
  expect(await listed('?role=MASTER&status=ALLOCATED')).toEqual(['a']);
  expect(await listed(`?loadbalancer_id=${world.ids.other}`)).toEqual(['b']);
  expect(await listed(`?project_id=${body.amphora.loadbalancer_id}`)).toEqual([]);
  expect(await listed(`?project_id=${(await lbOf(world)).project_id}`)).toEqual(['b', 'a']);
  expect((await world.request('GET', `${AMPHORAE}?limit=1`)).body.amphorae_links).toHaveLength(1);
  expect((await world.request('GET', `${AMPHORAE}/gone`)).status).toBe(404);
  expect((await world.request('GET', `${AMPHORAE}?name=x`)).status).toBe(400);
});

test('statistics by listener, of this amphora alone', async () => {
  await using world = await givenWorld();
  await givenAmphora(world, { id: 'a' });
  expect((await world.request('GET', `${AMPHORAE}/a/stats`)).status).toBe(404);
  const counters = {
    ...{ bytes_in: 1, bytes_out: 2, active_connections: 3, total_connections: 4, request_errors: 5 },
    listener_id: world.ids.listener!,
  };
  await world.db
    .insertInto('listener_statistics')
    .values([
      { ...counters, amphora_id: 'a' },
      { ...counters, amphora_id: 'other' },
    ])
    .execute();
  expect((await world.request('GET', `${AMPHORAE}/a/stats`)).body).toEqual({
    amphora_stats: [{ ...counters, id: 'a', loadbalancer_id: world.ids.lb }],
  });
});

test('failover marks what is in service, in the same write as everything else', async () => {
  await using world = await givenWorld();
  await givenAmphora(world, { id: 'a' });
  await givenAmphora(world, { id: 'b', status: 'FAILOVER_STOPPED' });
  await givenAmphora(world, { id: 'new', status: 'BOOTING' });
  expect(await world.request('PUT', `${AMPHORAE}/a/failover`)).toMatchObject({ status: 202, body: '' });
  expect(await statusOf(world, 'a')).toBe('PENDING_DELETE');
  expect(await statusOf(world, 'b')).toBe('FAILOVER_STOPPED');
  expect(await lbOf(world)).toMatchObject({ provisioning_status: 'PENDING_UPDATE' });
  expect(world.nudges).toEqual([world.ids.lb]);
  await world.settle();
  const failover = `/loadbalancers/${world.ids.lb}/failover`;
  expect(await world.request('PUT', failover)).toMatchObject({ status: 202, body: '' });
  expect(await statusOf(world, 'b')).toBe('PENDING_DELETE');
  expect(await statusOf(world, 'new')).toBe('BOOTING');
  expect((await world.request('PUT', '/loadbalancers/nope/failover')).status).toBe(404);
  expect((await world.request('PUT', `${AMPHORAE}/nope/failover`)).status).toBe(404);
  await did('DELETE', '/loadbalancers/$lb?cascade=true')(world);
  expect((await world.request('PUT', failover)).status).toBe(409);
});

test('with strict immutability only an ACTIVE load balancer is failed over, and as a whole one in ERROR too', async () => {
  await using world = await givenWorld({ strict_immutability: true });
  await givenAmphora(world, { id: 'a' });
  const setStatus = (provisioning_status: 'ERROR' | 'PENDING_UPDATE') =>
    world.db.updateTable('load_balancer').set({ provisioning_status }).execute();
  const failover = `/loadbalancers/${world.ids.lb}/failover`;
  await setStatus('PENDING_UPDATE');
  expect((await world.request('PUT', failover)).status).toBe(409);
  await setStatus('ERROR');
  expect((await world.request('PUT', `${AMPHORAE}/a/failover`)).status).toBe(409);
  expect((await world.request('PUT', failover)).status).toBe(202);
});

test('only an amphora in ERROR can be deleted', async () => {
  await using world = await givenWorld();
  await givenAmphora(world, { id: 'a' });
  expect((await world.request('DELETE', `${AMPHORAE}/a`)).status).toBe(409);
  await world.db.updateTable('amphora').set({ status: 'ERROR' }).execute();
  expect((await world.request('DELETE', `${AMPHORAE}/a`)).status).toBe(204);
  expect(await statusOf(world, 'a')).toBe('PENDING_DELETE');
  expect(world.nudges).toEqual([world.ids.lb]);
  expect((await world.request('DELETE', `${AMPHORAE}/nope`)).status).toBe(404);
});

test('configure owes work and changes no status', async () => {
  await using world = await givenWorld();
  await givenAmphora(world, { id: 'a' });
  expect(await world.request('PUT', `${AMPHORAE}/a/config`)).toMatchObject({ status: 202, body: '' });
  const graph = (await loadGraph(world.db, world.ids.lb!))!;
  const lb = graph.load_balancer;
  expect(lb).toMatchObject({ provisioning_status: 'ACTIVE', generation: lb.settled_generation + 1 });
  expect(graph.amphorae).toMatchObject([{ status: 'ALLOCATED', config_due: true }]);
  expect(world.nudges).toEqual([world.ids.lb]);
});

test('an amphora that serves nothing has nothing to fail over', async () => {
  await using world = await givenWorld();
  await givenAmphora(world, { id: 'a', loadbalancer_id: null, status: 'READY' });
  expect((await world.request('PUT', `${AMPHORAE}/a/failover`)).status).toBe(400);
  expect((await world.request('PUT', `${AMPHORAE}/a/config`)).status).toBe(400);
});
