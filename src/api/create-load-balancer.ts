/** Creating a load balancer: rows first, then the VIP's port, then the rows again; a worker finishes what dies in between. */
import { randomUUID } from 'node:crypto';
import { loadGraph } from '../db/graph.ts';
import { insertLoadBalancer, storeVip, withdrawLoadBalancer } from '../db/load-balancers.ts';
import { withQuotaRow } from '../db/quotas.ts';
import { ensureVipPort } from '../drivers/network/vip-port.ts';
import { timestamp } from '../lib/clock.ts';
import { errorChain, Fault } from '../lib/errors.ts';
import { emptyGraph } from '../model/graph.ts';
import { type LoadBalancer, vipPortName } from '../model/load-balancer.ts';
import { authorize } from './auth.ts';
import { parsePost, rootOf } from './body.ts';
import { checkQuota, Draft, notFound } from './draft.ts';
import { isObject } from './fields.ts';
import { chooseProvider, lockOffers } from './offers.ts';
import type { ApiDeps, Call, Env, Operation } from './resource.ts';
import {
  checkSecurityGroups,
  inspectNetworkObjects,
  LOAD_BALANCER_FIELDS,
  LOAD_BALANCERS,
  loadBalancerView,
} from './resources/load-balancers.ts';
import { fullTree } from './resources/status-tree.ts';
import { seenBy } from './seen-network.ts';
import { findLimits } from './settings.ts';
import { inspectTree, parseTree, planTree } from './tree.ts';
import { planVip, type VipPlan, type VipRequest } from './vip.ts';

/** As long as the API may take to get the port before a worker takes over. */
const LEASE_MS = 60_000;

interface LoadBalancerBody extends VipRequest {
  name: string;
  description: string;
  admin_state_up: boolean;
  project_id: string | null;
  tenant_id: string | null;
  vip_qos_policy_id: string | null;
  vip_sg_ids: string[];
  provider: string;
  flavor_id: string | null;
  availability_zone: string | null;
  listeners: unknown[] | null;
  pools: unknown[] | null;
  tags: string[];
}

export function createOperation(deps: ApiDeps): Operation {
  const run = (call: Call) => createLoadBalancer(deps, call);
  const answers = 'created_loadbalancer';
  return { method: 'POST', path: '/loadbalancers', status: 201, query: [], of: LOAD_BALANCERS, answers, run };
}

/** Source: contract api.md 5.3 to 5.5. */
async function createLoadBalancer(deps: ApiDeps, call: Call) {
  const raw = rootOf(call.body, 'loadbalancer');
  const parsed = parsePost(LOAD_BALANCER_FIELDS, raw, 'loadbalancer', deps.settings);
  const body = parsed as unknown as LoadBalancerBody;
  const tree = parseTree(body, deps.settings);
  const project_id = body.project_id || body.tenant_id || call.caller.project_id;
  if (!project_id) throw new Fault('invalid', 'Missing project ID in request where one is required.');
  authorize(call.caller, 'loadbalancer:post', project_id);
  if (isObject(raw) && 'vip_sg_ids' in raw)
    authorize(call.caller, 'loadbalancer:post:vip_sg_ids', project_id);
  const chosen = await chooseProvider(deps, body, isObject(raw) && 'provider' in raw);
  const env = { ...chosen, network: seenBy(call.caller, chosen.network, deps.settings) };
  const vip = await planVip(body, env);
  await inspectNetworkObjects(parsed, env);
  // A port that the user brought keeps its policy, unless something else is said.
  if (!(isObject(raw) && 'vip_qos_policy_id' in raw))
    body.vip_qos_policy_id = vip.port?.qos_policy_id ?? null;
  await inspectTree(tree, env, { ...call, secrets: deps.secrets });

  const now = timestamp(deps.clock.now());
  const record = newLoadBalancer(body, project_id, vip, env, now);
  const draft = new Draft(emptyGraph(record), { now, vipVersions: vip.versions });
  checkSecurityGroups(parsed, record);
  planTree(draft, tree, env);

  const owner = `api ${randomUUID()}`;
  const lease = vip.port ? undefined : { owner, expires_at_ms: deps.clock.now() + LEASE_MS };
  const growth = draft.growth().set('load_balancer', 1);
  await withQuotaRow(deps.db, () =>
    deps.db.transaction().execute(async trx => {
      await checkQuota(trx, project_id, growth, findLimits(deps.settings));
      await lockOffers(trx, body);
      await insertLoadBalancer(trx, record, lease);
      await draft.write(trx);
    }),
  );
  if (!vip.port) await obtainVip(deps, record, env, owner);
  await deps.queue.notify(record.id);

  const graph = await loadGraph(deps.db, record.id);
  if (!graph) throw notFound('load_balancer', record.id);
  return { loadbalancer: { ...loadBalancerView(graph.load_balancer), ...fullTree(graph) } };
}

function newLoadBalancer(
  body: LoadBalancerBody,
  project_id: string,
  vip: VipPlan,
  env: Env,
  now: string,
): LoadBalancer {
  return {
    id: randomUUID(),
    project_id,
    name: body.name,
    description: body.description,
    admin_state_up: body.admin_state_up,
    provisioning_status: 'PENDING_CREATE',
    operating_status: 'OFFLINE',
    tags: body.tags,
    created_at: now,
    updated_at: null,
    generation: 1,
    settled_generation: 0,
    vip_address: vip.address,
    vip_port_id: vip.port?.id ?? null,
    vip_subnet_id: vip.subnet_id,
    vip_network_id: vip.network_id,
    vip_qos_policy_id: body.vip_qos_policy_id,
    vip_sg_ids: body.vip_sg_ids,
    vip_vnic_type: env.offer.sriov_vip ? 'direct' : 'normal',
    additional_vips: vip.additional,
    vip_port_owned: vip.port === null,
    // An alias is not kept: the name is the provider's own.
    provider: env.provider.name,
    flavor_id: body.flavor_id,
    availability_zone: body.availability_zone,
    topology: env.offer.loadbalancer_topology ?? env.settings.loadbalancer_topology,
    error_reason: null,
  };
}

/** Makes the port and stores what it got; takes the load balancer back when there is none to be had. */
async function obtainVip(deps: ApiDeps, lb: LoadBalancer, env: Env, owner: string): Promise<void> {
  try {
    await storeVip(deps.db, lb.id, owner, await ensureVipPort(env.network, lb));
  } catch (cause) {
    await withdraw(deps, lb, env, owner);
    if (cause instanceof Fault && cause.kind === 'not-found')
      throw new Fault('invalid', cause.message, { cause });
    if (cause instanceof Fault) throw cause;
    throw new Fault('unavailable', `Cannot get a port for the VIP of the load balancer; try again later`, {
      cause,
    });
  }
}

async function withdraw(deps: ApiDeps, lb: LoadBalancer, env: Env, owner: string): Promise<void> {
  let leftovers = false;
  try {
    await env.network.deletePort(vipPortName(lb.id));
  } catch (error) {
    // The port may be there and cannot be removed now: a worker will, as long as there is a row that says so.
    leftovers = true;
    deps.log.warn({ load_balancer_id: lb.id, cause: errorChain(error) }, 'cannot remove a VIP port');
  }
  const outcome = await withdrawLoadBalancer(deps.db, lb.id, owner, { leftovers, nowMs: deps.clock.now() });
  if (outcome === 'marked') await deps.queue.notify(lb.id);
}
