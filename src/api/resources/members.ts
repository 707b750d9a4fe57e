/** Members: fields, rules, body, and the call that replaces all members of a pool. Source: contract api.md 8. */
import { findRecord } from '../../db/children.ts';
import { canonicalAddress, versionOf } from '../../lib/addresses.ts';
import { Fault } from '../../lib/errors.ts';
import type { Resource } from '../../model/load-balancer.ts';
import type { Member, Pool, PoolProtocol } from '../../model/pool.ts';
import { isLvsProtocol } from '../../model/protocols.ts';
import { authorize } from '../auth.ts';
import {
  ADMIN_STATE_UP,
  type Body,
  type Fields,
  IGNORED_PROJECT,
  NAME,
  readPost,
  refuse,
  rootOf,
  TAGS,
  throwProblems,
} from '../body.ts';
import { type Draft, notFound } from '../draft.ts';
import { boolean, integer, ipAddress, isObject, isTrueWord, Problems, uuid } from '../fields.ts';
import { COMMON_FILTERS, columns } from '../list-query.ts';
import { changeAndNotify, envOf } from '../operations.ts';
import {
  type ApiDeps,
  type Call,
  type ChildResource,
  commonView,
  type Env,
  getLoadBalancer,
  type Operation,
} from '../resource.ts';
import { touchPool } from './pools.ts';

/** What can also stand inside the body of a load balancer that is created. */
export const MEMBER_FIELDS: Fields = {
  address: { kind: ipAddress, post: 'required', put: false, doc: 'The IP address.' },
  protocol_port: { kind: integer(1, 65_535), post: 'required', put: false, doc: 'The port it listens on.' },
  subnet_id: { kind: uuid, put: false, doc: 'The subnet that reaches it.' },
  weight: { kind: integer(0, 256), default: 1, doc: 'Its share of the traffic; 0 drains it.' },
  backup: { kind: boolean, default: false, doc: 'Whether it serves only while all others are down.' },
  monitor_port: { kind: integer(1, 65_535), doc: 'The port to check; protocol_port when null.' },
  monitor_address: { kind: ipAddress, doc: 'The address to check; address when null.' },
  request_sriov: {
    kind: boolean,
    default: false,
    put: false,
    doc: 'Whether to reach it through an SR-IOV port.',
  },
  name: NAME,
  admin_state_up: ADMIN_STATE_UP,
  tags: TAGS,
};

const FIELDS: Fields = { ...MEMBER_FIELDS, ...IGNORED_PROJECT };

const FILTERS = {
  ...COMMON_FILTERS,
  ...columns('text', false, ['address', 'vnic_type', 'pool_id']),
  ...columns('text', true, ['subnet_id', 'monitor_address']),
  ...columns('integer', false, ['protocol_port', 'weight']),
  ...columns('integer', true, ['monitor_port']),
  ...columns('boolean', false, ['backup']),
  ip_address: { column: 'address', type: 'text', nullable: false },
} as const;

export const members: ChildResource<'member'> = {
  table: 'member',
  root: 'member',
  plural: 'members',
  path: '/pools/:pool_id/members',
  fields: FIELDS,
  filters: FILTERS,
  parentOf: async (db, _body, params) => (await getPool(db, params)).loadbalancer_id,
  async scope(db, params) {
    const { id, project_id } = await getPool(db, params);
    return { conditions: [{ is: 'equal', column: 'pool_id', value: id }], project_id };
  },
  contains: (member, params) => member.pool_id === params.pool_id,
  inspect: checkSubnet,
  create: (draft, body, env, params) => {
    const pool = draft.getParent('pool', params.pool_id!);
    touchPool(draft, pool);
    return createMember(draft, pool, body, env);
  },
  update(draft, member, body) {
    const pool = draft.getParent('pool', member.pool_id);
    draft.touch('member', member, body as Partial<Member>);
    touchPool(draft, pool);
  },
  remove(draft, member) {
    touchPool(draft, draft.getParent('pool', member.pool_id));
    draft.remove('member', member);
  },
  viewer: async () => memberView,
};

export function memberOperations(deps: ApiDeps): Operation[] {
  return [
    {
      method: 'PUT',
      path: members.path,
      status: 202,
      query: ['additive_only'],
      of: members,
      run: call => replaceMembers(deps, call),
    },
  ];
}

async function getPool(db: ApiDeps['db'], params: Call['params']): Promise<Pool> {
  const pool = await findRecord(db, 'pool', params.pool_id!);
  if (!pool) throw notFound('pool', params.pool_id!);
  return pool;
}

async function checkSubnet(body: Body, env: Env): Promise<void> {
  const id = body.subnet_id as string | null | undefined;
  if (id && !(await env.network.findSubnet(id))) refuse('subnet_id', id, 'There is no such subnet.');
}

type MemberBody = Omit<Member, keyof Resource | 'loadbalancer_id' | 'pool_id' | 'vnic_type'>;

/** Two spellings of one address are one member. */
const keyOf = (member: Pick<Member, 'address' | 'protocol_port'>): string =>
  `${canonicalAddress(member.address)} ${member.protocol_port}`;

const stayingIn = (draft: Draft, pool: Pool): Member[] =>
  draft.staying('member').filter(member => member.pool_id === pool.id);

export function createMember(draft: Draft, pool: Pool, body: Body, env: Env): Member {
  const { request_sriov, ...rest } = body;
  const fields = rest as unknown as MemberBody;
  const address = canonicalAddress(fields.address);
  if (env.settings.reserved_ips.some(reserved => canonicalAddress(reserved) === address))
    refuse('address', fields.address, 'The operator of this system has reserved it.');
  if (request_sriov && !env.offer.allow_member_sriov)
    refuse(
      'request_sriov',
      request_sriov,
      'It needs a flavor with allow_member_sriov, which this load balancer has not.',
    );
  const twin = stayingIn(draft, pool).find(member => keyOf(member) === keyOf(fields));
  if (twin) {
    throw new Fault(
      'conflict',
      `Another member on this pool is already using ip ${fields.address} on protocol_port ${fields.protocol_port}: ${twin.id}.`,
    );
  }
  // Octavia looks at it only where traffic comes from: a pool that no listener uses takes any member.
  if (draft.graph.listeners.some(listener => listener.default_pool_id === pool.id))
    checkIpVersion(draft, pool.protocol, address, env);
  const monitored = draft.staying('health_monitor').some(monitor => monitor.pool_id === pool.id);
  return draft.insert('member', {
    ...fields,
    ...draft.newRecord(body),
    operating_status: monitored ? 'OFFLINE' : 'NO_MONITOR',
    pool_id: pool.id,
    vnic_type: request_sriov ? 'direct' : 'normal',
  });
}

/** Of a pool that LVS balances, in which no packet changes its IP version. */
export function checkIpVersion(draft: Draft, protocol: PoolProtocol, address: string, env: Env): void {
  if (!isLvsProtocol(protocol) || draft.vipVersions.size === 0) return;
  if (draft.vipVersions.has(versionOf(address))) return;
  throw new Fault(
    'unsupported',
    `Provider ${env.provider.name} does not support ${protocol} members of another IP version than the VIP's.`,
  );
}

/** A member of the batch, and which of its fields the client named. */
interface Wanted {
  body: Body;
  named: (field: string) => boolean;
}

async function replaceMembers(deps: ApiDeps, call: Call): Promise<void> {
  const wanted = parseMembers(rootOf(call.body, 'members'), deps);
  const additive = parseAdditive(call.query);
  const pool = await getPool(deps.db, call.params);
  for (const action of additive ? ['post', 'put'] : ['post', 'put', 'delete'])
    authorize(call.caller, `member:${action}`, pool.project_id);
  const env = await envOf(deps, await getLoadBalancer(deps.db, pool.loadbalancer_id), call);
  const subnets = new Set(wanted.map(({ body }) => body.subnet_id));
  for (const subnet_id of subnets) await checkSubnet({ subnet_id }, env);
  await changeAndNotify(deps, pool.loadbalancer_id, draft =>
    planMembers(draft, draft.getParent('pool', pool.id), wanted, additive, env),
  );
}

function parseMembers(list: unknown, deps: ApiDeps): Wanted[] {
  if (!Array.isArray(list)) refuse('members', list, 'Value should be a list.');
  const problems = new Problems();
  const wanted = list.map((item: unknown, i) => ({
    body: readPost(FIELDS, item, 'member', deps.settings, problems, `members[${i}].`),
    named: (field: string) => isObject(item) && Object.hasOwn(item, field),
  }));
  throwProblems(problems);
  return wanted;
}

function parseAdditive(query: URLSearchParams): boolean {
  const value = query.get('additive_only') ?? 'false';
  if (isTrueWord(value)) return true;
  if (['false', 'f', 'no', 'n', 'off', '0', ''].includes(value.trim().toLowerCase())) return false;
  refuse('additive_only', value, 'Value should be a boolean.');
}

/** Source: contract api.md 8.3. */
function planMembers(draft: Draft, pool: Pool, wanted: Wanted[], additive: boolean, env: Env): void {
  const present = new Map(stayingIn(draft, pool).map(member => [keyOf(member), member]));
  const kept = new Set<Member>();
  for (const { body, named } of wanted) {
    const member = present.get(keyOf(body as unknown as MemberBody));
    if (!member) {
      createMember(draft, pool, body, env);
      continue;
    }
    if (kept.has(member)) {
      throw new Fault(
        'invalid',
        `Member ${member.address} port ${member.protocol_port} is in the list twice.`,
      );
    }
    kept.add(member);
    // What is not named goes back to its default, but name, tags and subnet stay.
    const { address: _, protocol_port: __, request_sriov: ___, ...set } = body;
    for (const field of ['name', 'tags', 'subnet_id']) if (!named(field)) delete set[field];
    draft.touch('member', member, set as Partial<Member>);
  }
  if (!additive) {
    for (const member of present.values()) if (!kept.has(member)) draft.remove('member', member);
  }
  if (!draft.isUnchanged) touchPool(draft, pool);
}

export function memberView(member: Member) {
  return {
    ...commonView(member),
    address: member.address,
    protocol_port: member.protocol_port,
    weight: member.weight,
    backup: member.backup,
    subnet_id: member.subnet_id,
    monitor_address: member.monitor_address,
    monitor_port: member.monitor_port,
    vnic_type: member.vnic_type,
  };
}
