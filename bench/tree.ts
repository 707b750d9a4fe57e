/** The smallest load balancer that carries traffic: listener, pool and one member. */
import type { Api, Json } from './api.ts';
import type { MemberServer } from './traffic.ts';

export interface Tree {
  loadBalancerId: string;
  poolId: string;
  /** Of the VIP. */
  address: string;
}

export type Answered = (what: 'load balancer' | 'listener' | 'pool' | 'member', object: Json) => void;

/** Posts one after the other, without waiting for anything to become ACTIVE. */
export async function createTree(
  api: Api,
  subnetId: string,
  member: MemberServer,
  answered: Answered = () => {},
): Promise<Tree> {
  const lb = await api.create('loadbalancers', 'loadbalancer', { name: 'bench', vip_subnet_id: subnetId });
  answered('load balancer', lb);
  const listener = await api.create('listeners', 'listener', {
    ...{ name: 'http', protocol: 'HTTP', protocol_port: 80, loadbalancer_id: lb.id },
  });
  answered('listener', listener);
  const pool = await api.create('pools', 'pool', {
    ...{ name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', listener_id: listener.id },
  });
  answered('pool', pool);
  answered('member', await addMember(api, pool.id, subnetId, member));
  return { loadBalancerId: lb.id, poolId: pool.id, address: lb.vip_address as string };
}

export function addMember(api: Api, poolId: string, subnetId: string, member: MemberServer): Promise<Json> {
  const { address, port } = member;
  return api.create(`pools/${poolId}/members`, 'member', {
    ...{ address, protocol_port: port, subnet_id: subnetId },
  });
}
