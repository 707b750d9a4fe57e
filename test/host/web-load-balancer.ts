/** The load balancer that most tests of a system's life need: HTTP, one pool, members of one host, no waiting. */
import type { Resource } from '../../src/cli/client.ts';
import type { MemberHost } from './member-host.ts';
import type { RealSystem } from './real-system.ts';

export interface WebLoadBalancer {
  lb: Resource;
  listener: Resource;
  pool: Resource;
  url: string;
  /** Accepted, not yet made real. */
  addMember(name: string): Promise<Resource>;
}

/** By name; each has a server on its port. */
export const MEMBER_PORTS = { a: 9001, b: 9002, c: 9003 } as const;

export async function openMembers(host: MemberHost): Promise<void> {
  for (const [name, port] of Object.entries(MEMBER_PORTS)) await host.open({ kind: 'http', name, port });
}

/** Accepted with its first member, not yet made real. */
export async function createWebLoadBalancer(
  { api, subnet }: RealSystem,
  members: MemberHost,
  name = 'lb',
): Promise<WebLoadBalancer> {
  const lb = await api.create('loadbalancers', { name, vip_subnet_id: subnet.id });
  const listener = await api.create('listeners', {
    ...{ name: 'listener', loadbalancer_id: lb.id, protocol: 'HTTP', protocol_port: 80 },
  });
  const pool = await api.create('pools', {
    ...{ name: 'pool', listener_id: listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
  });
  const addMember = (member: string) =>
    api.create(`pools/${pool.id}/members`, {
      name: member,
      protocol_port: MEMBER_PORTS[member as keyof typeof MEMBER_PORTS],
      ...{ address: members.addresses[0], subnet_id: subnet.id },
    });
  await addMember('a');
  return { lb, listener, pool, url: `http://${lb.vip_address}`, addMember };
}
