/** Every kind of thing that can be named on a command line: where its collection is and what it is called. */

export interface Kind {
  /** What stands before the first slash tells which API it is; see `APIS` in client.ts. */
  path: string;
  /** The root key of a body; the API with secrets has none. */
  root?: string;
  /** In sentences. */
  one: string;
  many: string;
  /** What a path names it by. */
  key: 'id' | 'name';
  /** Whether its list can be asked for a name. */
  named: boolean;
  /** Its collection is below a thing of this kind, whose id takes the place of `:parent` in the path. */
  parent?: KindName;
  /** It has the id of another thing, as the quota has that of its project. */
  by?: KindName;
}

export type KindName =
  | ('loadbalancer' | 'listener' | 'pool' | 'member' | 'healthmonitor' | 'l7policy' | 'l7rule')
  | ('flavor' | 'flavorprofile' | 'availabilityzone' | 'availabilityzoneprofile' | 'amphora')
  | ('quota' | 'provider' | 'project' | 'user' | 'role' | 'secret' | 'container')
  | ('network' | 'subnet' | 'port' | 'security-group' | 'qos-policy');

function kind(path: string, one: string, rest: Partial<Kind> = {}): Kind {
  const many = one.endsWith('policy') ? one.replace(/y$/, 'ies') : `${one}s`;
  return { path, one, many, root: one.replaceAll(' ', ''), key: 'id', named: true, ...rest };
}

/** By the word that help texts have in angle brackets: `<pool>` is the name or id of a pool. */
export const KINDS: Record<KindName, Kind> = {
  loadbalancer: kind('lbaas/loadbalancers', 'load balancer'),
  listener: kind('lbaas/listeners', 'listener'),
  pool: kind('lbaas/pools', 'pool'),
  member: kind('lbaas/pools/:parent/members', 'member', { parent: 'pool' }),
  healthmonitor: kind('lbaas/healthmonitors', 'health monitor'),
  l7policy: kind('lbaas/l7policies', 'l7policy'),
  l7rule: kind('lbaas/l7policies/:parent/rules', 'l7rule', {
    parent: 'l7policy',
    root: 'rule',
    named: false,
  }),
  flavor: kind('lbaas/flavors', 'flavor'),
  flavorprofile: kind('lbaas/flavorprofiles', 'flavor profile'),
  availabilityzone: kind('lbaas/availabilityzones', 'availability zone', {
    ...{ root: 'availability_zone', key: 'name' },
  }),
  availabilityzoneprofile: kind('lbaas/availabilityzoneprofiles', 'availability zone profile', {
    root: 'availability_zone_profile',
  }),
  amphora: kind('octavia/amphorae', 'amphora', { many: 'amphorae', named: false }),
  quota: kind('lbaas/quotas', 'quota', { by: 'project' }),
  provider: kind('lbaas/providers', 'provider', { key: 'name' }),
  project: kind('identity/projects', 'project'),
  user: kind('identity/users', 'user'),
  role: kind('identity/roles', 'role'),
  secret: kind('key-manager/secrets', 'secret', { root: undefined }),
  container: kind('key-manager/containers', 'container', { root: undefined }),
  network: kind('network/networks', 'network'),
  subnet: kind('network/subnets', 'subnet'),
  port: kind('network/ports', 'port'),
  'security-group': kind('network/security-groups', 'security group'),
  'qos-policy': kind('network/qos/policies', 'QoS policy'),
};

/** Fields of bodies and filters that hold ids; a name that is written there is looked up. */
export const KIND_OF_FIELD: Readonly<Record<string, KindName>> = {
  loadbalancer_id: 'loadbalancer',
  listener_id: 'listener',
  pool_id: 'pool',
  default_pool_id: 'pool',
  redirect_pool_id: 'pool',
  flavor_id: 'flavor',
  flavor_profile_id: 'flavorprofile',
  availability_zone_profile_id: 'availabilityzoneprofile',
  project_id: 'project',
  default_project_id: 'project',
  user_id: 'user',
  role_id: 'role',
  network_id: 'network',
  subnet_id: 'subnet',
  vip_network_id: 'network',
  vip_subnet_id: 'subnet',
  vip_port_id: 'port',
  vip_qos_policy_id: 'qos-policy',
  vip_sg_ids: 'security-group',
};
