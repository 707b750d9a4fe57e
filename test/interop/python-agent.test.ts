/** Debian's Python amphora agent under our controller: it takes all that is sent to it, and traffic flows through it. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import { renderUdpListeners } from '../../src/dataplane/keepalived/lvs.ts';
import { AgentConnection } from '../../src/drivers/amphora/agent-connection.ts';
import type { CertificateFile } from '../../src/drivers/amphora/amphora.ts';
import { HttpAmphora } from '../../src/drivers/amphora/http.ts';
import { LocalAuthority } from '../../src/drivers/certificates/local.ts';
import { Secret } from '../../src/lib/secret.ts';
import type { Amphora } from '../../src/model/amphora.ts';
import { buildGraph, idOf } from '../../src/model/graph.fixture.ts';
import { clientObstacle } from '../clients/python-client.ts';
import { ask, tally } from '../host/http-client.ts';
import { issueMemberCertificate } from '../host/member-certificate.ts';
import { handPicked, MemberHost } from '../host/member-host.ts';
import { openSystemHere, type SystemHere, trafficObstacle } from '../host/real-system.ts';
import { KeyManager } from '../host/tls-parties.ts';
import { until } from '../host/until.ts';
import { buildPythonAgent } from './python-agent.ts';

const obstacle = trafficObstacle ?? clientObstacle('octavia.cmd.agent');
/** Other systems on this host must not have the same ranges. */
const OWN = process.pid % 250;
/** An agent of Python and each of its tools take seconds to start. */
const BUILD_LIMIT_MS = 60_000;
const GOLDEN = join(import.meta.dirname, '../../src/dataplane/haproxy/testdata');
/** The configurations in which most is said; the anchors of all are in another test. */
const EXACTING = [
  ...['everything', 'l7-rule-types', 'persistence-app-cookie', 'monitor-ping', 'listener-prometheus'],
  ...['tls-client-authentication', 'tls-sni', 'tls-to-members', 'topology-active-standby'],
];

describe.skipIf(obstacle)(obstacle ? `the Python agent (${obstacle})` : 'the Python agent', () => {
  const made = new AsyncDisposableStack();
  let system: SystemHere;
  let near: MemberHost;
  let far: MemberHost;
  let lb: Resource;
  let listener: Resource;
  let pool: Resource;
  let urls: string[];
  let amphora: Amphora;
  let driver: HttpAmphora;
  let connection: AgentConnection;
  let authority: LocalAuthority;

  beforeAll(async () => {
    const agent = buildPythonAgent();
    made.defer(() => agent.remove());
    const configFile = join(agent.directory, 'octavia.conf');
    writeFileSync(configFile, '[health_manager]\nheartbeat_timeout = 60\n');
    system = made.use(await openSystemHere({ agentProgram: agent.path, configFile: [configFile] }));
    const { api, networks } = system;
    const { bridge } = networks;
    const network = async (name: string) => (await bridge.ensureNetwork({ name, shared: true })).id;
    const [vips, others] = [await network('vips'), await network('others')];
    const subnet = (network_id: string, name: string, cidr: string) =>
      bridge.ensureSubnet({ name, network_id, cidr });
    const v4 = await subnet(vips, 'v4', `100.94.${OWN}.0/24`);
    const v6 = await subnet(vips, 'v6', `fd00:94:${OWN}::/64`);
    const elsewhere = await subnet(others, 'elsewhere', `100.95.${OWN}.0/24`);
    near = made.use(await MemberHost.open([v4], [handPicked(v4, 0)]));
    far = made.use(await MemberHost.open([elsewhere], [handPicked(elsewhere, 0)]));
    await near.open({ kind: 'http', name: 'near', port: 9001 });
    await far.open({ kind: 'http', name: 'far', port: 9001 });
    lb = await api.create('loadbalancers', {
      ...{ name: 'lb', vip_subnet_id: v4.id, additional_vips: [{ subnet_id: v6.id }] },
    });
    const { id: loadbalancer_id } = lb;
    listener = await api.create('listeners', {
      ...{ name: 'listener', loadbalancer_id, protocol: 'HTTP', protocol_port: 80 },
    });
    pool = await api.create('pools', {
      ...{ name: 'pool', listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    });
    for (const [name, host, { id: subnet_id }] of [
      ['near', near, v4],
      ['far', far, elsewhere],
    ] as const) {
      await api.create(`pools/${pool.id}/members`, {
        ...{ name, address: host.addresses[0], protocol_port: 9001, subnet_id },
      });
    }
    await api.create('healthmonitors', {
      ...{ name: 'monitor', pool_id: pool.id, type: 'HTTP', url_path: '/health' },
      ...{ delay: 1, timeout: 1, max_retries: 1, max_retries_down: 3 },
    });
    lb = await api.active(lb.id, BUILD_LIMIT_MS);
    const [six] = lb.additional_vips as { ip_address: string }[];
    urls = [`http://${lb.vip_address}`, `http://[${six!.ip_address}]`];
    const [row] = await api.client.list('octavia/amphorae', { loadbalancer_id: lb.id });
    amphora = row as unknown as Amphora;
    authority = new LocalAuthority({ directory: join(system.dataDir, 'ca') });
    driver = new HttpAmphora({ authority });
    made.defer(() => driver.closeAll());
    const { id: amphoraId, lb_network_ip: address } = amphora;
    connection = new AgentConnection({ authority, amphoraId, address: address! });
    made.defer(() => connection.close());
  }, BUILD_LIMIT_MS + 20_000);
  afterAll(() => made.disposeAsync());

  test('is what answers', async () => {
    expect(await driver.findInfo(amphora)).toMatchObject({ api_version: '1.0' });
    expect(await driver.details(amphora)).not.toHaveProperty('cpu_count');
  });

  test('carries traffic from VIPs of both families to members in both networks', async () => {
    for (const url of urls) await answeredBy(url, { near: 5, far: 5 });
  });

  test('tells by its heartbeats what works and what was carried', async () => {
    const { api } = system;
    await api.shows(lb.id, {
      lb: 'ONLINE',
      listener: 'ONLINE',
      pool: 'ONLINE',
      near: 'ONLINE',
      far: 'ONLINE',
    });
    await near.close(9001);
    await api.shows(lb.id, { pool: 'DEGRADED', near: 'ERROR', far: 'ONLINE' });
    await near.open({ kind: 'http', name: 'near', port: 9001 });
    await api.shows(lb.id, { near: 'ONLINE' });
    const count = async () => (await api.statistics(`loadbalancers/${lb.id}`)).total_connections!;
    await until('the connections to be counted', async () => (await count()) >= 20, count);
  });

  test('ends TLS with the certificates that it is sent', async () => {
    const { api } = system;
    const keys = new KeyManager(api.client);
    const container = async (name: string) => keys.container(await issueMemberCertificate(name));
    const { id } = await api.create('listeners', {
      ...{ loadbalancer_id: lb.id, protocol: 'TERMINATED_HTTPS', protocol_port: 443 },
      ...{ default_pool_id: pool.id, default_tls_container_ref: await container('first') },
    });
    await api.active(lb.id);
    const vip = String(lb.vip_address);
    const shows = (name: string) =>
      reloaded(`the certificate ${name}`, async () => (await near.certificateOf(vip, 443)) === name);
    await shows('first');
    expect(await tally(`https://${vip}`, 4)).toEqual({ near: 2, far: 2 });
    await api.set(`listeners/${id}`, { default_tls_container_ref: await container('renewed') });
    await api.active(lb.id);
    await shows('renewed');
    await api.remove(`listeners/${id}`);
    await api.active(lb.id);
  });

  test('takes changes, and what is not served any more', async () => {
    const { api } = system;
    const [row] = (await api.list(`pools/${pool.id}/members`)).filter(({ name }) => name === 'near');
    await api.set(`pools/${pool.id}/members/${row!.id}`, { weight: 0 });
    const { id } = await api.create('l7policies', {
      ...{ listener_id: listener.id, action: 'REDIRECT_TO_URL', redirect_url: 'http://example.org/?a=1&b=2' },
    });
    await api.create(`l7policies/${id}/rules`, { type: 'PATH', compare_type: 'EQUAL_TO', value: '/old' });
    await api.active(lb.id);
    for (const url of urls) {
      await reloaded('the policy to be at work', async () => (await ask(`${url}/old`)).status === 302);
      await answeredBy(url, { far: 5 });
      expect((await ask(`${url}/old`)).headers.location).toBe('http://example.org/?a=1&b=2');
    }
    await api.remove(`listeners/${listener.id}`);
    await api.active(lb.id);
    const isRefused = () =>
      ask(urls[0]!).then(
        () => false,
        error => /ECONNREFUSED/.test(error.message),
      );
    await reloaded('connections to be refused', isRefused);
  });

  test.each(EXACTING)('runs %s', async name => {
    const read = (file: string) => readFileSync(join(GOLDEN, file), 'utf8');
    const haproxy_cfg = read(`${name}.cfg`);
    const load_balancer_id = /^# Configuration for loadbalancer (.*)$/m.exec(haproxy_cfg)![1]!;
    const config = {
      ...{ load_balancer_id, haproxy_cfg, udp_listeners: [] },
      certificates: certificatesOf(haproxy_cfg, kind => read(`certificates/${kind}.pem`)),
    };
    expect(await driver.apply(amphora, config)).toMatchObject({ changes: null });
    // By this it is not sent again.
    const path = `loadbalancer/${load_balancer_id}/haproxy`;
    const md5 = createHash('md5').update(haproxy_cfg).digest('hex');
    expect(await connection.request({ method: 'GET', path })).toMatchObject({ etag: md5 });
    await driver.apply(amphora, { ...config, certificates: [], haproxy_cfg: null });
  });

  test('takes the configuration of UDP listeners, of keepalived, and its own', async () => {
    const listener_id = idOf('listener', 1);
    const path = `listeners/${listener_id}`;
    const graph = buildGraph({ listeners: [{ protocol: 'UDP' }], pools: [{ protocol: 'UDP' }] });
    const [udp] = renderUdpListeners(graph, { basePath: '/var/lib/octavia' });
    const udpPath = `listeners/${amphora.id}/${listener_id}/udp_listener`;
    await connection.request({ method: 'PUT', path: udpPath, body: udp!.keepalived_conf });
    expect((await connection.request({ method: 'GET', path: `${path}/udp_listener` })).text).toBe(
      udp!.keepalived_conf,
    );
    await connection.request({ method: 'DELETE', path });

    const id = lb.id.replaceAll('-', '');
    const keepalived_conf = `vrrp_instance ${id} {\n    interface eth1\n    virtual_router_id 1\n    priority 90\n}\n`;
    await driver.applyVrrp(amphora, keepalived_conf);
    // Now it runs, and this is a reload.
    await connection.request({ method: 'PUT', path: 'vrrp/start' });

    const { pem } = await authority.issueAgentCertificate(amphora.id);
    await driver.rotateCertificate(amphora, pem);
    await driver.close(amphora.id);
    expect(await driver.interfaceOf(amphora, amphora.vrrp_ip!)).toBe('eth1');
    await system.api.client.request('PUT', `octavia/amphorae/${amphora.id}/config`);
    await system.api.active(lb.id);
  });

  test('is removed with all it had', async () => {
    await system.api.remove(`loadbalancers/${lb.id}?cascade=true`);
    await system.api.gone(lb.id);
    expect(system.hostState()).toMatchObject({ namespaces: [], processes: [], files: [] });
  });
});

/** A Python agent answers when it has told haproxy to reload; the process before it accepts a little longer. */
const reloaded = (what: string, look: () => Promise<boolean>) => until(what, look);
async function answeredBy(url: string, counts: Record<string, number>): Promise<void> {
  const sum = Object.values(counts).reduce((a, b) => a + b);
  const look = async () => isDeepStrictEqual(await tally(url, sum), counts);
  await reloaded(`${url} to be answered by ${JSON.stringify(counts)}`, look);
}

/** Every file that the configuration names, with a content of its kind. */
function certificatesOf(cfg: string, contentOf: (kind: string) => string): CertificateFile[] {
  const kinds = {
    'crt-list': 'list',
    'ca-file': 'authorities',
    'crl-file': 'revocation-list',
    crt: 'bundle',
  };
  const files = new Map<string, string>();
  for (const [, word, directory, name] of cfg.matchAll(
    / (crt-list|ca-file|crl-file|crt) (\/\S+\/)([^/\s]+)/g,
  )) {
    const kind = kinds[word as keyof typeof kinds];
    files.set(name!, kind === 'list' ? `${directory}bundle.pem\n` : contentOf(kind));
    if (kind === 'list') files.set('bundle.pem', contentOf('bundle'));
  }
  return [...files].map(([name, pem]) => ({ name, pem: new Secret(pem) }));
}
