/** Flavors, availability zones, their profiles, and load balancers that have them. */
import { expect, test } from 'vitest';
import { type GivenApi, givenApi, NETWORK, NOWHERE, OTHER_NETWORK, SUBNET } from '../testing.ts';

/** The two kinds of offers as requests see them; what holds for one holds for the other. */
const KINDS = [
  {
    offers: '/flavors',
    profiles: '/flavorprofiles',
    root: 'flavor',
    profileRoot: 'flavorprofile',
    data: 'flavor_data',
    profileId: 'flavor_profile_id',
    list: 'flavors',
    profileList: 'flavorprofiles',
    profileLinks: 'flavorprofile_links',
    of: 'flavor_id',
    good: { compute_flavor: 'large' },
    wrong: { compute_flavor: 3 },
    key: (offer: { id: string }) => offer.id,
  },
  {
    offers: '/availabilityzones',
    profiles: '/availabilityzoneprofiles',
    root: 'availability_zone',
    profileRoot: 'availability_zone_profile',
    data: 'availability_zone_data',
    profileId: 'availability_zone_profile_id',
    list: 'availability_zones',
    profileList: 'availability_zone_profiles',
    profileLinks: 'availability_zone_profile_links',
    of: 'availability_zone',
    good: { compute_zone: 'left' },
    wrong: { compute_zone: true },
    key: (offer: { name: string }) => offer.name,
  },
] as const;
type Kind = (typeof KINDS)[number];

function givenProfile(api: GivenApi, kind: Kind, data: object = kind.good, set: object = {}) {
  return api.create(kind.profiles, {
    [kind.profileRoot]: {
      name: 'p',
      provider_name: 'amphora',
      [kind.data]: JSON.stringify(data),
      ...set,
    },
  });
}

async function givenOffer(api: GivenApi, kind: Kind, data: object = kind.good, set: object = {}) {
  const profile = await givenProfile(api, kind, data);
  const offer = await api.create(kind.offers, {
    [kind.root]: { name: 'zone.a', [kind.profileId]: profile.id, ...set },
  });
  return { profile, offer, key: kind.key(offer) };
}

const lbWith = (set: object) => ({ loadbalancer: { vip_subnet_id: SUBNET, ...set } });

for (const kind of KINDS) {
  const { offers, profiles, root, profileRoot, data, profileId } = kind;

  test(`${root}: made, shown, changed, listed and deleted`, async () => {
    await using api = await givenApi();
    const { profile, offer, key } = await givenOffer(api, kind, undefined, { description: 'd' });
    expect(profile).toEqual({
      id: profile.id,
      name: 'p',
      provider_name: 'amphora',
      [data]: JSON.stringify(kind.good),
    });
    const shown = { name: 'zone.a', description: 'd', enabled: true, [profileId]: profile.id };
    expect(offer).toEqual(root === 'flavor' ? { id: offer.id, ...shown } : shown);
    expect((await api.request('GET', `${offers}/${key}`)).body).toEqual({ [root]: offer });
    const changed = { ...offer, description: '', enabled: false };
    const put = await api.request('PUT', `${offers}/${key}`, {
      [root]: { description: null, enabled: false },
    });
    expect(put).toMatchObject({ status: 200, body: { [root]: changed } });
    const list = await api.request('GET', `${offers}?enabled=False&name=zone.a`);
    expect(list.body).toEqual({ [kind.list]: [changed], [`${kind.list}_links`]: [] });
    expect((await api.request('GET', `${offers}?enabled=True`)).body[kind.list]).toEqual([]);
    expect((await api.request('GET', `${profiles}?fields=name`)).body).toEqual({
      [kind.profileList]: [{ name: 'p' }],
      [kind.profileLinks]: [],
    });
    expect((await api.request('DELETE', `${offers}/${key}`)).status).toBe(204);
    expect((await api.request('GET', `${offers}/${key}`)).status).toBe(404);
    expect((await api.request('DELETE', `${profiles}/${profile.id}`)).status).toBe(204);
    expect((await api.request('GET', profiles)).body[kind.profileList]).toEqual([]);
  });

  test(`${root}: pages by its key, forwards and back`, async () => {
    await using api = await givenApi();
    const profile = await givenProfile(api, kind);
    for (const name of ['a', 'b', 'c'])
      await api.create(offers, { [root]: { name, [profileId]: profile.id } });
    const all = (await api.request('GET', `${offers}?sort=name`)).body[kind.list];
    expect(all.map((each: { name: string }) => each.name)).toEqual(['a', 'b', 'c']);
    const first = (await api.request('GET', `${offers}?sort=name&limit=2`)).body;
    const [next] = first[`${kind.list}_links`];
    expect(next.rel).toBe('next');
    const second = (await api.request('GET', next.href.replace(/^.*(?=\/v2)/, ''))).body;
    expect([...first[kind.list], ...second[kind.list]]).toEqual(all);
    const [previous] = second[`${kind.list}_links`];
    const back = (await api.request('GET', previous.href.replace(/^.*(?=\/v2)/, ''))).body;
    expect(back[kind.list]).toEqual(first[kind.list]);
  });

  test(`${root}: what is in use stays as it is`, async () => {
    await using api = await givenApi();
    const { profile, key } = await givenOffer(api, kind);
    const put = (set: object) => api.request('PUT', `${profiles}/${profile.id}`, { [profileRoot]: set });
    expect((await put({ name: 'other' })).status).toBe(200);
    expect((await put({ [data]: '{}' })).status).toBe(409);
    expect((await put({ provider_name: 'octavia' })).status).toBe(409);
    expect((await api.request('DELETE', `${profiles}/${profile.id}`)).status).toBe(409);
    const lb = await api.create('/loadbalancers', lbWith({ [kind.of]: key }));
    expect(lb[kind.of]).toBe(key);
    expect((await api.request('DELETE', `${offers}/${key}`)).status).toBe(409);
    await api.request('DELETE', `/loadbalancers/${lb.id}`);
    expect((await api.request('DELETE', `${offers}/${key}`)).status).toBe(409);
    await api.settle();
    expect((await api.request('DELETE', `${offers}/${key}`)).status).toBe(204);
    expect((await put({ [data]: '{}' })).status).toBe(200);
    expect(api.failures).toEqual([]);
  });

  test(`${root}: refusals say what is wrong`, async () => {
    await using api = await givenApi();
    const { offer, key } = await givenOffer(api, kind);
    const profile = (set: object) => ({
      [profileRoot]: { name: 'n', provider_name: 'amphora', [data]: '{}', ...set },
    });
    const id = NOWHERE;
    const rows: [method: string, path: string, body: unknown, status: number, sentence: string][] = [
      ['POST', profiles, profile({ provider_name: 'x' }), 400, 'provider_name'],
      ['POST', profiles, profile({ [data]: '{' }), 400, data],
      ['POST', profiles, profile({ [data]: '[]' }), 501, data],
      ['POST', profiles, profile({ [data]: '{"colour": "red"}' }), 501, 'colour'],
      ['POST', profiles, profile({ [data]: JSON.stringify(kind.wrong) }), 501, Object.keys(kind.wrong)[0]!],
      ['POST', profiles, profile({ name: null }), 400, 'name'],
      ['GET', `${profiles}/${id}`, undefined, 404, id],
      ['PUT', `${profiles}/${id}`, { [profileRoot]: { name: 'x' } }, 404, id],
      ['GET', `${profiles}?project_id=x`, undefined, 400, 'project_id'],
      ['GET', `${offers}?marker=nowhere`, undefined, 400, 'nowhere'],
      ['GET', `${offers}?sort=colour`, undefined, 400, 'colour'],
      ['POST', offers, { [root]: { name: 'zone.a', [profileId]: offer[profileId] } }, 409, 'zone.a'],
      ['POST', offers, { [root]: { name: 'b', [profileId]: id } }, 400, profileId],
      ['POST', offers, { [root]: { name: 'b' } }, 400, profileId],
      ['PUT', `${offers}/${key}`, { [root]: { enabled: null } }, 400, 'enabled'],
      ['PUT', `${offers}/${key}`, { [root]: { [profileId]: id } }, 400, profileId],
      ['DELETE', `${offers}/nowhere`, undefined, 404, 'nowhere'],
      ['POST', '/loadbalancers', lbWith({ [kind.of]: id }), 400, kind.of],
      ['POST', '/loadbalancers', lbWith({ [kind.of]: null }), 400, kind.of],
    ];
    for (const [method, path, body, status, sentence] of rows) {
      const answer = await api.request(method, path, body);
      expect(answer, `${method} ${path} ${JSON.stringify(body)}`).toMatchObject({ status });
      expect(answer.body.faultstring).toContain(sentence);
    }
    await api.request('PUT', `${offers}/${key}`, { [root]: { enabled: false } });
    expect((await api.request('POST', '/loadbalancers', lbWith({ [kind.of]: key }))).status).toBe(400);
    expect(api.failures).toEqual([]);
  });
}

const [FLAVOR, ZONE] = KINDS;

test('a zone may hold no slash, and may not be nameless', async () => {
  await using api = await givenApi();
  const profile = await givenProfile(api, ZONE);
  for (const name of ['', 'a/b']) {
    const answer = await api.request('POST', '/availabilityzones', {
      availability_zone: { name, availability_zone_profile_id: profile.id },
    });
    expect(answer.status).toBe(400);
  }
});

test('two flavors cannot get the same name by a change', async () => {
  await using api = await givenApi();
  const { offer, profile } = await givenOffer(api, FLAVOR);
  await api.create('/flavors', { flavor: { name: 'b', flavor_profile_id: profile.id } });
  const answer = await api.request('PUT', `/flavors/${offer.id}`, { flavor: { name: 'b' } });
  expect(answer.status).toBe(409);
});

test('a flavor chooses the provider and the topology', async () => {
  await using api = await givenApi();
  const noop = { ...api.deps.providers.get('amphora')! };
  noop.provider = { ...noop.provider, name: 'other' };
  Object.assign(api.deps, { providers: new Map([...api.deps.providers, ['other', noop]]) });
  const pair = { loadbalancer_topology: 'ACTIVE_STANDBY' };
  const profile = await givenProfile(api, FLAVOR, pair, { provider_name: 'other' });
  const { id: flavor_id } = await api.create('/flavors', {
    flavor: { name: 'f', flavor_profile_id: profile.id },
  });
  expect(await api.create('/loadbalancers', lbWith({ flavor_id }))).toMatchObject({ provider: 'other' });
  const listed = await api.request('GET', '/loadbalancers?topology=ACTIVE_STANDBY');
  expect(listed.body.loadbalancers).toHaveLength(1);
  const mismatch = await api.request('POST', '/loadbalancers', lbWith({ flavor_id, provider: 'amphora' }));
  expect(mismatch.status).toBe(400);
  const named = await api.create('/loadbalancers', lbWith({ flavor_id, provider: 'other' }));
  expect(named.provider).toBe('other');
});

test('another flavor: the topology follows, the old one may go, the new one may not', async () => {
  await using api = await givenApi();
  const single = await givenOffer(api, FLAVOR, { compute_flavor: 'small' }, { name: 'single' });
  const pair = await givenOffer(api, FLAVOR, { loadbalancer_topology: 'ACTIVE_STANDBY' }, { name: 'pair' });
  const { id } = await api.create('/loadbalancers', lbWith({ flavor_id: single.key }));
  await api.settle();
  const put = (flavor_id: string | null) =>
    api.request('PUT', `/loadbalancers/${id}`, { loadbalancer: { flavor_id } });
  const topologyOf = async () =>
    (await api.db.selectFrom('load_balancer').select('topology').executeTakeFirstOrThrow()).topology;
  const changed = await put(pair.key);
  expect(changed).toMatchObject({ status: 200, body: { loadbalancer: { flavor_id: pair.key } } });
  expect(changed.body.loadbalancer.provisioning_status).toBe('PENDING_UPDATE');
  expect(await topologyOf()).toBe('ACTIVE_STANDBY');
  expect(api.nudges.at(-1)).toBe(id);
  expect((await api.request('DELETE', `/flavors/${pair.key}`)).status).toBe(409);
  expect((await api.request('DELETE', `/flavors/${single.key}`)).status).toBe(204);
  // Disabled ones stay with those that have them.
  await api.request('PUT', `/flavors/${pair.key}`, { flavor: { enabled: false } });
  expect((await put(pair.key)).status).toBe(200);
  expect(await topologyOf()).toBe('ACTIVE_STANDBY');
  expect((await put(null)).body.loadbalancer.flavor_id).toBe(null);
  expect(await topologyOf()).toBe('SINGLE');
  expect((await api.request('DELETE', `/flavors/${pair.key}`)).status).toBe(204);
});

test('another flavor must be there, be enabled, be of the provider, and keep the kind of port', async () => {
  await using api = await givenApi();
  const other = { ...api.deps.providers.get('amphora')! };
  other.provider = { ...other.provider, name: 'other' };
  Object.assign(api.deps, { providers: new Map([...api.deps.providers, ['other', other]]) });
  const disabled = await givenOffer(api, FLAVOR, FLAVOR.good, { name: 'disabled', enabled: false });
  const sriov = await givenOffer(api, FLAVOR, { sriov_vip: true }, { name: 'sriov' });
  const strange = await givenProfile(api, FLAVOR, FLAVOR.good, { provider_name: 'other' });
  const foreign = await api.create('/flavors', {
    flavor: { name: 'foreign', flavor_profile_id: strange.id },
  });
  const { id } = await api.create('/loadbalancers', lbWith({}));
  await api.settle();
  const refusals = {
    [NOWHERE]: 'no such flavor',
    [disabled.key]: 'disabled',
    [sriov.key]: 'SR-IOV',
    [foreign.id]: 'provider other',
  };
  for (const [flavor_id, words] of Object.entries(refusals)) {
    const answer = await api.request('PUT', `/loadbalancers/${id}`, { loadbalancer: { flavor_id } });
    expect(answer, words).toMatchObject({ status: 400 });
    expect(answer.body.faultstring).toContain(words);
  }
  expect((await api.request('GET', `/loadbalancers/${id}`)).body.loadbalancer).toMatchObject({
    ...{ flavor_id: null, provisioning_status: 'ACTIVE' },
  });
});

test('a flavor whose topology the provider does not serve is refused', async () => {
  await using api = await givenApi({
    supports: {
      flavor_capabilities: [{ name: 'loadbalancer_topology', description: '', value: ['SINGLE'] }],
    },
  });
  const answer = await api.request('POST', '/flavorprofiles', {
    flavorprofile: {
      name: 'p',
      provider_name: 'amphora',
      flavor_data: '{"loadbalancer_topology": "ACTIVE_STANDBY"}',
    },
  });
  expect(answer.status).toBe(501);
});

test('a provider without flavors says so', async () => {
  await using api = await givenApi({ supports: { flavor_capabilities: [] } });
  expect((await api.request('GET', '/providers/amphora/flavor_capabilities')).status).toBe(501);
});

test('SR-IOV: members when the flavor allows it; a VIP without security groups', async () => {
  await using api = await givenApi();
  const { key } = await givenOffer(api, FLAVOR, { sriov_vip: true, allow_member_sriov: true });
  const pools = [
    {
      name: 'p',
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
      members: [{ address: '10.1.0.7', protocol_port: 80, request_sriov: true }],
    },
  ];
  const lb = await api.create('/loadbalancers', lbWith({ flavor_id: key, pools }));
  expect(lb).toMatchObject({ vip_vnic_type: 'direct', pools: [{ members: [{ vnic_type: 'direct' }] }] });
  await api.settle();
  const member = (address: string, request_sriov: boolean) =>
    api.create(`/pools/${lb.pools[0].id}/members`, {
      member: { address, protocol_port: 80, request_sriov },
    });
  expect(await member('10.1.0.8', true)).toMatchObject({ vnic_type: 'direct' });
  expect(await member('10.1.0.9', false)).toMatchObject({ vnic_type: 'normal' });
  const groups = { vip_sg_ids: [SUBNET] };
  Object.assign(api.deps.providers.get('amphora')!.network, { findSecurityGroup: async () => ({}) });
  const put = await api.request('PUT', `/loadbalancers/${lb.id}`, { loadbalancer: groups });
  expect(put).toMatchObject({ status: 400, body: { faultstring: expect.stringContaining('SR-IOV') } });
  const post = await api.request('POST', '/loadbalancers', lbWith({ flavor_id: key, ...groups }));
  expect(post.status).toBe(400);
});

test('the networks of a zone count instead of the configured ones', async () => {
  await using api = await givenApi({ settings: { valid_vip_networks: [OTHER_NETWORK] } });
  const here = await givenOffer(api, ZONE, { valid_vip_networks: [NETWORK] }, { name: 'here' });
  expect((await api.request('POST', '/loadbalancers', lbWith({}))).status).toBe(400);
  await api.create('/loadbalancers', lbWith({ availability_zone: here.key }));
  const there = await givenOffer(api, ZONE, { valid_vip_networks: [OTHER_NETWORK] }, { name: 'there' });
  const refused = await api.request('POST', '/loadbalancers', lbWith({ availability_zone: there.key }));
  expect(refused.status).toBe(400);
  const nowhere = await api.request('POST', '/availabilityzoneprofiles', {
    availability_zone_profile: {
      name: 'p',
      provider_name: 'amphora',
      availability_zone_data: JSON.stringify({ management_network: NOWHERE }),
    },
  });
  expect(nowhere).toMatchObject({ status: 400, body: { faultstring: expect.stringContaining(NOWHERE) } });
});

test('providers and what they can', async () => {
  await using api = await givenApi();
  const { body } = await api.request('GET', '/providers');
  expect(body).toEqual({
    providers: [
      { name: 'amphora', description: 'For tests.' },
      { name: 'octavia', description: 'For tests.' },
    ],
  });
  expect((await api.request('GET', '/providers?fields=name')).body.providers[0]).toEqual({ name: 'amphora' });
  const flavors = await api.request('GET', '/providers/octavia/flavor_capabilities');
  expect(flavors.body.flavor_capabilities.map((each: { name: string }) => each.name)).toEqual([
    'loadbalancer_topology',
    'compute_flavor',
    'amp_image_tag',
    'sriov_vip',
    'allow_member_sriov',
  ]);
  const one = '/providers/amphora/availability_zone_capabilities?name=compute_zone&fields=name';
  expect((await api.request('GET', one)).body).toEqual({
    availability_zone_capabilities: [{ name: 'compute_zone' }],
  });
  expect((await api.request('GET', '/providers/x/flavor_capabilities')).status).toBe(400);
  expect((await api.request('GET', '/providers/amphora/flavor_capabilities?colour=x')).status).toBe(400);
});
