/** What every amphora driver must do: run by each implementation's test, over HTTP with the real agent. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { renderUdpListeners } from '../../dataplane/keepalived/lvs.ts';
import { TerminalError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { type Amphora, instanceName } from '../../model/amphora.ts';
import { buildGraph, idOf } from '../../model/graph.fixture.ts';
import type { PlugVip } from '../../wire/agent-api.ts';
import type { Compute, InstanceFile } from '../compute/compute.ts';
import type { Network } from '../network/network.ts';
import type { AmphoraConfig, AmphoraDriver } from './amphora.ts';

export interface AmphoraSubject {
  driver: AmphoraDriver;
  /** Another driver object: what a restarted process has. */
  reopen(): AmphoraDriver;
  compute: Compute;
  network: Network;
  managementNetworkId: string;
  userNetworkId: string;
  /** What the instance needs so that its agent starts. */
  filesFor(amphoraId: string): Promise<InstanceFile[]>;
  /** Exception: the noop driver takes any configuration, because there is no haproxy to ask. */
  checksConfiguration: boolean;
  /** Leaves nothing behind. */
  tearDown(): Promise<void>;
}

const LB = idOf('lb', 1);

export function amphoraContract(name: string, setUp: () => Promise<AmphoraSubject>): void {
  describe(`${name} as amphora driver`, () => {
    let subject: AmphoraSubject;
    let amphora: Amphora;
    let plugVip: PlugVip;
    let vip: string;

    beforeAll(async () => {
      subject = await setUp();
      const id = idOf('amphora', 1);
      const { compute, network, managementNetworkId, userNetworkId } = subject;
      const instance = await compute.ensureInstance({
        name: instanceName(id),
        networks: [managementNetworkId],
        files: await subject.filesFor(id),
      });
      const ask = { network_id: userNetworkId, project_id: null, fixed_ips: [] };
      const vipPort = await network.ensurePort({ ...ask, name: 'octavia-test-vip' });
      const ownPort = await network.ensurePort({ ...ask, name: 'octavia-test-vrrp' });
      await compute.attachPort(instance.name, ownPort.id);
      const [subnet] = await network.subnetsOf(userNetworkId);
      vip = vipPort.fixed_ips[0]!.ip_address;
      plugVip = {
        subnet_cidr: subnet!.cidr,
        gateway: subnet!.gateway_ip,
        mac_address: ownPort.mac_address,
        mtu: 1500,
        vrrp_ip: ownPort.fixed_ips[0]!.ip_address,
        host_routes: [],
        additional_vips: [],
      };
      amphora = amphoraWith({ id, lb_network_ip: instance.lb_network_ip, compute_id: instance.compute_id });
      const isThere = async () => expect(await subject.driver.findInfo(amphora)).toBeDefined();
      await vi.waitFor(isThere, { timeout: 10_000, interval: 10 });
    });
    afterAll(() => subject.tearDown());

    const config = (more: Partial<AmphoraConfig> = {}): AmphoraConfig => ({
      load_balancer_id: LB,
      haproxy_cfg: haproxyCfg(8080),
      certificates: [],
      udp_listeners: [],
      ...more,
    });

    test('says undefined of an amphora that does not answer', async () => {
      expect(await subject.driver.findInfo(amphoraWith({ lb_network_ip: null }))).toBeUndefined();
      const silent = amphoraWith({ id: idOf('amphora', 9), lb_network_ip: '127.255.255.254' });
      expect(await subject.driver.findInfo(silent)).toBeUndefined();
    });

    test('reads who the agent is and how it is', async () => {
      const info = await subject.reopen().findInfo(amphora);
      expect(info).toMatchObject({ api_version: '1.0', hostname: instanceName(amphora.id) });
      const details = await subject.driver.details(amphora);
      expect(details).toMatchObject({ active: true, topology: 'SINGLE' });
      expect(details.cpu_count).toBeGreaterThan(0);
      expect(details.memory.total).toBeGreaterThan(0);
    });

    test('gives the agent its configuration file again, and it goes on', async () => {
      const files = await subject.filesFor(amphora.id);
      const file = files.find(each => each.path === '/etc/octavia/amphora-agent.conf');
      await subject.driver.configure(amphora, file?.content ?? '[DEFAULT]\n');
      await subject.reopen().configure(amphora, file?.content ?? '[DEFAULT]\n');
      expect(await subject.driver.findInfo(amphora)).toBeDefined();
      const gone = amphoraWith({ id: idOf('amphora', 9), lb_network_ip: '127.255.255.254' });
      await expect(subject.driver.configure(gone, '')).rejects.toThrow(gone.id);
    });

    test('plugs the VIP, and does so again without harm', async () => {
      await subject.driver.plugVip(amphora, vip, plugVip);
      await subject.reopen().plugVip(amphora, vip, plugVip);
      expect(await subject.driver.interfaceOf(amphora, plugVip.vrrp_ip!)).toBe('eth1');
    });

    test('fails to plug an interface that is not attached, and to find one for a foreign address', async () => {
      const foreign = { ...plugVip, mac_address: 'fa:16:3e:00:00:01' };
      await expect(subject.driver.plugVip(amphora, '203.0.113.9', foreign)).rejects.toThrow(
        'No suitable network interface found',
      );
      await expect(subject.driver.interfaceOf(amphora, '203.0.113.9')).rejects.toThrow('interface');
    });

    test('applies a configuration, applies it again, and another one, and none', async () => {
      await subject.driver.apply(amphora, config());
      await subject.reopen().apply(amphora, config());
      await subject.driver.apply(amphora, config({ haproxy_cfg: haproxyCfg(8081) }));
      expect((await subject.driver.details(amphora)).haproxy_count).toBe(1);
      await subject.driver.apply(amphora, config({ haproxy_cfg: null }));
      expect((await subject.driver.details(amphora)).haproxy_count).toBe(0);
      await subject.reopen().apply(amphora, config({ haproxy_cfg: null }));
      expect((await subject.driver.details(amphora)).haproxy_count).toBe(0);
    });

    test('sends certificate files with the configuration', async () => {
      const certificates = [{ name: `${'0'.repeat(40)}.pem`, pem: new Secret('not looked at\n') }];
      await subject.driver.apply(amphora, config({ certificates }));
      await subject.driver.apply(amphora, config({ certificates }));
      expect((await subject.driver.details(amphora)).haproxy_count).toBe(1);
      const has = (name: string) => subject.reopen().hasCertificate(amphora, LB, name);
      const { name } = certificates[0]!;
      expect([await has(name), await has(`${'1'.repeat(40)}.pem`)]).toEqual([true, false]);
      await subject.driver.apply(amphora, config({ certificates: [{ name, pem: null }] }));
      for (let i = 0; i < 2; i++)
        await subject.driver.apply(amphora, config({ obsolete_certificates: [name] }));
      expect(await has(name)).toBe(false);
    });

    test('applies listeners that have a configuration of their own, and removes those that are not named', async () => {
      const served = async () => (await subject.driver.details(amphora)).lvs_listener_process_count;
      const listeners = [1, 2].map(n => ({ listener_id: idOf('listener', n), keepalived_conf: lvsConf(n) }));
      await subject.driver.apply(amphora, config({ udp_listeners: listeners }));
      await subject.reopen().apply(amphora, config({ udp_listeners: listeners }));
      expect(await served()).toBe(2);
      await subject.driver.apply(amphora, config({ udp_listeners: listeners.slice(1), haproxy_cfg: null }));
      expect(await served()).toBe(1);
      await subject.reopen().apply(amphora, config());
      expect(await served()).toBe(0);
    });

    test('a configuration that haproxy rejects is terminal, says why, and the last good one keeps running', async context => {
      if (!subject.checksConfiguration) context.skip('there is no haproxy that could reject it');
      await subject.driver.apply(amphora, config());
      const broken = config({ haproxy_cfg: `${haproxyCfg(8080)}    nonsense here\n` });
      const error = await subject.driver.apply(amphora, broken).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(TerminalError);
      expect((error as Error).message).toContain('nonsense');
      expect((await subject.driver.details(amphora)).haproxy_count).toBe(1);
    });
  });
}

function amphoraWith(fields: Partial<Amphora>): Amphora {
  return { ...buildGraph({ amphorae: [{}] }).amphorae[0]!, ...fields };
}

function lvsConf(n: number): string {
  const listeners = [{ id: idOf('listener', n), protocol: 'UDP' as const, default_pool_id: idOf('pool', 1) }];
  const graph = buildGraph({ listeners, pools: [{ protocol: 'UDP' }], members: [{}] });
  return renderUdpListeners(graph, { basePath: '/var/lib/octavia' })[0]!.keepalived_conf;
}

/** The smallest configuration that has what an agent looks for: a stats socket, a frontend, a peer of its own. */
function haproxyCfg(port: number): string {
  return `# Configuration for load balancer ${LB}
global
    daemon
    log /run/rsyslog/octavia/log local0
    stats socket /var/lib/octavia/${LB}.sock mode 0666 level user
    maxconn 100

defaults
    log global
    mode http
    timeout connect 5000
    timeout client 50000
    timeout server 50000

frontend ${idOf('listener', 1)}
    bind 0.0.0.0:${port}
    default_backend ${idOf('pool', 1)}

backend ${idOf('pool', 1)}
    server ${idOf('member', 1)} 192.0.2.1:80
`;
}
