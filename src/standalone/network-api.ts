/** The network API of a standalone system: as much of Neutron v2.0 as clients need to resolve names; nothing is written. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { CloudNetwork, Network, Port, Subnet } from '../drivers/network/network.ts';
import { Fault } from '../lib/errors.ts';
import type { Authenticate } from '../model/caller.ts';
import { baseUrl } from './catalog.ts';
import { openstackErrors, sendError } from './openstack-errors.ts';

export interface NetworkApiDeps {
  network: Network;
  baseUri: string | null;
  authenticate: Authenticate;
  /** What amphorae alone use, such as the management network: shown, but marked as no user's. */
  isShared(network: CloudNetwork): boolean;
}

type Row = Record<string, unknown> & { id: string };

/** To be mounted at `/network`. */
export function networkApi(deps: NetworkApiDeps) {
  const collections: [plural: string, singular: string, list: () => Promise<Row[]>][] = [
    [
      'networks',
      'network',
      async () => (await deps.network.listNetworks()).map(n => networkView(n, deps.isShared(n))),
    ],
    ['subnets', 'subnet', async () => (await deps.network.listSubnets()).map(subnetView)],
    ['ports', 'port', () => listPorts(deps.network)],
    ['security-groups', 'security_group', async () => []],
    ['qos/policies', 'policy', async () => []],
    ['extensions', 'extension', async () => []],
  ];
  return async (app: FastifyInstance): Promise<void> => {
    openstackErrors(app);
    app.addHook('preHandler', async (request, reply) => {
      // The version document is open to all, as in Neutron: clients read it before they have a token.
      if (/\/network\/?$/.test(request.url)) return;
      try {
        await deps.authenticate(request);
      } catch (error) {
        if (!(error instanceof Fault) || error.kind !== 'unauthorized') throw error;
        const base = deps.baseUri ?? baseUrl(request);
        reply.header('www-authenticate', `Keystone uri="${base}/identity"`);
        return sendError(reply, 401, error.message);
      }
    });
    const versions = async (request: FastifyRequest) => {
      const href = `${deps.baseUri ?? baseUrl(request)}/network/v2.0/`;
      return { versions: [{ id: 'v2.0', status: 'CURRENT', links: [{ rel: 'self', href }] }] };
    };
    app.get('/', versions);
    app.get('/v2.0', async () => ({
      resources: collections.map(([plural]) => ({ collection: plural, name: plural })),
    }));
    app.get('/v2.0/', async () => ({
      resources: collections.map(([plural]) => ({ collection: plural, name: plural })),
    }));
    for (const [plural, singular, list] of collections) {
      const key = plural.split('/').at(-1)!.replaceAll('-', '_');
      app.get<{ Querystring: Record<string, string | string[]> }>(`/v2.0/${plural}`, async request => ({
        [key]: (await list()).filter(row => matches(row, request.query)),
      }));
      app.get<{ Params: { id: string } }>(`/v2.0/${plural}/:id`, async (request, reply) => {
        const { id } = request.params;
        const row = (await list()).find(candidate => candidate.id === id);
        if (!row) return sendError(reply, 404, `The ${singular} ${id} could not be found.`);
        return { [singular]: row };
      });
    }
  };
}

/** Every filter of Neutron that names a field; others (`fields`, `limit`, `sort_key`) do not narrow the list here. */
function matches(row: Row, query: Record<string, string | string[]>): boolean {
  return Object.entries(query).every(([name, value]) => {
    if (!Object.hasOwn(row, name)) return true;
    return [value].flat().includes(String(row[name]));
  });
}

function networkView(network: CloudNetwork, shared: boolean): Row {
  return {
    ...network,
    tenant_id: network.project_id,
    status: 'ACTIVE',
    admin_state_up: true,
    shared,
    'router:external': false,
  };
}

function subnetView(subnet: Subnet): Row {
  return { ...subnet, tenant_id: subnet.project_id, enable_dhcp: false, dns_nameservers: [] };
}

async function listPorts(network: Network): Promise<Row[]> {
  const names = await network.listPortNames();
  const ports = await Promise.all(names.map(name => network.findPortByName(name)));
  return ports
    .filter((port): port is Port => port !== undefined)
    .map(port => ({
      ...port,
      tenant_id: port.project_id,
      admin_state_up: true,
      status: port.device_id === '' ? 'DOWN' : 'ACTIVE',
    }));
}
