/** Spare amphorae: built like those of a SINGLE load balancer that asks for nothing special, and taken by the first one that needs one. */
import type { Db } from '../../db/schema.ts';
import { listSpares, takeSpare } from '../../db/spares.ts';
import type { Amphora, AmphoraRole } from '../../model/amphora.ts';
import { emptyGraph, type LoadBalancerGraph } from '../../model/graph.ts';
import type { LoadBalancer } from '../../model/load-balancer.ts';
import { UNOWNED_ID } from '../../model/unowned.ts';
import { ensureInstance, update, waitForAgent } from './instance.ts';
import { type AmphoraPass, step } from './parts.ts';

/** What a spare is built for: as much of a load balancer as building looks at. */
const NOBODY = {
  id: UNOWNED_ID,
  topology: 'SINGLE',
  flavor_id: null,
  availability_zone: null,
} as LoadBalancer;

export async function loadUnowned(db: Db): Promise<LoadBalancerGraph> {
  return { ...emptyGraph(NOBODY), amphorae: await listSpares(db) };
}

/** Builds the spare as far as its agent; one that was ready is asked whether it still is. Throws like `ensureAgent`. */
export async function ensureSpare(pass: AmphoraPass, amphora: Amphora): Promise<void> {
  await ensureInstance(pass, amphora);
  await step(pass, 'wait for agent', amphora.id, () => waitForAgent(pass, amphora));
  if (amphora.status === 'READY') return;
  await step(pass, 'keep amphora ready', amphora.id, () => update(pass, amphora, { status: 'READY' }));
}

/**
 * A spare that is from now on the load balancer's; undefined when there is none that suits. Two amphorae are to be on different
 * hosts, and a flavor or zone may ask for another instance or place: these are built for their load balancer.
 */
export async function takeSuitableSpare(pass: AmphoraPass, role: AmphoraRole): Promise<Amphora | undefined> {
  const { db, clock } = pass.parts;
  const { load_balancer } = pass.graph;
  if (load_balancer.topology !== 'SINGLE') return undefined;
  const { compute_flavor, amp_image_tag, compute_zone, volume_zone, management_network } = pass.offer;
  if (compute_flavor ?? amp_image_tag ?? compute_zone ?? volume_zone ?? management_network) return undefined;
  if (!(await listSpares(db)).some(spare => spare.status === 'READY')) return undefined;
  return step(pass, 'take spare amphora', load_balancer.id, () =>
    takeSpare(db, pass.lease, role, clock.now()),
  );
}
