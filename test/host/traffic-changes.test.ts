/** Members come, are drained and go while requests run: not one of them may fail. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { ask, Load } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, type SystemHere, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

const NAMES = ['a', 'b', 'c', 'd'];
const portOf = (name: string) => 9001 + NAMES.indexOf(name);

/** Resolves when each has begun thirty more from now on. */
async function moreRequests(loads: Load[]): Promise<void> {
  const soFar = loads.map(load => load.total);
  await until('requests to go on', () => loads.every((load, i) => load.total > soFar[i]! + 30));
}

describe.skipIf(trafficObstacle)(titled('while requests run'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemHere;
  let members: MemberHost;
  let address: string;
  let lb: Resource;
  let listener: Resource;
  let pool: Resource;
  let url: string;

  const add = async (name: string, more: object = {}) => {
    const subnet_id = system.subnet.id;
    const body = { name, address, protocol_port: portOf(name), subnet_id, ...more };
    return system.api.create(`pools/${pool.id}/members`, body);
  };
  const active = () => system.api.active(lb.id);
  /** Requests with and without keep-alive during `work`; says how many there were. */
  const underLoad = async (work: (loads: Load[]) => Promise<void>) => {
    const loads = [true, false].map(keepAlive => new Load(url, { keepAlive }));
    try {
      await moreRequests(loads);
      await work(loads);
      await moreRequests(loads);
    } finally {
      await Promise.all(loads.map(load => load.stop()));
    }
    expect(loads.flatMap(load => load.failures)).toEqual([]);
  };
  const served = (loads: Load[], name: string) => loads.map(load => load.countOf(name));
  const comesToServe = (loads: Load[], name: string) =>
    until(`member ${name} to serve`, () => served(loads, name).every(count => count > 0));
  const servesNoMore = async (loads: Load[], name: string) => {
    // A request that was under way when the change was made may still be counted after it.
    await moreRequests(loads);
    const counts = served(loads, name);
    await moreRequests(loads);
    expect(served(loads, name)).toEqual(counts);
  };

  beforeAll(async () => {
    system = made.use(await openSystemHere());
    const { api, subnet } = system;
    address = handPicked(subnet, 0);
    members = made.use(await MemberHost.open([subnet], [address]));
    for (const name of NAMES) await members.open({ kind: 'http', name, port: portOf(name) });
    lb = await api.create('loadbalancers', { name: 'lb', vip_subnet_id: subnet.id });
    listener = await api.create('listeners', {
      ...{ loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 80 },
    });
    pool = await api.create('pools', {
      ...{ listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    });
    await add('a');
    await active();
    url = `http://${lb.vip_address}`;
  });
  afterAll(() => made.disposeAsync());

  test('a member is added, drained, filled again and removed [member.weight, drain, IPv4]', async () => {
    await underLoad(async loads => {
      const b = await add('b');
      await active();
      await comesToServe(loads, 'b');

      await system.api.set(`pools/${pool.id}/members/${b.id}`, { weight: 0 });
      await active();
      await servesNoMore(loads, 'b');

      const before = served(loads, 'b');
      await system.api.set(`pools/${pool.id}/members/${b.id}`, { weight: 3 });
      await active();
      await until('the member to serve again', () =>
        served(loads, 'b').every((count, i) => count > before[i]!),
      );

      await system.api.remove(`pools/${pool.id}/members/${b.id}`);
      await active();
      await servesNoMore(loads, 'b');
    });
  });

  test('a monitor comes and goes, and members come and go under it [healthmonitor.type=HTTP, reload, IPv4]', async () => {
    await underLoad(async loads => {
      const monitor = await system.api.create('healthmonitors', {
        ...{ pool_id: pool.id, type: 'HTTP', url_path: '/health' },
        // No member is ill, only slow at times.
        ...{ delay: 1, timeout: 10, max_retries: 1, max_retries_down: 3 },
      });
      await active();
      const c = await add('c');
      await active();
      await comesToServe(loads, 'c');
      await system.api.shows(lb.id, { c: 'ONLINE' });
      await system.api.remove(`pools/${pool.id}/members/${c.id}`);
      await active();
      await servesNoMore(loads, 'c');
      await system.api.remove(`healthmonitors/${monitor.id}`);
      await active();
    });
  });

  test('what only a reload can change is changed: algorithm, timeouts, another listener [listener.default_pool_id, reload, IPv4]', async () => {
    await underLoad(async () => {
      await system.api.set(`pools/${pool.id}`, { lb_algorithm: 'LEAST_CONNECTIONS' });
      await active();
      await system.api.set(`listeners/${listener.id}`, { timeout_client_data: 40_000 });
      await active();
      const other = await system.api.create('listeners', {
        ...{ loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 81, default_pool_id: pool.id },
      });
      await active();
      expect((await ask(`http://${lb.vip_address}:81/r/0`)).status).toBe(200);
      await system.api.remove(`listeners/${other.id}`);
      await active();
      await system.api.set(`pools/${pool.id}`, { lb_algorithm: 'ROUND_ROBIN' });
      await active();
    });
  });

  test('members are replaced as fast as the API takes them [drain, IPv4]', async () => {
    await underLoad(async loads => {
      for (let i = 0; i < 8; i++) {
        const name = ['b', 'c', 'd'][i % 3]!;
        const member = await add(name);
        // Every other one goes before anybody has waited for it.
        if (i % 2 === 0) await active();
        await system.api.remove(`pools/${pool.id}/members/${member.id}`);
      }
      await active();
      await servesNoMore(loads, 'b');
    });
    const listed = await system.api.client.list(`lbaas/pools/${pool.id}/members`);
    expect(listed.map(member => member.name)).toEqual(['a']);
  });

  test('a slow download outlives the removal of its own and of another member, and reloads [drain, reload, IPv4]', async () => {
    const [b, d] = [await add('b'), await add('d')];
    await active();
    const chunks = 80;
    // Three at once: one of them from each member.
    const downloads = [1, 2, 3].map(() => ask(`${url}/stream/${chunks}/50`, { limitMs: 60_000 }));
    await until('all members to be at work', async () =>
      (await Promise.all(['a', 'b', 'd'].map(name => members.peak(portOf(name))))).every(peak => peak > 0),
    );
    await system.api.remove(`pools/${pool.id}/members/${b.id}`);
    await active();
    await system.api.set(`listeners/${listener.id}`, { timeout_client_data: 30_000 });
    await active();
    await system.api.remove(`pools/${pool.id}/members/${d.id}`);
    await active();
    await system.api.set(`pools/${pool.id}`, { lb_algorithm: 'SOURCE_IP' });
    await active();
    const whole = Array.from({ length: chunks }, (_, i) => String(i % 10).repeat(1000)).join('');
    const answers = await Promise.all(downloads);
    expect(answers.map(answer => answer.headers['x-member']).sort()).toEqual(['a', 'b', 'd']);
    for (const answer of answers) expect(answer.body === whole).toBe(true);
  });
});
