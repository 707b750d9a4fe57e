import { describe } from 'vitest';
import { accepted, did, refused, type Scenario } from '../testing-scenarios.ts';

type Rest = Omit<Scenario, 'method' | 'path' | 'body'>;
const create = (set: object, rest: Rest): Scenario => ({
  method: 'POST',
  path: '/healthmonitors',
  body: {
    healthmonitor: { pool_id: '$tcpPool', type: 'HTTP', delay: 5, timeout: 3, max_retries: 2, ...set },
  },
  ...rest,
});
const update = (set: object, rest: Rest, of = '$monitor'): Scenario => ({
  method: 'PUT',
  path: `/healthmonitors/${of}`,
  body: { healthmonitor: set },
  ...rest,
});
const given = did('PUT', '/healthmonitors/$monitor', {
  healthmonitor: { http_version: 1.1, domain_name: 'a.example' },
});

describe('a health monitor is refused', () => {
  refused([
    create({ pool_id: '$pool' }, { name: 'pool that has one', status: 409, contains: 'already has' }),
    create({ pool_id: 'ffffffff-0000-4000-8000-000000000000' }, { name: 'unknown pool', status: 404 }),
    create({ pool_id: undefined }, { name: 'no pool', status: 400, contains: 'pool_id' }),
    create({ type: 'NOPE' }, { name: 'unknown type', status: 400, contains: 'Value should be one of:' }),
    create({ type: 'UDP-CONNECT' }, { name: 'type that the pool cannot use', status: 400, contains: 'type' }),
    create({ delay: null }, { name: 'null delay', status: 400, contains: 'delay' }),
    create({ delay: -1 }, { name: 'negative delay', status: 400, contains: 'delay' }),
    create({ max_retries: 0 }, { name: 'no retry', status: 400, contains: 'max_retries' }),
    create({ max_retries: 11 }, { name: '11 retries', status: 400, contains: 'max_retries' }),
    create({ max_retries_down: 11 }, { name: '11 retries down', status: 400, contains: 'max_retries_down' }),
    create({ http_method: 'get' }, { name: 'method in lower case', status: 400, contains: 'http_method' }),
    create({ url_path: 'x' }, { name: 'path without a slash', status: 400, contains: 'url_path' }),
    create({ url_path: '//host/x' }, { name: 'path with a host', status: 400, contains: 'url_path' }),
    create({ url_path: '/a b' }, { name: 'path with a space', status: 400, contains: 'url_path' }),
    create({ url_path: '/a\r\nX: y' }, { name: 'path with a line end', status: 400, contains: 'url_path' }),
    create(
      { expected_codes: '2xx' },
      { name: 'codes that are none', status: 400, contains: 'expected_codes' },
    ),
    create(
      { expected_codes: '200-204,300' },
      { name: 'range and list', status: 400, contains: 'expected_codes' },
    ),
    create({ http_version: 2 }, { name: 'HTTP 2', status: 400, contains: 'http_version' }),
    create(
      { domain_name: 'a.example' },
      { name: 'domain name without a version', status: 400, contains: 'domain_name' },
    ),
    create({ domain_name: 'a.example', http_version: 1.0 }, { name: 'domain name in HTTP 1.0', status: 400 }),
    create(
      { domain_name: 'a..b', http_version: 1.1 },
      { name: 'domain name that is none', status: 400, contains: 'domain_name' },
    ),
    create({ type: 'TCP', url_path: '/' }, { name: 'path on TCP', status: 400, contains: 'url_path' }),
    create(
      { type: 'PING', http_method: 'GET' },
      { name: 'method on PING', status: 400, contains: 'http_method' },
    ),
    create({ description: '' }, { name: 'description', status: 400, contains: 'description' }),
    update({ type: 'HTTP' }, { name: 'type', status: 400, contains: 'It cannot be changed.' }),
    update({ delay: null }, { name: 'null delay', status: 400, contains: 'delay' }),
    update({ max_retries: null }, { name: 'null retries', status: 400, contains: 'max_retries' }),
    update({ domain_name: 'a.example' }, { name: 'domain name without a version', status: 400 }),
    update({ http_version: null }, { name: 'version that the domain name needs', given, status: 400 }),
    update(
      { name: 'n' },
      {
        name: 'monitor that is being deleted',
        given: did('DELETE', '/healthmonitors/$monitor'),
        status: 409,
      },
    ),
    update({ name: 'n' }, { name: 'unknown monitor', status: 404 }, 'nope'),
    {
      name: 'monitor that is being deleted',
      given: did('DELETE', '/healthmonitors/$monitor'),
      method: 'DELETE',
      path: '/healthmonitors/$monitor',
      status: 409,
    },
  ]);
  refused([create({ type: 'PING' }, { name: 'PING where the operator forbids it', status: 400 })], {
    allow_ping_health_monitors: false,
  });
});

describe('a health monitor is', () => {
  accepted([
    create(
      {},
      {
        name: 'created with HTTP defaults',
        status: 201,
        contains: {
          healthmonitor: {
            http_method: 'GET',
            url_path: '/',
            expected_codes: '200',
            max_retries_down: 3,
            http_version: null,
            operating_status: 'OFFLINE',
          },
        },
      },
    ),
    create(
      { type: 'TCP', http_method: null, max_retries_down: null },
      {
        name: 'created without HTTP',
        status: 201,
        contains: {
          healthmonitor: { http_method: null, url_path: null, expected_codes: null, max_retries_down: 3 },
        },
      },
    ),
    create(
      {
        http_version: '1.1',
        domain_name: '_x.example.com.',
        expected_codes: '200, 202',
        url_path: '/a?b=c#d',
      },
      {
        name: 'created with all',
        status: 201,
        contains: {
          healthmonitor: {
            http_version: 1.1,
            domain_name: '_x.example.com.',
            expected_codes: '200, 202',
            url_path: '/a?b=c#d',
          },
        },
      },
    ),
    create(
      { pool_id: '$pool' },
      {
        name: 'created in place of one that is being deleted',
        given: did('DELETE', '/healthmonitors/$monitor'),
        status: 201,
      },
    ),
    update(
      {
        http_method: null,
        url_path: null,
        expected_codes: null,
        max_retries_down: null,
        domain_name: null,
        http_version: null,
      },
      {
        name: 'updated with nulls',
        given,
        status: 200,
        contains: {
          healthmonitor: {
            http_method: 'GET',
            url_path: '/',
            expected_codes: '200',
            max_retries_down: 3,
            domain_name: null,
            http_version: null,
          },
        },
      },
    ),
    update({ domain_name: 'b.example' }, { name: 'updated, version stored', given, status: 200 }),
    {
      name: 'shown with its pool',
      method: 'GET',
      path: '/healthmonitors/$monitor',
      status: 200,
      contains: '"pools":[{"id":"',
    },
    { name: 'deleted', method: 'DELETE', path: '/healthmonitors/$monitor', status: 204 },
  ]);
});
