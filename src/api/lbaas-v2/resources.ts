/** The seven resources of the old API: what may be sent, what is shown, and where that differs from Octavia's. Source: contract lbaasv2.md 5. */
import { findRecord } from '../../db/children.ts';
import type { FaultKind } from '../../lib/errors.ts';
import type { Body } from '../body.ts';
import { Problems, uuid } from '../fields.ts';
import type { Filters } from '../list-query.ts';
import { type ApiDeps, type Call, getLoadBalancer, getProvider } from '../resource.ts';
import { healthMonitors } from '../resources/health-monitors.ts';
import { l7policies } from '../resources/l7-policies.ts';
import { l7rules } from '../resources/l7-rules.ts';
import { listeners } from '../resources/listeners.ts';
import { LOAD_BALANCER_FILTERS } from '../resources/load-balancers.ts';
import { members } from '../resources/members.ts';
import { pools } from '../resources/pools.ts';
import { seenBy } from '../seen-network.ts';
import { OldFault } from './faults.ts';

export type Attributes = Record<string, unknown>;

/** A resource of the old API, whose path below `/lbaas` is that of Octavia's. */
export interface OldResource {
  root: string;
  plural: string;
  path: string;
  /** What a POST must hold. */
  required: readonly string[];
  /** What a POST may hold besides. */
  optional: readonly string[];
  /** What a PUT may hold. */
  mutable: readonly string[];
  /** What answers hold. */
  shown: readonly string[];
  /** Where the old API takes fewer words than Octavia. */
  choices: Readonly<Record<string, readonly string[]>>;
  /** Octavia's filters; what only Octavia shows is none here. */
  filters: Filters;
  /** Rules of the old API, and what must be sent in another form; `body` is changed in place. Also inside a graph. */
  adapt?(body: Body, isNew: boolean, deps: ApiDeps): void;
  /** The same for what it has to do with other objects; not inside a graph. */
  relate?(deps: ApiDeps, body: Body, call: Call): Promise<void>;
  /** The same for what is shown. */
  show?(shown: Attributes, view: Attributes): void;
}

const words = (text: string): string[] => text.split(' ');

const COMMON_POST = 'name admin_state_up tenant_id project_id';
const COMMON_SHOWN = 'id name admin_state_up tenant_id project_id';

const HTTP_ATTRIBUTES = words('http_method url_path expected_codes');
const isPlain = (type: unknown): boolean => type === 'TCP' || type === 'PING';

function dropHttp(attributes: Attributes): void {
  for (const name of HTTP_ATTRIBUTES) delete attributes[name];
}

/** Source: contract lbaasv2.md 6.2. */
const POOL_PROTOCOL_OF: Readonly<Record<string, string>> = {
  HTTP: 'HTTP',
  HTTPS: 'HTTPS',
  TCP: 'TCP',
  TERMINATED_HTTPS: 'HTTP',
};

export function checkProtocols(listener: unknown, pool: unknown): void {
  if (POOL_PROTOCOL_OF[String(listener)] === pool) return;
  throw new OldFault(
    'conflict',
    'ListenerPoolProtocolMismatch',
    `Listener protocol ${listener} and pool protocol ${pool} are not compatible.`,
  );
}

const loadBalancers: OldResource = {
  root: 'loadbalancer',
  plural: 'loadbalancers',
  path: '/loadbalancers',
  required: [],
  optional: words(`vip_subnet_id vip_network_id vip_address provider flavor_id description ${COMMON_POST}`),
  mutable: words('name description admin_state_up'),
  shown: words(
    `${COMMON_SHOWN} description vip_subnet_id vip_address vip_port_id provider provisioning_status operating_status listeners pools`,
  ),
  choices: {},
  filters: LOAD_BALANCER_FILTERS,
  adapt(body, isNew, deps) {
    if (!isNew) return;
    if (!body.vip_subnet_id && !body.vip_network_id)
      throw missing('RequiredAttributeNotSpecified', 'vip_subnet_id or vip_network_id');
    if (body.flavor_id == null) delete body.flavor_id;
    else if (body.provider !== undefined)
      throw new OldFault(
        'conflict',
        'ProviderFlavorConflict',
        'A flavor and a provider cannot be given together.',
      );
    // The name that nearly all of the old installations had for their default.
    if (body.provider === 'haproxy' && !deps.providers.has('haproxy')) delete body.provider;
  },
  show(shown, view) {
    shown.operating_status = oldOperatingStatus(shown.operating_status);
    if (view.flavor_id) shown.flavor_id = view.flavor_id;
  },
};

/** The two that the old API does not know. */
export const oldOperatingStatus = (status: unknown): unknown =>
  status === 'DRAINING' ? 'ONLINE' : status === 'ERROR' ? 'OFFLINE' : status;

const LISTENER_CHANGES =
  'name description default_pool_id connection_limit default_tls_container_ref sni_container_refs admin_state_up';
const listenerResource: OldResource = {
  root: 'listener',
  plural: 'listeners',
  path: listeners.path,
  required: words('protocol protocol_port'),
  optional: words(`loadbalancer_id tenant_id project_id ${LISTENER_CHANGES}`),
  mutable: words(LISTENER_CHANGES),
  shown: words(
    `${COMMON_SHOWN} description loadbalancers protocol protocol_port default_pool_id connection_limit default_tls_container_ref sni_container_refs`,
  ),
  choices: { protocol: Object.keys(POOL_PROTOCOL_OF) },
  filters: listeners.filters,
  adapt(body) {
    if (body.protocol === 'TERMINATED_HTTPS' && !body.default_tls_container_ref)
      throw new OldFault(
        'invalid',
        'TLSDefaultContainerNotSpecified',
        'default_tls_container_ref was not given.',
      );
  },
  async relate(deps, body, call) {
    const pool = await findNamed(deps, 'pool', body.default_pool_id);
    const isNew = call.params.id === undefined;
    const stored = isNew ? undefined : await findRecord(deps.db, 'listener', call.params.id!);
    if (isNew) body.loadbalancer_id ??= pool?.loadbalancer_id;
    if (isNew && !body.loadbalancer_id)
      throw missing('ListenerMustHaveLoadbalancer', 'loadbalancer_id or default_pool_id');
    if (!pool) return;
    checkSameLoadBalancer(pool, stored?.loadbalancer_id ?? body.loadbalancer_id);
    checkProtocols(stored?.protocol ?? body.protocol, pool.protocol);
  },
};

const POOL_CHANGES = 'name description lb_algorithm session_persistence admin_state_up';
const poolResource: OldResource = {
  root: 'pool',
  plural: 'pools',
  path: pools.path,
  required: words('protocol lb_algorithm'),
  optional: words(`loadbalancer_id listener_id tenant_id project_id ${POOL_CHANGES}`),
  mutable: words(POOL_CHANGES),
  shown: words(
    `${COMMON_SHOWN} description protocol lb_algorithm session_persistence members healthmonitor_id listeners loadbalancers`,
  ),
  choices: {
    protocol: words('TCP HTTP HTTPS'),
    lb_algorithm: words('ROUND_ROBIN LEAST_CONNECTIONS SOURCE_IP'),
  },
  filters: pools.filters,
  adapt(body) {
    const persistence = body.session_persistence;
    // Octavia lets an empty object inherit what is stored; here it removes.
    if (typeof persistence === 'object' && persistence && Object.keys(persistence).length === 0)
      body.session_persistence = null;
  },
  async relate(deps, body, call) {
    if (call.params.id !== undefined) return;
    const listener = await findNamed(deps, 'listener', body.listener_id);
    if (!listener && !body.loadbalancer_id)
      throw missing('PoolMustHaveLoadbalancer', 'loadbalancer_id or listener_id');
    if (!listener) return;
    if (body.loadbalancer_id) checkSameLoadBalancer(listener, body.loadbalancer_id);
    checkProtocols(listener.protocol, body.protocol);
  },
  show(shown, view) {
    const { type, cookie_name } = (view.session_persistence ?? {}) as Attributes;
    shown.session_persistence = type === undefined ? null : { type, cookie_name };
  },
};

const memberResource: OldResource = {
  root: 'member',
  plural: 'members',
  path: members.path,
  required: words('address protocol_port subnet_id'),
  optional: words(`weight ${COMMON_POST}`),
  mutable: words('name weight admin_state_up'),
  shown: words(`${COMMON_SHOWN} address protocol_port subnet_id weight`),
  choices: {},
  filters: members.filters,
  async relate(deps, body, call) {
    const subnetId = idIn(body.subnet_id);
    const pool = call.params.id === undefined && (await findRecord(deps.db, 'pool', call.params.pool_id!));
    // Without a pool there is a better answer than one about subnets.
    if (!pool || subnetId === undefined) return;
    const { network } = getProvider(deps, await getLoadBalancer(deps.db, pool.loadbalancer_id));
    if (!(await seenBy(call.caller, network, deps.settings).findSubnet(subnetId)))
      throw absent('subnet', subnetId);
  },
};

const MONITOR_CHANGES =
  'name delay timeout max_retries max_retries_down http_method url_path expected_codes admin_state_up';
const healthMonitorResource: OldResource = {
  root: 'healthmonitor',
  plural: 'healthmonitors',
  path: healthMonitors.path,
  required: words('pool_id type delay timeout max_retries'),
  optional: words(`tenant_id project_id ${MONITOR_CHANGES}`),
  mutable: words(MONITOR_CHANGES),
  shown: words(
    `${COMMON_SHOWN} type delay timeout max_retries max_retries_down http_method url_path expected_codes pools`,
  ),
  choices: { type: words('PING TCP HTTP HTTPS') },
  filters: healthMonitors.filters,
  // Taken and of no effect on those that send no HTTP, as in the old API.
  adapt(body) {
    if (isPlain(body.type)) dropHttp(body);
  },
  async relate(deps, body, call) {
    const { id } = call.params;
    if (id !== undefined && isPlain((await findRecord(deps.db, 'health_monitor', id))?.type)) dropHttp(body);
  },
  show(shown) {
    if (isPlain(shown.type)) dropHttp(shown);
  },
};

const POLICY_CHANGES = 'name description action redirect_pool_id redirect_url position admin_state_up';
const policyResource: OldResource = {
  root: 'l7policy',
  plural: 'l7policies',
  path: l7policies.path,
  required: words('listener_id action'),
  optional: words(`tenant_id project_id ${POLICY_CHANGES}`),
  mutable: words(POLICY_CHANGES),
  shown: words(`${COMMON_SHOWN} description listener_id action redirect_pool_id redirect_url position rules`),
  choices: { action: words('REJECT REDIRECT_TO_POOL REDIRECT_TO_URL') },
  filters: l7policies.filters,
  adapt(body) {
    if (body.action === 'REDIRECT_TO_POOL' && !body.redirect_pool_id && !body.redirect_pool)
      throw missing('L7PolicyRedirectPoolIdMissing', 'redirect_pool_id', 'conflict');
    if (body.action === 'REDIRECT_TO_URL' && !body.redirect_url)
      throw missing('L7PolicyRedirectUrlMissing', 'redirect_url', 'conflict');
  },
  async relate(deps, body, call) {
    const { db } = deps;
    const pool = await findNamed(deps, 'pool', body.redirect_pool_id);
    if (!pool) return;
    const { id } = call.params;
    const listenerId =
      id === undefined ? body.listener_id : (await findRecord(db, 'l7policy', id))?.listener_id;
    const listener = await findNamed(deps, 'listener', listenerId);
    if (listener) checkSameLoadBalancer(pool, listener.loadbalancer_id);
  },
  show(shown) {
    if (shown.action === 'REDIRECT_TO_POOL') delete shown.redirect_url;
  },
};

const RULE_CHANGES = 'type compare_type key value invert admin_state_up';
const ruleResource: OldResource = {
  root: 'rule',
  plural: 'rules',
  path: l7rules.path,
  required: words('type compare_type value'),
  optional: words(`tenant_id project_id ${RULE_CHANGES}`),
  mutable: words(RULE_CHANGES),
  shown: words('id tenant_id project_id type compare_type key value invert admin_state_up'),
  choices: { type: words('HOST_NAME PATH FILE_TYPE HEADER COOKIE') },
  filters: l7rules.filters,
  adapt(body, isNew) {
    if (isNew && (body.type === 'HEADER' || body.type === 'COOKIE') && !body.key)
      throw missing('L7RuleKeyMissing', 'key', 'not-found');
  },
};

export const OLD_RESOURCES: readonly OldResource[] = [
  loadBalancers,
  listenerResource,
  poolResource,
  memberResource,
  healthMonitorResource,
  policyResource,
  ruleResource,
];

export const byRoot = (root: string): OldResource => OLD_RESOURCES.find(resource => resource.root === root)!;

const missing = (type: string, names: string, kind: FaultKind = 'invalid'): OldFault =>
  new OldFault(kind, type, `Required attribute ${names} not specified.`);

const absent = (name: string, id: string): OldFault =>
  new OldFault('not-found', 'EntityNotFound', `${name} ${id.slice(0, 80).toWellFormed()} could not be found`);

/** undefined for what is no id: Octavia's operation has the sentence for that. */
const idIn = (value: unknown): string | undefined =>
  value == null ? undefined : uuid.parse(value, '', new Problems());

/** The object that an attribute names, if it names one in the right form. Throws `not-found` for an unknown one. */
async function findNamed<T extends 'pool' | 'listener'>(deps: ApiDeps, table: T, named: unknown) {
  const id = idIn(named);
  if (id === undefined) return undefined;
  const record = await findRecord(deps.db, table, id);
  if (!record) throw absent(table, id);
  return record;
}

function checkSameLoadBalancer(
  record: { id: string; loadbalancer_id: string },
  loadBalancerId: unknown,
): void {
  if (record.loadbalancer_id === loadBalancerId) return;
  throw new OldFault(
    'invalid',
    'ListenerAndPoolMustBeOnSameLoadbalancer',
    `Listener and pool must be on the same load balancer: ${record.id} is on ${record.loadbalancer_id}.`,
  );
}
