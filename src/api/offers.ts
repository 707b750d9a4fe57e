/** Flavors and availability zones of load balancers: which provider, and what is asked of it. Source: contract api.md 5.4, 13. */
import { lockRecord } from '../db/children.ts';
import { findOffered, type Offered } from '../db/offers.ts';
import type { Trx } from '../db/schema.ts';
import { Fault } from '../lib/errors.ts';
import type { Offer } from '../model/flavor.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import type { Capability } from '../providers/provider.ts';
import { refuse } from './body.ts';
import { isObject } from './fields.ts';
import { type ApiDeps, type Env, getProvider, type ProviderEntry } from './resource.ts';

/** What differs between flavors and zones. */
export const OFFERS = {
  flavor: { field: 'flavor_id', data: 'flavor_data', title: 'flavor', capabilities: 'flavor_capabilities' },
  availability_zone: {
    field: 'availability_zone',
    data: 'availability_zone_data',
    title: 'availability zone',
    capabilities: 'availability_zone_capabilities',
  },
} as const;
type OfferTable = keyof typeof OFFERS;

export interface OfferRequest {
  provider: string;
  flavor_id: string | null;
  availability_zone: string | null;
}

/** The provider of a new load balancer, and all that is asked of it. `isNamed`: the user named the provider. */
export async function chooseProvider(deps: ApiDeps, request: OfferRequest, isNamed: boolean): Promise<Env> {
  const flavor = await getOffered(deps, 'flavor', request.flavor_id);
  const zone = await getOffered(deps, 'availability_zone', request.availability_zone);
  const entry = getEntry(deps, 'provider', isNamed || !flavor ? request.provider : flavor.provider_name);
  await inspectOffered(deps, 'flavor', request, flavor, entry);
  await inspectOffered(deps, 'availability_zone', request, zone, entry);
  const offer: Offer = { ...flavor?.offer, ...zone?.offer };
  const valid_vip_networks = offer.valid_vip_networks ?? deps.settings.valid_vip_networks;
  return { ...entry, settings: { ...deps.settings, valid_vip_networks }, offer };
}

/**
 * What follows from another flavor, checked as at the creation. Throws `invalid` also for one that wants the VIP on another kind of port,
 * which cannot be exchanged while it is in use.
 */
export async function chooseFlavor(
  deps: ApiDeps,
  lb: LoadBalancer,
  flavor_id: string | null,
): Promise<Pick<LoadBalancer, 'flavor_id' | 'topology'>> {
  const entry = getProvider(deps, lb);
  const flavor = await getOffered(deps, 'flavor', flavor_id);
  await inspectOffered(deps, 'flavor', { flavor_id }, flavor, entry);
  const { loadbalancer_topology, sriov_vip = false } = flavor?.offer ?? {};
  if (sriov_vip !== (lb.vip_vnic_type === 'direct'))
    refuse('flavor_id', flavor_id, 'Whether the VIP is on an SR-IOV port cannot be changed.');
  return { flavor_id, topology: loadbalancer_topology ?? deps.settings.loadbalancer_topology };
}

/** In the transaction that gives them to a load balancer: nobody takes its flavor or zone away meanwhile. */
export async function lockOffers(trx: Trx, request: Partial<OfferRequest>): Promise<void> {
  for (const table of ['flavor', 'availability_zone'] as const) {
    const { field, title } = OFFERS[table];
    const key = request[field];
    if (key && !(await lockRecord(trx, table, key))) refuse(field, key, `There is no such ${title}.`);
  }
}

/** Throws `invalid` for a provider that is not enabled. */
export function getEntry(deps: ApiDeps, field: string, name: string): ProviderEntry {
  const entry = deps.providers.get(name);
  if (!entry) refuse(field, name, `Value should be one of: ${[...deps.providers.keys()].join(', ')}.`);
  return entry;
}

async function inspectOffered(
  deps: ApiDeps,
  table: OfferTable,
  request: Partial<OfferRequest>,
  offered: Offered | undefined,
  entry: ProviderEntry,
): Promise<void> {
  if (!offered) return;
  const { field, title } = OFFERS[table];
  if (deps.providers.get(offered.provider_name)?.provider !== entry.provider)
    refuse(field, request[field], `The ${title} is one of provider ${offered.provider_name}.`);
  await inspectOffer(table, offered.offer, entry);
}

async function getOffered(
  deps: ApiDeps,
  table: OfferTable,
  key: string | null,
): Promise<Offered | undefined> {
  if (key === null) return undefined;
  const { field, title } = OFFERS[table];
  const offered = await findOffered(deps.db, table, key);
  if (!offered) refuse(field, key, `There is no such ${title}.`);
  if (!offered.enabled) refuse(field, key, `The ${title} is disabled.`);
  return offered;
}

/** Reads the data of a profile. Throws `invalid` when it is no JSON, and what `inspectOffer` throws. */
export async function inspectOfferData(table: OfferTable, text: string, entry: ProviderEntry): Promise<void> {
  const { data } = OFFERS[table];
  let offer: unknown;
  try {
    offer = JSON.parse(text);
  } catch {
    // The parser's own words are about positions in a text that the user sees anyway.
    refuse(data, text, 'Value should be a JSON object.');
  }
  if (!isObject(offer))
    throw new Fault('unsupported', `Provider ${entry.provider.name} takes a JSON object as ${data}.`);
  await inspectOffer(table, offer, entry);
}

/** Throws `unsupported` for what the provider does not know, `invalid` for networks that do not exist. */
async function inspectOffer(
  table: OfferTable,
  offer: Offer,
  { provider, network }: ProviderEntry,
): Promise<void> {
  const { title, data, capabilities } = OFFERS[table];
  const known = provider.supports[capabilities];
  if (known.length === 0)
    throw new Fault('unsupported', `Provider ${provider.name} does not support any ${title}.`);
  for (const [name, value] of Object.entries(offer)) {
    const capability = known.find(each => each.name === name);
    if (!capability || !fits(capability, value)) {
      const problem = capability ? `this value of ${name}` : name.slice(0, 60).toWellFormed();
      throw new Fault('unsupported', `Provider ${provider.name} does not support ${problem} in ${data}.`);
    }
    const ids = capability.value === 'network' ? [value] : capability.value === 'networks' ? value : [];
    for (const id of ids as string[])
      if (!(await network.findNetwork(id))) refuse(`${data}.${name}`, id, 'There is no such network.');
  }
}

function fits({ value: kind }: Capability, value: unknown): boolean {
  if (kind === 'boolean') return typeof value === 'boolean';
  if (kind === 'networks') return Array.isArray(value) && value.every(each => typeof each === 'string');
  if (typeof value !== 'string') return false;
  return kind === 'text' || kind === 'network' || kind.includes(value);
}
