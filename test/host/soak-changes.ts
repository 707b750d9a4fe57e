/** What a soak changes at random: members, weights, policies, certificates, monitors, algorithms, listeners. */
import type { Resource } from '../../src/cli/client.ts';
import { randomFrom } from '../scenarios/random.ts';
import type { Lbaas } from './lbaas.ts';

export interface SoakPool {
  id: string;
  protocol: 'HTTP' | 'TCP';
  /** Servers of the members that come and go; another member always stays. */
  ports: readonly number[];
  members: Resource[];
  monitor: Resource | undefined;
}

export interface SoakWorld {
  api: Lbaas;
  random: () => number;
  loadBalancerId: string;
  /** Takes policies and other changes that no request may notice. */
  listener: Resource;
  /** Ends TLS with one of the certificates. */
  secureListener: Resource;
  certificates: readonly string[];
  pools: readonly SoakPool[];
  /** Where policies may send requests to. */
  otherPoolId: string;
  policies: Resource[];
  extraListener: Resource | undefined;
  memberAddress: string;
  subnetId: string;
}

type Change = (world: SoakWorld) => Promise<void>;

const chance = (world: SoakWorld, share: number): boolean => world.random() < share;
const pick = <T>(world: SoakWorld, items: readonly T[]): T => randomFrom(world.random, items);

/** Each leaves the world in a state in which every request of the load succeeds. */
const CHANGES: Readonly<Record<string, Change>> = {
  'member added': async world => {
    const pool = pick(world, world.pools);
    const free = pool.ports.filter(port => pool.members.every(member => member.protocol_port !== port));
    if (free.length === 0) return;
    pool.members.push(
      await world.api.create(`pools/${pool.id}/members`, {
        ...{ address: world.memberAddress, subnet_id: world.subnetId, protocol_port: pick(world, free) },
        ...{ weight: 1 + Math.floor(world.random() * 5), backup: chance(world, 0.1) },
      }),
    );
  },
  'member removed': async world => {
    const pool = pick(world, world.pools);
    const [member] = pool.members.splice(Math.floor(world.random() * pool.members.length), 1);
    if (member) await world.api.remove(`pools/${pool.id}/members/${member.id}`);
  },
  'weight set': world => setMember(world, { weight: Math.floor(world.random() * 10) }),
  'member drained': world => setMember(world, { weight: 0 }),
  'member enabled or disabled': world => setMember(world, { admin_state_up: chance(world, 0.5) }),
  'policy added': async world => {
    if (world.policies.length >= 6) return;
    const action = pick(world, ['REJECT', 'REDIRECT_TO_URL', 'REDIRECT_TO_POOL']);
    const policy = await world.api.create('l7policies', {
      ...{ listener_id: world.listener.id, action, position: 1 + Math.floor(world.random() * 3) },
      ...(action === 'REDIRECT_TO_URL' && { redirect_url: 'http://elsewhere.example/' }),
      ...(action === 'REDIRECT_TO_POOL' && { redirect_pool_id: world.otherPoolId }),
    });
    world.policies.push(policy);
    await world.api.create(`l7policies/${policy.id}/rules`, {
      ...{ type: 'PATH', compare_type: 'STARTS_WITH' },
      // The other pool has the same content; what is refused or redirected, nobody asks for.
      value: action === 'REDIRECT_TO_POOL' ? `/r/${Math.floor(world.random() * 10)}` : '/nowhere',
    });
  },
  'policy moved': async world => {
    const policy = world.policies.length > 0 && pick(world, world.policies);
    if (policy) await world.api.set(`l7policies/${policy.id}`, { position: 1 });
  },
  'policy removed': async world => {
    const [policy] = world.policies.splice(Math.floor(world.random() * world.policies.length), 1);
    if (policy) await world.api.remove(`l7policies/${policy.id}`);
  },
  'certificate exchanged': async world => {
    await world.api.set(`listeners/${world.secureListener.id}`, {
      default_tls_container_ref: pick(world, world.certificates),
      sni_container_refs: chance(world, 0.5) ? [pick(world, world.certificates)] : [],
    });
  },
  'algorithm set': async world => {
    const lb_algorithm = pick(world, ['ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP']);
    await world.api.set(`pools/${pick(world, world.pools).id}`, { lb_algorithm });
  },
  'persistence set': async world => {
    const session_persistence = chance(world, 0.5) ? { type: 'SOURCE_IP' } : null;
    await world.api.set(`pools/${pick(world, world.pools).id}`, { session_persistence });
  },
  'monitor added or removed': async world => {
    const pool = pick(world, world.pools);
    if (pool.monitor) await world.api.remove(`healthmonitors/${pool.monitor.id}`);
    pool.monitor = pool.monitor
      ? undefined
      : await world.api.create('healthmonitors', {
          ...{ pool_id: pool.id, type: pool.protocol, delay: 2, timeout: 10, max_retries: 1 },
          ...{ max_retries_down: 3, ...(pool.protocol === 'HTTP' && { url_path: '/health' }) },
        });
  },
  'listener set': async world => {
    await world.api.set(`listeners/${world.listener.id}`, {
      timeout_client_data: 50_000 + Math.floor(world.random() * 1000),
      connection_limit: 10_000 + Math.floor(world.random() * 1000),
    });
  },
  'listener added or removed': async world => {
    if (world.extraListener) await world.api.remove(`listeners/${world.extraListener.id}`);
    world.extraListener = world.extraListener
      ? undefined
      : await world.api.create('listeners', {
          ...{ loadbalancer_id: world.loadBalancerId, protocol: 'HTTP', protocol_port: 8081 },
          default_pool_id: world.otherPoolId,
        });
  },
};

async function setMember(world: SoakWorld, set: object): Promise<void> {
  const pool = pick(world, world.pools);
  if (pool.members.length === 0) return;
  const member = pick(world, pool.members);
  await world.api.set(`pools/${pool.id}/members/${member.id}`, set);
}

/** Makes one change, and most often waits until it is in effect; returns its name. */
export async function changeSomething(world: SoakWorld): Promise<string> {
  const name = pick(world, Object.keys(CHANGES));
  await CHANGES[name]!(world);
  // What is not waited for is settled together with what comes next.
  if (chance(world, 0.7)) await world.api.active(world.loadBalancerId);
  return name;
}
