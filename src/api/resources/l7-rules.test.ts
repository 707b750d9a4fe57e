import { describe, expect, test } from 'vitest';
import { accepted, did, givenWorld, refused, type Scenario, send } from '../testing-scenarios.ts';

type Rest = Omit<Scenario, 'method' | 'path' | 'body'>;
const RULES = '/l7policies/$policy/rules';
const path = { type: 'PATH', compare_type: 'EQUAL_TO', value: '/' };
const create = (set: object, rest: Rest, path = RULES): Scenario => ({
  method: 'POST',
  path,
  body: { rule: set },
  ...rest,
});
const update = (set: object, rest: Rest, path = `${RULES}/$rule`): Scenario => ({
  method: 'PUT',
  path,
  body: { rule: set },
  ...rest,
});
const rule = (type: string, compare_type: string, value: string, key?: string | null) => ({
  ...{ type, compare_type, value },
  ...(key !== undefined && { key }),
});

describe('a rule is refused', () => {
  const bad = ([set, contains]: [set: object, contains: string]) =>
    create(set, { name: JSON.stringify(set).slice(0, 90), status: 400, contains });
  refused([
    ...(
      [
        [{ ...path, type: undefined }, 'type'],
        [{ ...path, type: 'NOPE' }, 'Value should be one of:'],
        [{ ...path, value: undefined }, 'value'],
        [{ ...path, value: '' }, 'value'],
        [{ ...path, value: 'x'.repeat(256) }, 'value'],
        [{ ...path, value: '/a b' }, 'value'],
        [{ ...path, value: '/é' }, 'value'],
        [{ ...path, value: '/a\r\nx' }, 'single line'],
        [{ ...path, name: 'n' }, 'Unknown attribute'],
        [rule('PATH', 'REGEX', '('), 'Value should be a regular expression'],
        [rule('PATH', 'REGEX', '(a)\\1'), 'Value should be a regular expression'],
        [rule('FILE_TYPE', 'STARTS_WITH', 'jpg'), 'compare_type'],
        [rule('HEADER', 'EQUAL_TO', 'a'), 'key'],
        [rule('HEADER', 'EQUAL_TO', 'a', 'x y'), 'key'],
        [rule('HEADER', 'EQUAL_TO', 'a', 'x(y)'), 'key'],
        [rule('HEADER', 'EQUAL_TO', 'a', 'x\n'), 'key'],
        [rule('COOKIE', 'EQUAL_TO', 'a;b', 'c'), 'value'],
        [rule('COOKIE', 'EQUAL_TO', 'a b', 'c'), 'value'],
        [rule('SSL_CONN_HAS_CERT', 'EQUAL_TO', 'yes'), 'value'],
        [rule('SSL_CONN_HAS_CERT', 'EQUAL_TO', 'true', 'k'), 'key'],
        [rule('SSL_VERIFY_RESULT', 'STARTS_WITH', '1'), 'compare_type'],
        [rule('SSL_VERIFY_RESULT', 'EQUAL_TO', '-1'), 'value'],
        [rule('SSL_VERIFY_RESULT', 'EQUAL_TO', '9'.repeat(30)), 'value'],
        [rule('SSL_DN_FIELD', 'EQUAL_TO', 'a', '1CN'), 'key'],
        [rule('SSL_DN_FIELD', 'EQUAL_TO', 'a'), 'key'],
      ] satisfies [object, string][]
    ).map(bad),
    create(path, { name: 'unknown policy', status: 404 }, '/l7policies/nope/rules'),
    create(path, { name: 'policy being deleted', given: did('DELETE', '/l7policies/$policy'), status: 409 }),
    create(
      { ...path, value: '/a b' },
      {
        name: 'value, while nothing can be written',
        given: did('DELETE', '/loadbalancers/$lb?cascade=true'),
        status: 400,
      },
    ),
    update({ value: '/a b' }, { name: 'value of its type', status: 400, contains: 'value' }),
    update({ type: 'HEADER' }, { name: 'type that needs a key', status: 400, contains: 'key' }),
    update({ type: null }, { name: 'null type', status: 400, contains: 'type' }),
    update({ value: '/x' }, { name: 'through another policy', status: 404 }, '/l7policies/$pool/rules/$rule'),
    {
      name: 'list by name',
      method: 'GET',
      path: `${RULES}?name=x`,
      status: 400,
      contains: 'Invalid filter: name',
    },
  ]);

  test('that is addressed through a policy which is not its own', async () => {
    await using world = await givenWorld();
    const other = await world.create('/l7policies', {
      l7policy: { listener_id: world.ids.listener, action: 'REJECT' },
    });
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const body = method === 'PUT' ? { rule: { value: '/x' } } : undefined;
      const answer = await send(world, { method, path: `/l7policies/${other.id}/rules/$rule`, body });
      expect(answer).toMatchObject({ status: 404 });
    }
  });

  test('beyond 50 of one policy', async () => {
    await using world = await givenWorld();
    for (let i = 1; i < 50; i++) await did('POST', RULES, { rule: path })(world);
    expect(await send(world, create(path, { name: '', status: 409 }))).toMatchObject({ status: 409 });
    await did('DELETE', `${RULES}/$rule`)(world);
    expect(await send(world, create(path, { name: '', status: 201 }))).toMatchObject({ status: 201 });
  });
});

describe('a rule is', () => {
  const good = (set: object) =>
    create(set, { name: JSON.stringify(set), status: 201, contains: { rule: set } });
  accepted([
    create(path, {
      name: 'created',
      status: 201,
      contains: {
        rule: {
          ...path,
          key: null,
          invert: false,
          admin_state_up: true,
          tags: [],
          operating_status: 'OFFLINE',
        },
      },
    }),
    good(rule('HOST_NAME', 'REGEX', '(?i)^www\\.', 'ignored')),
    good(rule('PATH', 'CONTAINS', '"a b"')),
    good(rule('FILE_TYPE', 'EQUAL_TO', 'jpg')),
    good({ ...rule('HEADER', 'ENDS_WITH', '-f', "x-!#$%&'*+.^_`|~"), invert: true }),
    good(rule('COOKIE', 'STARTS_WITH', 'a,b', 'c')),
    good(rule('COOKIE', 'REGEX', 'a b', 'c')),
    good(rule('SSL_CONN_HAS_CERT', 'EQUAL_TO', 'True')),
    good(rule('SSL_VERIFY_RESULT', 'EQUAL_TO', '10')),
    good(rule('SSL_DN_FIELD', 'EQUAL_TO', 'Übung 1', 'CN')),
    update(
      { type: 'HEADER', key: 'x' },
      { name: 'of another type', status: 200, contains: { rule: { value: '/admin', key: 'x' } } },
    ),
    update(
      { type: 'HOST_NAME' },
      {
        name: 'without the key of its old type',
        given: did('PUT', `${RULES}/$rule`, { rule: { type: 'HEADER', key: 'x' } }),
        status: 200,
        contains: { rule: { key: null } },
      },
    ),
    update({ invert: null }, { name: 'not inverted', status: 200, contains: { rule: { invert: false } } }),
    {
      name: 'listed by its policy',
      method: 'GET',
      path: `${RULES}?compare_type=STARTS_WITH&invert=False&fields=value&fields=name`,
      status: 200,
      contains: { rules: [{ value: '/admin' }], rules_links: [] },
    },
    { name: 'deleted', method: 'DELETE', path: `${RULES}/$rule`, status: 204 },
  ]);

  test('pending with its policy and listener, and settles with them', async () => {
    await using world = await givenWorld();
    await did('POST', RULES, { rule: { ...path, admin_state_up: false } })(world);
    const get = async (path: string) => Object.values((await send(world, { method: 'GET', path })).body)[0];
    for (const path of ['/l7policies/$policy', '/listeners/$listener'])
      expect(await get(path)).toMatchObject({ provisioning_status: 'PENDING_UPDATE' });
    await world.settle();
    expect(await get(RULES)).toMatchObject([
      { provisioning_status: 'ACTIVE', operating_status: 'ONLINE' },
      { provisioning_status: 'ACTIVE', operating_status: 'OFFLINE' },
    ]);
    expect(await get(`${RULES}/$rule`)).not.toHaveProperty('name');
  });
});
