/** Amphorae that fall silent, few and many: heartbeats over loopback, the real watch, the noop cloud and a clock by hand. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test, vi } from 'vitest';
import { DatabaseHealth } from '../../src/db/health.ts';
import { openDatabase } from '../../src/db/open.ts';
import { NoopAmphora } from '../../src/drivers/amphora/noop.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { HealthManager } from '../../src/health-manager/health-manager.ts';
import { OverdueWatch } from '../../src/health-manager/overdue.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { type Amphora, instanceName } from '../../src/model/amphora.ts';
import { InProcessQueue } from '../../src/queue/in-process.ts';
import { encodeHeartbeat } from '../../src/wire/heartbeat-codec.ts';
import { outsideOf, SteppedClock, SystemProcess } from './world.ts';

const KEY = new Secret('insecure');
const TIMEOUT_MS = 60_000;
const LOOK_MS = 3000;
const SUBNET = '10000000-0000-4000-8000-000000000000';
const STATS = { tx: 1, rx: 1, conns: 0, totconns: 1, ereq: 0 };

/** Agents that a test can cut off, or whose haproxy it can end. */
class FragileAmphora extends NoopAmphora {
  isCut = false;
  readonly withoutHaproxy = new Set<string>();

  override async findInfo(amphora: Amphora) {
    return this.isCut ? undefined : super.findInfo(amphora);
  }

  override async details(amphora: Amphora) {
    const details = await super.details(amphora);
    return this.withoutHaproxy.has(amphora.id) ? { ...details, haproxy_count: 0 } : details;
  }
}

async function openWorld(count: number) {
  await using made = new AsyncDisposableStack();
  const db = await openDatabase('sqlite://');
  made.defer(() => db.destroy());
  const cloud = new NoopCloud();
  const amphora = new FragileAmphora(cloud);
  const clock = new SteppedClock();
  const system = new SystemProcess({ ...outsideOf(db, cloud), amphora }, clock, 'worker');
  made.defer(() => system.close());
  const parts = {
    store: new DatabaseHealth(db),
    queue: new InProcessQueue(),
    clock: { now: () => clock.now(), sleep: systemClock.sleep },
    log: silentLog,
  };
  const limits = { heartbeatIntervalMs: 10_000, heartbeatTimeoutMs: TIMEOUT_MS };
  const manager = new HealthManager({ bindIp: '127.0.0.1', bindPort: 0, keys: [KEY], ...limits }, parts);
  await manager.start();
  made.defer(() => manager.stop());
  const socket = createSocket('udp4');
  made.defer(async () => {
    socket.close();
    await once(socket, 'close');
  });
  const watch = new OverdueWatch(
    { ...limits, checkIntervalMs: LOOK_MS, failoverThreshold: null, failoversAtOnce: 10 },
    parts,
  );

  for (let i = 0; i < count; i++) {
    const listeners = [{ protocol: 'HTTP', protocol_port: 80 }];
    const loadbalancer = { name: `lb-${i}`, vip_subnet_id: SUBNET, project_id: 'p', listeners };
    expect(await system.request('POST', '/loadbalancers', { loadbalancer })).toMatchObject({ status: 201 });
    await system.passOverAll();
  }

  const amphorae = () =>
    db
      .selectFrom('amphora')
      .innerJoin('listener', 'listener.loadbalancer_id', 'amphora.loadbalancer_id')
      .select(['amphora.id', 'amphora.status', 'listener.id as listener'])
      .where('amphora.status', '<>', 'DELETED')
      .execute();
  const ids = async () => (await amphorae()).map(a => a.id).sort();

  /** Every amphora that has an instance sends one heartbeat, and all of them are written. */
  async function report(isSilent: (id: string) => boolean = () => false) {
    const reporting = (await amphorae()).filter(
      a => a.status !== 'ERROR' && cloud.instances.has(instanceName(a.id)) && !isSilent(a.id),
    );
    const sentMs = clock.now();
    for (const { id, listener } of reporting) {
      const listeners = { [listener]: { status: 'OPEN', stats: STATS } };
      const packet = encodeHeartbeat({ id, seq: 0, listeners, pools: {}, ver: 3 }, KEY);
      await new Promise<void>((sent, failed) =>
        socket.send(packet, manager.address().port, '127.0.0.1', error => (error ? failed(error) : sent())),
      );
    }
    const written = () =>
      db.selectFrom('amphora_health').select('amphora_id').where('last_update_ms', '>=', sentMs);
    await vi.waitFor(async () => expect(await written().execute()).toHaveLength(reporting.length), {
      timeout: 40_000,
      interval: 5,
    });
  }

  /** As time goes by: heartbeats, a look, and the passes that it led to. */
  async function live(ms: number, step: () => Promise<void> = report, stepMs = LOOK_MS) {
    for (const until = clock.now() + ms; clock.now() < until; ) {
      clock.step(stepMs);
      await step();
      await watch.look();
      await system.passOverAll();
    }
  }

  const stack = made.move();
  return {
    ...{ db, cloud, amphora, amphorae, ids, report, live },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const nothing = async () => {};
const statusesOf = async ({ amphorae }: Awaited<ReturnType<typeof openWorld>>) =>
  [...new Set((await amphorae()).map(a => a.status))].sort();

test('500 amphorae silent at once, because the network is cut: none is replaced, and all are well at once afterwards', async () => {
  await using world = await openWorld(500);
  await world.live(TIMEOUT_MS + LOOK_MS);
  const before = await world.ids();
  const built = [...world.cloud.instances.keys()].sort();
  expect(before).toHaveLength(500);

  world.amphora.isCut = true;
  await world.live(9 * TIMEOUT_MS, nothing, 10_000);
  expect(await statusesOf(world)).toEqual(['FAILOVER_STOPPED']);
  expect(await world.ids()).toEqual(before);

  world.amphora.isCut = false;
  await world.live(LOOK_MS);
  expect(await statusesOf(world)).toEqual(['ALLOCATED']);
  expect(await world.ids()).toEqual(before);
  expect([...world.cloud.instances.keys()].sort()).toEqual(built);
}, 240_000);

test('a cut that lasts for hours lets go of a few at most', async () => {
  await using world = await openWorld(12);
  await world.live(TIMEOUT_MS + LOOK_MS);
  const before = await world.ids();
  world.amphora.isCut = true;
  await world.live(60 * TIMEOUT_MS, nothing, 20_000);
  world.amphora.isCut = false;
  await world.live(TIMEOUT_MS);
  expect(await statusesOf(world)).toEqual(['ALLOCATED']);
  const after = new Set(await world.ids());
  expect(before.filter(id => !after.has(id)).length).toBeLessThanOrEqual(3);
});

test('the amphorae of a compute host that is lost are all replaced by themselves', async () => {
  await using world = await openWorld(30);
  await world.live(TIMEOUT_MS + LOOK_MS);
  const lost = (await world.ids()).slice(0, 15);
  for (const id of lost) world.cloud.instances.delete(instanceName(id));
  await world.live(12 * TIMEOUT_MS, world.report, 10_000);
  expect(await statusesOf(world)).toEqual(['ALLOCATED']);
  const after = await world.ids();
  expect(after).toHaveLength(30);
  expect(after.filter(id => lost.includes(id))).toEqual([]);
});

test('one that is dead is replaced; one that answers is not, however long it is silent', async () => {
  await using world = await openWorld(3);
  await world.live(TIMEOUT_MS + LOOK_MS);
  const [dead, mute, well] = await world.ids();
  world.cloud.instances.delete(instanceName(dead!));
  await world.live(4 * TIMEOUT_MS, () => world.report(id => id === mute), 10_000);
  const after = await world.ids();
  expect(after).toContain(mute);
  expect(after).toContain(well);
  expect(after).not.toContain(dead);
  expect(after).toHaveLength(3);
  expect(await statusesOf(world)).toEqual(['ALLOCATED']);
});

test('one that answers without a haproxy is given its configuration again, and replaced when that did not help', async () => {
  await using world = await openWorld(3);
  await world.live(TIMEOUT_MS + LOOK_MS);
  const [broken] = await world.ids();
  world.amphora.withoutHaproxy.add(broken!);
  const silently = () => world.report(id => id === broken);
  await world.live(TIMEOUT_MS + 2 * LOOK_MS, silently);
  expect(await world.ids(), 'after one question').toContain(broken);
  await world.live(TIMEOUT_MS + 2 * LOOK_MS, silently);
  expect(await world.ids(), 'after two').not.toContain(broken);
  expect(await world.ids()).toHaveLength(3);
});

test('one that dies before it ever reported is replaced', async () => {
  await using world = await openWorld(1);
  const [before] = await world.ids();
  world.amphora.isCut = true;
  await world.live(2 * TIMEOUT_MS, nothing);
  world.amphora.isCut = false;
  await world.live(2 * TIMEOUT_MS);
  expect(await world.ids()).toHaveLength(1);
  expect(await world.ids()).not.toContain(before);
  expect(await statusesOf(world)).toEqual(['ALLOCATED']);
});
