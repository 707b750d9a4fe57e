/** Lists: filters, tags, sort, pages in both directions, fields, projects, and how many queries a list takes. */
import fc from 'fast-check';
import type { KyselyPlugin } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { givenDatabase } from '../db/testing.ts';
import { type GivenApi, givenApi, PROJECT, SUBNET } from './testing.ts';
import { givenWorld, send, type World } from './testing-scenarios.ts';

const FIVE = [
  { name: 'b', tags: ['red', 'big'], admin_state_up: true, vip_address: '10.1.0.2' },
  { name: 'a', tags: ['red'], admin_state_up: false, vip_address: '10.1.0.3' },
  { name: 'a', tags: [], admin_state_up: true, project_id: 'p2', vip_address: '10.1.0.1' },
  { name: 'c', tags: ['Red', 'b"ig', 'ü'], admin_state_up: true, description: 'x' },
  { name: 'd', tags: ['blue', 'big'], admin_state_up: true },
];

describe('load balancers, listed', () => {
  let api: GivenApi;
  let ids: string[] = [];
  beforeAll(async () => {
    api = await givenApi();
    ids = [];
    for (const lb of FIVE)
      ids.push((await api.create('/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET, ...lb } })).id);
  });
  afterAll(() => api[Symbol.asyncDispose]());

  /** The positions in `FIVE` of what the query finds. */
  async function find(query: string): Promise<number[]> {
    const { status, body } = await api.request('GET', `/loadbalancers?${query}`);
    if (status !== 200) throw new Error(body.faultstring);
    return body.loadbalancers.map((lb: { id: string }) => ids.indexOf(lb.id));
  }

  test.each([
    ['', [0, 1, 2, 3, 4]],
    ['name=a', [1, 2]],
    ['name=A', []],
    ['name=', []],
    ['name=a&admin_state_up=True', [2]],
    ['admin_state_up=False', [1]],
    ['admin_state_up=0', [1]],
    ['enabled=yes', [0, 2, 3, 4]],
    ['project_id=p2', [2]],
    ['vip_address=10.1.0.3', [1]],
    ['description=x', [3]],
    [
      'provider=amphora&topology=SINGLE&operating_status=OFFLINE&provisioning_status=PENDING_CREATE',
      [0, 1, 2, 3, 4],
    ],
    ['id=ffffffff-0000-4000-8000-000000000000', []],
    ['flavor_id=', []],
    ["name=a' or 1=1 --", []],
    ['name=%C3%BC', []],
    ['tags=red', [0, 1]],
    ['tags=red,big', [0]],
    ['tags=red&tags=big', [0]],
    ['tags=', []],
    ['tags=%2C', []],
    ['tags=b%22ig', [3]],
    ['tags=%C3%BC', [3]],
    ['tags=re', []],
    ['tags=r%25', []],
    ['tags-any=red,blue', [0, 1, 4]],
    ['not-tags=red,big', [1, 2, 3, 4]],
    ['not-tags-any=red,big', [2, 3]],
    ['tags=big&not-tags=blue', [0]],
    ['tags=red&name=a', [1]],
    ['sort=name', [1, 2, 0, 3, 4]],
    ['sort=name:desc', [4, 3, 0, 1, 2]],
    ['sort=name:DESC,created_at:desc', [4, 3, 0, 2, 1]],
    ['sort_key=name,created_at&sort_dir=asc,desc', [2, 1, 0, 3, 4]],
    ['sort_key=admin_state_up&sort_key=name', [1, 2, 0, 3, 4]],
    ['sort=created_at:desc', [4, 3, 2, 1, 0]],
    ['limit=2', [0, 1]],
    ['limit=0', [0, 1, 2, 3, 4]],
    ['limit=infinite', [0, 1, 2, 3, 4]],
    ['limit=-1', [0, 1, 2, 3, 4]],
  ] as [string, number[]][])('?%s', async (query, found) => {
    expect(await find(query)).toEqual(found);
  });

  test.each([
    ['colour=red', 'colour'],
    ['__proto__=x', '__proto__'],
    ['tenant_id=x', 'tenant_id'],
    ['listeners=x', 'listeners'],
    ['name=a&name=b', 'name'],
    ['sort=colour', 'colour'],
    ['sort=tags', 'tags'],
    ['sort=vip_sg_ids', 'vip_sg_ids'],
    ['sort=name:up', 'up'],
    ['sort=name:asc:x', 'name:asc:x'],
    ['limit=many', 'many'],
    ['marker=nope', 'nope'],
    ['marker=', 'marker'],
  ])('?%s is refused', async (query, named) => {
    const { status, body } = await api.request('GET', `/loadbalancers?${query}`);
    expect(status).toBe(400);
    expect(body.faultstring).toContain(named);
  });

  test('with some fields', async () => {
    const { body } = await api.request(
      'GET',
      '/loadbalancers?fields=name&fields=project_id&fields=nope&fields=tenant_id&limit=1',
    );
    expect(body.loadbalancers).toEqual([{ name: 'b', project_id: PROJECT }]);
    expect((await api.request('GET', '/loadbalancers?fields=id,name&limit=1')).body.loadbalancers).toEqual([
      {},
    ]);
  });

  test('in pages whose links keep filters and sort, and lead to the end and back', async () => {
    const next = (links: { rel: string; href: string }[], rel: string) => {
      const link = links.find(l => l.rel === rel);
      return link && new URL(link.href);
    };
    const { body: first } = await api.request(
      'GET',
      '/loadbalancers?admin_state_up=True&sort=name:desc&limit=2&fields=name&fields=id',
    );
    expect(first.loadbalancers.map((lb: { name: string }) => lb.name)).toEqual(['d', 'c']);
    expect(next(first.loadbalancers_links, 'previous')).toBeUndefined();
    const url = next(first.loadbalancers_links, 'next')!;
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      admin_state_up: 'True',
      sort: 'name:desc',
      limit: '2',
      marker: ids[3],
    });
    expect(url.href).toMatch(/^http:\/\/localhost(:80)?\/v2\.0\/lbaas\/loadbalancers\?/);

    const { body: second } = await api.request('GET', url.pathname + url.search);
    expect(second.loadbalancers).toEqual([
      { name: 'b', id: ids[0] },
      { name: 'a', id: ids[2] },
    ]);
    const back = next(second.loadbalancers_links, 'previous')!;
    expect(back.searchParams.get('page_reverse')).toBe('True');
    expect((await api.request('GET', back.pathname + back.search)).body.loadbalancers).toEqual(
      first.loadbalancers,
    );
    const last = next(second.loadbalancers_links, 'next')!;
    const { body: empty } = await api.request('GET', last.pathname + last.search);
    expect(empty).toEqual({ loadbalancers: [], loadbalancers_links: [] });
  });

  test('page_reverse gives the rows nearest to the marker', async () => {
    const page = await find(`limit=2&marker=${ids[4]}&page_reverse=True`);
    expect(page).toEqual([2, 3]);
    expect(await find(`limit=2&marker=${ids[4]}&page_reverse=true`)).toEqual([]);
  });

  test('without limits or links where the operator has switched them off', async () => {
    await using other = await givenApi({
      settings: {
        allow_pagination: false,
        allow_sorting: false,
        allow_filtering: false,
        allow_field_selection: false,
      },
    });
    await other.create('/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } });
    const { body } = await other.request('GET', '/loadbalancers?limit=1&sort=colour&name=x&fields=id');
    expect(body.loadbalancers_links).toEqual([]);
    expect(body.loadbalancers[0]).toHaveProperty('vip_address');
  });

  test('at most as many as the operator allows, unless all are asked for', async () => {
    await using capped = await givenApi({
      settings: { pagination_max_limit: 2 },
      database: api.db,
    });
    const count = async (query: string) =>
      (await capped.request('GET', `/loadbalancers${query}`)).body.loadbalancers.length;
    expect([
      await count(''),
      await count('?limit=5'),
      await count('?limit=1'),
      await count('?limit=infinite'),
    ]).toEqual([2, 2, 1, 5]);
  });
});

describe('pages over random rows', () => {
  test('forward and backward visit every row once, in order, also over nulls and equal values', async () => {
    await using api = await givenApi();
    const lb = await api.create('/loadbalancers', { loadbalancer: { vip_subnet_id: SUBNET } });
    const pool = await api.create('/pools', {
      pool: { loadbalancer_id: lb.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    });
    const members = Array.from({ length: 23 }, (_, i) => ({
      address: `10.1.2.${i}`,
      protocol_port: 80,
      weight: i % 3,
      monitor_port: i % 4 === 0 ? null : (i % 2) + 1,
      backup: i % 5 === 0,
    }));
    await api.request('PUT', `/pools/${pool.id}/members`, { members });
    const path = `/pools/${pool.id}/members`;
    type Row = { id: string };
    const keys = fc.uniqueArray(
      fc.constantFrom('weight', 'monitor_port', 'backup', 'address', 'updated_at', 'subnet_id', 'created_at'),
      { minLength: 1, maxLength: 3 },
    );
    const query = fc.tuple(
      keys,
      fc.array(fc.constantFrom('asc', 'desc'), { minLength: 3, maxLength: 3 }),
      fc.integer({ min: 1, max: 9 }),
    );
    await fc.assert(
      fc.asyncProperty(query, async ([names, directions, limit]) => {
        const sort = names.map((name, i) => `${name}:${directions[i]}`).join(',');
        const all: Row[] = (await api.request('GET', `${path}?sort=${sort}&limit=infinite`)).body.members;
        expect(all).toHaveLength(23);
        const walk = async (rel: string, start: string) => {
          const pages: Row[][] = [];
          for (let url: string | undefined = start; url; ) {
            const { body } = await api.request('GET', url);
            pages.push(body.members);
            url = body.members_links
              .find((l: { rel: string }) => l.rel === rel)
              ?.href.replace(/^.*\/v2\.0\/lbaas/, '');
          }
          return pages;
        };
        const forward = await walk('next', `${path}?sort=${sort}&limit=${limit}`);
        expect(forward.flat()).toEqual(all);
        const end = all.at(-1)!.id;
        const backward = await walk(
          'previous',
          `${path}?sort=${sort}&limit=${limit}&marker=${end}&page_reverse=True`,
        );
        expect(backward.reverse().flat()).toEqual(all.slice(0, -1));
      }),
      { numRuns: 25 },
    );
  });
});

describe('every collection', () => {
  const COLLECTIONS: [path: string, key: string, filter: string, count: number][] = [
    ['/listeners', 'listeners', 'loadbalancer_id=$lb&protocol=HTTP&protocol_port=80&connection_limit=-1', 1],
    ['/listeners', 'listeners', 'default_pool_id=$pool', 1],
    ['/listeners', 'listeners', 'load_balancer_id=$lb', 2],
    ['/listeners', 'listeners', 'protocol_port=eighty', 0],
    ['/pools', 'pools', 'loadbalancer_id=$lb&protocol=TCP&lb_algorithm=ROUND_ROBIN&tls_enabled=False', 1],
    ['/pools', 'pools', 'healthmonitor_id=$monitor', 1],
    ['/pools', 'pools', 'healthmonitor_id=$pool', 0],
    [
      '/pools/$pool/members',
      'members',
      'address=10.1.0.5&protocol_port=80&weight=1&backup=no&vnic_type=normal',
      1,
    ],
    ['/pools/$pool/members', 'members', 'name=10.1.0.6', 0],
    ['/pools/$pool/members', 'members', 'id=$member', 1],
    ['/healthmonitors', 'healthmonitors', 'pool_id=$pool&type=HTTP&delay=5&http_method=GET', 1],
    ['/healthmonitors', 'healthmonitors', 'http_version=1.1', 0],
  ];
  test.each(COLLECTIONS)('%s %s?%s finds %i', async (path, key, filter, count) => {
    await using world = await givenWorld();
    const { status, body } = await send(world, { method: 'GET', path: `${path}?${filter}` });
    expect(status).toBe(200);
    expect(body[key]).toHaveLength(count);
    expect(body).toHaveProperty(`${key}_links`);
  });

  test.each([
    '/pools?listener_id=x',
    '/pools?loadbalancers=x',
    '/listeners?l7policies=x',
    '/healthmonitors?description=x',
  ])('%s is refused', async path => {
    await using world = await givenWorld();
    expect((await send(world, { method: 'GET', path })).status).toBe(400);
  });

  test('shows the same object in a list as alone', async () => {
    await using world = await givenWorld();
    for (const [path, key] of new Map(COLLECTIONS.map(([path, key]) => [path, key]))) {
      const { body } = await send(world, { method: 'GET', path });
      const alone = await send(world, { method: 'GET', path: `${path}/${body[key][0].id}` });
      expect(Object.values(alone.body)).toEqual([body[key][0]]);
    }
  });
});

describe('projects', () => {
  const caller = (project_id: string | null) => ({
    user_id: 'u',
    project_id,
    roles: ['member'],
    domain_id: null,
    system_scope: null,
    is_admin: false,
  });

  async function asUser(world: World, project_id: string | null): Promise<World> {
    world.deps.authenticate = () => caller(project_id);
    return world;
  }

  test('a user sees and changes what is his own', async () => {
    await using world = await asUser(await givenWorld(), PROJECT);
    expect((await send(world, { method: 'GET', path: '/loadbalancers' })).body.loadbalancers).toHaveLength(2);
    expect(
      (await send(world, { method: 'PUT', path: '/listeners/$listener', body: { listener: {} } })).status,
    ).toBe(200);
    expect((await send(world, { method: 'GET', path: '/pools/$pool/members' })).status).toBe(200);
  });

  test('and nothing of another project: 403 for what exists, 404 for what does not, empty lists', async () => {
    await using world = await asUser(await givenWorld(), 'stranger');
    const status = async (method: string, path: string, body?: unknown) =>
      (await send(world, { method, path, body })).status;
    for (const path of ['/loadbalancers', '/listeners', '/pools', '/healthmonitors'])
      expect(Object.values((await send(world, { method: 'GET', path })).body)[0]).toEqual([]);
    for (const path of [
      '/loadbalancers/$lb',
      '/loadbalancers/$lb/stats',
      '/loadbalancers/$lb/status',
      '/listeners/$listener',
      '/listeners/$listener/stats',
      '/pools/$pool',
      '/pools/$pool/members',
      '/pools/$pool/members/$member',
      '/healthmonitors/$monitor',
    ])
      expect([path, await status('GET', path)]).toEqual([path, 403]);
    for (const path of [
      '/loadbalancers/$lb',
      '/listeners/$listener',
      '/pools/$pool',
      '/pools/$pool/members/$member',
      '/healthmonitors/$monitor',
    ])
      expect([path, await status('DELETE', path)]).toEqual([path, 403]);
    expect(await status('PUT', '/pools/$pool/members', { members: [] })).toBe(403);
    expect(
      await status('POST', '/listeners', {
        listener: { loadbalancer_id: '$lb', protocol: 'TCP', protocol_port: 9 },
      }),
    ).toBe(403);
    expect(
      await status('POST', '/loadbalancers', {
        loadbalancer: { vip_subnet_id: SUBNET, project_id: PROJECT },
      }),
    ).toBe(403);
    expect(await status('GET', `/loadbalancers?project_id=${PROJECT}`)).toBe(403);
    expect(await status('GET', '/loadbalancers/nope')).toBe(404);
    expect(world.nudges).toEqual([]);
  });

  test('a marker of another project is unknown', async () => {
    await using world = await asUser(await givenWorld(), 'stranger');
    expect((await send(world, { method: 'GET', path: '/loadbalancers?marker=$lb' })).status).toBe(400);
  });

  test('a token without a project cannot list, and needs a project to create', async () => {
    await using world = await asUser(await givenWorld(), null);
    expect((await send(world, { method: 'GET', path: '/loadbalancers' })).status).toBe(403);
    world.deps.authenticate = () => ({ ...caller(null), is_admin: true });
    expect(
      (
        await send(world, {
          method: 'POST',
          path: '/loadbalancers',
          body: { loadbalancer: { vip_subnet_id: SUBNET } },
        })
      ).status,
    ).toBe(400);
  });
});

test('a list takes the same number of queries, however long it is', async () => {
  let queries = 0;
  const counter: KyselyPlugin = {
    transformQuery: ({ node }) => {
      queries += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  await using plain = await givenDatabase();
  await using api = await givenApi({ database: plain.withPlugin(counter) });
  const count = async (path: string) => {
    queries = 0;
    await api.request('GET', path);
    return queries;
  };
  const grow = async (n: number) => {
    for (let i = 0; i < n; i++) {
      const pools = [
        {
          name: 'p',
          protocol: 'HTTP',
          lb_algorithm: 'ROUND_ROBIN',
          members: [{ address: '10.1.0.1', protocol_port: 1 }],
        },
      ];
      await api.create('/loadbalancers', {
        loadbalancer: {
          vip_subnet_id: SUBNET,
          pools,
          listeners: [{ protocol: 'HTTP', protocol_port: 80, default_pool: { name: 'p' } }],
        },
      });
    }
  };
  await grow(1);
  const lists = ['/loadbalancers', '/listeners', '/pools', '/healthmonitors'];
  const few = [];
  for (const path of lists) few.push(await count(path));
  await grow(20);
  const many = [];
  for (const path of lists) many.push(await count(path));
  expect(many).toEqual(few);
  expect(Math.max(...many)).toBeLessThanOrEqual(4);
});
