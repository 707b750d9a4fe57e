/** Turns what a user wrote into an id: an id is looked for first, then a name. Source: contract clients.md 2. */
import { CliError } from './cli-error.ts';
import type { Client, Query, Resource } from './client.ts';
import type { Target } from './noun.ts';

/** Path and key of the collections that names are looked up in. */
const COLLECTIONS: Record<Target, { path: string; key: string; noun: string; isNetwork?: boolean }> = {
  loadbalancer: { path: 'lbaas/loadbalancers', key: 'loadbalancers', noun: 'load balancer' },
  listener: { path: 'lbaas/listeners', key: 'listeners', noun: 'listener' },
  pool: { path: 'lbaas/pools', key: 'pools', noun: 'pool' },
  flavor: { path: 'lbaas/flavors', key: 'flavors', noun: 'flavor' },
  subnet: { path: 'subnets', key: 'subnets', noun: 'subnet', isNetwork: true },
  network: { path: 'networks', key: 'networks', noun: 'network', isNetwork: true },
  port: { path: 'ports', key: 'ports', noun: 'port', isNetwork: true },
  'security-group': {
    path: 'security-groups',
    key: 'security_groups',
    noun: 'security group',
    isNetwork: true,
  },
  'qos-policy': { path: 'qos/policies', key: 'policies', noun: 'QoS policy', isNetwork: true },
};

export async function resolveId(client: Client, target: Target, text: string): Promise<string> {
  const { path, key, noun, isNetwork } = COLLECTIONS[target];
  const search = (query: Query) =>
    isNetwork ? client.listNetworkRows(path, query) : client.list(path, key, query);
  return (await findOne(noun, text, search)).id;
}

/** The row of a collection with this id or name; throws when there is none, or more than one of that name. */
export async function findOne(
  noun: string,
  text: string,
  search: (query: Query) => Promise<Resource[]>,
): Promise<Resource> {
  if (isUuid(text)) {
    const [byId] = await search({ id: text });
    if (byId) return byId;
  }
  const rows = await search({ name: text });
  if (rows.length > 1)
    throw new CliError(`Cannot choose among ${rows.length} of the name ${text}: say the id of the ${noun}`);
  const [row] = rows;
  if (!row) throw new CliError(`Cannot find ${noun} ${text}: none has this name or id`);
  return row;
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(text);
}
