/** All 82 `openstack loadbalancer` commands of Debian's unmodified client, against standalone with its own identity. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientObstacle, PythonClient } from './python-client.ts';
import { type StandaloneCloud, startCloud } from './standalone-cloud.ts';

type Row = Record<string, unknown>;
const LIMIT_MS = 40_000;

const obstacle = clientObstacle('openstackclient', 'octaviaclient');
if (obstacle) {
  test.skip(`openstack loadbalancer: ${obstacle}`, () => {});
} else {
  describe('openstack loadbalancer', () => {
    let cloud: StandaloneCloud;
    let client: PythonClient;
    const tried = new Set<string>();

    beforeAll(async () => {
      cloud = await startCloud();
      client = new PythonClient('openstack', cloud.environment);
    });
    afterAll(async () => {
      await client?.close();
      await cloud?.stop();
    });

    /** Splits at spaces; quotes keep some together. */
    const words = (line: string): string[] =>
      [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, plain]) => a ?? b ?? plain!);
    const note = (line: string) => {
      const [, ...name] =
        /^((?:[a-z0-9]+ )*?(?:create|list|show|set|unset|delete|failover|configure|reset))\b/.exec(line)!;
      tried.add(`loadbalancer ${name[0]}`);
    };
    /** A command that prints nothing. */
    const run = async (line: string) => {
      note(line);
      expect(await client.run('loadbalancer', ...words(line)), line).toBe('');
    };
    const one = async (line: string): Promise<Row> => {
      note(line);
      return client.json<Row>('loadbalancer', ...words(line));
    };
    const many = async (line: string): Promise<Row[]> => {
      note(line);
      return client.json<Row[]>('loadbalancer', ...words(line));
    };
    /** The names in a list, sorted. */
    const names = async (line: string, column = 'name') =>
      (await many(line)).map(row => String(row[column])).sort();
    const active = (what: string) =>
      expect
        .poll(async () => (await one(what)).provisioning_status, { timeout: LIMIT_MS, interval: 50 })
        .toBe('ACTIVE');
    const gone = (what: string) =>
      expect
        .poll(async () => (await client.try('loadbalancer', ...words(what))).code, { timeout: LIMIT_MS })
        .not.toBe(0);

    test('load balancers', async () => {
      const made = await one(
        'create --name lb1 --description "the first" --vip-subnet-id private-subnet --tag a --tag b',
      );
      expect(made).toMatchObject({
        name: 'lb1',
        description: 'the first',
        provider: 'amphora',
        admin_state_up: true,
      });
      await one('create --name lb2 --vip-network-id private --disable --wait');
      expect(await names('list')).toEqual(['lb1', 'lb2']);
      expect(await names('list --disable')).toEqual(['lb2']);
      expect(await names('list --tags a,b')).toEqual(['lb1']);
      expect(await names('list --not-any-tags a')).toEqual(['lb2']);
      expect(await names(`list --vip-port-id ${made.vip_port_id}`)).toEqual(['lb1']);
      await active('show lb1');
      expect(await names('list --provisioning-status ACTIVE --provider amphora --name lb1')).toEqual(['lb1']);
      await run('set lb1 --name first --description changed --disable --tag c');
      const changed = { name: 'first', description: 'changed', admin_state_up: false };
      expect(await one('show first')).toMatchObject(changed);
      expect(
        String((await one('show first')).tags)
          .split(/\s+/)
          .sort(),
      ).toEqual(['a', 'b', 'c']);
      await run('unset first --description --all-tag');
      expect(await one(`show ${made.id}`)).toMatchObject({ description: '', tags: '' });
      await run('set first --name lb1 --enable');
      await run('set lb1');
      await active('show lb1');
      expect(await one('stats show lb1')).toEqual({
        ...{ active_connections: 0, bytes_in: 0, bytes_out: 0, request_errors: 0, total_connections: 0 },
      });
      await run('failover lb1');
      await active('show lb1');
      await run('delete lb2 --wait');
      expect(await names('list')).toEqual(['lb1']);
    });

    test('listeners', async () => {
      const made = await one(
        'listener create lb1 --name http --protocol HTTP --protocol-port 80 --connection-limit 100 ' +
          '--insert-headers X-Forwarded-For=true,X-Forwarded-Port=true --timeout-client-data 1000 ' +
          '--timeout-member-connect 1000 --timeout-member-data 1000 --timeout-tcp-inspect 1 --allowed-cidr 10.0.0.5/8 --tag t',
      );
      expect(made).toMatchObject({
        protocol: 'HTTP',
        protocol_port: 80,
        connection_limit: 100,
        timeout_client_data: 1000,
      });
      expect(made.insert_headers).toContain('X-Forwarded-For=true');
      expect(made.allowed_cidrs).toBe('10.0.0.0/8');
      await one('listener create lb1 --name tcp --protocol TCP --protocol-port 81');
      expect(await names('listener list --loadbalancer lb1')).toEqual(['http', 'tcp']);
      expect(await names('listener list --tags t')).toEqual(['http']);
      await run(
        'listener set http --description d --connection-limit 5 --insert-headers X-Forwarded-For=true',
      );
      expect(await one('listener show http')).toMatchObject({ description: 'd', connection_limit: 5 });
      await run(
        'listener unset http --description --connection-limit --insert-headers --timeout-client-data ' +
          '--timeout-member-connect --timeout-member-data --timeout-tcp-inspect --allowed-cidrs --tls-versions ' +
          '--tls-ciphers --alpn-protocols --client-authentication --default-pool --all-tag',
      );
      expect(await one('listener show http')).toMatchObject({
        ...{
          description: '',
          connection_limit: -1,
          timeout_client_data: 50_000,
          insert_headers: null,
          tags: '',
        },
      });
      expect(await one('listener stats show http')).toMatchObject({ total_connections: 0 });
      await run('listener delete tcp');
      await gone('listener show tcp');
    });

    test('pools', async () => {
      const made = await one(
        'pool create --name web --listener http --protocol HTTP --lb-algorithm ROUND_ROBIN ' +
          '--session-persistence type=APP_COOKIE,cookie_name=c --tag t',
      );
      expect(made).toMatchObject({ name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' });
      expect(made.session_persistence).toContain('cookie_name=c');
      await one('pool create --name other --loadbalancer lb1 --protocol HTTP --lb-algorithm SOURCE_IP');
      expect(await names('pool list --loadbalancer lb1')).toEqual(['other', 'web']);
      await run('pool set web --lb-algorithm LEAST_CONNECTIONS --description d --disable');
      expect(await one('pool show web')).toMatchObject({
        ...{ lb_algorithm: 'LEAST_CONNECTIONS', description: 'd', admin_state_up: false },
      });
      await run('pool unset web --session-persistence --description --all-tag');
      expect(await one('pool show web')).toMatchObject({ session_persistence: null, description: '' });
      await run('pool set web --enable');
      await run('pool delete other');
      await gone('pool show other');
      expect((await one('listener show http')).default_pool_id).toBe(made.id);
    });

    test('members', async () => {
      const made = await one(
        'member create web --name m1 --address 10.64.0.10 --protocol-port 8080 --weight 5 --subnet-id private-subnet ' +
          '--monitor-port 9000 --monitor-address 10.64.0.11 --enable-backup --tag t',
      );
      expect(made).toMatchObject({
        address: '10.64.0.10',
        protocol_port: 8080,
        weight: 5,
        backup: true,
        monitor_port: 9000,
      });
      await one('member create web --name m2 --address 10.64.0.12 --protocol-port 8080 --disable');
      expect(await names('member list web')).toEqual(['m1', 'm2']);
      await run('member set web m1 --weight 0 --disable-backup --name m');
      expect(await one('member show web m')).toMatchObject({ weight: 0, backup: false });
      await run('member unset web m --weight --monitor-port --monitor-address --backup --all-tag');
      expect(await one(`member show web ${made.id}`)).toMatchObject({
        weight: 1,
        monitor_port: null,
        monitor_address: null,
      });
      await run('member delete web m2');
      await gone('member show web m2');
    });

    test('health monitors', async () => {
      const made = await one(
        'healthmonitor create web --name hm --type HTTP --delay 5 --timeout 3 --max-retries 3 --max-retries-down 2 ' +
          '--http-method HEAD --url-path /health --expected-codes 200-204 --http-version 1.1 --domain-name example.org --tag t',
      );
      expect(made).toMatchObject({
        type: 'HTTP',
        delay: 5,
        http_method: 'HEAD',
        http_version: 1.1,
        domain_name: 'example.org',
      });
      expect(await names('healthmonitor list')).toEqual(['hm']);
      await run('healthmonitor set hm --delay 6 --url-path / --disable');
      expect(await one('healthmonitor show hm')).toMatchObject({
        delay: 6,
        url_path: '/',
        admin_state_up: false,
      });
      await run(
        'healthmonitor unset hm --domain-name --expected-codes --http-method --http-version --max-retries-down --url-path --all-tag',
      );
      expect(await one('healthmonitor show hm')).toMatchObject({
        ...{
          domain_name: null,
          expected_codes: '200',
          http_method: 'GET',
          http_version: null,
          max_retries_down: 3,
        },
      });
    });

    test('L7 policies and rules', async () => {
      await one(
        'l7policy create http --name to-pool --action REDIRECT_TO_POOL --redirect-pool web --position 1 --tag t',
      );
      const url = await one(
        'l7policy create http --name to-url --action REDIRECT_TO_URL --redirect-url http://www.example.com/ --redirect-http-code 301 --position 1',
      );
      expect(url).toMatchObject({
        position: 1,
        redirect_http_code: 301,
        redirect_url: 'http://www.example.com/',
      });
      await one(
        'l7policy create http --name prefix --action REDIRECT_PREFIX --redirect-prefix https://example.com',
      );
      await one('l7policy create http --name reject --action REJECT --disable');
      expect(await names('l7policy list --listener http')).toEqual(['prefix', 'reject', 'to-pool', 'to-url']);
      expect(await one('l7policy show to-pool')).toMatchObject({ position: 2 });
      await run('l7policy set reject --position 1 --enable --description d');
      expect(await one('l7policy show reject')).toMatchObject({
        position: 1,
        description: 'd',
        admin_state_up: true,
      });
      await run('l7policy unset to-url --redirect-http-code');
      await run('l7policy unset reject --description --name --all-tag');
      expect(await one('l7policy show to-url')).toMatchObject({ position: 2, redirect_http_code: null });

      const rule = await one(
        'l7rule create to-pool --type PATH --compare-type STARTS_WITH --value /api --tag t',
      );
      expect(rule).toMatchObject({ type: 'PATH', compare_type: 'STARTS_WITH', value: '/api', invert: false });
      const header = await one(
        'l7rule create to-pool --type HEADER --compare-type EQUAL_TO --key X-Version --value 2 --invert',
      );
      expect(await names('l7rule list to-pool', 'value')).toEqual(['/api', '2']);
      await run(`l7rule set to-pool ${rule.id} --value /v2 --invert`);
      expect(await one(`l7rule show to-pool ${rule.id}`)).toMatchObject({ value: '/v2', invert: true });
      await run(`l7rule unset to-pool ${rule.id} --invert --key --all-tag`);
      expect(await one(`l7rule show to-pool ${rule.id}`)).toMatchObject({ invert: false, key: null });
      await run(`l7rule delete to-pool ${header.id}`);
      await gone(`l7rule show to-pool ${header.id}`);
    });

    test('the status tree', async () => {
      note('status show');
      await active('show lb1');
      const tree = JSON.parse(await client.run('loadbalancer', 'status', 'show', 'lb1'));
      const [listener] = tree.loadbalancer.listeners;
      expect(listener).toMatchObject({ name: 'http', provisioning_status: 'ACTIVE' });
      expect(listener.pools[0]).toMatchObject({
        name: 'web',
        health_monitor: { name: 'hm' },
        members: [{ name: 'm' }],
      });
    });

    test('quotas', async () => {
      const project = (await client.json<Row>('project', 'show', 'admin')).id;
      expect(await one('quota defaults show')).toMatchObject({ load_balancer: -1, l7rule: -1 });
      await one(
        'quota set admin --loadbalancer 10 --listener 20 --pool 30 --member 40 --healthmonitor 50 --l7policy 60 --l7rule 70',
      );
      expect(await one('quota show admin')).toMatchObject({
        ...{
          load_balancer: 10,
          listener: 20,
          pool: 30,
          member: 40,
          health_monitor: 50,
          l7policy: 60,
          l7rule: 70,
        },
      });
      expect(await names('quota list', 'project_id')).toEqual([project]);
      expect(await names('quota list --project admin', 'project_id')).toEqual([project]);
      await run('quota unset admin --loadbalancer --listener');
      expect(await one('quota show admin')).toMatchObject({ load_balancer: -1, listener: -1, pool: 30 });
      await run('quota reset admin');
      expect(await one('quota show admin')).toMatchObject({ pool: -1 });
    });

    test('providers, flavors and their profiles', async () => {
      expect(await names('provider list')).toEqual(expect.arrayContaining(['amphora', 'octavia']));
      expect(await names('provider capability list amphora --flavor')).toContain('loadbalancer_topology');
      expect(await names('provider capability list amphora --availability-zone')).toContain('compute_zone');
      const profile = await one(
        `flavorprofile create --name fp --provider amphora --flavor-data '{"loadbalancer_topology": "SINGLE"}'`,
      );
      expect(profile).toMatchObject({
        provider_name: 'amphora',
        flavor_data: '{"loadbalancer_topology": "SINGLE"}',
      });
      expect(await names('flavorprofile list --provider amphora')).toEqual(['fp']);
      await run('flavorprofile set fp --name single');
      expect(await one('flavorprofile show single')).toMatchObject({ id: profile.id });
      const made = await one('flavor create --name small --flavorprofile single --description d --enable');
      expect(made).toMatchObject({ enabled: true, flavor_profile_id: profile.id });
      expect(await names('flavor list --flavorprofile single --enable')).toEqual(['small']);
      await run('flavor set small --disable');
      expect(await one('flavor show small')).toMatchObject({ enabled: false, description: 'd' });
      await run('flavor set small --enable');
      await run('flavor unset small --description');
      const lb = await one('create --name flavored --vip-subnet-id private-subnet --flavor small');
      expect(lb.flavor_id).toBe(made.id);
      const inUse = await client.try('loadbalancer', 'flavor', 'delete', 'small');
      expect(inUse.code).not.toBe(0);
      expect(inUse.stderr).toContain('409');
      await run('delete flavored');
      await gone('show flavored');
      await run('flavor delete small');
      await run('flavorprofile delete single');
      expect(await many('flavor list')).toEqual([]);
    });

    test('availability zones and their profiles', async () => {
      const profile = await one(
        `availabilityzoneprofile create --name zp --provider amphora --availability-zone-data '{"compute_zone": "nova"}'`,
      );
      expect(await names('availabilityzoneprofile list')).toEqual(['zp']);
      await run('availabilityzoneprofile set zp --name zones');
      expect(await one('availabilityzoneprofile show zones')).toMatchObject({ id: profile.id });
      await one('availabilityzone create --name az.1 --availabilityzoneprofile zones --description d');
      expect(await names('availabilityzone list --enable')).toEqual(['az.1']);
      await run('availabilityzone set az.1 --disable');
      expect(await one('availabilityzone show az.1')).toMatchObject({ enabled: false, description: 'd' });
      await run('availabilityzone unset az.1 --description');
      await run('availabilityzone delete az.1');
      await run('availabilityzoneprofile delete zones');
      expect(await many('availabilityzone list')).toEqual([]);
    });

    test('amphorae', async () => {
      const [before] = await many('amphora list --loadbalancer lb1 --status ALLOCATED');
      expect(before).toMatchObject({ role: 'STANDALONE', status: 'ALLOCATED' });
      expect(await one(`amphora show ${before!.id}`)).toMatchObject({ id: before!.id });
      await run(`amphora configure ${before!.id}`);
      await run(`amphora failover ${before!.id}`);
      // It serves no more at once; the other one comes a little later.
      await active('show lb1');
      const [after] = await many('amphora list --loadbalancer lb1 --status ALLOCATED');
      expect(after!.id).not.toBe(before!.id);
      // No traffic ran, so there is nothing to sum; and only what is in ERROR may be deleted.
      note('amphora stats show');
      expect(
        (await client.try('loadbalancer', 'amphora', 'stats', 'show', String(after!.id))).stderr,
      ).toContain('404');
      note('amphora delete');
      expect((await client.try('loadbalancer', 'amphora', 'delete', String(after!.id))).stderr).toContain(
        '409',
      );
    });

    test('what is wrong is said as the API says it', async () => {
      const { code, stderr } = await client.try(
        ...['loadbalancer', 'pool', 'create', '--name', 'p', '--loadbalancer', 'lb1', '--protocol', 'HTTP'],
        ...['--lb-algorithm', 'ROUND_ROBIN', '--session-persistence', 'type=APP_COOKIE'],
      );
      expect(code).not.toBe(0);
      expect(stderr).toContain('session_persistence.cookie_name');
      expect(stderr).toMatch(/HTTP 400.*req-[0-9a-f-]{36}/s);
      expect((await client.try('loadbalancer', 'show', 'nothing')).stderr).toContain(
        'Unable to locate nothing',
      );
    });

    test('everything is taken away again', async () => {
      await run('l7policy delete to-pool');
      await run('healthmonitor delete hm');
      await run('delete lb1 --cascade --wait');
      for (const list of ['list', 'listener list', 'pool list', 'healthmonitor list', 'l7policy list']) {
        expect(await many(list), list).toEqual([]);
      }
    });

    test('no command of the client was left out', async () => {
      const [group] = await client.json<{ Commands: string[] }[]>(
        ...['command', 'list', '--group', 'openstack.load_balancer.v2'],
      );
      expect(group!.Commands).toHaveLength(82);
      expect([...tried].sort()).toEqual(group!.Commands);
    });
  });
}
