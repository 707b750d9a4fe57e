/** What old clients ask of Neutron besides the resources: statuses, statistics, agents, service providers, flavors. */
import { loadGraph } from '../../db/graph.ts';
import { Fault } from '../../lib/errors.ts';
import { type Amphora, instanceName } from '../../model/amphora.ts';
import { notFound } from '../draft.ts';
import { isTrueWord } from '../fields.ts';
import type { ApiDeps, Call, Operation } from '../resource.ts';
import { NO_QUERY, type RunOctavia } from './operations.ts';
import { type Attributes, byRoot } from './resources.ts';
import { oldStatusTree } from './status-tree.ts';
import { selectOldFields, showAttributes } from './translate.ts';

const ITEM = '/loadbalancers/:id';
const SERVICE_TYPE = 'LOADBALANCERV2';

export function neighbourOperations(deps: ApiDeps, octavia: RunOctavia): Operation[] {
  const gets: Record<string, Operation['run']> = {
    [`${ITEM}/statuses`]: call => showStatuses(deps, octavia, call),
    [`${ITEM}/stats`]: call => showStatistics(octavia, call),
    [`${ITEM}/loadbalancer-hosting-agent`]: call => showAgent(octavia, call),
    '/agents/:id/agent-loadbalancers': call => listOfAgent(octavia, call),
    '/service-providers': async call => ({ service_providers: listProviders(deps, call.query) }),
    '/flavors': call => listFlavors(octavia, call),
    '/flavors/:id': call => showFlavor(octavia, call),
  };
  return Object.entries(gets).map(([path, run]) => ({ method: 'GET', path, status: 200, query: 'any', run }));
}

async function showStatuses(deps: ApiDeps, octavia: RunOctavia, call: Call) {
  // For its rules about who may see it.
  await octavia(`GET ${ITEM}/statuses`, { ...call, query: NO_QUERY });
  const graph = await loadGraph(deps.db, call.params.id!);
  if (!graph) throw notFound('load_balancer', call.params.id!);
  return oldStatusTree(graph);
}

async function showStatistics(octavia: RunOctavia, call: Call) {
  const { stats } = await octavia(`GET ${ITEM}/stats`, { ...call, query: NO_QUERY });
  const { request_errors: _, ...shown } = stats as Attributes;
  return { stats: shown };
}

/** Amphorae are what agents were: things of administrators that serve load balancers. Source: contract lbaasv2.md 8. */
async function listAmphorae(octavia: RunOctavia, call: Call, filter: Record<string, string>) {
  const query = new URLSearchParams(filter);
  const { amphorae } = await octavia('GET /octavia/amphorae', { ...call, query });
  return (amphorae as Amphora[]).filter(amphora => amphora.status !== 'DELETED');
}

async function showAgent(octavia: RunOctavia, call: Call) {
  const id = call.params.id!;
  const amphorae = await listAmphorae(octavia, call, { loadbalancer_id: id, status: 'ALLOCATED' });
  const { loadbalancer } = await octavia(`GET ${ITEM}`, { ...call, query: NO_QUERY });
  const amphora = amphorae.find(({ role }) => role !== 'BACKUP') ?? amphorae[0];
  if (!amphora)
    throw new Fault('not-found', `Load balancer ${id} is hosted by no agent: it has no amphora in service.`);
  return { agent: agentView(amphora, (loadbalancer as Attributes).provider) };
}

function agentView(amphora: Amphora, provider: unknown): Attributes {
  return {
    id: amphora.id,
    binary: 'amphora-agent',
    topic: 'n-lbaasv2_agent',
    host: instanceName(amphora.id),
    agent_type: 'Loadbalancerv2 agent',
    admin_state_up: true,
    alive: true,
    created_at: amphora.created_at,
    started_at: amphora.created_at,
    heartbeat_timestamp: amphora.updated_at ?? amphora.created_at,
    description: '',
    configurations: { device_drivers: [provider], instances: 1 },
  };
}

/** An agent that nobody knows has none. */
async function listOfAgent(octavia: RunOctavia, call: Call) {
  const [amphora] = await listAmphorae(octavia, call, { id: call.params.id! });
  const resource = byRoot('loadbalancer');
  if (!amphora?.loadbalancer_id) return { loadbalancers: [] };
  const query = new URLSearchParams({ id: amphora.loadbalancer_id });
  const { loadbalancers } = await octavia('GET /loadbalancers', { ...call, query });
  const views = loadbalancers as Attributes[];
  return { loadbalancers: views.map(view => selectOldFields(showAttributes(resource, view), call.query)) };
}

/** All the names that `provider` takes. */
function listProviders(deps: ApiDeps, query: URLSearchParams): Attributes[] {
  const names = new Set([...deps.providers.keys(), 'haproxy']);
  const rows = [...names].map(name => ({
    service_type: SERVICE_TYPE,
    name,
    default: name === deps.settings.default_provider_driver,
  }));
  return selectRows(rows, query);
}

const flavorView = ({ id, name, description, enabled }: Attributes): Attributes => ({
  ...{ id, name, description, enabled },
  service_type: SERVICE_TYPE,
  service_profiles: [],
});

async function listFlavors(octavia: RunOctavia, call: Call) {
  const { flavors } = await octavia('GET /flavors', { ...call, query: NO_QUERY });
  return { flavors: selectRows((flavors as Attributes[]).map(flavorView), call.query) };
}

async function showFlavor(octavia: RunOctavia, call: Call) {
  const { flavor } = await octavia('GET /flavors/:id', { ...call, query: NO_QUERY });
  return { flavor: selectOldFields(flavorView(flavor as Attributes), call.query) };
}

/** The rows that the query asks for, with the fields that it asks for; short lists are filtered here. */
function selectRows(rows: readonly Attributes[], query: URLSearchParams): Attributes[] {
  const isWanted = (value: unknown, wanted: string) =>
    typeof value === 'boolean' ? value === isTrueWord(wanted) : String(value) === wanted;
  const fits = (row: Attributes) =>
    Object.entries(row).every(
      ([name, value]) => !query.has(name) || query.getAll(name).some(wanted => isWanted(value, wanted)),
    );
  return rows.filter(fits).map(row => selectOldFields(row, query));
}
