/** Load balancers: fields, rules, body and operations. Source: contract api.md 5. */
import { markForReplacement } from '../../db/amphorae.ts';
import { markLoadBalancerDeleted } from '../../db/change.ts';
import { loadGraph, loadGraphIn } from '../../db/graph.ts';
import { listPage } from '../../db/page.ts';
import { listRelation } from '../../db/relations.ts';
import type { Db, Trx } from '../../db/schema.ts';
import { sumStatistics } from '../../db/statistics.ts';
import { Fault } from '../../lib/errors.ts';
import type { AdditionalVip, LoadBalancer } from '../../model/load-balancer.ts';
import { isStaying } from '../../model/status.ts';
import { authorize } from '../auth.ts';
import {
  ADMIN_STATE_UP,
  type Body,
  DESCRIPTION,
  type Fields,
  NAME,
  parsePut,
  refuse,
  rootOf,
  TAGS,
} from '../body.ts';
import { type Draft, notFound, STRICTLY_DELETABLE } from '../draft.ts';
import { ipAddress, isTrueWord, list, object, text, uuid } from '../fields.ts';
import { COMMON_FILTERS, columns, pageLinks, parseListQuery, selectFields } from '../list-query.ts';
import { chooseFlavor, lockOffers } from '../offers.ts';
import { changeOrRehearse, envOf, projectScope } from '../operations.ts';
import {
  type ApiDeps,
  asIds,
  type Call,
  commonView,
  type Described,
  type Env,
  getLoadBalancer,
  type Operation,
} from '../resource.ts';
import type { ApiSettings } from '../settings.ts';
import { rawList } from '../tree.ts';
import { statusTree } from './status-tree.ts';

export const LOAD_BALANCER_FIELDS: Fields = {
  name: NAME,
  description: DESCRIPTION,
  admin_state_up: ADMIN_STATE_UP,
  project_id: { kind: text(36), put: false, doc: "The owner; the token's project when absent." },
  tenant_id: { kind: text(36), put: false, doc: 'The old name of project_id.' },
  vip_port_id: { kind: uuid, put: false, doc: 'A port of your own for the VIP.' },
  vip_network_id: { kind: uuid, put: false, doc: 'The network of the VIP.' },
  vip_subnet_id: { kind: uuid, put: false, doc: 'The subnet of the VIP.' },
  vip_address: { kind: ipAddress, put: false, doc: 'The address of the VIP.' },
  vip_qos_policy_id: { kind: uuid, doc: 'The QoS policy of the VIP.' },
  vip_sg_ids: { kind: list(uuid, { unique: true }), default: [], doc: 'Security groups of the VIP.' },
  additional_vips: {
    kind: list(
      object<AdditionalVip>({
        subnet_id: { kind: uuid, required: true },
        ip_address: { kind: ipAddress },
        port_id: { kind: uuid },
      }),
    ),
    default: [],
    put: false,
    doc: 'More VIPs, in other subnets of the same network.',
  },
  provider: {
    kind: text(64),
    default: (settings: ApiSettings) => settings.default_provider_driver,
    nullValue: 'amphora',
    put: false,
    doc: 'Who makes it real.',
  },
  flavor_id: {
    kind: uuid,
    nullOnPost: 'refuse',
    doc: 'The flavor. Unlike in Octavia it may be changed, to another one of the same provider or to null: topology and size follow, and what serves goes when its successors do.',
  },
  availability_zone: { kind: text(255), put: false, nullOnPost: 'refuse', doc: 'The availability zone.' },
  listeners: { kind: rawList, put: false, doc: 'Listeners to create with it.' },
  pools: { kind: rawList, put: false, doc: 'Pools to create with it.' },
  tags: TAGS,
};

export const LOAD_BALANCER_FILTERS = {
  ...COMMON_FILTERS,
  ...columns('text', false, ['description', 'vip_vnic_type', 'provider', 'topology']),
  ...columns('text', true, ['vip_address', 'vip_subnet_id', 'vip_network_id', 'vip_port_id']),
  ...columns('text', true, ['vip_qos_policy_id', 'flavor_id', 'availability_zone']),
  ...columns('list', false, ['vip_sg_ids']),
} as const;

const ITEM = '/loadbalancers/:id';

export const LOAD_BALANCERS: Described = {
  root: 'loadbalancer',
  plural: 'loadbalancers',
  fields: LOAD_BALANCER_FIELDS,
  filters: LOAD_BALANCER_FILTERS,
};

/** All but the creation, which `create-load-balancer.ts` is about. */
export function loadBalancerOperations(deps: ApiDeps): Operation[] {
  const of = LOAD_BALANCERS;
  const read = { method: 'GET', status: 200, query: 'any', of, remembered: true } as const;
  const tree = { ...read, query: [], answers: 'statuses', run: showStatuses.bind(undefined, deps) } as const;
  const stats = { method: 'GET', status: 200, query: [], of, answers: 'stats' } as const;
  return [
    { ...read, path: '/loadbalancers', run: call => listAll(deps, call) },
    { ...read, path: ITEM, run: call => show(deps, call) },
    { method: 'PUT', path: ITEM, status: 200, query: [], of, run: call => update(deps, call) },
    { method: 'DELETE', path: ITEM, status: 204, query: ['cascade'], of, run: call => remove(deps, call) },
    { ...tree, path: `${ITEM}/status` },
    { ...tree, path: `${ITEM}/statuses` },
    { ...stats, path: `${ITEM}/stats`, run: call => showStatistics(deps, call) },
    {
      method: 'PUT',
      path: `${ITEM}/failover`,
      status: 202,
      query: [],
      of,
      run: call => failOver(deps, call),
    },
  ];
}

async function listAll(deps: ApiDeps, call: Call) {
  const query = parseListQuery(call.query, LOAD_BALANCER_FILTERS, deps.settings);
  const scope = projectScope(call.caller, 'loadbalancer', query.project_id);
  const records = await listPage(deps.db, 'load_balancer', { ...query, scope });
  const view = await viewer(deps.db, records);
  return {
    loadbalancers: records.map(record => selectFields(view(record), call.query, deps.settings)),
    loadbalancers_links: pageLinks(
      call.url,
      call.query,
      query,
      records.map(record => record.id),
    ),
  };
}

/** The load balancer in the path. Throws `not-found`, and `forbidden` when the caller may not do this to it. */
export async function findLoadBalancer(deps: ApiDeps, call: Call, action: string): Promise<LoadBalancer> {
  const lb = await getLoadBalancer(deps.db, call.params.id!);
  authorize(call.caller, `loadbalancer:${action}`, lb.project_id);
  return lb;
}

async function show(deps: ApiDeps, call: Call) {
  const lb = await findLoadBalancer(deps, call, 'get_one');
  const view = await viewer(deps.db, [lb]);
  return { loadbalancer: selectFields(view(lb), call.query, deps.settings) };
}

async function update(deps: ApiDeps, call: Call) {
  const body = parsePut(
    LOAD_BALANCER_FIELDS,
    rootOf(call.body, 'loadbalancer'),
    'loadbalancer',
    deps.settings,
  );
  const lb = await findLoadBalancer(deps, call, 'put');
  if ('vip_sg_ids' in body) authorize(call.caller, 'loadbalancer:put:vip_sg_ids', lb.project_id);
  await inspectNetworkObjects(body, await envOf(deps, lb, call));
  const flavored = body as { flavor_id?: string | null };
  const isOther = flavored.flavor_id !== undefined && flavored.flavor_id !== lb.flavor_id;
  if (isOther) Object.assign(body, await chooseFlavor(deps, lb, flavored.flavor_id!));
  const plan = (draft: Draft) => {
    const limited = draft.staying('listener').find(listener => listener.allowed_cidrs !== null);
    if ((body.vip_sg_ids as string[] | undefined)?.length && limited)
      refuse(
        'vip_sg_ids',
        body.vip_sg_ids,
        `Listener ${limited.id} has allowed_cidrs, which it cannot be combined with.`,
      );
    checkSecurityGroups(body, lb);
    draft.changeLoadBalancer(body as Partial<LoadBalancer>);
  };
  await changeOrRehearse(deps, lb.id, plan, isOther ? trx => lockOffers(trx, flavored) : undefined);
  const written = await getLoadBalancer(deps.db, lb.id);
  return { loadbalancer: (await viewer(deps.db, [written]))(written) };
}

async function remove(deps: ApiDeps, call: Call): Promise<void> {
  const lb = await findLoadBalancer(deps, call, 'delete');
  const cascade = isTrueWord(call.query.get('cascade') ?? '');
  // Before the lock as well as within it: what is in the way is told whatever the status. Source: contract api.md 5.1.
  if (!cascade) await checkChildless(deps.db, lb.id);
  const options = {
    nowMs: deps.clock.now(),
    onlyIn: deps.settings.strict_immutability ? STRICTLY_DELETABLE : undefined,
  };
  await markLoadBalancerDeleted(deps.db, lb.id, options, async change => {
    if (!cascade) await checkChildless(change.trx, lb.id);
  });
  await deps.queue.notify(lb.id);
}

/** Replaces all amphorae, the new before the old. Source: contract api.md 4.1. */
async function failOver(deps: ApiDeps, call: Call): Promise<void> {
  const lb = await findLoadBalancer(deps, call, 'put_failover');
  const onlyIn = deps.settings.strict_immutability ? STRICTLY_DELETABLE : undefined;
  await markForReplacement(deps.db, lb.id, { nowMs: deps.clock.now(), onlyIn });
  await deps.queue.notify(lb.id);
}

/** Children that are on their way out already are not in the way. */
async function checkChildless(db: Db | Trx, id: string): Promise<void> {
  const graph = await loadGraphIn(db, id);
  const child = [...(graph?.listeners ?? []), ...(graph?.pools ?? [])].find(isStaying);
  if (child) {
    throw new Fault(
      'invalid',
      `Cannot delete Load Balancer ${id}: it has children, such as ${child.id}. Delete them first, or use cascade.`,
    );
  }
}

async function showStatuses(deps: ApiDeps, call: Call) {
  const lb = await findLoadBalancer(deps, call, 'get_status');
  const graph = await loadGraph(deps.db, lb.id);
  if (!graph) throw notFound('load_balancer', lb.id);
  return statusTree(graph);
}

async function showStatistics(deps: ApiDeps, call: Call) {
  const lb = await findLoadBalancer(deps, call, 'get_stats');
  return { stats: await sumStatistics(deps.db, { loadbalancer_id: lb.id }) };
}

/** QoS policies and security groups must exist. Throws `invalid`, also where the network has no such thing. */
export async function inspectNetworkObjects(body: Body, { network }: Env): Promise<void> {
  const policy = body.vip_qos_policy_id as string | null | undefined;
  if (policy) {
    if (!network.findQosPolicy)
      refuse('vip_qos_policy_id', policy, 'The network of this system has no QoS policies.');
    if (!(await network.findQosPolicy(policy)))
      refuse('vip_qos_policy_id', policy, 'There is no such QoS policy.');
  }
  for (const group of (body.vip_sg_ids as string[] | undefined) ?? []) {
    if (!network.findSecurityGroup)
      refuse('vip_sg_ids', group, 'The network of this system has no security groups.');
    if (!(await network.findSecurityGroup(group)))
      refuse('vip_sg_ids', group, 'There is no such security group.');
  }
}

/** Throws `invalid` for security groups on an SR-IOV port, which has none. Source: contract api.md 5.2. */
export function checkSecurityGroups(body: Body, lb: Pick<LoadBalancer, 'vip_vnic_type'>): void {
  const groups = body.vip_sg_ids as string[] | undefined;
  if (groups?.length && lb.vip_vnic_type === 'direct')
    refuse('vip_sg_ids', groups, 'A VIP by SR-IOV cannot have security groups.');
}

async function viewer(db: Db, lbs: readonly LoadBalancer[]) {
  const ids = lbs.map(lb => lb.id);
  const listeners = await listRelation(db, 'listener', 'loadbalancer_id', ids);
  const pools = await listRelation(db, 'pool', 'loadbalancer_id', ids);
  return (lb: LoadBalancer) => ({
    ...loadBalancerView(lb),
    listeners: asIds(listeners.get(lb.id) ?? []),
    pools: asIds(pools.get(lb.id) ?? []),
  });
}

export function loadBalancerView(lb: LoadBalancer) {
  return {
    ...commonView(lb),
    description: lb.description,
    vip_address: lb.vip_address,
    vip_port_id: lb.vip_port_id,
    vip_subnet_id: lb.vip_subnet_id,
    vip_network_id: lb.vip_network_id,
    vip_qos_policy_id: lb.vip_qos_policy_id,
    vip_sg_ids: lb.vip_sg_ids,
    vip_vnic_type: lb.vip_vnic_type,
    additional_vips: lb.additional_vips,
    provider: lb.provider,
    flavor_id: lb.flavor_id,
    availability_zone: lb.availability_zone,
    // Not Octavia's, and so only there when there is something to say.
    ...(lb.error_reason !== null && { error_reason: lb.error_reason }),
  };
}
