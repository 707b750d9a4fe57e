/** From the first load balancer to the last: nothing accepted is lost when the program dies, and nothing deleted stays. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHILD_TABLES } from '../../src/db/children.ts';
import { listAmphorae, processesOf, stillThere } from './amphora-processes.ts';
import { ask, Load, tally } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';
import { createWebLoadBalancer, openMembers, type WebLoadBalancer } from './web-load-balancer.ts';

const MONITOR = {
  ...{ name: 'monitor', type: 'HTTP', url_path: '/health' },
  ...{ delay: 1, timeout: 1, max_retries: 1, max_retries_down: 1 },
};

describe.skipIf(trafficObstacle)(titled('the life of a system'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemProcess;
  let members: MemberHost;
  let empty: ReturnType<SystemProcess['hostState']>;
  let emptyRows: Record<string, number>;

  beforeAll(async () => {
    system = made.use(await SystemProcess.open());
    members = made.use(await MemberHost.open([system.subnet], [handPicked(system.subnet, 0)]));
    await openMembers(members);
    empty = system.hostState();
    emptyRows = system.countRows();
  });
  afterAll(() => made.disposeAsync());

  /** Deletes it with all below it and waits until the host is as it was without it. */
  const deleteAndLook = async ({ lb }: WebLoadBalancer) => {
    const [amphora] = listAmphorae(system.dataDir);
    const processes = processesOf(system.dataDir, amphora!);
    expect(processes.some(({ command }) => command.includes('haproxy'))).toBe(true);
    await system.api.remove(`loadbalancers/${lb.id}?cascade=true`);
    await system.api.gone(lb.id);
    expect(system.hostState()).toEqual(empty);
    expect(stillThere(processes)).toEqual([]);
    expect(listAmphorae(system.dataDir)).toEqual([]);
  };
  const restarted = async (signal: 'SIGTERM' | 'SIGKILL') => {
    await system.end(signal);
    await system.start();
  };

  test('a load balancer that is deleted with all below it leaves nothing on the host and no row of its own', async () => {
    const web = await createWebLoadBalancer(system, members);
    await system.api.create('healthmonitors', { ...MONITOR, pool_id: web.pool.id });
    await system.api.active(web.lb.id);
    await system.api.shows(web.lb.id, { a: 'ONLINE' });
    expect(await tally(web.url, 5)).toEqual({ a: 5 });
    await deleteAndLook(web);
    const { load_balancer, amphora, pass, token, ...rest } = system.countRows();
    const { token: _, ...before } = emptyRows;
    expect(rest).toEqual(before);
    // What a user may still ask about, until it is old: that it was, and what was done. Source: contract statuses.md 1, 9.
    expect({ load_balancer, amphora }).toEqual({ load_balancer: 1, amphora: 1 });
    expect(system.query('select distinct provisioning_status as s from load_balancer')).toEqual([
      { s: 'DELETED' },
    ]);
    expect(system.query('select distinct status as s from amphora')).toEqual([{ s: 'DELETED' }]);
  });

  test('children that are deleted one by one leave no row', async () => {
    const { api } = system;
    const web = await createWebLoadBalancer(system, members);
    const monitor = await api.create('healthmonitors', { ...MONITOR, pool_id: web.pool.id });
    const member = await web.addMember('b');
    await api.active(web.lb.id);
    for (const path of [
      `pools/${web.pool.id}/members/${member.id}`,
      `healthmonitors/${monitor.id}`,
      `pools/${web.pool.id}`,
      `listeners/${web.listener.id}`,
    ]) {
      await api.remove(path);
    }
    await api.active(web.lb.id);
    await expect(ask(`${web.url}/r/0`)).rejects.toThrow('ECONNREFUSED');
    for (const table of [...CHILD_TABLES, 'listener_statistics']) {
      expect({ table, rows: system.query(`select * from ${table}`) }).toEqual({ table, rows: [] });
    }
    await api.remove(`loadbalancers/${web.lb.id}`);
    await api.gone(web.lb.id);
    expect(system.hostState()).toEqual(empty);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'what was accepted right before %s is done after the next start, and no request fails meanwhile',
    async signal => {
      const { api } = system;
      const web = await createWebLoadBalancer(system, members);
      await api.active(web.lb.id);
      expect(await tally(web.url, 3)).toEqual({ a: 3 });
      const loads = [true, false].map(keepAlive => new Load(web.url, { keepAlive }));
      const download = ask(`${web.url}/stream/100/40`, { limitMs: 60_000 });
      try {
        await web.addMember('b');
        await system.end(signal);
        const soFar = loads.map(load => load.total);
        await until('traffic without a controller', () =>
          loads.every((load, i) => load.total > soFar[i]! + 20),
        );
        await system.start();
        await until('the new member to serve', () => loads.every(load => load.countOf('b') > 0));
        await api.active(web.lb.id);
      } finally {
        await Promise.all(loads.map(load => load.stop()));
      }
      expect(loads.flatMap(load => load.failures)).toEqual([]);
      expect((await download).body).toHaveLength(100_000);
      await deleteAndLook(web);
    },
  );

  test('a load balancer and a deletion that were accepted right before SIGKILL are built and carried out', async () => {
    const { api } = system;
    const web = await createWebLoadBalancer(system, members);
    await restarted('SIGKILL');
    await api.active(web.lb.id);
    expect(await tally(web.url, 5)).toEqual({ a: 5 });
    await api.remove(`loadbalancers/${web.lb.id}?cascade=true`);
    await restarted('SIGKILL');
    await api.gone(web.lb.id);
    expect(system.hostState()).toEqual(empty);
  });

  test('statistics are kept over a restart, and what happens meanwhile is counted', async () => {
    const { api } = system;
    const web = await createWebLoadBalancer(system, members);
    await api.active(web.lb.id);
    const counted = (total: number) =>
      until(`${total} connections to be counted`, async () => {
        return (await api.statistics(`listeners/${web.listener.id}`)).total_connections === total;
      });
    await tally(web.url, 20);
    await counted(20);
    await system.end('SIGTERM');
    await tally(web.url, 7);
    await system.start();
    await counted(27);
    await tally(web.url, 5);
    await counted(32);
    await deleteAndLook(web);
  });
});
