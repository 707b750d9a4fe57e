/** The load balancing API of a system under test, over HTTP and with its own credentials. */
import { join } from 'node:path';
import { Client, type Resource } from '../../src/cli/client.ts';
import { findCloud } from '../../src/cli/cloud.ts';
import { until } from './until.ts';

/** `loadbalancers/7f…` and `pools/7f…/members`: the singular of its last word that names a collection. */
function rootOf(path: string): string {
  const words = path.split('/');
  const plural = words.length % 2 === 1 ? words.at(-1)! : words.at(-2)!;
  return plural.replace(/ies$/, 'ys').replace(/s$/, '');
}

interface StatusNode {
  id: string;
  name: string;
  provisioning_status: string;
  operating_status: string;
  [children: string]: unknown;
}

export class Lbaas {
  readonly client: Client;

  /** With the clouds.yaml that the system wrote. */
  constructor(dataDir: string) {
    const environment = { OS_CLIENT_CONFIG_FILE: join(dataDir, 'clouds.yaml') };
    this.client = new Client(findCloud({ environment, cwd: dataDir, cloud: 'ottavia' }));
  }

  create(path: string, body: object): Promise<Resource> {
    return this.#send('POST', path, body);
  }

  set(path: string, body: object): Promise<Resource> {
    return this.#send('PUT', path, body);
  }

  show(path: string): Promise<Resource> {
    return this.#send('GET', path);
  }

  async remove(path: string): Promise<void> {
    await this.client.request('DELETE', `lbaas/${path}`);
  }

  list(plural: string): Promise<Resource[]> {
    return this.client.list(`lbaas/${plural}`);
  }

  /** Resolves when all that was written so far has been made so; rejects as soon as it is ERROR. */
  async active(id: string, limitMs?: number): Promise<Resource> {
    let last: Resource | undefined;
    const lb = await until(
      `load balancer ${id} to be ACTIVE`,
      async () => {
        last = await this.show(`loadbalancers/${id}`);
        return ['ACTIVE', 'ERROR'].includes(String(last.provisioning_status)) && last;
      },
      () => last && { status: last.provisioning_status, reason: last.error_reason },
      limitMs,
    );
    if (lb.provisioning_status === 'ERROR') throw new Error(`Load balancer ${id}: ${lb.error_reason}`);
    return lb;
  }

  /** Resolves when the API knows it no more. */
  async gone(id: string): Promise<void> {
    await until(`load balancer ${id} to be gone`, async () =>
      (await this.list('loadbalancers')).every(lb => lb.id !== id),
    );
  }

  /** The operating statuses in the status tree, by name; those of unnamed ones by id. */
  async operatingStatuses(id: string): Promise<Record<string, string>> {
    const tree = (await this.client.request('GET', `lbaas/loadbalancers/${id}/status`)) as {
      statuses: { loadbalancer: StatusNode };
    };
    const statuses: Record<string, string> = {};
    const visit = (node: StatusNode) => {
      statuses[node.name || node.id] = node.operating_status;
      for (const value of Object.values(node)) {
        if (Array.isArray(value)) value.forEach(visit);
        else if (typeof value === 'object' && value !== null) visit(value as StatusNode);
      }
    };
    visit(tree.statuses.loadbalancer);
    return statuses;
  }

  /** Resolves when the status tree shows all of these. */
  async shows(id: string, wanted: Record<string, string>): Promise<void> {
    let last: Record<string, string> = {};
    await until(
      `load balancer ${id} to show ${JSON.stringify(wanted)}`,
      async () => {
        last = await this.operatingStatuses(id);
        return Object.entries(wanted).every(([name, status]) => last[name] === status);
      },
      () => last,
    );
  }

  async statistics(path: string): Promise<Record<string, number>> {
    return ((await this.client.request('GET', `lbaas/${path}/stats`)) as { stats: Record<string, number> })
      .stats;
  }

  async #send(method: string, path: string, body?: object): Promise<Resource> {
    const root = rootOf(path);
    const document = body === undefined ? undefined : { [root]: body };
    const answer = (await this.client.request(method, `lbaas/${path}`, document)) as Record<string, Resource>;
    return answer[root]!;
  }
}
