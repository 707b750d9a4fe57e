/** All 39 `neutron lbaas-*` commands of Debian's unmodified client, and a load balancer with traffic made by them alone. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientObstacle, PythonClient } from '../clients/python-client.ts';
import { type StandaloneCloud, startCloud } from '../clients/standalone-cloud.ts';
import { tally } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, trafficObstacle } from './real-system.ts';
import { until } from './until.ts';

type Row = Record<string, unknown>;

const obstacle = clientObstacle('neutronclient');
const titled = (title: string, reason: string | undefined) => (reason ? `${title} (${reason})` : title);

/** Splits a command line at spaces. */
class Neutron {
  readonly client: PythonClient;
  readonly tried = new Set<string>();

  constructor(environment: NodeJS.ProcessEnv) {
    this.client = new PythonClient('neutron', environment);
  }

  /** What a command without an object to show says. */
  async say(line: string): Promise<string> {
    return (await this.client.run(...this.#words(line))).trim();
  }

  json<T = Row>(line: string): Promise<T> {
    return this.client.json<T>(...this.#words(line));
  }

  /** What it complains about; the name of its exception is not told. */
  async refused(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.client.try(...this.#words(line));
    expect(code, line).not.toBe(0);
    return stdout + stderr;
  }

  #words(line: string): string[] {
    const words = line.split(' ');
    this.tried.add(words[0]!);
    return words;
  }
}

describe.skipIf(obstacle)(titled('neutron lbaas', obstacle), () => {
  let cloud: StandaloneCloud;
  let neutron: Neutron;
  beforeAll(async () => {
    cloud = await startCloud();
    neutron = new Neutron(cloud.environment);
  });
  afterAll(async () => {
    await neutron?.client.close();
    await cloud?.stop();
  });

  const active = async (name: string) =>
    until(`${name} to be ACTIVE`, async () => {
      const lb = await neutron.json(`lbaas-loadbalancer-show ${name}`);
      return lb.provisioning_status === 'ACTIVE' && lb;
    });

  test('load balancers', async () => {
    const create =
      'lbaas-loadbalancer-create --name lb1 --description first --provider haproxy --vip-address 10.64.5.77';
    const lb = await neutron.json(`${create} private-subnet`);
    expect(lb).toMatchObject({ name: 'lb1', vip_address: '10.64.5.77', admin_state_up: true, listeners: [] });
    expect(lb.tenant_id).toBe(lb.project_id);
    await active('lb1');
    expect(await neutron.say('lbaas-loadbalancer-update lb1 --admin-state-up False --name lb-one')).toBe(
      'Updated loadbalancer: lb1',
    );
    expect(await active('lb-one')).toMatchObject({ admin_state_up: false, description: 'first' });
    await neutron.say('lbaas-loadbalancer-update lb-one --admin-state-up True');
    await neutron.json('lbaas-loadbalancer-create --name lb2 --admin-state-down private-subnet');
    const names = async (options: string) =>
      (await neutron.json<Row[]>(`lbaas-loadbalancer-list ${options}`)).map(row => row.name);
    expect(await names('--sort-key name --sort-dir desc')).toEqual(['lb2', 'lb-one']);
    expect(await names('-P 1 -F name')).toEqual(['lb-one', 'lb2']);
    expect(await names('--name lb2')).toEqual(['lb2']);
    expect(await names(`--tenant-id ${lb.tenant_id} --admin_state_up False`)).toEqual(['lb2']);
    expect(await neutron.json('lbaas-loadbalancer-stats lb-one')).toEqual({
      ...{ active_connections: 0, bytes_in: 0, bytes_out: 0, total_connections: 0 },
    });
  });

  test('listeners and pools', async () => {
    const listener = await neutron.json(
      'lbaas-listener-create --name web --loadbalancer lb-one --protocol HTTP --protocol-port 80 --connection-limit 0',
    );
    expect(listener).toMatchObject({ protocol_port: 80, connection_limit: 0, default_pool_id: null });
    const pool = await neutron.json(
      'lbaas-pool-create --name pool --listener web --protocol HTTP --lb-algorithm ROUND_ROBIN --session-persistence type=HTTP_COOKIE',
    );
    expect(pool).toMatchObject({ lb_algorithm: 'ROUND_ROBIN', healthmonitor_id: null });
    await neutron.say('lbaas-pool-update pool --no-session-persistence --lb-algorithm SOURCE_IP');
    expect(await neutron.json('lbaas-pool-show pool')).toMatchObject({
      ...{ session_persistence: null, lb_algorithm: 'SOURCE_IP' },
    });
    const other =
      'lbaas-pool-create --name other --loadbalancer lb-one --protocol HTTP --lb-algorithm ROUND_ROBIN';
    await neutron.json(other);
    expect((await neutron.json<Row[]>('lbaas-pool-list --name other')).map(row => row.protocol)).toEqual([
      'HTTP',
    ]);
    // The load balancer is that of the pool.
    await neutron.json(
      'lbaas-listener-create --name more --default-pool other --protocol HTTP --protocol-port 81',
    );
    await neutron.say('lbaas-listener-update more --connection-limit 5 --admin-state-up False');
    expect(await neutron.json('lbaas-listener-show more')).toMatchObject({
      ...{ connection_limit: 5, admin_state_up: false },
    });
    const listed = await neutron.json<Row[]>('lbaas-listener-list --protocol_port list=true 80 81');
    expect(listed.map(row => row.name)).toEqual(['web', 'more']);
    expect(
      await neutron.refused('lbaas-listener-create --loadbalancer lb-one --protocol TCP --protocol-port 80'),
    ).toContain('already using protocol_port 80');
  });

  test('members and health monitors', async () => {
    const member =
      'lbaas-member-create --name m1 --subnet private-subnet --address 10.64.5.5 --protocol-port 8080';
    expect(await neutron.json(`${member} --weight 0 pool`)).toMatchObject({ weight: 0, protocol_port: 8080 });
    expect(await neutron.json('lbaas-member-show m1 pool')).toMatchObject({
      address: '10.64.5.5',
      weight: 0,
    });
    await neutron.say('lbaas-member-update m1 pool --weight 7 --admin-state-up False');
    expect(await neutron.json('lbaas-member-list pool')).toMatchObject([
      { weight: 7, admin_state_up: false },
    ]);
    await neutron.say('lbaas-member-update m1 pool --weight 0 --admin-state-up True');
    const monitor = await neutron.json(
      'lbaas-healthmonitor-create --name hm --pool pool --type HTTP --delay 5 --timeout 3 --max-retries 2 --url-path /up',
    );
    expect(monitor).toMatchObject({ delay: 5, http_method: 'GET', expected_codes: '200', url_path: '/up' });
    await neutron.say('lbaas-healthmonitor-update hm --expected-codes 200-204 --timeout 4');
    expect(await neutron.json('lbaas-healthmonitor-show hm')).toMatchObject({
      ...{ expected_codes: '200-204', timeout: 4 },
    });
    expect(await neutron.json('lbaas-healthmonitor-list')).toMatchObject([{ name: 'hm', type: 'HTTP' }]);
  });

  test('policies and rules', async () => {
    const policy = await neutron.json(
      'lbaas-l7policy-create --name api --listener web --action REDIRECT_TO_POOL --redirect-pool other',
    );
    expect(policy).toMatchObject({ position: 1, action: 'REDIRECT_TO_POOL' });
    const rule = await neutron.json(
      'lbaas-l7rule-create api --type HEADER --key X-Kind --compare-type EQUAL_TO --value b --invert-compare',
    );
    expect(rule).toMatchObject({ type: 'HEADER', key: 'X-Kind', invert: true });
    await neutron.say(`lbaas-l7rule-update ${rule.id} api --value c`);
    // The client always sends it, unless it is asked to invert again.
    expect(await neutron.json(`lbaas-l7rule-show ${rule.id} api`)).toMatchObject({
      value: 'c',
      invert: false,
    });
    expect(await neutron.json('lbaas-l7rule-list api')).toMatchObject([{ id: rule.id, value: 'c' }]);
    await neutron.say('lbaas-l7policy-update api --description none --position 1');
    expect(await neutron.json('lbaas-l7policy-show api')).toMatchObject({ description: 'none', position: 1 });
    expect(await neutron.json('lbaas-l7policy-list')).toMatchObject([{ name: 'api' }]);
  });

  test('statuses, and where it runs', async () => {
    const lb = await active('lb-one');
    const tree = JSON.parse(await neutron.say('lbaas-loadbalancer-status lb-one')).loadbalancer;
    expect(tree).toMatchObject({
      ...{ id: lb.id, provisioning_status: 'ACTIVE' },
      listeners: [
        {
          name: 'web',
          pools: [{ name: 'pool', members: [{ name: 'm1' }], healthmonitor: { type: 'HTTP' } }],
        },
        { name: 'more', operating_status: 'DISABLED', pools: [{ healthmonitor: {} }] },
      ],
      pools: [{ name: 'pool' }, { name: 'other' }],
    });
    expect(tree.listeners[0].l7policies).toMatchObject([{ name: 'api', rules: [{ type: 'HEADER' }] }]);
    const [agent] = await neutron.json<Row[]>('lbaas-agent-hosting-loadbalancer lb-one');
    expect(agent).toMatchObject({ host: `amphora-${agent!.id}`, alive: ':-)' });
    expect(await neutron.json(`lbaas-loadbalancer-list-on-agent ${agent!.id}`)).toMatchObject([
      { id: lb.id },
    ]);
  });

  test('providers and flavors of the network service', async () => {
    expect(await neutron.json('service-provider-list')).toContainEqual({
      ...{ service_type: 'LOADBALANCERV2', name: 'amphora', default: true },
    });
    expect(await neutron.say('flavor-list -f json')).toBe('[]');
  });

  test('all of it goes again, what is used last', async () => {
    expect(await neutron.refused('lbaas-loadbalancer-delete lb-one')).toContain('it has children');
    expect(await neutron.refused('lbaas-listener-delete web')).toContain('is using');
    expect(await neutron.refused('lbaas-pool-delete pool')).toContain('is using');
    await neutron.say('lbaas-pool-delete other');
    expect(await neutron.json('lbaas-l7policy-show api')).toMatchObject({ action: 'REJECT' });
    const [rule] = await neutron.json<Row[]>('lbaas-l7rule-list api');
    expect(await neutron.say(`lbaas-l7rule-delete ${rule!.id} api`)).toMatch(/^Deleted lbaas_l7rule/);
    await neutron.say('lbaas-l7policy-delete api');
    await neutron.say('lbaas-healthmonitor-delete hm');
    await neutron.say('lbaas-member-delete m1 pool');
    await neutron.say('lbaas-pool-delete pool');
    await neutron.say('lbaas-listener-delete web');
    await neutron.say('lbaas-listener-delete more');
    await neutron.say('lbaas-loadbalancer-delete lb-one');
    await neutron.say('lbaas-loadbalancer-delete lb2');
    await until('all load balancers to be gone', async () => {
      return (await neutron.say('lbaas-loadbalancer-list -f json')) === '[]';
    });
  });

  test('no command of the client was left out', async () => {
    const help = await neutron.client.run('help');
    const commands = help.match(/^ +lbaas-[a-z0-9-]+/gm)!.map(line => line.trim());
    expect(commands).toHaveLength(39);
    expect(commands.filter(command => !neutron.tried.has(command))).toEqual([]);
  });
});

const trafficReason = obstacle ?? trafficObstacle;
describe.skipIf(trafficReason)(titled('neutron lbaas with traffic', trafficReason), () => {
  test('a load balancer that was made by the old client answers', async () => {
    await using system = await openSystemHere();
    const { subnet, dataDir } = system;
    const addresses = [handPicked(subnet, 0)];
    await using members = await MemberHost.open([subnet], addresses);
    for (const [name, port] of [['a', 9001] as const, ['b', 9002] as const])
      await members.open({ kind: 'http', name, port });
    const file = join(dataDir, 'clouds.yaml');
    const neutron = new Neutron({ OS_CLIENT_CONFIG_FILE: file, OS_CLOUD: 'ottavia' });
    try {
      const lb = await neutron.json('lbaas-loadbalancer-create --name lb1 private-subnet');
      await neutron.say(
        'lbaas-listener-create --name l --loadbalancer lb1 --protocol HTTP --protocol-port 80',
      );
      await neutron.say('lbaas-pool-create --name p --listener l --protocol HTTP --lb-algorithm ROUND_ROBIN');
      for (const port of [9001, 9002])
        await neutron.say(
          `lbaas-member-create --subnet private-subnet --address ${addresses[0]} --protocol-port ${port} p`,
        );
      await system.api.active(String(lb.id));
      expect(await tally(`http://${lb.vip_address}`, 10)).toEqual({ a: 5, b: 5 });
      await until('the statistics to tell of it', async () => {
        const { total_connections } = await neutron.json('lbaas-loadbalancer-stats lb1');
        return Number(total_connections) >= 10;
      });
      const tree = JSON.parse(await neutron.say('lbaas-loadbalancer-status lb1')).loadbalancer;
      expect(tree).toMatchObject({ provisioning_status: 'ACTIVE', operating_status: 'ONLINE' });
    } finally {
      await neutron.client.close();
    }
  });
});
