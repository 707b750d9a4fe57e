/** Housekeeping with real amphorae: a spare takes over, certificates change under load, leftovers go. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { killInstance, listAmphorae, processesOf } from './amphora-processes.ts';
import { ask, Load } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';
import { createWebLoadBalancer, openMembers, type WebLoadBalancer } from './web-load-balancer.ts';

const REPLACED_WITHIN_MS = 2000;

describe.skipIf(trafficObstacle)(titled('housekeeping'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemProcess;
  let members: MemberHost;
  let web: WebLoadBalancer;

  const idsWith = (condition: string) =>
    system.query(`select id from amphora where ${condition}`).map(row => String(row.id));
  const spareReady = () => until('a spare', () => idsWith("status = 'READY'")[0]);
  const serving = () => until('one in service', () => idsWith("status = 'ALLOCATED'")[0]);
  const answers = () =>
    until('the VIP to answer', async () => (await ask(`${web.url}/r/0`, { limitMs: 200 })).status === 200);

  beforeAll(async () => {
    system = made.use(
      await SystemProcess.open({
        OS_HEALTH_MANAGER__HEARTBEAT_TIMEOUT: '3',
        OS_HOUSE_KEEPING__SPARE_AMPHORA_POOL_SIZE: '1',
        OS_HOUSE_KEEPING__SPARE_CHECK_INTERVAL: '1',
        OS_HOUSE_KEEPING__GARBAGE_INTERVAL: '1',
        OS_HOUSE_KEEPING__GARBAGE_GRACE: '1',
      }),
    );
    members = made.use(await MemberHost.open([system.subnet], [handPicked(system.subnet, 0)]));
    await openMembers(members);
  });
  afterAll(() => made.disposeAsync());

  test('keeps a spare, which a new load balancer is served by', async () => {
    const spare = await spareReady();
    console.log(`a spare amphora takes ${memoryOf(system.dataDir, spare).toFixed()} MiB`);
    web = await createWebLoadBalancer(system, members);
    await system.api.active(web.lb.id);
    await answers();
    expect(await serving()).toBe(spare);
    expect(await spareReady()).not.toBe(spare);
  });

  test(`replaces an amphora that died with the spare within ${REPLACED_WITHIN_MS} ms of knowing it`, async () => {
    const [dead, spare] = [await serving(), await spareReady()];
    const killedAt = performance.now();
    await killInstance(system.dataDir, dead);
    await until('the amphora to be known as dead', () => !idsWith("status = 'ALLOCATED'").includes(dead));
    const knownAt = performance.now();
    await answers();
    const replacedAt = performance.now();
    console.log(
      `known ${(knownAt - killedAt).toFixed()} ms after the death, replaced ${(replacedAt - knownAt).toFixed()} ms after that`,
    );
    expect(replacedAt - knownAt).toBeLessThan(REPLACED_WITHIN_MS);
    await system.api.active(web.lb.id);
    expect(await serving()).toBe(spare);
    await until('the dead one to be gone', () => !listAmphorae(system.dataDir).includes(dead));
  });

  test('renews certificates ahead of their end, and no request fails', async () => {
    const amphora = await serving();
    const address = String(
      system.query(`select lb_network_ip as ip from amphora where id = '${amphora}'`)[0]!.ip,
    );
    const before = await serialOf(address);
    await system.end('SIGTERM');
    const loads = [true, false].map(keepAlive => new Load(web.url, { keepAlive }));
    try {
      await until('answers', () => loads.every(load => load.countOf('a') > 20));
      await system.start({ OS_HOUSE_KEEPING__CERT_EXPIRY_BUFFER: '315360000' });
      await until('another certificate', async () => (await serialOf(address)) !== before);
      await until('that to be noted', () => idsWith('cert_busy = 1').length === 0);
      const soFar = loads.map(load => load.countOf('a'));
      await until('answers', () => loads.every((load, i) => load.countOf('a') > soFar[i]! + 20));
    } finally {
      await Promise.all(loads.map(load => load.stop()));
    }
    expect(loads.flatMap(load => load.failures)).toEqual([]);
    expect(await serving()).toBe(amphora);
    // The controller goes on with the agent.
    await web.addMember('b');
    await system.api.active(web.lb.id);
  });

  test('removes what is left of a deleted amphora', async () => {
    const [deleted] = idsWith("status = 'DELETED'");
    const instances = join(system.dataDir, 'instances');
    const stranger = join(instances, 'amphora-99999999-0000-4000-8000-000000000000');
    for (const path of [join(instances, `amphora-${deleted}`), stranger]) mkdirSync(path);
    await until('it to be gone', () => !listAmphorae(system.dataDir).includes(deleted!));
    expect(listAmphorae(system.dataDir).some(id => stranger.endsWith(id))).toBe(true);
    await system.api.remove(`loadbalancers/${web.lb.id}?cascade=true`);
    await system.api.gone(web.lb.id);
  });
});

/** What only its processes use, in MiB. */
function memoryOf(dataDir: string, amphoraId: string): number {
  const kib = processesOf(dataDir, amphoraId).map(({ pid }) => {
    try {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0);
    } catch {
      // It ended while we looked.
      return 0;
    }
  });
  return kib.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Of the certificate that the agent shows. */
function serialOf(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: 9443, rejectUnauthorized: false, timeout: 2000 }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('timeout', () => socket.destroy(new Error(`${address} does not answer`)));
  });
}
