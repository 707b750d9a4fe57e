/** What the network API says that never changes: what it can do, and lists of what it does not have. */

const extension = (alias: string, name: string) => ({
  ...{ alias, name, description: name, updated: '2026-01-01T00:00:00-00:00', links: [] },
});

/** Only what is true. */
export const EXTENSIONS = [
  extension('allowed-address-pairs', 'Allowed Address Pairs'),
  extension('availability_zone', 'Availability Zone'),
  extension('empty-string-filtering', 'Empty String Filtering Extension'),
  extension('external-net', 'Neutron external network'),
  extension('fip-port-details', 'Floating IP Port Details Extension'),
  extension('net-mtu', 'Network MTU'),
  extension('pagination', 'Pagination support'),
  extension('project-id', 'project_id field enabled'),
  extension('quotas', 'Quota management support'),
  extension('security-group', 'security-group'),
  extension('security-groups-normalized-cidr', 'Normalized CIDR field for security group rules'),
  extension('sorting', 'Sorting support'),
  extension('standard-attr-description', 'standard-attr-description'),
  // Of load balancers, which the API of load balancing serves beside this one.
  extension('hm_max_retries_down', 'Add a fall threshold to health monitor'),
  extension('l7', 'L7 capabilities for LBaaSv2'),
  extension('lb-graph', 'Load Balancer Graph'),
  extension('lb_network_vip', 'Create loadbalancer with network_id'),
  extension('lbaas_agent_schedulerv2', 'Loadbalancer Agent Scheduler V2'),
  extension('lbaasv2', 'LoadBalancing service v2'),
  extension('service-type', 'Neutron Service Type Management'),
  extension('shared_pools', 'Shared pools for LBaaSv2'),
];

/** By path, the key of the answer. */
export const EMPTY_LISTS: Readonly<Record<string, string>> = {
  agents: 'agents',
  availability_zones: 'availability_zones',
  'qos/policies': 'policies',
  routers: 'routers',
  subnetpools: 'subnetpools',
};

export const UNLIMITED = Object.fromEntries(
  [
    'floatingip',
    'network',
    'port',
    'router',
    'security_group',
    'security_group_rule',
    'subnet',
    'subnetpool',
  ].map(name => [name, -1]),
);
