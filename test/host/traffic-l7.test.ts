/** What L7 policies do to requests, and which rules match which of them: a real haproxy behind a real API. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../src/cli/client.ts';
import type { L7RuleCompareType, L7RuleType } from '../../src/model/l7.ts';
import { dualVip, ensureDualSubnets, FAMILIES, vipsOf } from './dual-vip.ts';
import { ask } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { openSystemHere, type SystemHere, titled, trafficObstacle } from './real-system.ts';

interface Request {
  path?: string;
  headers?: Record<string, string>;
}

type Row = [
  type: L7RuleType,
  key: string | null,
  compare: L7RuleCompareType,
  value: string,
  hits: Request,
  misses: Request,
];

const host = (host: string): Request => ({ headers: { host } });
const path = (path: string): Request => ({ path });
const header = (value: string): Request => ({ headers: { 'x-kind': value } });
const cookie = (cookie: string): Request => ({ headers: { cookie } });

const ROWS: Row[] = [
  ['HOST_NAME', null, 'EQUAL_TO', 'a.example', host('A.Example'), host('a.example.org')],
  ['HOST_NAME', null, 'STARTS_WITH', 'A.', host('a.example'), host('b.a.example')],
  ['HOST_NAME', null, 'ENDS_WITH', '.example', host('b.EXAMPLE'), host('a.example.org')],
  ['HOST_NAME', null, 'CONTAINS', 'exam', host('a.Example'), host('a.sample')],
  ['HOST_NAME', null, 'REGEX', '^[ab]\\.example(:\\d+)?$', host('B.example:80'), host('c.example')],
  ['PATH', null, 'EQUAL_TO', '/Api', path('/Api?x=1'), path('/api')],
  ['PATH', null, 'STARTS_WITH', '/api', path('/api/v1'), path('/v1/api')],
  ['PATH', null, 'ENDS_WITH', '/v1', path('/api/v1?x'), path('/v1/')],
  ['PATH', null, 'CONTAINS', "/it's%23", path("/a/it's%23b"), path('/its')],
  ['PATH', null, 'REGEX', '^/r/\\d{2,3}$', path('/r/12'), path('/r/1')],
  ['FILE_TYPE', null, 'EQUAL_TO', 'jpg', path('/x.jpg?y.png'), path('/x.png?y.jpg')],
  ['FILE_TYPE', null, 'REGEX', '\\.(png|gif)$', path('/x.gif'), path('/gif.x')],
  ['HEADER', 'X-Kind', 'EQUAL_TO', '-f', header('-f'), header('-F')],
  ['HEADER', 'X-Kind', 'STARTS_WITH', '"a b"', header('"a b" c'), header('a b')],
  ['HEADER', 'X-Kind', 'ENDS_WITH', 'a\\b$HOME%[src]', header('x a\\b$HOME%[src]'), header('ab$HOME%[src]')],
  ['HEADER', 'X-Kind', 'CONTAINS', '<&>#', header('x<&>#x'), header('&lt;&amp;&gt;')],
  ['HEADER', 'X-Kind', 'REGEX', '(?i)^a b\\\\?$', header('A b\\'), header('ab')],
  ['COOKIE', 'sid', 'EQUAL_TO', "it's", cookie("a=b; sid=it's"), cookie("id=it's")],
  ['COOKIE', 'sid', 'STARTS_WITH', 'ab', cookie('sid=abc'), cookie('sid=cab')],
  ['COOKIE', 'sid', 'ENDS_WITH', 'bc', cookie('sid=abc'), cookie('sid=bca')],
  ['COOKIE', 'sid', 'CONTAINS', 'b', cookie('sid=abc'), cookie('sid=ac; x=b')],
  ['COOKIE', 'sid', 'REGEX', '^a.c$', cookie('sid=abc'), cookie('sid=abbc')],
];

const POLICIES = [
  ...['action=REJECT', 'action=REDIRECT_TO_URL', 'action=REDIRECT_TO_POOL', 'action=REDIRECT_PREFIX'],
  ...[
    'redirect_pool_id',
    'redirect_url',
    'redirect_prefix',
    'redirect_http_code',
    'position',
    'admin_state_up',
  ],
]
  .map(field => `l7policy.${field}`)
  .join(', ');
const RULES = [...new Set(ROWS.map(([type]) => `l7rule.type=${type}`))];
const COMPARISONS = [...new Set(ROWS.map(([, , compare]) => `l7rule.compare_type=${compare}`))];

describe.skipIf(trafficObstacle)(titled('L7 policies'), () => {
  const made = new AsyncDisposableStack();
  let system: SystemHere;
  let members: MemberHost;
  let subnets: Awaited<ReturnType<typeof ensureDualSubnets>>;
  let vips: ReturnType<typeof vipsOf>;

  const policy = async (body: object, ...rules: object[]): Promise<Resource> => {
    const created = await system.api.create('l7policies', body);
    for (const rule of rules) await system.api.create(`l7policies/${created.id}/rules`, rule);
    return created;
  };
  /** Over IPv6; the same over IPv4 must not be told from it. */
  const get = async ({ path = '/', headers = {} }: Request) => {
    const answers = FAMILIES.map(async family => {
      const answer = await ask(`http://${vips[family]}${path}`, { headers: { host: 'vip', ...headers } });
      delete answer.headers.date;
      return answer;
    });
    const [four, six] = await Promise.all(answers);
    expect(six).toEqual(four);
    return six!;
  };

  beforeAll(async () => {
    system = made.use(await openSystemHere());
    subnets = await ensureDualSubnets(system);
    members = made.use(await MemberHost.open([subnets.IPv4], [handPicked(subnets.IPv4, 0)]));
    await members.open({ kind: 'http', name: 'near', port: 9001 });
    await members.open({ kind: 'http', name: 'far', port: 9002 });
  });
  afterAll(() => made.disposeAsync());

  const pool = (name: string, protocol_port: number) => ({
    ...{ name, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    members: [
      {
        name: name.replace('-pool', ''),
        address: members.addresses[0],
        protocol_port,
        subnet_id: subnets.IPv4.id,
      },
    ],
  });
  const build = async (l7policies: object[]) => {
    const { api } = system;
    const near = pool('near-pool', 9001);
    const listener = { name: 'web', protocol: 'HTTP', protocol_port: 80, default_pool: near, l7policies };
    const lb = await api.create('loadbalancers', {
      ...{ name: 'lb', ...dualVip(subnets), listeners: [listener], pools: [pool('far-pool', 9002)] },
    });
    vips = vipsOf(lb);
    return api.active(lb.id);
  };

  test(`match by every type of rule and every comparison, inverted and not [${[...RULES, ...COMPARISONS].join(', ')}, l7rule.key, l7rule.value, l7rule.invert, IPv4, IPv6]`, {
    timeout: 120_000,
  }, async () => {
    const policies = ROWS.flatMap(([type, key, compare_type, value], row) =>
      [false, true].map(invert => ({
        action: 'REDIRECT_TO_URL',
        redirect_url: `http://matched.example/${row}/${invert}`,
        rules: [
          { type, key, compare_type, value, invert },
          // Only requests that ask for this row are looked at: all rules of a policy must match.
          { type: 'HEADER', key: 'X-Row', compare_type: 'EQUAL_TO', value: `${row}-${invert}` },
        ],
      })),
    );
    const noCertificate = {
      type: 'SSL_CONN_HAS_CERT',
      compare_type: 'EQUAL_TO',
      value: 'true',
      invert: true,
    };
    const row = { type: 'HEADER', key: 'X-Row', compare_type: 'EQUAL_TO', value: 'tls' };
    const lb = await build([...policies, { action: 'REJECT', rules: [noCertificate, row] }]);
    const outcomes: string[] = [];
    for (const [i, [type, , compare, value, hits, misses]] of ROWS.entries()) {
      for (const invert of [false, true]) {
        for (const [request, isHit] of [
          [hits, true],
          [misses, false],
        ] as const) {
          const headers = { ...request.headers, 'x-row': `${i}-${invert}` };
          const { status, headers: answered } = await get({ ...request, headers });
          const expected = isHit !== invert ? `302 http://matched.example/${i}/${invert}` : '200 undefined';
          if (`${status} ${answered.location}` !== expected)
            outcomes.push(
              `${type} ${compare} ${value} invert ${invert}, ${JSON.stringify(request)}: ${status}`,
            );
        }
      }
    }
    expect(outcomes).toEqual([]);
    expect(await get({ headers: { 'x-row': 'tls' } })).toMatchObject({ status: 403 });
    await system.api.remove(`loadbalancers/${lb.id}?cascade=true`);
    await system.api.gone(lb.id as string);
  });

  test(`refuse, redirect, and choose a pool, in this order; among equals the position decides [${POLICIES}, l7rule.admin_state_up, IPv4, IPv6]`, async () => {
    const { api } = system;
    const starts = (value: string) => ({ type: 'PATH', compare_type: 'STARTS_WITH', value });
    const lb = await build([]);
    const id = lb.id as string;
    const [listener] = await api.list('listeners');
    const listener_id = listener!.id;
    const far = (await api.list('pools')).find(({ name }) => name === 'far-pool')!;

    const toPool = await policy(
      { listener_id, action: 'REDIRECT_TO_POOL', redirect_pool_id: far.id },
      starts('/far'),
    );
    const code = 308;
    await policy(
      {
        listener_id,
        action: 'REDIRECT_PREFIX',
        redirect_prefix: 'https://b.example/p%20',
        redirect_http_code: code,
      },
      starts('/far/prefix'),
    );
    const redirect_url = 'https://a.example/%41?b="%[src]#c';
    const toUrl = await policy(
      { listener_id, action: 'REDIRECT_TO_URL', redirect_url },
      starts('/far/prefix/url'),
    );
    const reject = await policy({ listener_id, action: 'REJECT' }, starts('/far/prefix/url/reject'));
    // It has no rule, and so no effect.
    await policy({ listener_id, action: 'REJECT', position: 1 });
    await api.active(id);

    expect(await get(path('/r/1'))).toMatchObject({ status: 200, body: 'near /r/1' });
    expect(await get(path('/far/1'))).toMatchObject({ status: 200, body: 'far /far/1' });
    const prefixed = { status: 308, headers: { location: 'https://b.example/p%20/far/prefix?q=%20' } };
    expect(await get(path('/far/prefix?q=%20'))).toMatchObject(prefixed);
    const inUrl = path('/far/prefix/url');
    expect(await get(inUrl)).toMatchObject({ status: 308 });
    expect(await get(path('/far/prefix/url/reject'))).toMatchObject({ status: 403 });
    await api.shows(id, { 'far-pool': 'ONLINE', far: 'NO_MONITOR', 'near-pool': 'ONLINE' });

    await api.set(`l7policies/${toUrl.id}`, { position: 1 });
    await api.active(id);
    expect(await get(inUrl)).toMatchObject({ status: 302, headers: { location: redirect_url } });

    await api.set(`l7policies/${toUrl.id}`, { redirect_http_code: 301 });
    await api.set(`l7policies/${reject.id}`, { admin_state_up: false });
    await api.set(`pools/${far.id}`, { admin_state_up: false });
    await api.active(id);
    expect(await get(path('/far/prefix/url/reject'))).toMatchObject({ status: 301 });
    expect(await get(path('/far/1'))).toMatchObject({ body: 'near /far/1' });

    await api.set(`pools/${far.id}`, { admin_state_up: true });
    await api.set(`listeners/${listener_id}`, { default_pool_id: null });
    await api.active(id);
    expect(await get(path('/far/1'))).toMatchObject({ body: 'far /far/1' });
    expect(await get(path('/r/1'))).toMatchObject({ status: 503 });

    const [rule] = await api.list(`l7policies/${toPool.id}/rules`);
    const never = await api.create(`l7policies/${toPool.id}/rules`, starts('/never'));
    await api.active(id);
    expect(await get(path('/far/1'))).toMatchObject({ status: 503 });
    await api.set(`l7policies/${toPool.id}/rules/${never.id}`, { admin_state_up: false });
    await api.active(id);
    expect(await get(path('/far/1'))).toMatchObject({ body: 'far /far/1' });
    await api.set(`l7policies/${toPool.id}/rules/${rule!.id}`, { admin_state_up: false });
    await api.active(id);
    expect(await get(path('/far/1'))).toMatchObject({ status: 503 });

    for (const { id } of [toUrl, toPool]) await api.remove(`l7policies/${id}`);
    await api.remove(`pools/${far.id}`);
    await api.active(id);
    expect(await get(path('/far/1'))).toMatchObject({ status: 503 });
    expect((await api.list('l7policies')).map(({ position }) => position).sort()).toEqual([1, 2, 3]);
  });
});
