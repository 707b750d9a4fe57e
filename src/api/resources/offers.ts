/** Flavors and availability zones with their profiles, as operators keep them. Source: contract api.md 14, 15. */
import { randomUUID } from 'node:crypto';
import type { RecordOf } from '../../db/rows.ts';
import { DESCRIPTION, type Fields } from '../body.ts';
import { boolean, text, uuid } from '../fields.ts';
import { columns } from '../list-query.ts';
import { getEntry, inspectOfferData, OFFERS } from '../offers.ts';
import { recordOperations, type WritableResource } from '../records.ts';
import type { ApiDeps, Described, Operation } from '../resource.ts';

const REQUIRED = { post: 'required', nullOnPut: 'refuse' } as const;
const NAME: Fields[string] = { ...REQUIRED, kind: text(255), doc: 'Human-readable name.' };
/** It is a part of URLs. */
const KEY = text(255, name =>
  /^[^/]+$/.test(name) ? undefined : 'Value should be neither empty nor hold a slash.',
);

export function offerOperations(deps: ApiDeps): Operation[] {
  return [
    ...recordOperations(deps, flavors),
    ...recordOperations(deps, profiles('flavor', { root: 'flavorprofile', plural: 'flavorprofiles' })),
    ...recordOperations(deps, availabilityZones),
    ...recordOperations(
      deps,
      profiles('availability_zone', {
        root: 'availability_zone_profile',
        plural: 'availability_zone_profiles',
      }),
    ),
  ];
}

const OFFER_FIELDS: Fields = {
  description: DESCRIPTION,
  enabled: {
    kind: boolean,
    default: true,
    nullOnPut: 'refuse',
    doc: 'Whether new load balancers may have it.',
  },
};
const PROFILE_ID: Fields[string] = { kind: uuid, post: 'required', put: false, doc: 'The profile.' };

const flavors: WritableResource<'flavor'> = {
  table: 'flavor',
  title: 'Flavor',
  rule: 'flavor',
  root: 'flavor',
  plural: 'flavors',
  path: '/flavors',
  fields: { name: NAME, ...OFFER_FIELDS, flavor_profile_id: PROFILE_ID },
  filters: {
    ...columns('text', false, ['id', 'name', 'description', 'flavor_profile_id']),
    ...columns('boolean', false, ['enabled']),
  },
  order: ['id'],
  create: body => ({ id: randomUUID(), ...body }) as RecordOf<'flavor'>,
  parent: { table: 'flavor_profile', column: 'flavor_profile_id' },
  usedBy: { table: 'load_balancer', column: 'flavor_id' },
  frozen: [],
  view: flavor => flavor,
};

const availabilityZones: WritableResource<'availability_zone'> = {
  table: 'availability_zone',
  title: 'Availability Zone',
  rule: 'availability-zone',
  root: 'availability_zone',
  plural: 'availability_zones',
  path: '/availabilityzones',
  fields: {
    name: { ...NAME, kind: KEY, put: false },
    ...OFFER_FIELDS,
    availability_zone_profile_id: PROFILE_ID,
  },
  filters: {
    ...columns('text', false, ['name', 'description', 'availability_zone_profile_id']),
    ...columns('boolean', false, ['enabled']),
  },
  order: ['name'],
  create: body => body as unknown as RecordOf<'availability_zone'>,
  parent: { table: 'availability_zone_profile', column: 'availability_zone_profile_id' },
  usedBy: { table: 'load_balancer', column: 'availability_zone' },
  frozen: [],
  view: zone => zone,
};

type Profile = RecordOf<'flavor_profile'> & RecordOf<'availability_zone_profile'>;

/** The two kinds of profiles are alike but for their names. */
function profiles(
  of: keyof typeof OFFERS,
  { root, plural }: Pick<Described, 'root' | 'plural'>,
): WritableResource<'flavor_profile'> {
  const { data } = OFFERS[of];
  return {
    // Whatever it is called in the end: both tables have the same form.
    table: `${of}_profile` as 'flavor_profile',
    title: of === 'flavor' ? 'Flavor Profile' : 'Availability Zone Profile',
    rule: `${of.replace('_', '-')}-profile`,
    root,
    plural,
    links: `${root}_links`,
    path: `/${plural.replaceAll('_', '')}`,
    fields: {
      name: NAME,
      provider_name: { ...REQUIRED, kind: text(255), doc: 'The provider that it is for.' },
      [data]: {
        ...REQUIRED,
        kind: text(4096),
        doc: 'What is asked of the provider: a JSON object, as text.',
      },
    },
    filters: columns('text', false, ['id', 'name', 'provider_name']),
    order: ['id'],
    create: body => ({ id: randomUUID(), ...body }) as unknown as Profile,
    async inspect(profile, body, deps) {
      if (!('provider_name' in body || data in body)) return;
      const entry = getEntry(deps, 'provider_name', profile.provider_name);
      await inspectOfferData(of, (profile as Profile)[data], entry);
    },
    usedBy: { table: of, column: `${of}_profile_id` },
    frozen: ['provider_name', data],
    view: profile => profile,
  };
}
