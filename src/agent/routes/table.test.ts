import { describe, expect, test } from 'vitest';
import { Refusal } from '../reply.ts';
import * as agent from './agent.ts';
import * as certificates from './certificates.ts';
import * as haproxy from './haproxy.ts';
import * as interfaces from './interfaces.ts';
import * as lvs from './lvs.ts';
import * as plug from './plug.ts';
import { freeName } from './plug.ts';
import type { Route } from './route.ts';
import { findRoute } from './table.ts';
import * as vrrp from './vrrp.ts';

const refusalOf = (work: () => unknown): Refusal => {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

// Source: contract amphora-agent.md 3.
test.each<[string, string, Route, Record<string, string>]>([
  ['GET', '/', agent.discover, {}],
  ['GET', '//', agent.discover, {}],
  ['GET', '//1.0/info', agent.info, {}],
  ['GET', '/1.0/details', agent.details, {}],
  ['GET', '/1.0/listeners', agent.listeners, {}],
  ['PUT', '/1.0/config', agent.configure, {}],
  ['PUT', '/1.0/certificate', agent.rotateCertificate, {}],
  ['PUT', '/1.0/loadbalancer/a/b/haproxy', haproxy.upload, { amphora: 'a', lb: 'b' }],
  ['GET', '/1.0/loadbalancer/b/haproxy', haproxy.show, { lb: 'b' }],
  ['PUT', '/1.0/loadbalancer/b/START', lvs.act, { lb: 'b', action: 'START' }],
  ['DELETE', '/1.0/listeners/b', lvs.remove, { lb: 'b' }],
  ['PUT', '/1.0/loadbalancer/b/certificates/c.pem', certificates.upload, { lb: 'b', file: 'c.pem' }],
  ['GET', '/1.0/loadbalancer/b/certificates/c.pem', certificates.show, { lb: 'b', file: 'c.pem' }],
  ['DELETE', '/1.0/loadbalancer/b/certificates/c.pem', certificates.remove, { lb: 'b', file: 'c.pem' }],
  ['PUT', '/1.0/listeners/a/l/udp_listener', lvs.upload, { amphora: 'a', listener: 'l' }],
  ['GET', '/1.0/listeners/l/udp_listener', lvs.show, { listener: 'l' }],
  ['POST', '/1.0/plug/vip/2001:db8::1', plug.plugVip, { vip: '2001:db8::1' }],
  ['POST', '/1.0/plug/vip/2001%3Adb8%3A%3A1', plug.plugVip, { vip: '2001:db8::1' }],
  ['POST', '/1.0/plug/network', plug.plugNetwork, {}],
  ['PUT', '/1.0/vrrp/upload', vrrp.upload, {}],
  ['PUT', '/1.0/vrrp/reload', vrrp.act, { action: 'reload' }],
  ['GET', '/1.0/interface/10.0.0.1', interfaces.show, { ip: '10.0.0.1' }],
  ['PUT', '/1.0/interface/10.0.0.1/rules', interfaces.setRules, { ip: '10.0.0.1' }],
])('%s %s', (method, target, route, params) => {
  expect(findRoute(method, target)).toEqual({ route, params });
});

describe('what is not there', () => {
  test.each([
    ['GET', '/0.5/info', 404],
    ['GET', '/1.0', 404],
    ['GET', '/1.0/info/more', 404],
    ['GET', '/1.0/interface/', 404],
    ['GET', '/1.0/interface/%ZZ', 404],
    ['POST', '/1.0/info', 405],
    ['PATCH', '/', 405],
  ])('%s %s is answered with JSON and %i', (method, target, status) => {
    const { reply } = refusalOf(() => findRoute(method, target));
    expect(reply).toMatchObject({ status, body: { http_code: status } });
    expect((reply.body as { error: string }).error).toMatch(new RegExp(`^${status} [A-Z]`));
  });
});

test.each([
  [['lo', 'eth1'], 'eth2'],
  [['lo', 'eth1', 'eth2', 'eth4'], 'eth3'],
  [[], 'eth2'],
])('the next name beside %j', (names, expected) => {
  expect(freeName(names.map(ifname => ({ ifname })))).toBe(expected);
});
