/** Which amphorae a load balancer needs, which it has, and which are to go. Pure. */
import type { Amphora, AmphoraRole } from '../../model/amphora.ts';
import type { LoadBalancerGraph } from '../../model/graph.ts';
import { type AmphoraStatus, isStaying } from '../../model/status.ts';

export interface AmphoraPlan {
  /** In service or on their way to it, with the role they are to have. */
  keep: { amphora: Amphora; role: AmphoraRole }[];
  /** Roles nobody fills. */
  build: AmphoraRole[];
  /** Marked or surplus; released after the others serve. */
  release: Amphora[];
}

const ROLES = {
  SINGLE: ['STANDALONE'],
  ACTIVE_STANDBY: ['MASTER', 'BACKUP'],
} as const satisfies Record<string, readonly AmphoraRole[]>;

/** Better candidates for a role come first; a status without a place here is not usable. */
const PREFERENCE: Partial<Record<AmphoraStatus, number>> = {
  ALLOCATED: 0,
  FAILOVER_STOPPED: 1,
  BOOTING: 2,
  PENDING_CREATE: 3,
};

export function planAmphorae(graph: Pick<LoadBalancerGraph, 'load_balancer' | 'amphorae'>): AmphoraPlan {
  const usable = graph.amphorae
    .filter(a => PREFERENCE[a.status] !== undefined)
    .sort((a, b) => PREFERENCE[a.status]! - PREFERENCE[b.status]!);
  const keep: AmphoraPlan['keep'] = [];
  const build: AmphoraRole[] = [];
  for (const role of ROLES[graph.load_balancer.topology]) {
    const amphora = usable.find(a => a.role === role);
    if (amphora) keep.push({ amphora, role });
    // An agent has the topology that it was built with: another one is replaced, like what failed.
    else build.push(role);
  }
  const kept = new Set(keep.map(k => k.amphora));
  return { keep, build, release: graph.amphorae.filter(a => !kept.has(a)) };
}

/** The subnets that an amphora must reach beside the VIP's own. Source: contract controller.md 9.4. */
export function memberSubnets(graph: LoadBalancerGraph): string[] {
  const wanted = graph.members
    .filter(m => isStaying(m) && m.subnet_id !== null)
    .map(m => m.subnet_id as string);
  return [...new Set(wanted)].filter(id => id !== graph.load_balancer.vip_subnet_id).sort();
}
