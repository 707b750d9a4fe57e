/** Every command of the CLI at least once, against a whole system on noop drivers. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, startCli } from './cli.fixture.ts';

let cli: Cli;
let ottavia: Cli['ottavia'];
let json: Cli['json'];
let values: Cli['values'];

beforeAll(async () => {
  cli = await startCli();
  ({ ottavia, json, values } = cli);
  write('lb.yaml', TREE);
});
afterAll(() => cli.stop());

const write = (name: string, text: string) => writeFileSync(join(cli.dataDir, name), text);

const TREE = `
loadbalancer:
  name: shop
  vip_subnet_id: private-subnet
  listeners:
    - name: web
      protocol: HTTP
      protocol_port: 80
      description: the front
      default_pool: { name: apps, protocol: HTTP, lb_algorithm: ROUND_ROBIN }
  pools:
    - name: apps
      protocol: HTTP
      lb_algorithm: ROUND_ROBIN
      members: [{ name: a1, address: 10.0.0.50, protocol_port: 8080, subnet_id: private-subnet }]
      healthmonitor: { name: check, type: HTTP, delay: 5, timeout: 3, max_retries: 2 }
`.replace(
  'default_pool: { name: apps, protocol: HTTP, lb_algorithm: ROUND_ROBIN }',
  'default_pool: { name: apps }',
);

describe('load balancing', () => {
  test('a whole load balancer is made from a file, options winning over it', async () => {
    const { out, err } = await ottavia('lb create -f lb.yaml --name store --tag a --wait -f value -c name');
    expect(out).toBe('store\n');
    expect(err).toMatch(/load balancer store is ACTIVE\n$/);
    const subnet = (await json('subnet show private-subnet')).id;
    expect(await json('member show apps a1')).toMatchObject({ subnet_id: subnet, address: '10.0.0.50' });
    write('bad.yaml', '- a list');
    await expect(ottavia('lb create -f bad.yaml')).rejects.toThrow(
      'Cannot use bad.yaml: it must hold the fields of a loadbalancer',
    );
    await expect(ottavia('lb create -f none.yaml')).rejects.toThrow('Cannot read none.yaml: ENOENT');
  });

  test('lb why', async () => {
    const { out: said } = await ottavia('lb why store');
    expect(said).toContain('store is ACTIVE: all that was asked for is in effect since ');
    expect(said).toContain('Its operating status is ');
  });

  test('logs, where amphorae keep them: these do not', async () => {
    for (const line of ['logs store', 'logs store --follow --lines 0 -f raw'])
      await expect(ottavia(line)).rejects.toThrow(/Cannot show logs of load balancer .*\(HTTP 501\)/);
    await expect(ottavia('logs store --lines 10001')).rejects.toThrow('it must be from 0 to 10000.');
  });

  test('statuses, statistics and failover', async () => {
    const lines = (await ottavia('lb status store')).out.split('\n').map(line => line.replaceAll(/ +/g, ' '));
    expect(lines).toEqual([
      'load balancer store ACTIVE OFFLINE',
      '└─ listener web ACTIVE OFFLINE',
      ' └─ pool apps ACTIVE OFFLINE',
      ' ├─ health monitor check HTTP ACTIVE ONLINE',
      ' └─ member a1 10.0.0.50:8080 ACTIVE OFFLINE',
      '',
    ]);
    expect((await json('lb status store')).loadbalancer.name).toBe('store');
    const zeros = {
      bytes_in: 0,
      bytes_out: 0,
      active_connections: 0,
      total_connections: 0,
      request_errors: 0,
    };
    expect(await json('lb stats store')).toEqual(zeros);
    expect(await json('listener stats web')).toEqual(zeros);
    const [before] = await values('amphora list --loadbalancer store -c id');
    await ottavia('lb failover store --wait');
    const [after] = await values('amphora list --loadbalancer store -c id');
    expect(after).not.toBe(before);
  });

  test('listeners, pools, members and health monitors: made, listed, shown, set, unset, deleted', async () => {
    await ottavia(
      'listener create store --name l --protocol tcp --protocol-port 81 --connection-limit 7 --description d',
    );
    await ottavia(
      'pool create --name p --listener l --protocol TCP --lb-algorithm source_ip --session-persistence type=SOURCE_IP',
    );
    await ottavia('listener set l --timeout-client-data 1000 --wait');
    expect(await json('listener show l')).toMatchObject({ connection_limit: 7, timeout_client_data: 1000 });
    await ottavia(
      'listener unset l --connection-limit --timeout-client-data --description --default-pool --wait',
    );
    expect(await json('listener show l')).toMatchObject({
      ...{ connection_limit: -1, timeout_client_data: 50000, description: '', default_pool_id: null },
    });
    expect(await values('listener list --loadbalancer store -c name')).toEqual(['web', 'l']);
    await ottavia('listener delete l --wait');

    await ottavia('pool set p --lb-algorithm least_connections --description text --wait');
    await ottavia('pool unset p --session-persistence --description');
    expect(await json('pool show p')).toMatchObject({
      ...{ lb_algorithm: 'LEAST_CONNECTIONS', session_persistence: null, description: '' },
    });
    expect((await values('pool list --loadbalancer store -c name')).sort()).toEqual(['apps', 'p']);

    await ottavia(
      'member create p --name m --address 10.0.0.9 --protocol-port 1 --weight 9 --monitor-port 2 --enable-backup',
    );
    await ottavia('member set p m --monitor-address 10.0.0.10');
    await ottavia('member unset p m --weight --monitor-port --monitor-address --backup --wait');
    expect(await json('member show p m')).toMatchObject({
      ...{ weight: 1, monitor_port: null, monitor_address: null, backup: false },
    });
    await ottavia('member delete p m --wait');
    expect(await values('member list p')).toEqual([]);

    await ottavia(
      'healthmonitor create p --name h --type tcp --delay 5 --timeout 3 --max-retries 2 --max-retries-down 9',
    );
    await ottavia('healthmonitor set h --delay 7 --wait');
    await ottavia('healthmonitor unset h --max-retries-down --wait');
    expect(await json('healthmonitor show h')).toMatchObject({ delay: 7, max_retries_down: 3 });
    expect(await values('healthmonitor list --pool p -c name')).toEqual(['h']);
    await ottavia('healthmonitor delete h --wait');
    await ottavia('pool delete p --wait');
  });

  test('the members of a pool become those of a file', async () => {
    write(
      'members.yaml',
      'members:\n- { name: m1, address: 10.0.0.1, protocol_port: 80, subnet_id: private-subnet }',
    );
    write('more.yaml', '- { name: m2, address: 10.0.0.2, protocol_port: 80, weight: 5 }');
    await ottavia('member set-all apps -f members.yaml --wait');
    expect(await values('member list apps -c name -c address')).toEqual(['m1 10.0.0.1']);
    const { err } = await ottavia('member set-all apps --file more.yaml --additive --wait');
    expect(err).toMatch(/load balancer store is ACTIVE\n$/);
    expect((await values('member list apps -c name -c weight')).sort()).toEqual(['m1 1', 'm2 5']);
    await expect(ottavia('member set-all apps -f lb.yaml')).rejects.toThrow(
      'Cannot use lb.yaml: it must hold a list of members',
    );
  });

  test('l7policies and l7rules', async () => {
    await ottavia(
      'l7policy create web --name old --action redirect_to_url --redirect-url https://example.org/ --redirect-http-code 301',
    );
    const policy = await json(
      'l7policy create web --name api --action redirect_to_pool --redirect-pool apps --position 1 --wait',
    );
    expect(policy).toMatchObject({ position: 1, provisioning_status: 'ACTIVE' });
    const rule = await json(
      "l7rule create old --type host_name --compare-type ends_with --value '.old.example' --invert --tag x --wait",
    );
    expect(rule).toMatchObject({
      type: 'HOST_NAME',
      invert: true,
      tags: ['x'],
      provisioning_status: 'ACTIVE',
    });
    await ottavia(`l7rule set old ${rule.id} --value .older.example --tag y --wait`);
    await ottavia(`l7rule unset old ${rule.id} --invert --tag x --wait`);
    expect(await json(`l7rule show old ${rule.id}`)).toMatchObject({
      ...{ value: '.older.example', invert: false, tags: ['y'] },
    });
    expect(await values('l7rule list old --type host_name --any-tags y,z -c value')).toEqual([
      '.older.example',
    ]);
    await ottavia('l7policy set old --position 1 --description d --wait');
    await ottavia('l7policy unset old --redirect-http-code --description --wait');
    expect(await json('l7policy show old')).toMatchObject({
      position: 1,
      redirect_http_code: null,
      description: '',
    });
    expect(await values('l7policy list --listener web --action redirect_to_pool -c name')).toEqual(['api']);
    const tree = (await ottavia('tree store')).out;
    expect(tree).toContain('l7policy old  1. REDIRECT_TO_URL https://example.org/');
    expect(tree).toContain('HOST_NAME ENDS_WITH .older.example');
    // The pool stands below each that sends traffic to it.
    expect(tree.match(/pool apps/g)).toHaveLength(2);
    await ottavia(`l7rule delete old ${rule.id} --wait`);
    await ottavia('l7policy delete old --wait');
    await expect(ottavia('l7rule show api x')).rejects.toThrow('Cannot find l7rule x: ');
    await ottavia('l7policy delete api --wait');
  });

  test('tags are added, taken away, and asked for in four ways', async () => {
    await ottavia("lb create --name 'two words' --vip-subnet-id private-subnet --tag b --wait");
    await ottavia('lb set store --tag b --tag c --wait');
    expect((await json('lb show store')).tags).toEqual(['a', 'b', 'c']);
    const names = (filter: string) => values(`lb list ${filter} -c name`);
    expect(await names('--tags a,b')).toEqual(['store']);
    expect(await names('--any-tags a,b')).toEqual(['store', 'two words']);
    expect(await names('--not-tags a,b')).toEqual(['two words']);
    expect(await names('--not-any-tags a,c')).toEqual(['two words']);
    await ottavia('lb unset store --tag a --tag nothing --wait');
    expect((await json('lb show store')).tags).toEqual(['b', 'c']);
    await ottavia('lb set store --no-tag --tag d');
    expect((await json('lb show store')).tags).toEqual(['d']);
    await ottavia('lb unset store --all-tag --description --wait');
    expect((await json('lb show store')).tags).toEqual([]);
    await ottavia("lb delete 'two words' --wait");
  });

  test('the formats: YAML holds all fields', async () => {
    expect((await ottavia('lb show store -f yaml -c name -c listeners')).out).toMatch(
      /^name: store\nlisteners:\n {2}- id: [0-9a-f-]{36}\n$/,
    );
    expect((await ottavia('lb list -f yaml')).out).toMatch(/^- id: .*\n {2}name: store\n/);
    expect((await ottavia('tree store -f yaml')).out).toMatch(/^label: load balancer store\n/);
  });
});

describe('for operators', () => {
  test('quotas', async () => {
    await ottavia('quota set admin --loadbalancer 30 --l7rule 5');
    expect(await values('quota show admin -c loadbalancer -c l7rule -c pool')).toEqual(['30', '5', '-1']);
    await ottavia('quota unset admin --l7rule');
    expect(await json('quota list --project admin -c loadbalancer -c l7rule')).toEqual([
      { loadbalancer: 30, l7rule: null },
    ]);
    await ottavia('quota reset admin');
    expect(await values('quota show admin -c loadbalancer')).toEqual(['-1']);
    expect(await values('quota defaults -c member -c healthmonitor')).toEqual(['-1', '-1']);
  });

  test('amphorae', async () => {
    const [row] = await json('amphora list --loadbalancer store --role standalone --status allocated --long');
    expect(row).toMatchObject({ role: 'STANDALONE', status: 'ALLOCATED' });
    expect((await ottavia('amphora list --long')).out).toContain('| compute_id ');
    expect(await json(`amphora show ${row.id}`)).toMatchObject({ loadbalancer_id: row.loadbalancer_id });
    expect((await ottavia(`amphora show ${row.id}`)).out).toMatch(
      /reloads \d+, starts 0, changes without either 0 +\|\n\| +\| \d{4}-\d\d-\d\dT[\d:]+ reloaded: another configuration/,
    );
    await ottavia(`amphora configure ${row.id} --wait`);
    await ottavia(`amphora failover ${row.id} --wait`);
    const [id] = await values('amphora list -c id');
    expect(id).not.toBe(row.id);
    // Nothing reports of traffic here.
    await expect(ottavia(`amphora stats ${id}`)).rejects.toThrow('(HTTP 404)');
    await expect(ottavia(`amphora delete ${id} --wait`)).rejects.toThrow(/\(HTTP 409\); look at it/);
  });

  test('providers, flavors and availability zones', async () => {
    expect(await values('provider list -c name')).toContain('amphora');
    expect(await values('provider capability list amphora --flavor -c type -c name')).toContain(
      'flavor loadbalancer_topology',
    );
    expect(await values('provider capability list amphora --availability-zone -c name')).toContain(
      'compute_zone',
    );
    expect((await json('provider capability list amphora')).length).toBeGreaterThan(4);

    await ottavia(
      `flavorprofile create --name fp --provider amphora --flavor-data '{"loadbalancer_topology":"SINGLE"}'`,
    );
    await ottavia('flavorprofile set fp --name profile');
    expect(await values('flavorprofile list --provider amphora -c name -c flavor_data')).toEqual([
      'profile {"loadbalancer_topology":"SINGLE"}',
    ]);
    await ottavia('flavor create --name small --flavorprofile profile --description d --disable');
    await ottavia('flavor set small --enable');
    await ottavia('flavor unset small --description');
    expect(await json('flavor show small')).toMatchObject({ enabled: true, description: '' });
    expect(await values('flavor list --enable --flavorprofile profile -c name')).toEqual(['small']);
    expect(await values('lb create --name f --vip-subnet-id private-subnet --flavor small -c name')).toEqual([
      'f',
    ]);
    await expect(ottavia('flavor delete small')).rejects.toThrow('(HTTP 409)');
    await ottavia('lb unset f --flavor --wait');
    expect(await json('lb show f')).toMatchObject({ flavor_id: null });
    await ottavia('lb set f --flavor small --wait');
    expect(await values('lb list --flavor small -c name')).toEqual(['f']);
    await ottavia('lb delete f --wait');
    await ottavia('flavor delete small');
    expect(await json('flavorprofile show profile')).toMatchObject({ provider_name: 'amphora' });
    await ottavia('flavorprofile delete profile');

    await ottavia(
      `availabilityzoneprofile create --name zp --provider amphora --availability-zone-data '{"compute_zone":"nova"}'`,
    );
    await ottavia('availabilityzoneprofile set zp --name profile');
    expect(await values('availabilityzoneprofile list -c name')).toEqual(['profile']);
    await ottavia('availabilityzone create --name zone --availabilityzoneprofile profile --description d');
    await ottavia('availabilityzone set zone --disable');
    await ottavia('availabilityzone unset zone --description');
    expect(await json('availabilityzone show zone')).toMatchObject({ enabled: false, description: '' });
    expect(await values('availabilityzone list --disable -c name')).toEqual(['zone']);
    await expect(ottavia('availabilityzone show zonne')).rejects.toThrow('did you mean zone?');
    await ottavia('availabilityzone delete zone');
    expect((await json('availabilityzoneprofile show profile')).availability_zone_data).toContain('nova');
    await ottavia('availabilityzoneprofile delete profile');
  });
});

describe('the cloud around them', () => {
  test('a project, a user in it with a role, who then works there', async () => {
    await ottavia("project create demo --description 'A demo'");
    await ottavia('user create joe --password secret --project demo --email joe@example.org');
    await ottavia('role create auditor');
    await ottavia('role add member --user joe --project demo');
    const joe = {
      ...{ OS_AUTH_URL: `${cli.standalone.url}/identity`, OS_USERNAME: 'joe', OS_PROJECT_NAME: 'demo' },
      OS_CLIENT_CONFIG_FILE: '/nowhere',
    };
    const mine = await ottavia('lb list --project demo -f json', { ...joe, OS_PASSWORD: 'secret' });
    expect(mine.out).toBe('[]\n');
    await expect(ottavia('amphora list', { ...joe, OS_PASSWORD: 'secret' })).rejects.toThrow(
      /\(HTTP 403\); a role may be missing/,
    );
    await ottavia('user set joe --password other --description x');
    await expect(ottavia('lb list', { ...joe, OS_PASSWORD: 'secret' })).rejects.toThrow('Cannot log in');
    await ottavia('role remove member --user joe --project demo');
    await expect(ottavia('lb list', { ...joe, OS_PASSWORD: 'other' })).rejects.toThrow('Cannot log in');

    expect(await json('user show joe')).toMatchObject({ email: 'joe@example.org', enabled: true });
    expect((await values('user list -c name')).sort()).toEqual(['admin', 'joe']);
    expect(await values('role list -c name')).toContain('auditor');
    expect((await json('role show auditor')).name).toBe('auditor');
    await ottavia('project set demo --disable --name shown');
    expect(await json('project show shown')).toMatchObject({ description: 'A demo', enabled: false });
    expect((await values('project list -c name')).sort()).toEqual(['admin', 'shown']);
    await ottavia('role delete auditor');
    await ottavia('user delete joe');
    await ottavia('project delete shown');
    await expect(ottavia('user show joe')).rejects.toThrow('Cannot find user joe');
  });

  test('networks and subnets', async () => {
    await ottavia('network create net --description d');
    await ottavia(
      'subnet create sub --network net --subnet-range 10.77.0.0/24 --gateway none --allocation-pool start=10.77.0.10,end=10.77.0.99',
    );
    expect(await json('subnet show sub')).toMatchObject({
      ...{ cidr: '10.77.0.0/24', gateway_ip: null, ip_version: 4 },
      allocation_pools: [{ start: '10.77.0.10', end: '10.77.0.99' }],
    });
    await ottavia('network set net --name net2');
    await ottavia('subnet set sub --name sub2');
    expect(await values('network list --name net2 -c name')).toEqual(['net2']);
    expect(await values('subnet list --network net2 -c name')).toEqual(['sub2']);
    await ottavia('lb create --name on-sub2 --vip-subnet-id sub2 --wait');
    expect((await json('lb show on-sub2')).vip_address).toMatch(/^10\.77\.0\.\d\d$/);
    await ottavia('lb delete on-sub2 --wait');
    await ottavia('subnet delete sub2');
    expect((await json('network show net2')).subnets).toEqual([]);
    await ottavia('network delete net2');
  });

  test('secrets, and a certificate with its key that a listener takes', async () => {
    for (const name of ['one', 'two']) {
      const files = ['-keyout', join(cli.dataDir, `${name}.key`), '-out', join(cli.dataDir, `${name}.pem`)];
      const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
      execFileSync('openssl', ['req', ...kind, '-subj', `/CN=${name}.example`, ...files], {
        stdio: 'ignore',
      });
    }
    write('blob', '\u0000\u0001');
    await ottavia('secret store --file one.pem --type certificate');
    await ottavia('secret store --file blob --name bytes');
    expect((await values('secret list -c name')).sort()).toEqual(['bytes', 'one.pem']);
    expect(await json('secret show one.pem')).toMatchObject({
      ...{ secret_type: 'certificate', content_types: { default: 'text/plain' } },
    });
    expect((await json('secret show bytes')).content_types).toEqual({ default: 'application/octet-stream' });

    const bundle = await json('secret bundle --cert one.pem --key one.key --chain two.pem --name site');
    expect(bundle).toMatchObject({ name: 'site', subject: 'CN=one.example' });
    expect(await values('secret bundle --cert two.pem --key two.key -c container_ref')).toEqual([
      expect.stringContaining('/v1/containers/'),
    ]);
    expect((await values('container list -c name')).sort()).toEqual(['site', 'two.pem']);
    const { secret_refs } = await json(`container show ${bundle.container_ref}`);
    expect(secret_refs.map((each: { name: string }) => each.name).sort()).toEqual([
      ...['certificate', 'intermediates', 'private_key'],
    ]);

    const kept = await values('secret list -c name');
    await expect(ottavia('secret bundle --cert one.pem --key two.key')).rejects.toThrow(
      "Cannot bundle one.pem with two.key: the key is not the certificate's",
    );
    await expect(ottavia('secret bundle --cert lb.yaml --key two.key')).rejects.toThrow(
      'Cannot read lb.yaml',
    );
    await expect(ottavia('secret store --file none.pem')).rejects.toThrow('Cannot read none.pem: ENOENT');
    expect(await values('secret list -c name')).toEqual(kept);

    await ottavia('container delete site');
    await ottavia('secret delete bytes');
    expect(await values('secret list --name bytes')).toEqual([]);
  });
});

describe('tools', () => {
  test('version, completion and a tree as JSON', async () => {
    expect(await json('version')).toEqual({ client: '1.2.3', api: 'v2.30', endpoint: cli.standalone.url });
    expect((await ottavia('completion bash')).out).toContain('complete -F _ottavia ottavia');
    expect((await ottavia('complete -- lb sh')).out).toBe('show\tShow a load balancer\n');
    expect(JSON.parse((await ottavia('tree store -f json')).out)).toMatchObject({
      label: 'load balancer store',
    });
    await ottavia('lb delete store --cascade --wait');
  });

  test('no command was left out above', () => {
    expect(cli.listUntried()).toEqual([]);
  });
});
