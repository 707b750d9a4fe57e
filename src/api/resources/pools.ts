/** Pools: fields, rules and body. Source: contract api.md 7. */
import { findRecord } from '../../db/children.ts';
import { listRelation } from '../../db/relations.ts';
import { findCanonicalAddress } from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import { poolIdsOf } from '../../model/l7.ts';
import type { ListenerProtocol } from '../../model/listener.ts';
import type { Resource } from '../../model/load-balancer.ts';
import {
  LB_ALGORITHMS,
  POOL_PROTOCOLS,
  type Pool,
  type PoolProtocol,
  SESSION_PERSISTENCE_TYPES,
  type SessionPersistence,
} from '../../model/pool.ts';
import {
  canTunePersistence,
  canUsePersistence,
  canUsePool,
  LISTENER_FEATURES,
} from '../../model/protocols.ts';
import {
  ADMIN_STATE_UP,
  type Body,
  DESCRIPTION,
  type Fields,
  IGNORED_PROJECT,
  NAME,
  refuse,
  TAGS,
} from '../body.ts';
import { type Draft, notFound } from '../draft.ts';
import { absentObject, boolean, choice, emptyList, integer, object, text, uuid } from '../fields.ts';
import { COMMON_FILTERS, columns } from '../list-query.ts';
import { asIds, type ChildResource, checkSupported, commonView, type Env } from '../resource.ts';
import {
  checkTlsChoice,
  inspectReferences,
  POOL_REFERENCES,
  REFERENCE,
  TLS_FIELDS,
  withTlsDefaults,
} from '../tls.ts';

/** Characters that RFC 6265 keeps out of a cookie's name. */
const cookieName = text(255, value =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  value === '' || /[\s\x00-\x1f\x7f"(),/:;<=>?@[\\\]{}]/.test(value)
    ? 'Value should be a cookie name.'
    : undefined,
);
const granularity = text(64, value =>
  isMask(value) ? undefined : 'Value should be an IPv4 mask or an IPv6 prefix length.',
);

/** What can also stand inside the body of a load balancer that is created. */
export const POOL_FIELDS: Fields = {
  protocol: { kind: choice(POOL_PROTOCOLS), post: 'required', put: false, doc: 'What the members speak.' },
  lb_algorithm: {
    kind: choice(LB_ALGORITHMS),
    post: 'required',
    nullOnPut: 'refuse',
    doc: 'How a member is chosen.',
  },
  session_persistence: {
    kind: object<SessionPersistence>({
      type: { kind: choice(SESSION_PERSISTENCE_TYPES) },
      cookie_name: { kind: cookieName },
      persistence_timeout: { kind: integer(0) },
      persistence_granularity: { kind: granularity },
    }),
    doc: 'How a client comes back to the same member; off when null.',
  },
  name: NAME,
  description: DESCRIPTION,
  admin_state_up: ADMIN_STATE_UP,
  tls_enabled: { kind: boolean, default: false, doc: 'Whether connections to members are encrypted.' },
  tls_container_ref: REFERENCE,
  ca_tls_container_ref: REFERENCE,
  crl_container_ref: REFERENCE,
  ...TLS_FIELDS,
  tags: TAGS,
};

const FIELDS: Fields = {
  loadbalancer_id: { kind: uuid, put: false, doc: 'The load balancer, if no listener is given.' },
  listener_id: { kind: uuid, put: false, doc: 'The listener whose default pool it becomes.' },
  ...POOL_FIELDS,
  ...IGNORED_PROJECT,
  members: { kind: emptyList, post: 'ignored', put: false, doc: 'Empty.' },
  healthmonitor: { kind: absentObject, post: 'ignored', put: false, doc: 'Null.' },
};

const FILTERS = {
  ...COMMON_FILTERS,
  ...columns('text', false, ['description', 'loadbalancer_id', 'protocol', 'lb_algorithm']),
  ...columns('text', true, ['tls_container_ref', 'ca_tls_container_ref', 'crl_container_ref', 'tls_ciphers']),
  ...columns('boolean', false, ['tls_enabled']),
  healthmonitor_id: { column: 'id', type: 'monitor', nullable: true },
  load_balancer_id: { column: 'loadbalancer_id', type: 'text', nullable: false },
} as const;

export const pools: ChildResource<'pool'> = {
  table: 'pool',
  root: 'pool',
  plural: 'pools',
  path: '/pools',
  fields: FIELDS,
  filters: FILTERS,
  async parentOf(db, body) {
    const { loadbalancer_id, listener_id } = body as Record<string, string | null>;
    if (!loadbalancer_id && !listener_id)
      throw new Fault('invalid', 'A pool needs loadbalancer_id or listener_id.');
    if (!listener_id) return loadbalancer_id!;
    const listener = await findRecord(db, 'listener', listener_id);
    if (!listener || (loadbalancer_id && listener.loadbalancer_id !== loadbalancer_id))
      throw notFound('listener', listener_id);
    return listener.loadbalancer_id;
  },
  inspect: (body, _env, asked) => inspectReferences(POOL_REFERENCES, body, asked),
  create: createPool,
  update: updatePool,
  remove: removePool,
  async viewer(db, pools) {
    const ids = pools.map(pool => pool.id);
    const listeners = await listRelation(db, 'listener', 'default_pool_id', ids);
    const members = await listRelation(db, 'member', 'pool_id', ids);
    const monitors = await listRelation(db, 'health_monitor', 'pool_id', ids);
    return pool => {
      const [monitor] = monitors.get(pool.id) ?? [];
      return {
        ...poolView(pool),
        loadbalancers: asIds([pool.loadbalancer_id]),
        listeners: asIds(listeners.get(pool.id) ?? []),
        members: asIds(members.get(pool.id) ?? []),
        // Clients tell by the key whether there is one. Source: contract api.md 7.2.
        ...(monitor !== undefined && { healthmonitor_id: monitor }),
      };
    };
  },
};

/** A change of the pool or of what is in it affects the listeners that use it. Source: contract api.md 4.1. */
export function touchPool(draft: Draft, pool: Pool, set: Partial<Pool> = {}): void {
  draft.touch('pool', pool, set);
  for (const listener of draft.graph.listeners) {
    if (poolIdsOf(draft.graph, listener).includes(pool.id)) draft.touch('listener', listener);
  }
}

/** Whether such a listener can send traffic to the pool. Throws `not-found`, `invalid` or `conflict`. */
export function checkPoolOf(draft: Draft, protocol: ListenerProtocol, poolId: string): void {
  const pool = draft.get('pool', poolId);
  if (!canUsePool(protocol, pool.protocol))
    throw new Fault(
      'invalid',
      `A ${protocol} listener cannot use pool ${pool.id}: its protocol is ${pool.protocol}.`,
    );
  draft.getMutable('pool', poolId);
}

type PoolBody = Omit<Pool, keyof Resource | 'loadbalancer_id'>;

export function createPool(draft: Draft, body: Body, env: Env): Pool {
  const { loadbalancer_id: _, listener_id, ...rest } = body;
  const fields = rest as unknown as PoolBody;
  const listener = listener_id ? draft.getMutable('listener', listener_id as string) : undefined;
  if (listener) {
    const { protocol, id } = listener;
    if (!LISTENER_FEATURES[protocol].default_pool || !canUsePool(protocol, fields.protocol))
      refuse(
        'protocol',
        fields.protocol,
        `Listener ${id} cannot use such a pool: its protocol is ${protocol}.`,
      );
  }
  const session_persistence = checkPersistence(fields.session_persistence, null, fields.protocol);
  checkReferences(fields);
  checkTlsChoice(rest, env.settings);
  if (listener?.default_pool_id)
    throw new Fault(
      'conflict',
      `Listener ${listener.id} already has a default pool: ${listener.default_pool_id}.`,
    );
  checkServed(fields, env);
  checkSupported('pool protocol', fields.protocol, env.provider.supports.pool_protocols, env);
  const tls = fields.tls_enabled ? withTlsDefaults(rest, env.settings.pool_tls) : rest;
  const pool = draft.insert('pool', {
    ...(tls as unknown as PoolBody),
    ...draft.newRecord(body),
    session_persistence,
  });
  if (listener) draft.touch('listener', listener, { default_pool_id: pool.id });
  return pool;
}

function updatePool(draft: Draft, pool: Pool, body: Body, env: Env): void {
  const sent = { ...body } as Partial<Pool>;
  // ALPN stays off when it is cleared, unlike a listener's. Source: contract api.md 7.2.
  const defaults = withTlsDefaults({}, env.settings.pool_tls);
  if (sent.tls_ciphers === null) sent.tls_ciphers = defaults.tls_ciphers as string;
  if (sent.tls_versions === null) sent.tls_versions = defaults.tls_versions as string[];
  if (sent.session_persistence)
    sent.session_persistence = checkPersistence(
      sent.session_persistence,
      pool.session_persistence,
      pool.protocol,
    );
  const merged = { ...pool, ...sent };
  checkReferences(merged);
  checkTlsChoice(sent, env.settings);
  checkServed(
    { ...merged, tls_enabled: sent.tls_enabled ?? false, lb_algorithm: sent.lb_algorithm ?? 'ROUND_ROBIN' },
    env,
  );
  touchPool(draft, pool, sent);
}

/** Its members and monitor go with it, and its listeners lose it. Source: contract api.md 7.4. */
function removePool(draft: Draft, pool: Pool): void {
  const policy = draft.staying('l7policy').find(p => p.redirect_pool_id === pool.id);
  if (policy)
    throw new Fault('conflict', `Pool ${pool.id} is in use by L7 Policy ${policy.id} and cannot be deleted.`);
  for (const listener of draft.graph.listeners) {
    if (listener.default_pool_id === pool.id) draft.touch('listener', listener, { default_pool_id: null });
  }
  for (const member of draft.graph.members) if (member.pool_id === pool.id) draft.remove('member', member);
  for (const monitor of draft.graph.health_monitors) {
    if (monitor.pool_id === pool.id) draft.remove('health_monitor', monitor);
  }
  draft.remove('pool', pool);
}

function checkReferences(pool: Pick<Pool, 'ca_tls_container_ref' | 'crl_container_ref'>): void {
  if (pool.crl_container_ref !== null && pool.ca_tls_container_ref === null)
    refuse('crl_container_ref', pool.crl_container_ref, 'It needs a ca_tls_container_ref.');
}

function checkServed(pool: Pick<Pool, 'tls_enabled' | 'lb_algorithm' | 'protocol'>, env: Env): void {
  const { supports } = env.provider;
  if (!supports.lb_algorithm(pool.protocol, pool.lb_algorithm))
    throw new Fault(
      'unsupported',
      `Provider ${env.provider.name} does not support the lb_algorithm ${pool.lb_algorithm} for pools of protocol ${pool.protocol}.`,
    );
  if (pool.tls_enabled && !supports.pool_tls)
    throw new Fault(
      'unsupported',
      `Provider ${env.provider.name} does not support pools with tls_enabled yet.`,
    );
}

/** The whole session persistence that results, omitted parts null, the type inherited. Source: contract api.md 7.3. */
function checkPersistence(
  sent: Partial<SessionPersistence> | null,
  stored: SessionPersistence | null,
  protocol: PoolProtocol,
): SessionPersistence | null {
  if (sent === null) return null;
  if (Object.keys(sent).length === 0 && stored !== null) return stored;
  const type = sent.type ?? stored?.type;
  if (type === undefined) refuse('session_persistence.type', null, 'Mandatory field missing.');
  const cookie_name = sent.cookie_name ?? null;
  if (!canUsePersistence(protocol, type))
    refuse('session_persistence.type', type, `A ${protocol} pool cannot use it.`);
  if (type === 'APP_COOKIE' && cookie_name === null)
    refuse('session_persistence.cookie_name', null, 'APP_COOKIE needs it.');
  if (type !== 'APP_COOKIE' && cookie_name !== null)
    refuse('session_persistence.cookie_name', cookie_name, `${type} has none.`);
  for (const name of ['persistence_timeout', 'persistence_granularity'] as const) {
    if (sent[name] !== undefined && !canTunePersistence(protocol))
      refuse(`session_persistence.${name}`, sent[name], 'Only UDP and SCTP pools have it.');
  }
  return {
    type,
    cookie_name,
    persistence_timeout: sent.persistence_timeout ?? null,
    persistence_granularity: sent.persistence_granularity ?? null,
  };
}

/** An IPv4 netmask, or an IPv6 prefix as a length or in address form. */
function isMask(value: string): boolean {
  if (/^\d{1,3}$/.test(value)) return Number(value) <= 128;
  const address = findCanonicalAddress(value);
  if (address === undefined || address.includes(':')) return address !== undefined;
  const bits = address
    .split('.')
    .map(part => Number(part).toString(2).padStart(8, '0'))
    .join('');
  return /^1*0*$/.test(bits);
}

export function poolView(pool: Pool) {
  return {
    ...commonView(pool),
    description: pool.description,
    protocol: pool.protocol,
    lb_algorithm: pool.lb_algorithm,
    session_persistence: pool.session_persistence,
    tls_enabled: pool.tls_enabled,
    tls_container_ref: pool.tls_container_ref,
    ca_tls_container_ref: pool.ca_tls_container_ref,
    crl_container_ref: pool.crl_container_ref,
    tls_ciphers: pool.tls_ciphers,
    tls_versions: pool.tls_versions,
    alpn_protocols: pool.alpn_protocols,
  };
}
