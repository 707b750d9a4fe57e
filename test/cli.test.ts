/** The CLI against a whole system on noop drivers: what a user types, and what he reads. */
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CliError } from '../src/cli/cli-error.ts';
import { type Cli, startCli } from './cli.fixture.ts';

let cli: Cli;
let ottavia: Cli['ottavia'];
let json: Cli['json'];

beforeAll(async () => {
  cli = await startCli();
  ({ ottavia, json } = cli);
});
afterAll(() => cli.stop());

describe('a load balancer from the command line', () => {
  test('is created, filled, shown, changed and deleted, by name', async () => {
    const lb = await json('lb create --name web --vip-subnet-id private-subnet --tag a --tag b --wait');
    expect(lb).toMatchObject({ name: 'web', provisioning_status: 'ACTIVE', tags: ['a', 'b'] });

    await ottavia(
      'listener create web --name http --protocol http --protocol-port 80 --insert-headers X-Forwarded-For=true',
    );
    await ottavia('pool create --name app --listener http --protocol HTTP --lb-algorithm round_robin');
    await ottavia(
      'member create app --name m1 --address 10.0.0.5 --protocol-port 8080 --weight 3 --subnet-id private-subnet',
    );
    const monitor = await json(
      'healthmonitor create app --name check --type HTTP --delay 5 --timeout 2 --max-retries 3 --http-version 1.1 --wait',
    );
    expect(monitor).toMatchObject({
      provisioning_status: 'ACTIVE',
      http_version: 1.1,
      pools: [expect.anything()],
    });

    const listener = await json('listener show http');
    expect(listener).toMatchObject({ insert_headers: { 'X-Forwarded-For': 'true' }, protocol_port: 80 });
    expect(await json('member list app')).toMatchObject([{ name: 'm1', weight: 3 }]);

    await ottavia('member set app m1 --weight 0 --disable --wait');
    expect(await json('member show app m1')).toMatchObject({ weight: 0, admin_state_up: false });
    await ottavia('lb set web --tag c');
    expect((await json('lb show web')).tags).toEqual(['a', 'b', 'c']);
    await ottavia('lb set web --no-tag --description something --wait');
    expect(await json('lb show web')).toMatchObject({ tags: [], description: 'something' });

    const tree = (await ottavia('tree web')).out
      .split('\n')
      .map(each => each.replaceAll(/(?<=\S) {2,}/g, ' | '));
    expect(tree).toEqual([
      `load balancer web | ${lb.vip_address} | ACTIVE | OFFLINE`,
      '└─ listener http | HTTP:80 | ACTIVE | OFFLINE',
      '   └─ pool app | HTTP ROUND_ROBIN | ACTIVE | OFFLINE',
      '      ├─ health monitor check | HTTP GET / every 5 s | ACTIVE | ONLINE',
      '      └─ member m1 | 10.0.0.5:8080 weight 0 switched off | ACTIVE | NO_MONITOR',
      '',
    ]);

    await expect(ottavia('lb delete web')).rejects.toThrow(/\(HTTP 400\)/);
    await ottavia('lb delete web --cascade --wait');
    await expect(ottavia('lb show web')).rejects.toThrow('Cannot find load balancer web');
  });

  test('shows progress line by line where there is no terminal', async () => {
    const { err, out } = await ottavia(
      'lb create --name slow --vip-subnet-id private-subnet --wait -f value -c name',
    );
    expect(out).toBe('slow\n');
    expect(err).toMatch(/^ +\d+\.\d s {2}load balancer slow is ACTIVE\n$/m);
    await ottavia('lb delete slow --wait');
  });
});

describe('lists', () => {
  test('filter, choose columns, and print tables, values and JSON', async () => {
    for (const name of ['one', 'two'])
      await ottavia(`lb create --name ${name} --vip-subnet-id private-subnet --wait`);
    expect((await ottavia('lb list -f value -c name')).out.trim().split('\n').sort()).toEqual(['one', 'two']);
    expect((await ottavia('lb list --name two -f value -c name')).out).toBe('two\n');
    expect((await ottavia('lb list --disable -f value -c name')).out).toBe('');
    expect(await json('loadbalancer list --name one -c name -c provider')).toEqual([
      { name: 'one', provider: 'amphora' },
    ]);
    const [rule, head, , row] = (await ottavia('lb list --name one -c name -c admin_state_up')).out.split(
      '\n',
    );
    expect(rule).toBe('+------+----------------+');
    expect(head).toBe('| name | admin_state_up |');
    expect(row).toBe('| one  | true           |');
    for (const name of ['one', 'two']) await ottavia(`lb delete ${name} --wait`);
  });

  test('follow pages to the end', async () => {
    const lb = await json('lb create --name paged --vip-subnet-id private-subnet --wait');
    for (let port = 1; port <= 7; port++)
      await ottavia(`listener create paged --name l${port} --protocol TCP --protocol-port ${port}`);
    const { Client } = await import('../src/cli/client.ts');
    const { findCloud } = await import('../src/cli/cloud.ts');
    const environment = { OS_CLIENT_CONFIG_FILE: join(cli.dataDir, 'clouds.yaml') };
    const client = new Client(findCloud({ environment, cwd: cli.dataDir, cloud: 'ottavia' }));
    const counts: number[] = [];
    const query = { limit: '2', loadbalancer_id: lb.id };
    const rows = await client.list('lbaas/listeners', query, count => counts.push(count));
    expect(counts).toEqual([2, 4, 6]);
    expect(rows.map(row => row.name).sort()).toEqual(['l1', 'l2', 'l3', 'l4', 'l5', 'l6', 'l7']);
    await ottavia('lb delete paged --cascade --wait');
  });
});

describe('what goes wrong', () => {
  test.each([
    ['lb create --name x --vip-subnet-id nowhere', 'Cannot find subnet nowhere: none has this name or id'],
    ['lb show nothing', 'Cannot find load balancer nothing: none has this name or id; there is none at all'],
    ['subnet show privat-subent', 'did you mean private-subnet?'],
    ['network show x', 'there are lb-mgmt-net, private'],
    ['amphora show x', 'Cannot find amphora x: none has this name or id; there is none at all'],
    ['listener create nothing --protocol HTTP --protocol-port 80', 'Cannot find load balancer nothing'],
  ])('%s', async (line, sentence) => {
    await expect(ottavia(line)).rejects.toThrow(sentence);
  });

  test("a refusal has the server's sentence and the request id", async () => {
    const error = await ottavia('lb create --name x').catch(e => e);
    expect(error).toBeInstanceOf(CliError);
    expect(error.message).toMatch(/VIP.*\(HTTP 400\)$/);
    expect(error.requestId).toMatch(/^req-[0-9a-f-]{36}$/);
  });

  test.each([
    ['member create app --address 10.0.0.1 --protocol-port 99999', 'it must be from 1 to 65535'],
    ['member create app --address 10.0.0.1 --protocol-port 80 --weight 300', 'it must be from 0 to 256'],
    ['listener create lb --protocol-port 80', "required option '--protocol <protocol>' not specified"],
    ['lb lisst', "unknown command 'lisst'"],
  ])('%s is refused before anything is asked', async (line, words) => {
    const error = await ottavia(line, { OS_CLIENT_CONFIG_FILE: '/nowhere' }).catch(e => e);
    expect(error).toBeInstanceOf(CommanderError);
    expect(error.message).toContain(words);
  });

  test('two of one name must be told apart by id', async () => {
    const ids = [];
    for (let i = 0; i < 2; i++)
      ids.push((await json('lb create --name twin --vip-subnet-id private-subnet --wait')).id);
    await expect(ottavia('lb show twin')).rejects.toThrow('Cannot choose among 2 of the name twin');
    for (const id of ids) await ottavia(`lb delete ${id} --wait`);
  });

  test('a wrong password, a dead address and a missing file each have a sentence', async () => {
    const variables = {
      OS_AUTH_URL: `${cli.standalone.url}/identity`,
      OS_USERNAME: 'admin',
      OS_PROJECT_NAME: 'admin',
    };
    const nowhere = { OS_CLIENT_CONFIG_FILE: '/nowhere' };
    await expect(ottavia('lb list', { ...nowhere, ...variables, OS_PASSWORD: 'wrong' })).rejects.toThrow(
      /Cannot log in at .*\/identity\/v3/,
    );
    await expect(
      ottavia('lb list', { ...nowhere, ...variables, OS_PASSWORD: 'x', OS_AUTH_URL: 'http://127.0.0.1:9' }),
    ).rejects.toThrow(/Cannot reach http:\/\/127.0.0.1:9: .*ECONNREFUSED/);
    await expect(ottavia('lb list', nowhere)).rejects.toThrow(
      /Cannot find cloud ottavia: .*ottavia standalone/,
    );
  });
});
