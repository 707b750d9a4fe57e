/** Quotas: what each project may have, as operators set it. Source: contract api.md 12. */
import { findRecord } from '../../db/children.ts';
import { putQuota, UNSET } from '../../db/quotas.ts';
import { QUOTA_TABLES, type Quota, type QuotaTable } from '../../model/quota.ts';
import { authorize } from '../auth.ts';
import { type Body, type Fields, parsePut, refuse, rootOf } from '../body.ts';
import { integer } from '../fields.ts';
import { columns, type Filters } from '../list-query.ts';
import { projectScope } from '../operations.ts';
import { notFound, type RecordResource, readOperations } from '../records.ts';
import type { ApiDeps, Call, Operation } from '../resource.ts';

/** Both spellings are taken and shown; of two in one request the first wins. */
const SPELLINGS = {
  load_balancer: ['loadbalancer', 'load_balancer'],
  listener: ['listener'],
  member: ['member'],
  pool: ['pool'],
  health_monitor: ['healthmonitor', 'health_monitor'],
  l7policy: ['l7policy'],
  l7rule: ['l7rule'],
} as const satisfies Record<QuotaTable, readonly string[]>;

/** For each spelling what `of` makes of its table, by spelling. */
function bySpelling<T>(of: (table: QuotaTable, name: string) => T): Record<string, T> {
  return Object.fromEntries(
    QUOTA_TABLES.flatMap(table => SPELLINGS[table].map(name => [name, of(table, name)])),
  );
}

const FIELDS: Fields = bySpelling(() => ({
  kind: integer(-1, 2_000_000_000),
  doc: 'How many there may be; -1: any number; null: the default.',
}));
const FILTERS: Filters = bySpelling(table => columns('integer', true, [table])[table]!);

const quotas: RecordResource<'quota'> = {
  table: 'quota',
  title: 'Quota',
  rule: 'quota',
  root: 'quota',
  plural: 'quotas',
  path: '/quotas',
  filters: FILTERS,
  order: ['project_id'],
  scope: (caller, project_id) => projectScope(caller, 'quota', project_id),
  view: quotaView,
};

const ITEM = '/quotas/:id';

export function quotaOperations(deps: ApiDeps): Operation[] {
  const list = readOperations(deps, quotas).filter(operation => operation.path === quotas.path);
  const of = { ...quotas, fields: FIELDS };
  const get = { method: 'GET', status: 200, query: [], of } as const;
  const change = { path: ITEM, status: 202, query: [], of } as const;
  return [
    ...list,
    { ...get, path: '/quotas/defaults', run: async call => showDefaults(deps, call) },
    { ...get, path: `${ITEM}/default`, run: async call => showDefaults(deps, call) },
    { ...get, path: ITEM, run: call => show(deps, call) },
    { ...change, method: 'PUT', answers: 'object', run: call => update(deps, call) },
    { ...change, method: 'DELETE', run: call => reset(deps, call) },
  ];
}

function showDefaults(deps: ApiDeps, { caller, params }: Call) {
  const project_id = params.id ?? caller.project_id;
  authorize(caller, 'quota:get_defaults', project_id);
  return answer(deps, { ...UNSET, project_id });
}

/** A project without a row, known or not, has the defaults; looking makes none. */
async function show(deps: ApiDeps, { caller, params }: Call) {
  const project_id = params.id!;
  authorize(caller, 'quota:get_one', project_id);
  return answer(deps, (await findRecord(deps.db, 'quota', project_id)) ?? { ...UNSET, project_id });
}

async function update(deps: ApiDeps, { caller, params, body: raw }: Call) {
  const body = parsePut(FIELDS, rootOf(raw, 'quota'), 'quota', deps.settings);
  const project_id = params.id!;
  authorize(caller, 'quota:put', project_id);
  if (project_id.length > 36) refuse('project_id', project_id, 'Value should have at most 36 characters.');
  return answer(deps, await putQuota(deps.db, project_id, limitsOf(body)));
}

async function reset(deps: ApiDeps, { caller, params }: Call): Promise<void> {
  const project_id = params.id!;
  authorize(caller, 'quota:delete', project_id);
  if (!(await findRecord(deps.db, 'quota', project_id))) throw notFound(quotas, project_id);
  await putQuota(deps.db, project_id, UNSET);
}

function limitsOf(body: Body): Partial<Quota> {
  const limits = QUOTA_TABLES.flatMap(table => {
    const name = SPELLINGS[table].find(spelling => spelling in body);
    return name === undefined ? [] : [[table, body[name]]];
  });
  return Object.fromEntries(limits);
}

type Limits = Omit<Quota, 'project_id'> & { project_id: string | null };

function answer({ settings }: ApiDeps, quota: Limits) {
  const limits = QUOTA_TABLES.map(table => [table, quota[table] ?? settings.quotas[table]]);
  return { quota: quotaView({ ...quota, ...Object.fromEntries(limits) }) };
}

function quotaView(quota: Limits) {
  const { project_id } = quota;
  return { ...bySpelling(table => quota[table]), project_id, tenant_id: project_id };
}
