/** A failover that an operator asks for, with requests before, during and after it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listAmphorae } from './amphora-processes.ts';
import { ask, Load } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';
import { createWebLoadBalancer, openMembers, type WebLoadBalancer } from './web-load-balancer.ts';

describe.skipIf(trafficObstacle)(titled('a failover'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemProcess;
  let web: WebLoadBalancer;

  const put = (path: string) => system.api.client.request('PUT', path);
  const onlyAmphora = async () => {
    await until('one amphora', () => listAmphorae(system.dataDir).length === 1);
    return listAmphorae(system.dataDir)[0]!;
  };
  /** Requests on old and on new connections go on all the time; in the end no request fails any more. */
  const underLoad = async (work: () => Promise<void>) => {
    const startLoads = () => [true, false].map(keepAlive => new Load(web.url, { keepAlive }));
    const stop = (loads: Load[]) => Promise.all(loads.map(load => load.stop()));
    const moreAnswers = (loads: Load[], n: number) => {
      const soFar = loads.map(load => load.countOf('a'));
      return until('answers', () => loads.every((load, i) => load.countOf('a') > soFar[i]! + n));
    };
    const during = startLoads();
    try {
      await moreAnswers(during, 20);
      expect(during.flatMap(load => load.failures)).toEqual([]);
      await work();
      await moreAnswers(during, 20);
    } finally {
      // What was sent to the old amphora may fail seconds later.
      await stop(during);
    }
    const after = startLoads();
    await moreAnswers(after, 100).finally(() => stop(after));
    expect(after.flatMap(load => load.failures)).toEqual([]);
  };

  beforeAll(async () => {
    system = made.use(await SystemProcess.open());
    const members = made.use(await MemberHost.open([system.subnet], [handPicked(system.subnet, 0)]));
    await openMembers(members);
    web = await createWebLoadBalancer(system, members);
    await system.api.active(web.lb.id);
    await until('the VIP to answer', async () => (await ask(`${web.url}/r/0`)).status === 200);
  });
  afterAll(() => made.disposeAsync());

  test('of the load balancer: another amphora answers at the same VIP', async () => {
    const before = await onlyAmphora();
    await underLoad(async () => {
      await put(`lbaas/loadbalancers/${web.lb.id}/failover`);
      const lb = await system.api.active(web.lb.id);
      expect(lb.vip_address).toBe(web.lb.vip_address);
      expect(await onlyAmphora()).not.toBe(before);
    });
    await system.api.shows(web.lb.id, { lb: 'ONLINE', listener: 'ONLINE' });
  });

  test('of the amphora: the same; and the new one takes its configuration again', async () => {
    const before = await onlyAmphora();
    const id = before.replace(/^amphora-/, '');
    await underLoad(async () => {
      await put(`octavia/amphorae/${id}/failover`);
      await system.api.active(web.lb.id);
      expect(await onlyAmphora()).not.toBe(before);
    });
    const after = (await onlyAmphora()).replace(/^amphora-/, '');
    await put(`octavia/amphorae/${after}/config`);
    await until(
      'the agent to have it',
      () => system.query('select config_due from amphora where config_due = 1').length === 0,
    );
    await system.api.shows(web.lb.id, { lb: 'ONLINE', listener: 'ONLINE' });
  });
});
