/** What a resource under a load balancer has to say for itself; list, show, create, update and delete follow from it. */

import type { ChildTable } from '../db/children.ts';
import { findRecord } from '../db/children.ts';
import type { Condition } from '../db/page.ts';
import type { RecordOf } from '../db/rows.ts';
import type { Db } from '../db/schema.ts';
import type { SecretStore } from '../drivers/certificates/secrets.ts';
import type { AccessLog } from '../drivers/compute/access-log.ts';
import type { Network } from '../drivers/network/network.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Authenticate, Caller } from '../model/caller.ts';
import type { Offer } from '../model/flavor.ts';
import type { LoadBalancer, Resource } from '../model/load-balancer.ts';
import type { Provider } from '../providers/provider.ts';
import type { Queue } from '../queue/queue.ts';
import type { RuledCaller } from './auth.ts';
import type { Body, Fields } from './body.ts';
import { type Draft, notFound } from './draft.ts';
import type { Filters } from './list-query.ts';
import type { DOCUMENTS, OBJECTS } from './openapi/answers.ts';
import type { Policy } from './policy/policy.ts';
import type { ApiSettings } from './settings.ts';

export interface ProviderEntry {
  provider: Provider;
  network: Network;
  /** The operator's words about it; the provider's own when absent. */
  description?: string | undefined;
}

export interface ApiDeps {
  db: Db;
  queue: Pick<Queue, 'notify'>;
  clock: Clock;
  log: Log;
  /** By the names that users may give, aliases among them. */
  providers: ReadonlyMap<string, ProviderEntry>;
  settings: ApiSettings;
  authenticate: Authenticate;
  policy: Policy;
  /** The key manager, where references to certificates lead. */
  secrets: SecretStore;
  /** What amphorae logged of connections, or the end of the sentence that says why nobody can be shown it. */
  accessLog: AccessLog | { unavailable: string };
}

/** What rules may ask besides the draft. */
export interface Env extends ProviderEntry {
  settings: ApiSettings;
  /** What the flavor and the availability zone of the load balancer ask for. */
  offer: Offer;
}

/** Who asks, about which record if there is one already, and where secrets are. */
export interface Inspection extends Pick<ApiDeps, 'secrets'> {
  caller: Caller;
  record?: object;
}

/** One request, as operations see it. */
export interface Call {
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  body: unknown;
  caller: RuledCaller;
  /** Absolute and without the query: what links are made of. */
  url: string;
}

export interface Operation {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the version, such as `/pools/:pool_id/members`. */
  path: string;
  /** The status of success; 204, and 202 mostly, go without a body. */
  status: 200 | 201 | 202 | 204;
  /** The arguments that the query may hold; `any` ignores what it does not know. */
  query: readonly string[] | 'any';
  /** What it is about, for the public document. */
  of?: Described;
  /** The answer, where it is not what method, path and status let expect: one object of that kind, a list, nothing. */
  answers?: keyof typeof DOCUMENTS | 'object';
  /** What it answers follows from rows that change seldom: it may be given again until one does. */
  remembered?: true;
  /** It can be followed: asked with `follow`, or for `text/event-stream`, it answers with server-sent events. */
  live?: true;
  run(call: Call): Promise<unknown>;
}

/** What there is to tell about a kind of objects. */
export interface Described {
  root: keyof typeof OBJECTS;
  plural: string;
  links?: string;
  /** undefined: they cannot be written. */
  fields?: Fields;
  filters: Filters;
}

export interface ChildResource<T extends ChildTable> {
  table: T;
  /** The key around the object, such as `listener`. */
  root: keyof typeof OBJECTS;
  /** Its name in policies, if that is not the root. */
  noun?: string;
  /** The key around lists, which is also the first part of the links' key. */
  plural: string;
  path: string;
  fields: Fields;
  filters: Filters;
  /** The load balancer that a new one will be under. Throws `not-found`. */
  parentOf(db: Db, body: Body, params: Call['params']): Promise<string>;
  /** What limits a list, and what a record found by its id must satisfy; throws `not-found` for an absent parent. */
  scope?(db: Db, params: Call['params']): Promise<{ conditions: Condition[]; project_id: string | null }>;
  contains?(record: RecordOf<T>, params: Call['params']): boolean;
  /** Asks the outside world about what a body names, before any row is touched. Throws `invalid`. */
  inspect?(body: Body, env: Env, asked: Inspection): Promise<void>;
  /** A creation is checked before the lock, as updates are. */
  checksFirst?: boolean;
  create(draft: Draft, body: Body, env: Env, params: Call['params']): RecordOf<T>;
  update(draft: Draft, record: RecordOf<T>, body: Body, env: Env): void;
  remove(draft: Draft, record: RecordOf<T>): void;
  /** Loads the relations of all the records at once, and returns what turns each into its body. */
  viewer(db: Db, records: readonly RecordOf<T>[]): Promise<(record: RecordOf<T>) => object>;
}

/** The fields that begin and end every body, in the API's spelling. */
export function commonView(record: Resource) {
  return {
    id: record.id,
    name: record.name,
    provisioning_status: record.provisioning_status,
    operating_status: record.operating_status,
    admin_state_up: record.admin_state_up,
    project_id: record.project_id,
    tenant_id: record.project_id,
    created_at: record.created_at,
    updated_at: record.updated_at,
    tags: record.tags,
  };
}

export const asIds = (ids: readonly string[]): { id: string }[] => ids.map(id => ({ id }));

export async function getLoadBalancer(db: Db, id: string): Promise<LoadBalancer> {
  const lb = await findRecord(db, 'load_balancer', id);
  if (!lb) throw notFound('load_balancer', id);
  return lb;
}

/** The provider that a stored load balancer belongs to. Throws `unsupported` when this system does not have it. */
export function getProvider(deps: ApiDeps, lb: Pick<LoadBalancer, 'provider'>): ProviderEntry {
  for (const entry of deps.providers.values()) if (entry.provider.name === lb.provider) return entry;
  throw new Fault('unsupported', `Provider ${lb.provider} is not enabled on this system.`);
}

export function checkSupported(kind: string, value: string, supported: readonly string[], env: Env): void {
  if (supported.includes(value)) return;
  throw new Fault('unsupported', `Provider ${env.provider.name} does not support the ${kind} ${value}.`);
}
