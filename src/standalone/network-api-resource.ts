/** What a resource of the network API has to say for itself; list, show, create, update and delete follow from it. */
import type { CloudRows } from '../drivers/network/cloud-rows.ts';
import type { NetworkCloud } from '../drivers/network/store.ts';
import type { Caller } from '../model/caller.ts';
import type { CloudKind, CloudRecords, NetworkRecord } from '../model/cloud-network.ts';
import { absent } from './network-api-errors.ts';
import type { Body, Fields } from './network-api-fields.ts';
import type { View } from './network-api-list.ts';

/** One write; no other one is under way. */
export interface Write {
  caller: Caller;
  cloud: NetworkCloud;
  /** As they were when it began. */
  rows: CloudRows;
}

export interface Resource<K extends CloudKind> {
  kind: K;
  /** Below the version, such as `security-groups`. */
  path: string;
  singular: string;
  plural: string;
  /** Such as `Security group`: begins sentences. */
  title: string;
  fields: Fields;
  view(record: CloudRecords[K], rows: CloudRows): View;
  /** To those who do not own it. */
  isVisible?(record: CloudRecords[K], caller: Caller, rows: CloudRows): boolean;
  /** Inserts it and returns its id. `project_id` is in the body. */
  create(body: Body, write: Write): Promise<string>;
  /** Checks the change and makes it. */
  update(record: CloudRecords[K], change: Body, write: Write): Promise<void>;
  remove(record: CloudRecords[K], write: Write): Promise<void>;
  /** Makes what every project has from the beginning, before the caller looks. */
  prepare?(write: Write): Promise<void>;
}

export const isOwner = (record: { project_id: string | null }, caller: Caller): boolean =>
  caller.is_admin || (record.project_id !== null && record.project_id === caller.project_id);

export const isNetworkVisible = (network: NetworkRecord, caller: Caller): boolean =>
  isOwner(network, caller) || network.shared || network.router_external;

/** Throws 404 when the caller does not see it. */
export function getNetwork(id: string, { rows, caller }: Write): NetworkRecord {
  const network = rows.network.find(each => each.id === id);
  if (!network || !isNetworkVisible(network, caller)) throw absent('Network', id);
  return network;
}

/** What every record begins with. */
export const commonView = (record: { id: string; project_id: string | null; description: string }) => {
  // A project that nobody owns is shown as Neutron shows it.
  const project_id = record.project_id ?? '';
  return { ...record, project_id, tenant_id: project_id, tags: [] };
};
