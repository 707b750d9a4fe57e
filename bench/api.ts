/** The client of a measurement: kept connections, a token taken beforehand, and waits that poll. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { parse } from 'yaml';
import { nowMs } from './bench-types.ts';

export type Json = Record<string, unknown> & { id: string };

export interface StatusNode {
  provisioning_status: string;
  operating_status: string;
  listeners?: StatusNode[];
  pools?: StatusNode[];
}

const REQUEST_LIMIT_MS = 30_000;

export class Api {
  readonly url: string;
  readonly token: string;
  readonly #signal: AbortSignal;
  readonly #connections = new Agent({ connections: 4, pipelining: 1 });

  private constructor(url: string, token: string, signal: AbortSignal) {
    this.url = url;
    this.token = token;
    this.#signal = signal;
  }

  /** Logs in with what the system wrote into its data directory. */
  static async open(url: string, dataDir: string, signal: AbortSignal): Promise<Api> {
    const { clouds } = parse(readFileSync(join(dataDir, 'clouds.yaml'), 'utf8'));
    const { auth } = clouds.ottavia;
    const domain = { name: auth.user_domain_name };
    const user = { name: auth.username, password: auth.password, domain };
    const reply = await request(`${auth.auth_url}/auth/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: { methods: ['password'], password: { user } },
          scope: { project: { name: auth.project_name, domain: { name: auth.project_domain_name } } },
        },
      }),
      signal,
    });
    const text = await reply.body.text();
    const token = reply.headers['x-subject-token'];
    if (typeof token !== 'string') throw new Error(`Cannot log in at ${auth.auth_url}: ${text}`);
    return new Api(url, token, signal);
  }

  /** Returns undefined for 404, and the object inside the one key of the answer; throws on every other error. */
  async send(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<unknown> {
    const reply = await request(`${this.url}/${path}`, {
      method,
      dispatcher: this.#connections,
      headers: {
        'x-auth-token': this.token,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_LIMIT_MS)]),
    });
    const text = await reply.body.text();
    if (reply.statusCode === 404) return undefined;
    if (reply.statusCode >= 400)
      throw new Error(`${method} ${path} is answered with ${reply.statusCode}: ${text}`);
    return text === '' ? undefined : Object.values(JSON.parse(text) as object)[0];
  }

  async create(plural: string, root: string, body: object): Promise<Json> {
    return (await this.send('POST', `v2/lbaas/${plural}`, { [root]: body })) as Json;
  }

  async findLoadBalancer(id: string): Promise<Json | undefined> {
    return (await this.send('GET', `v2/lbaas/loadbalancers/${id}`)) as Json | undefined;
  }

  async getStatusTree(id: string): Promise<StatusNode> {
    const statuses = await this.send('GET', `v2/lbaas/loadbalancers/${id}/status`);
    return (statuses as { loadbalancer: StatusNode }).loadbalancer;
  }

  /** Polls until the load balancer is ACTIVE; returns the moment the answer came that said so. */
  async whenActive(id: string, pollMs: number): Promise<number> {
    return this.when(`load balancer ${id} to be ACTIVE`, pollMs, async () => {
      const lb = await this.findLoadBalancer(id);
      if (lb?.provisioning_status === 'ERROR')
        throw new Error(`Load balancer ${id} is ERROR: ${lb.error_reason}`);
      return lb?.provisioning_status === 'ACTIVE';
    });
  }

  /** Deletes the load balancer with all it has; returns the moment it was gone for its user. */
  async remove(id: string, pollMs = 5): Promise<number> {
    await this.send('DELETE', `v2/lbaas/loadbalancers/${id}?cascade=true`);
    return this.when(`load balancer ${id} to be gone`, pollMs, async () => {
      const lb = await this.findLoadBalancer(id);
      return lb === undefined || lb.provisioning_status === 'DELETED';
    });
  }

  /** Asks until the answer is yes; returns that moment. */
  async when(what: string, pollMs: number, look: () => Promise<boolean>): Promise<number> {
    const deadline = nowMs() + REQUEST_LIMIT_MS;
    for (;;) {
      if (await look()) return nowMs();
      if (nowMs() > deadline) throw new Error(`Waited ${REQUEST_LIMIT_MS} ms for ${what}`);
      await sleep(pollMs, undefined, { signal: this.#signal });
    }
  }

  async close(): Promise<void> {
    await this.#connections.destroy();
  }
}
