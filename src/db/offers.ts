/** What stands behind the flavor and the availability zone of a load balancer. */
import type { Offer } from '../model/flavor.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import type { Db } from './schema.ts';

export interface Offered {
  enabled: boolean;
  provider_name: string;
  offer: Offer;
}

/** By the flavor's id or the zone's name. */
export async function findOffered(
  db: Db,
  table: 'flavor' | 'availability_zone',
  key: string,
): Promise<Offered | undefined> {
  // The two pairs of tables are alike but for these names.
  const [column, profile] =
    table === 'flavor' ? (['id', 'flavor_profile'] as const) : (['name', `${table}_profile`] as const);
  const row = await db
    .selectFrom(`${table} as o` as 'flavor as o')
    .innerJoin(`${profile} as p` as 'flavor_profile as p', 'p.id', `o.${profile}_id` as 'o.flavor_profile_id')
    .select(['o.enabled', 'p.provider_name', `p.${table}_data as data` as 'p.flavor_data as data'])
    .where(`o.${column}` as 'o.id', '=', key)
    .executeTakeFirst();
  return row && { enabled: row.enabled === 1, provider_name: row.provider_name, offer: JSON.parse(row.data) };
}

/** All that flavor and zone ask for; nothing for a load balancer that has neither. */
export async function loadOffer(
  db: Db,
  { flavor_id, availability_zone: zone }: Pick<LoadBalancer, 'flavor_id' | 'availability_zone'>,
): Promise<Offer> {
  const flavor = flavor_id === null ? undefined : await findOffered(db, 'flavor', flavor_id);
  const place = zone === null ? undefined : await findOffered(db, 'availability_zone', zone);
  return { ...flavor?.offer, ...place?.offer };
}
