/** Amphorae: what operators see of them, and what they may ask for. Source: contract api.md 16. */
import { markAmphoraDeleted, markAmphoraDue, markForReplacement } from '../../db/amphorae.ts';
import { listAmphoraStatistics } from '../../db/statistics.ts';
import { Fault } from '../../lib/errors.ts';
import type { Amphora } from '../../model/amphora.ts';
import { UNOWNED_ID } from '../../model/unowned.ts';
import { authorize } from '../auth.ts';
import { STRICTLY_MUTABLE } from '../draft.ts';
import { columns } from '../list-query.ts';
import { getRecord, notFound, type RecordResource, readOperations } from '../records.ts';
import type { ApiDeps, Call, Operation } from '../resource.ts';

const amphorae: RecordResource<'amphora'> = {
  table: 'amphora',
  title: 'Amphora',
  rule: 'amphora',
  root: 'amphora',
  plural: 'amphorae',
  path: '/octavia/amphorae',
  filters: {
    ...columns('text', false, ['id', 'status', 'created_at']),
    ...columns('text', true, ['loadbalancer_id', 'compute_id', 'lb_network_ip', 'vrrp_ip', 'ha_ip']),
    ...columns('text', true, ['vrrp_port_id', 'ha_port_id', 'cert_expiration', 'role', 'vrrp_interface']),
    ...columns('text', true, ['cached_zone', 'image_id', 'compute_flavor', 'updated_at']),
    ...columns('integer', true, ['vrrp_id', 'vrrp_priority']),
    ...columns('boolean', false, ['cert_busy']),
    load_balancer_id: { column: 'loadbalancer_id', type: 'text', nullable: true },
  },
  order: ['created_at', 'id'],
  scope: (caller, project_id) => {
    authorize(caller, 'amphora:get_all', caller.project_id);
    return project_id === undefined ? [] : [{ is: 'of-project', project_id }];
  },
  view: ({ config_due: _, built_for: __, ...amphora }) => amphora,
};

const ITEM = `${amphorae.path}/:id`;

export function amphoraOperations(deps: ApiDeps): Operation[] {
  const common = { query: [], of: amphorae };
  const put = { ...common, method: 'PUT', status: 202 } as const;
  const stats = { ...common, method: 'GET', status: 200, answers: 'amphora_stats' } as const;
  return [
    ...readOperations(deps, amphorae),
    { ...stats, path: `${ITEM}/stats`, run: call => showStatistics(deps, call) },
    { ...put, path: `${ITEM}/failover`, run: call => failOver(deps, call) },
    { ...put, path: `${ITEM}/config`, run: call => configure(deps, call) },
    { ...common, method: 'DELETE', path: ITEM, status: 204, run: call => remove(deps, call) },
  ];
}

async function showStatistics(deps: ApiDeps, call: Call) {
  const { id } = await getRecord(deps, amphorae, call, 'get_stats');
  const amphora_stats = await listAmphoraStatistics(deps.db, id);
  if (amphora_stats.length === 0) throw notFound({ title: 'Amphora stats for' }, id);
  return { amphora_stats };
}

async function failOver(deps: ApiDeps, call: Call): Promise<void> {
  const amphora = await getRecord(deps, amphorae, call, 'put_failover');
  const lbId = getLoadBalancerId(amphora);
  const onlyIn = deps.settings.strict_immutability ? STRICTLY_MUTABLE : undefined;
  await markForReplacement(deps.db, lbId, { nowMs: deps.clock.now(), onlyIn }, amphora.id);
  await deps.queue.notify(lbId);
}

async function configure(deps: ApiDeps, call: Call): Promise<void> {
  const amphora = await getRecord(deps, amphorae, call, 'put_config');
  const lbId = getLoadBalancerId(amphora);
  await markAmphoraDue(deps.db, lbId, amphora.id, 'config_due');
  await deps.queue.notify(lbId);
}

async function remove(deps: ApiDeps, call: Call): Promise<void> {
  const { id, loadbalancer_id } = await getRecord(deps, amphorae, call, 'delete');
  if (!(await markAmphoraDeleted(deps.db, id, deps.clock.now())))
    throw new Fault('conflict', `Amphora ${id} cannot be deleted: it is not in ERROR.`);
  await deps.queue.notify(loadbalancer_id ?? UNOWNED_ID);
}

function getLoadBalancerId({ id, loadbalancer_id }: Amphora): string {
  if (loadbalancer_id === null) throw new Fault('invalid', `Amphora ${id} serves no load balancer.`);
  return loadbalancer_id;
}
