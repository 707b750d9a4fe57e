/** Health monitors: fields, rules and body. Source: contract api.md 9. */
import { findRecord } from '../../db/children.ts';
import { Fault } from '../../lib/errors.ts';
import { HEALTH_MONITOR_TYPES, type HealthMonitor, HTTP_METHODS } from '../../model/health-monitor.ts';
import type { Resource } from '../../model/load-balancer.ts';
import type { Pool } from '../../model/pool.ts';
import { canUseMonitor, isHttpMonitor } from '../../model/protocols.ts';
import {
  ADMIN_STATE_UP,
  type Body,
  type Field,
  type Fields,
  IGNORED_PROJECT,
  NAME,
  refuse,
  TAGS,
} from '../body.ts';
import { type Draft, notFound } from '../draft.ts';
import { choice, integer, numberOf, text, uuid } from '../fields.ts';
import { COMMON_FILTERS, columns } from '../list-query.ts';
import { asIds, type ChildResource, commonView, type Env } from '../resource.ts';
import type { ApiSettings } from '../settings.ts';
import { touchPool } from './pools.ts';

const LABEL = /^_?[A-Za-z0-9]([A-Za-z0-9-_]{0,61}[A-Za-z0-9])?$/;

const domainName = text(255, value =>
  value
    .replace(/\.$/, '')
    .split('.')
    .every(label => LABEL.test(label))
    ? undefined
    : 'Value should be a host name.',
);
const urlPath = text(255, value =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  /^\/(?!\/)[^\s\x00-\x1f\x7f]*$/.test(value) ? undefined : 'Value should be a path that begins with one /.',
);
const expectedCodes = text(64, value =>
  /^(\d{3}(\s*,\s*\d{3})*|\d{3}-\d{3})$/.test(value)
    ? undefined
    : 'Value should be codes, such as 200, or 200,202, or 200-204.',
);
const seconds = (doc: string): Field => ({ kind: integer(0), post: 'required', nullOnPut: 'refuse', doc });

/** What can also stand inside the body of a load balancer that is created. */
export const HEALTH_MONITOR_FIELDS: Fields = {
  type: {
    kind: choice(HEALTH_MONITOR_TYPES),
    post: 'required',
    put: false,
    doc: 'What is sent to a member.',
  },
  delay: seconds('Seconds between two checks.'),
  timeout: seconds('Seconds that one check may take.'),
  max_retries: {
    kind: integer(1, 10),
    post: 'required',
    nullOnPut: 'refuse',
    doc: 'Successes until a member is up.',
  },
  max_retries_down: { kind: integer(1, 10), default: 3, doc: 'Failures until a member is down.' },
  http_method: { kind: choice(HTTP_METHODS), doc: 'The method of an HTTP check.' },
  url_path: { kind: urlPath, doc: 'The path of an HTTP check.' },
  expected_codes: { kind: expectedCodes, doc: 'The status codes that a healthy member answers.' },
  http_version: { kind: numberOf([1.0, 1.1]), doc: 'The HTTP version of a check.' },
  domain_name: { kind: domainName, doc: 'The Host header of an HTTP check.' },
  name: NAME,
  admin_state_up: ADMIN_STATE_UP,
  tags: TAGS,
};

const FIELDS: Fields = {
  pool_id: { kind: uuid, post: 'required', put: false, doc: 'The pool whose members are checked.' },
  ...HEALTH_MONITOR_FIELDS,
  ...IGNORED_PROJECT,
};

const FILTERS = {
  ...COMMON_FILTERS,
  ...columns('text', false, ['pool_id', 'type']),
  ...columns('text', true, ['http_method', 'url_path', 'expected_codes', 'domain_name']),
  ...columns('integer', false, ['delay', 'timeout', 'max_retries', 'max_retries_down']),
  ...columns('number', true, ['http_version']),
  rise_threshold: { column: 'max_retries', type: 'integer', nullable: false },
  fall_threshold: { column: 'max_retries_down', type: 'integer', nullable: false },
} as const;

/** Only HTTP and HTTPS monitors have these, and there null means this. Source: contract api.md 9.2. */
const HTTP_DEFAULTS = { http_method: 'GET', url_path: '/', expected_codes: '200' } as const;
const HTTP_ONLY = Object.keys(HTTP_DEFAULTS) as (keyof typeof HTTP_DEFAULTS)[];

export const healthMonitors: ChildResource<'health_monitor'> = {
  table: 'health_monitor',
  root: 'healthmonitor',
  plural: 'healthmonitors',
  path: '/healthmonitors',
  fields: FIELDS,
  filters: FILTERS,
  async parentOf(db, body) {
    const pool = await findRecord(db, 'pool', body.pool_id as string);
    if (!pool) throw notFound('pool', body.pool_id as string);
    return pool.loadbalancer_id;
  },
  create(draft, body, env) {
    const pool = draft.getParent('pool', body.pool_id as string);
    const monitor = createHealthMonitor(draft, pool, body, env);
    touchPool(draft, pool);
    return monitor;
  },
  update(draft, monitor, body, env) {
    const pool = draft.getParent('pool', monitor.pool_id);
    const sent = { ...body } as Partial<HealthMonitor>;
    for (const name of HTTP_ONLY) {
      if (!(name in sent)) continue;
      if (!isHttpMonitor(monitor.type)) refuse(name, sent[name], `A ${monitor.type} monitor has none.`);
      sent[name] ??= HTTP_DEFAULTS[name] as never;
    }
    checkTimes(monitor.type, sent.delay, env.settings);
    const merged = { ...monitor, ...sent };
    if ('domain_name' in sent || 'http_version' in sent) checkDomainName(merged);
    draft.touch('health_monitor', monitor, sent);
    touchPool(draft, pool);
  },
  remove(draft, monitor) {
    touchPool(draft, draft.getParent('pool', monitor.pool_id));
    draft.remove('health_monitor', monitor);
  },
  viewer: async () => monitor => ({ ...healthMonitorView(monitor), pools: asIds([monitor.pool_id]) }),
};

type HealthMonitorBody = Omit<HealthMonitor, keyof Resource | 'loadbalancer_id' | 'pool_id'>;

export function createHealthMonitor(draft: Draft, pool: Pool, body: Body, env: Env): HealthMonitor {
  const { pool_id: _, ...rest } = body;
  const fields = rest as unknown as HealthMonitorBody;
  const { type } = fields;
  if (type === 'PING' && !env.settings.allow_ping_health_monitors)
    refuse('type', type, 'The operator of this system does not allow such monitors.');
  if (!canUseMonitor(pool.protocol, type))
    refuse('type', type, `Pool ${pool.id} cannot use it: its protocol is ${pool.protocol}.`);
  for (const name of HTTP_ONLY) {
    if (isHttpMonitor(type)) fields[name] ??= HTTP_DEFAULTS[name] as never;
    else if (fields[name] !== null) refuse(name, fields[name], `A ${type} monitor has none.`);
  }
  checkTimes(type, fields.delay, env.settings);
  checkDomainName(fields);
  const twin = draft.staying('health_monitor').find(monitor => monitor.pool_id === pool.id);
  if (twin) throw new Fault('conflict', `Pool ${pool.id} already has a health monitor: ${twin.id}.`);
  return draft.insert('health_monitor', { ...fields, ...draft.newRecord(body), pool_id: pool.id });
}

function checkTimes(type: HealthMonitor['type'], delay: number | undefined, settings: ApiSettings): void {
  const least = settings.udp_connect_min_interval_health_monitor;
  if (type === 'UDP-CONNECT' && delay !== undefined && delay < least)
    refuse('delay', delay, `A UDP-CONNECT monitor needs at least ${least} seconds.`);
}

/** HTTP/1.0 has no Host header. */
function checkDomainName(monitor: Pick<HealthMonitor, 'domain_name' | 'http_version'>): void {
  if (monitor.domain_name !== null && (monitor.http_version ?? 1.0) < 1.1)
    refuse('domain_name', monitor.domain_name, 'It needs http_version 1.1.');
}

export function healthMonitorView(monitor: HealthMonitor) {
  return {
    ...commonView(monitor),
    type: monitor.type,
    delay: monitor.delay,
    timeout: monitor.timeout,
    max_retries: monitor.max_retries,
    max_retries_down: monitor.max_retries_down,
    http_method: monitor.http_method,
    url_path: monitor.url_path,
    expected_codes: monitor.expected_codes,
    http_version: monitor.http_version,
    domain_name: monitor.domain_name,
  };
}
