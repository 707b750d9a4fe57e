/** What dies in an amphora, or is asked of it that it cannot do, is made good by itself or by the next write. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  agentOf,
  haproxiesOf,
  killAll,
  killInstance,
  listAmphorae,
  processesOf,
  stillThere,
  untilAnotherAgent,
} from './amphora-processes.ts';
import { ask, Load, tally } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';
import { createWebLoadBalancer, openMembers, type WebLoadBalancer } from './web-load-balancer.ts';

/** Seconds after which a silent amphora is replaced. */
const TIMEOUT_S = 3;

describe.skipIf(trafficObstacle)(titled('an amphora'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemProcess;
  let members: MemberHost;
  let web: WebLoadBalancer;

  const onlyAmphora = () => {
    const amphorae = listAmphorae(system.dataDir);
    expect(amphorae).toHaveLength(1);
    return amphorae[0]!;
  };
  const answers = () => until('the VIP to answer', async () => (await ask(`${web.url}/r/0`)).status === 200);
  /** Everything that only a living agent and a manager that hears it can bring about. */
  const isManaged = async () => {
    const { api } = system;
    const member = await web.addMember('b');
    await api.active(web.lb.id);
    expect(await tally(web.url, 4)).toEqual({ a: 2, b: 2 });
    await api.remove(`pools/${web.pool.id}/members/${member.id}`);
    await api.active(web.lb.id);
    expect(await tally(web.url, 4)).toEqual({ a: 4 });
    await api.shows(web.lb.id, { lb: 'ONLINE', listener: 'ONLINE', pool: 'ONLINE' });
  };

  beforeAll(async () => {
    const environment = { OS_HEALTH_MANAGER__HEARTBEAT_TIMEOUT: String(TIMEOUT_S) };
    system = made.use(await SystemProcess.open(environment));
    members = made.use(await MemberHost.open([system.subnet], [handPicked(system.subnet, 0)]));
    await openMembers(members);
    web = await createWebLoadBalancer(system, members);
    await system.api.active(web.lb.id);
  });
  beforeEach(() => answers());
  afterAll(() => made.disposeAsync());

  test('starts its haproxy again when that is killed', async () => {
    const amphora = onlyAmphora();
    const before = haproxiesOf(system.dataDir, amphora);
    expect(before.length).toBeGreaterThanOrEqual(2);
    await killAll(before);
    await answers();
    const after = haproxiesOf(system.dataDir, amphora).map(({ pid }) => pid);
    expect(after.filter(pid => before.some(each => each.pid === pid))).toEqual([]);
    expect(onlyAmphora()).toBe(amphora);
    await isManaged();
  });

  test('starts its agent again when that is killed, without a failed request', async () => {
    const amphora = onlyAmphora();
    const killed = agentOf(system.dataDir, amphora)!;
    const load = new Load(web.url, { keepAlive: true });
    try {
      await killAll([killed]);
      await untilAnotherAgent(system.dataDir, amphora, killed);
      await isManagedUnder(load);
    } finally {
      await load.stop();
    }
    expect(load.failures).toEqual([]);
    expect(onlyAmphora()).toBe(amphora);
  });

  /** As `isManaged`, where other requests take their turns as well. */
  const isManagedUnder = async (load: Load) => {
    const member = await web.addMember('c');
    await system.api.active(web.lb.id);
    await until('the new member to serve', () => load.countOf('c') > 0);
    await system.api.remove(`pools/${web.pool.id}/members/${member.id}`);
    await system.api.active(web.lb.id);
  };

  test('whose instance dies is replaced, and the VIP stays the same', async () => {
    const amphora = onlyAmphora();
    const processes = processesOf(system.dataDir, amphora);
    const before = system.hostState();
    await killInstance(system.dataDir, amphora);
    await expect(ask(`${web.url}/r/0`, { limitMs: 500 })).rejects.toThrow();
    await answers();
    const lb = await system.api.active(web.lb.id);
    expect(lb.vip_address).toBe(web.lb.vip_address);
    await until('the dead amphora to be removed', () => listAmphorae(system.dataDir).length === 1);
    expect(onlyAmphora()).not.toBe(amphora);
    expect(stillThere(processes)).toEqual([]);
    const after = system.hostState();
    for (const part of ['links', 'namespaces', 'mounts', 'files'] as const) {
      expect({ part, count: after[part].length }).toEqual({ part, count: before[part].length });
    }
    await isManaged();
  });

  test('whose instance dies while nobody watches serves again after the start', async () => {
    const amphora = onlyAmphora();
    await system.end('SIGKILL');
    await killInstance(system.dataDir, amphora);
    await expect(ask(`${web.url}/r/0`, { limitMs: 500 })).rejects.toThrow();
    await system.start();
    await answers();
    await isManaged();
  });

  test('that rejects a configuration goes on with the old one, and a correcting write makes it ACTIVE', async () => {
    const { api } = system;
    const load = new Load(web.url, { keepAlive: true });
    try {
      // The API takes as many seconds as the original; haproxy counts milliseconds in 31 bits.
      const monitor = await api.create('healthmonitors', {
        ...{ pool_id: web.pool.id, type: 'TCP', max_retries: 1 },
        ...{ delay: 1, timeout: 3_000_000 },
      });
      await expect(api.active(web.lb.id)).rejects.toThrow(/timer overflow in argument .* to 'timeout check'/);
      const shown = await api.show(`healthmonitors/${monitor.id}`);
      expect(shown.provisioning_status).toBe('ERROR');
      const soFar = load.total;
      await until('traffic to go on', () => load.total > soFar + 20);
      await api.set(`healthmonitors/${monitor.id}`, { timeout: 1 });
      await api.active(web.lb.id);
      await api.shows(web.lb.id, { a: 'ONLINE' });
      expect((await api.show(`healthmonitors/${monitor.id}`)).provisioning_status).toBe('ACTIVE');
      await api.remove(`healthmonitors/${monitor.id}`);
      await api.active(web.lb.id);
    } finally {
      await load.stop();
    }
    expect(load.failures).toEqual([]);
    await isManaged();
  });
});
