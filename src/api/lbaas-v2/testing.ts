/** What tests of the old API begin with: a client of it, beside the newer one, on the same rows. */
import Fastify from 'fastify';
import { expect } from 'vitest';
import { type Answer, type GivenApi, givenApi, SUBNET } from '../testing.ts';
import { lbaasV2Plugin } from './plugin.ts';

// biome-ignore lint/suspicious/noExplicitAny: bodies are read as a client reads them
type Json = any;
type Send = (method: string, path: string, body?: unknown) => Promise<Answer>;

export interface OldWorld extends AsyncDisposable {
  api: GivenApi;
  send: Send;
  /** Expects success; the object inside the root. */
  create(path: string, body: object): Promise<Json>;
}

/** `path` is below `/network/v2.0`, and below `/lbaas` there unless it begins with a slash. */
export async function givenOldWorld(options: Parameters<typeof givenApi>[0] = {}): Promise<OldWorld> {
  const api = await givenApi(options);
  const app = Fastify();
  await app.register(lbaasV2Plugin, { deps: api.deps, prefix: '/network/v2.0' });
  const send: Send = async (method, path, body) => {
    const response = await app.inject({
      method: method as 'GET',
      url: `/network/v2.0${path.startsWith('/') ? '' : '/lbaas/'}${path}`,
      headers: { 'content-type': 'application/json' },
      ...(body !== undefined && { payload: JSON.stringify(body) }),
    });
    const { statusCode: status, headers } = response;
    return { status, headers, body: response.body === '' ? undefined : response.json() };
  };
  return {
    ...{ api, send },
    async create(path, body) {
      const { status, body: answer } = await send('POST', path, body);
      if (status !== 201) throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(answer)}`);
      return Object.values(answer)[0];
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await api[Symbol.asyncDispose]();
      expect(api.failures).toEqual([]);
    },
  };
}

/** One of everything, numbers and booleans sent as old clients do. */
export async function fill({ create, api }: OldWorld) {
  const lb = await create('loadbalancers', { loadbalancer: { name: 'lb', vip_subnet_id: SUBNET } });
  const listener = await create('listeners', {
    listener: { loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: '80', admin_state_up: 'True' },
  });
  const session_persistence = { type: 'HTTP_COOKIE' };
  const pool = await create('pools', {
    pool: { listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', session_persistence },
  });
  const member = await create(`pools/${pool.id}/members`, {
    member: { address: '10.1.0.5', protocol_port: '8080', subnet_id: SUBNET, weight: '0', name: 'm' },
  });
  const monitor = await create('healthmonitors', {
    healthmonitor: { pool_id: pool.id, type: 'HTTP', delay: '5', timeout: '3', max_retries: '2' },
  });
  const policy = await create('l7policies', {
    l7policy: { listener_id: listener.id, action: 'REDIRECT_TO_POOL', redirect_pool_id: pool.id },
  });
  const rule = await create(`l7policies/${policy.id}/rules`, {
    rule: { type: 'PATH', compare_type: 'STARTS_WITH', value: '/a', invert: 'False' },
  });
  await api.settle();
  return { lb, listener, pool, member, monitor, policy, rule };
}
