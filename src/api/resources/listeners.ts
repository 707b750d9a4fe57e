/** Listeners: fields, rules and body. Source: contract api.md 6. */
import { listRelation } from '../../db/relations.ts';
import { sumStatistics } from '../../db/statistics.ts';
import { versionOf } from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import { CLIENT_AUTHENTICATION_MODES, LISTENER_PROTOCOLS, type Listener } from '../../model/listener.ts';
import type { Resource } from '../../model/load-balancer.ts';
import type { PoolProtocol } from '../../model/pool.ts';
import { LISTENER_FEATURES, portGroup } from '../../model/protocols.ts';
import {
  ADMIN_STATE_UP,
  type Body,
  DESCRIPTION,
  type Field,
  type Fields,
  IGNORED_PROJECT,
  NAME,
  refuse,
  TAGS,
} from '../body.ts';
import type { Draft } from '../draft.ts';
import {
  absentObject,
  boolean,
  choice,
  cidr,
  emptyList,
  integer,
  list,
  text,
  textMap,
  uuid,
} from '../fields.ts';
import { COMMON_FILTERS, columns } from '../list-query.ts';
import { getRecord } from '../operations.ts';
import {
  type ApiDeps,
  asIds,
  type ChildResource,
  checkSupported,
  commonView,
  type Env,
  type Operation,
} from '../resource.ts';
import { type ApiSettings, isProtocolAllowed } from '../settings.ts';
import {
  checkTlsChoice,
  inspectReferences,
  LISTENER_REFERENCES,
  REFERENCE,
  TLS_FIELDS,
  withTlsDefaults,
} from '../tls.ts';
import { removeL7Policy } from './l7-policies.ts';
import { checkIpVersion } from './members.ts';
import { checkPoolOf } from './pools.ts';

/** Milliseconds, at most 24 days. */
const timeout = (name: keyof ApiSettings, doc: string): Field => ({
  kind: integer(0, 2_073_600_000),
  default: (settings: ApiSettings) => settings[name],
  doc,
});

/** What can also stand inside the body of a load balancer that is created. */
export const LISTENER_FIELDS: Fields = {
  protocol: {
    kind: choice(LISTENER_PROTOCOLS),
    post: 'required',
    put: false,
    doc: 'What the listener speaks.',
  },
  protocol_port: { kind: integer(1, 65_535), post: 'required', put: false, doc: 'The port on the VIP.' },
  name: NAME,
  description: DESCRIPTION,
  admin_state_up: ADMIN_STATE_UP,
  connection_limit: { kind: integer(-1), default: -1, doc: 'The most connections at once; -1 for no limit.' },
  timeout_client_data: timeout('timeout_client_data', 'Milliseconds that a client may be silent.'),
  timeout_member_connect: timeout('timeout_member_connect', 'Milliseconds to connect to a member.'),
  timeout_member_data: timeout('timeout_member_data', 'Milliseconds that a member may be silent.'),
  timeout_tcp_inspect: timeout(
    'timeout_tcp_inspect',
    'Milliseconds to wait for the content of a connection.',
  ),
  default_pool_id: { kind: uuid, doc: 'The pool for requests that no policy redirects.' },
  insert_headers: { kind: textMap(255), default: {}, doc: 'Headers to insert into requests to members.' },
  default_tls_container_ref: REFERENCE,
  sni_container_refs: {
    kind: list(text(255), { unique: true }),
    default: [],
    doc: 'Certificates by server name.',
  },
  client_ca_tls_container_ref: REFERENCE,
  client_crl_container_ref: REFERENCE,
  client_authentication: {
    kind: choice(CLIENT_AUTHENTICATION_MODES),
    default: 'NONE',
    nullOnPost: 'refuse',
    doc: 'Whether clients must show a certificate.',
  },
  allowed_cidrs: { kind: list(cidr), doc: 'Where clients may come from; all when null.' },
  ...TLS_FIELDS,
  hsts_max_age: { kind: integer(0), doc: 'Seconds of HSTS; off when null.' },
  hsts_include_subdomains: { kind: boolean, default: false, doc: 'Whether HSTS covers subdomains.' },
  hsts_preload: { kind: boolean, default: false, doc: 'Whether browsers may preload HSTS.' },
  tags: TAGS,
};

const FIELDS: Fields = {
  loadbalancer_id: {
    kind: uuid,
    post: 'required',
    put: false,
    nullOnPost: 'not-found',
    doc: 'The load balancer.',
  },
  ...LISTENER_FIELDS,
  ...IGNORED_PROJECT,
  l7policies: { kind: emptyList, post: 'ignored', put: false, doc: 'Empty.' },
  default_pool: { kind: absentObject, post: 'ignored', put: false, doc: 'Null.' },
};

const FILTERS = {
  ...COMMON_FILTERS,
  ...columns('text', false, ['description', 'loadbalancer_id', 'protocol', 'client_authentication']),
  ...columns('text', true, ['default_pool_id', 'default_tls_container_ref', 'client_ca_tls_container_ref']),
  ...columns('text', true, ['client_crl_container_ref', 'tls_ciphers']),
  ...columns('integer', false, ['protocol_port', 'connection_limit', 'timeout_client_data']),
  ...columns('integer', false, ['timeout_member_connect', 'timeout_member_data', 'timeout_tcp_inspect']),
  ...columns('integer', true, ['hsts_max_age']),
  ...columns('boolean', false, ['hsts_include_subdomains', 'hsts_preload']),
  load_balancer_id: { column: 'loadbalancer_id', type: 'text', nullable: false },
} as const;

export const listeners: ChildResource<'listener'> = {
  table: 'listener',
  root: 'listener',
  plural: 'listeners',
  path: '/listeners',
  fields: FIELDS,
  filters: FILTERS,
  parentOf: async (_db, body) => body.loadbalancer_id as string,
  inspect: (body, _env, asked) => inspectReferences(LISTENER_REFERENCES, body, asked),
  create: createListener,
  update: updateListener,
  // The pool stays, and may serve other listeners; policies go with it. Source: contract api.md 6.8.
  remove(draft, listener) {
    for (const policy of draft.staying('l7policy')) {
      if (policy.listener_id === listener.id) removeL7Policy(draft, policy);
    }
    draft.remove('listener', listener);
  },
  async viewer(db, listeners) {
    const policies = await listRelation(
      db,
      'l7policy',
      'listener_id',
      listeners.map(listener => listener.id),
    );
    return listener => ({
      ...listenerView(listener),
      l7policies: asIds(policies.get(listener.id) ?? []),
      loadbalancers: asIds([listener.loadbalancer_id]),
    });
  },
};

export function listenerOperations(deps: ApiDeps): Operation[] {
  return [
    {
      method: 'GET',
      path: '/listeners/:id/stats',
      status: 200,
      query: [],
      of: listeners,
      answers: 'stats',
      run: async call => {
        const { id } = await getRecord(deps, listeners, call, 'get_stats');
        return { stats: await sumStatistics(deps.db, { listener_id: id }) };
      },
    },
  ];
}

/** What a body decides; the rest a new record brings along. */
type ListenerBody = Omit<Listener, keyof Resource | 'loadbalancer_id'>;
type Refs = Pick<Listener, 'default_tls_container_ref' | 'sni_container_refs'>;
const hasRefs = (l: Refs): boolean => l.default_tls_container_ref !== null || l.sni_container_refs.length > 0;
const needsTls = (listener: ListenerBody): boolean => {
  const { tls_defaults } = LISTENER_FEATURES[listener.protocol];
  return tls_defaults === 'yes' || (tls_defaults === 'with_tls_refs' && hasRefs(listener));
};

export function createListener(draft: Draft, body: Body, env: Env): Listener {
  const fields = body as unknown as ListenerBody;
  const { protocol } = fields;
  if (!isProtocolAllowed(env.settings, protocol))
    refuse('protocol', protocol, 'The operator of this system does not allow such listeners.');
  const features = LISTENER_FEATURES[protocol];
  if (features.tls_refs === 'required' && !hasRefs(fields))
    throw new Fault(
      'invalid',
      `A ${protocol} listener needs default_tls_container_ref or sni_container_refs.`,
    );
  checkFeatures(fields, fields, env.settings);
  if (fields.client_ca_tls_container_ref !== null && !hasRefs(fields))
    throw new Fault(
      'invalid',
      'client_ca_tls_container_ref needs default_tls_container_ref or sni_container_refs.',
    );
  checkDefaultPool(draft, fields, env);
  const allowed_cidrs = checkCidrs(draft, fields.allowed_cidrs);
  const group = portGroup(protocol);
  const twin = draft
    .staying('listener')
    .find(l => l.protocol_port === fields.protocol_port && portGroup(l.protocol) === group);
  if (twin) {
    throw new Fault(
      'conflict',
      `Another Listener on this Load Balancer is already using protocol_port ${twin.protocol_port}: ${twin.id}.`,
    );
  }
  const tls = needsTls(fields) ? withTlsDefaults(body, env.settings.listener_tls) : body;
  checkSupported('listener protocol', protocol, env.provider.supports.listener_protocols, env);
  checkCidrsServed(allowed_cidrs, env);
  return draft.insert('listener', {
    ...(tls as unknown as typeof fields),
    ...draft.newRecord(body),
    allowed_cidrs,
    sni_container_refs: [...fields.sni_container_refs].sort(),
  });
}

function updateListener(draft: Draft, listener: Listener, body: Body, env: Env): void {
  const sent = { ...body } as Partial<Listener>;
  const defaults = withTlsDefaults({}, env.settings.listener_tls);
  const becomesTls = !needsTls(listener) && needsTls({ ...listener, ...sent });
  for (const name of Object.keys(TLS_FIELDS) as (keyof typeof TLS_FIELDS)[]) {
    const isMissing = becomesTls && sent[name] === undefined && listener[name] === null;
    if (sent[name] === null || isMissing) sent[name] = defaults[name] as never;
  }
  const merged = { ...listener, ...sent };
  checkFeatures(sent, merged, env.settings);
  if (sent.default_pool_id) checkDefaultPool(draft, merged, env);
  if (sent.sni_container_refs) sent.sni_container_refs = [...sent.sni_container_refs].sort();
  if (sent.allowed_cidrs !== undefined) sent.allowed_cidrs = checkCidrs(draft, sent.allowed_cidrs);
  checkCidrsServed(sent.allowed_cidrs ?? null, env);
  draft.touch('listener', listener, sent);
}

/** Which of the fields that were sent may be set on such a listener; `merged` is what it will be. */
function checkFeatures(sent: Partial<Listener>, merged: ListenerBody, settings: ApiSettings): void {
  const { protocol } = merged;
  const features = LISTENER_FEATURES[protocol];
  for (const header of Object.keys(sent.insert_headers ?? {})) {
    if (!features.insert_headers.includes(header))
      refuse('insert_headers', header, `It cannot be inserted by a ${protocol} listener.`);
  }
  const refsSent = sent.default_tls_container_ref || sent.sni_container_refs?.length;
  if (features.tls_refs === 'no' && refsSent)
    throw new Fault('invalid', `Certificate references cannot be set on a ${protocol} listener.`);
  checkClientAuthentication(sent, merged);
  checkTlsChoice(sent, settings);
  if (sent.hsts_max_age != null && !features.hsts)
    refuse('hsts_max_age', sent.hsts_max_age, 'HSTS can be used on TERMINATED_HTTPS listeners only.');
  if ((sent.hsts_include_subdomains || sent.hsts_preload) && merged.hsts_max_age === null)
    throw new Fault('invalid', 'hsts_include_subdomains and hsts_preload need hsts_max_age.');
}

function checkClientAuthentication(sent: Partial<Listener>, merged: ListenerBody): void {
  const { protocol, client_ca_tls_container_ref: ca } = merged;
  const { client_authentication: mode, client_crl_container_ref: crl } = sent;
  const asked = sent.client_ca_tls_container_ref || crl || (mode !== undefined && mode !== 'NONE');
  const { client_authentication: allowed } = LISTENER_FEATURES[protocol];
  if (asked && (allowed === 'no' || (allowed === 'with_tls_refs' && !hasRefs(merged))))
    throw new Fault('invalid', `Client authentication cannot be used on this ${protocol} listener.`);
  const touched = 'client_ca_tls_container_ref' in sent || mode !== undefined || crl !== undefined;
  if (!touched || ca) return;
  if (merged.client_authentication !== 'NONE')
    refuse('client_authentication', merged.client_authentication, 'It needs a client_ca_tls_container_ref.');
  if (merged.client_crl_container_ref)
    refuse(
      'client_crl_container_ref',
      merged.client_crl_container_ref,
      'It needs a client_ca_tls_container_ref.',
    );
}

function checkDefaultPool(
  draft: Draft,
  listener: Pick<Listener, 'default_pool_id' | 'protocol'>,
  env: Env,
): void {
  const { default_pool_id: poolId, protocol } = listener;
  if (poolId === null) return;
  if (!LISTENER_FEATURES[protocol].default_pool)
    refuse('default_pool_id', poolId, `A ${protocol} listener has no pool.`);
  checkPoolOf(draft, protocol, poolId);
  const members = draft.staying('member').filter(member => member.pool_id === poolId);
  for (const { address } of members) checkIpVersion(draft, protocol as PoolProtocol, address, env);
}

/** The networks without duplicates, or null for no restriction. Source: contract api.md 6.6. */
function checkCidrs(draft: Draft, sent: readonly string[] | null): string[] | null {
  const cidrs = [...new Set(sent ?? [])];
  if (cidrs.length === 0) return null;
  if (draft.graph.load_balancer.vip_sg_ids.length > 0)
    refuse('allowed_cidrs', cidrs, "It cannot be combined with the load balancer's vip_sg_ids.");
  const stranger = cidrs.find(c => draft.vipVersions.size > 0 && !draft.vipVersions.has(versionOf(c)));
  if (stranger) refuse('allowed_cidrs', stranger, 'No VIP of the load balancer has that IP version.');
  return cidrs;
}

/** A restriction that nobody enforces would be worse than none. */
function checkCidrsServed(cidrs: readonly string[] | null, { provider }: Env): void {
  if (cidrs === null || provider.supports.allowed_cidrs) return;
  throw new Fault('unsupported', `Provider ${provider.name} does not support allowed_cidrs yet.`);
}

export function listenerView(listener: Listener) {
  return {
    ...commonView(listener),
    description: listener.description,
    protocol: listener.protocol,
    protocol_port: listener.protocol_port,
    connection_limit: listener.connection_limit,
    default_pool_id: listener.default_pool_id,
    default_tls_container_ref: listener.default_tls_container_ref,
    sni_container_refs: listener.sni_container_refs,
    client_ca_tls_container_ref: listener.client_ca_tls_container_ref,
    client_authentication: listener.client_authentication,
    client_crl_container_ref: listener.client_crl_container_ref,
    insert_headers: listener.insert_headers,
    allowed_cidrs: listener.allowed_cidrs,
    tls_ciphers: listener.tls_ciphers,
    tls_versions: listener.tls_versions,
    alpn_protocols: listener.alpn_protocols,
    timeout_client_data: listener.timeout_client_data,
    timeout_member_connect: listener.timeout_member_connect,
    timeout_member_data: listener.timeout_member_data,
    timeout_tcp_inspect: listener.timeout_tcp_inspect,
    hsts_max_age: listener.hsts_max_age,
    hsts_include_subdomains: listener.hsts_include_subdomains,
    hsts_preload: listener.hsts_preload,
  };
}
