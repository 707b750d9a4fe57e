/** Debian's Python Octavia over our agent: its API, worker and health manager build, change and remove load balancers. */
import { randomBytes } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { NamespaceCompute } from '../../src/drivers/compute/namespace.ts';
import { BridgeNetwork } from '../../src/drivers/network/bridge.ts';
import { MemoryNetworkStore } from '../../src/drivers/network/memory-store.ts';
import { buildAgent } from '../host/built-agent.ts';
import { ask, tally } from '../host/http-client.ts';
import type { Lbaas } from '../host/lbaas.ts';
import { issueMemberCertificate } from '../host/member-certificate.ts';
import { handPicked, MemberHost } from '../host/member-host.ts';
import { trafficObstacle } from '../host/real-system.ts';
import { until } from '../host/until.ts';
import { PythonCloud } from './python-cloud.ts';
import { controllerObstacle, PythonController } from './python-controller.ts';

const obstacle = trafficObstacle ?? controllerObstacle();
/** Other systems on this host must not have the same ranges. */
const OWN = process.pid % 250;
const START_LIMIT_MS = 150_000;
const BUILD_LIMIT_MS = 180_000;
const MONITOR = {
  ...{ type: 'HTTP', url_path: '/health', delay: 1, timeout: 1, max_retries: 1, max_retries_down: 3 },
};

describe.skipIf(obstacle)(obstacle ? `the Python controller (${obstacle})` : 'the Python controller', () => {
  const made = new AsyncDisposableStack();
  const systemId = randomBytes(3).toString('hex').slice(0, 5);
  const dataDir = mkdtempSync(join(tmpdir(), 'interop-'));
  const network = new BridgeNetwork({ store: new MemoryNetworkStore(), systemId });
  let compute: NamespaceCompute;
  let controller: PythonController;
  let api: Lbaas;
  let near: MemberHost;
  let far: MemberHost;
  let building: Record<'single' | 'pair', Promise<Resource>>;
  let single: Resource;
  let pair: Resource;
  const subnets: Record<string, Awaited<ReturnType<BridgeNetwork['ensureSubnet']>>> = {};

  const member = (name: string) => ({
    ...{ name, protocol_port: 9001, address: (name === 'near' ? near : far).addresses[0] },
    subnet_id: subnets[name]!.id,
  });
  const named = async (plural: string, name: string) =>
    (await api.list(plural)).find(row => row.name === name)!;
  /** Of every amphora that has it. */
  const fileOf = (path: string) =>
    globSync(join(dataDir, 'instances/*', path))
      .map(file => readFileSync(file, 'utf8'))
      .join('');

  /** One write after the other, as Octavia wants it: each when the one before it is made real. */
  const writer = (lb: Resource) => async (path: string, body: object) => {
    await api.active(lb.id, BUILD_LIMIT_MS);
    return api.create(path, body);
  };
  const buildSingle = async () => {
    const lb = await api.create('loadbalancers', {
      ...{ name: 'single', project_id: 'interop', vip_subnet_id: subnets.near!.id },
    });
    const write = writer(lb);
    const of = { loadbalancer_id: lb.id };
    const pool = await write('pools', { ...of, name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' });
    for (const name of ['near', 'far']) await write(`pools/${pool.id}/members`, member(name));
    await write('healthmonitors', { ...MONITOR, name: 'monitor', pool_id: pool.id });
    const listen = (name: string, protocol: string, protocol_port: number, more: object = {}) =>
      write('listeners', { ...of, name, protocol, protocol_port, default_pool_id: pool.id, ...more });
    const listener = await listen('http', 'HTTP', 80);
    await listen('tcp', 'TCP', 81);
    const pem = await issueMemberCertificate('first');
    const default_tls_container_ref = controller.storeSecret('first', pem.cert, pem.key);
    await listen('tls', 'TERMINATED_HTTPS', 443, { default_tls_container_ref });
    const datagrams = await write('pools', {
      ...{ ...of, name: 'datagrams', protocol: 'UDP', lb_algorithm: 'ROUND_ROBIN' },
    });
    await write(`pools/${datagrams.id}/members`, {
      ...member('near'),
      name: 'datagram',
      protocol_port: 9002,
    });
    await listen('udp', 'UDP', 53, { default_pool_id: datagrams.id });
    const policy = await write('l7policies', {
      ...{ name: 'moved', listener_id: listener.id },
      ...{ action: 'REDIRECT_TO_URL', redirect_url: 'http://example.org/' },
    });
    await write(`l7policies/${policy.id}/rules`, {
      ...{ type: 'PATH', compare_type: 'STARTS_WITH', value: '/old' },
    });
    return api.active(lb.id, BUILD_LIMIT_MS);
  };
  const buildPair = async () => {
    const flavor_data = JSON.stringify({ loadbalancer_topology: 'ACTIVE_STANDBY' });
    const profile = await api.create('flavorprofiles', {
      ...{ name: 'pair', provider_name: 'amphora', flavor_data },
    });
    const flavor = await api.create('flavors', { name: 'pair', flavor_profile_id: profile.id });
    const lb = await api.create('loadbalancers', {
      ...{ name: 'pair', project_id: 'interop', vip_subnet_id: subnets.near!.id, flavor_id: flavor.id },
      additional_vips: [{ subnet_id: subnets.six!.id }],
    });
    const write = writer(lb);
    const pool = await write('pools', {
      ...{ loadbalancer_id: lb.id, name: 'pool', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
      session_persistence: { type: 'SOURCE_IP' },
    });
    await write(`pools/${pool.id}/members`, member('far'));
    await write('listeners', {
      ...{ loadbalancer_id: lb.id, name: 'listener', protocol: 'HTTP', protocol_port: 80 },
      default_pool_id: pool.id,
    });
    return api.active(lb.id, BUILD_LIMIT_MS);
  };

  beforeAll(async () => {
    const agent = await buildAgent();
    made.defer(() => {
      agent.remove();
      rmSync(dataDir, { recursive: true });
    });
    compute = new NamespaceCompute({ dataDir, systemId, network, agentProgram: agent.path });
    made.defer(async () => {
      await compute.purge();
      await network.purge();
    });
    const subnet = async (networkName: string, name: string, cidr: string) => {
      const { id } = await network.ensureNetwork({ name: networkName });
      subnets[name] = await network.ensureSubnet({ name, network_id: id, cidr });
      return subnets[name];
    };
    const management = await subnet('management', 'management', `100.91.${OWN}.0/24`);
    network.managementNetworkId = management.network_id;
    const v4 = await subnet('vips', 'near', `100.92.${OWN}.0/24`);
    await subnet('vips', 'six', `fd00:92:${OWN}::/64`);
    const elsewhere = await subnet('others', 'far', `100.93.${OWN}.0/24`);
    near = made.use(await MemberHost.open([v4], [handPicked(v4, 0), handPicked(v4, 1)]));
    far = made.use(await MemberHost.open([elsewhere], [handPicked(elsewhere, 0)]));
    await near.open({ kind: 'http', name: 'near', port: 9001 });
    await near.open({ kind: 'udp', name: 'datagrams', port: 9002 });
    await far.open({ kind: 'http', name: 'far', port: 9001 });
    const { network_id, gateway_ip } = management;
    const cloud = made.use(await PythonCloud.open(compute, network, network_id));
    controller = made.use(
      await PythonController.open({
        ...{ cloud: cloud.url, managementNetworkId: network_id, heartbeatAddress: gateway_ip! },
      }),
    );
    api = controller.api;
    building = { single: buildSingle(), pair: buildPair() };
    // Told by the tests that wait for them.
    for (const each of Object.values(building)) each.catch(() => {});
  }, START_LIMIT_MS);
  afterAll(() => made.disposeAsync());
  afterEach(({ task }) => {
    if (task.result?.state !== 'fail') return;
    console.error(controller.log('octavia-worker').slice(-10_000), fileOf('console.log').slice(-10_000));
  });

  test('builds a load balancer', { timeout: BUILD_LIMIT_MS }, async () => {
    single = await building.single;
    const { vip_address: vip } = single;
    for (const url of [`http://${vip}`, `http://${vip}:81`, `https://${vip}`])
      expect(await tally(url, 10)).toEqual({ near: 5, far: 5 });
    const datagram = { host: String(vip), port: 53, from: near.addresses[1]!, flow: 'flow', text: 'hello' };
    expect(await near.datagram({ ...datagram, limitMs: 5000 })).toMatch(/^datagrams hello /);
    expect((await ask(`http://${vip}/old`)).headers.location).toBe('http://example.org/');
    expect(fileOf(`upper/var/lib/octavia/${single.id}/haproxy.cfg`)).toContain(
      `# Configuration for loadbalancer ${single.id}\nglobal`,
    );
  });

  test('builds one of two amphorae', { timeout: BUILD_LIMIT_MS }, async () => {
    pair = await building.pair;
    const [six] = pair.additional_vips as { ip_address: string }[];
    for (const vip of [pair.vip_address, `[${six!.ip_address}]`]) {
      const url = `http://${vip}`;
      // keepalived takes the addresses after it has looked at haproxy for a while.
      await until(`an answer of ${url}`, async () => (await ask(url, { limitMs: 1000 })).status === 200);
      // Two that start together may both have them for a moment.
      expect(await until(`one to answer at ${url}`, () => tally(url, 10))).toEqual({ far: 10 });
    }
    expect(fileOf(`upper/var/lib/octavia/${pair.id}/haproxy.cfg`)).toMatch(/^peers \w+_peers$/m);
  });

  test('understands the heartbeats', async () => {
    const all = {
      single: 'ONLINE',
      http: 'ONLINE',
      tcp: 'ONLINE',
      tls: 'ONLINE',
      udp: 'ONLINE',
      web: 'ONLINE',
    };
    await api.shows(single.id, { ...all, near: 'ONLINE', far: 'ONLINE' });
    await api.shows(pair.id, { pair: 'ONLINE', listener: 'ONLINE', pool: 'ONLINE', far: 'NO_MONITOR' });
    const count = async () => (await api.statistics(`loadbalancers/${single.id}`)).total_connections!;
    await until('the connections to be counted', async () => (await count()) >= 31, count);
    await near.close(9001);
    await api.shows(single.id, { web: 'DEGRADED', near: 'ERROR' });
    await near.open({ kind: 'http', name: 'near', port: 9001 });
  });

  test('changes and removes what there is', async () => {
    const { vip_address: vip } = single;
    const changed = async (path: string, body: object) => {
      await api.set(path, body);
      await api.active(single.id);
    };
    const web = await named('pools', 'web');
    const [first] = (await api.list(`pools/${web.id}/members`)).filter(({ name }) => name === 'near');
    const weight = (value: number) => changed(`pools/${web.id}/members/${first!.id}`, { weight: value });
    await weight(0);
    expect(await tally(`http://${vip}`, 5)).toEqual({ far: 5 });
    await weight(1);
    await changed(`l7policies/${(await named('l7policies', 'moved')).id}`, { admin_state_up: false });
    expect((await ask(`http://${vip}/old`)).status).toBe(200);
    const pem = await issueMemberCertificate('renewed');
    const default_tls_container_ref = controller.storeSecret('renewed', pem.cert, pem.key);
    const tls = await named('listeners', 'tls');
    await changed(`listeners/${tls.id}`, { default_tls_container_ref });
    expect(await near.certificateOf(String(vip), 443)).toBe('renewed');
    await api.remove(`listeners/${tls.id}`);
    await api.active(single.id);
    await expect(ask(`https://${vip}`)).rejects.toThrow(/ECONNREFUSED/);
    expect(await tally(`http://${vip}:81`, 10)).toEqual({ near: 5, far: 5 });
  });

  test('removes them', async () => {
    for (const { id } of [single, pair]) await api.remove(`loadbalancers/${id}?cascade=true`);
    for (const { id } of [single, pair])
      await until(`load balancer ${id} to be gone`, async () =>
        (await api.list('loadbalancers')).every(lb => lb.id !== id),
      );
    expect(await compute.listInstances()).toEqual([]);
    expect(await network.listPortNames()).toEqual([]);
  });
});
