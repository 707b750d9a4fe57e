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

/** What decides beside the rows. */
export interface Wanted {
  /** As in the rows. */
  built_for: string | null;
  /** The amphora of the other topology that has the VIP and can take this one. */
  holder?: string | undefined;
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

/** While nobody has a role of this topology, the one with the VIP goes on in the first of them: nobody loses a connection. */
export function planAmphorae(
  graph: Pick<LoadBalancerGraph, 'load_balancer' | 'amphorae'>,
  { built_for, holder }: Wanted,
): AmphoraPlan {
  const { topology } = graph.load_balancer;
  const usable = graph.amphorae
    .filter(a => PREFERENCE[a.status] !== undefined && a.built_for === built_for)
    .sort((a, b) => PREFERENCE[a.status]! - PREFERENCE[b.status]!);
  const keep: AmphoraPlan['keep'] = [];
  const build: AmphoraRole[] = [];
  for (const role of ROLES[topology]) {
    const amphora = usable.find(a => a.role === role);
    if (amphora) keep.push({ amphora, role });
    else build.push(role);
  }
  const other = keep.length === 0 && usable.find(a => a.id === holder && a.status === 'ALLOCATED');
  if (other) keep.push({ amphora: other, role: build.shift()! });
  const kept = new Set(keep.map(k => k.amphora));
  return { keep, build, release: graph.amphorae.filter(a => !kept.has(a)) };
}

/**
 * The subnets that an amphora needs an address in beside the VIP's own: those of members, and of a pair's further VIPs. Whoever has none
 * while the other half holds them reaches no member of their family, and with the VIPs that it gives up the kernel drops its
 * routes. Source: contract controller.md 9.4.
 */
export function furtherSubnets({
  load_balancer: { topology, vip_subnet_id, additional_vips },
  members,
}: Pick<LoadBalancerGraph, 'load_balancer' | 'members'>): string[] {
  const wanted = [
    ...members.filter(isStaying).map(m => m.subnet_id),
    ...(topology === 'ACTIVE_STANDBY' ? additional_vips.map(vip => vip.subnet_id) : []),
  ];
  return [...new Set(wanted)].filter(id => id !== null && id !== vip_subnet_id).sort() as string[];
}
