/** What the worker finds out about the VIP's port. */
import type { LoadBalancer } from '../model/load-balancer.ts';
import { fenced, type Lease } from './lease.ts';
import { encodeRow } from './rows.ts';
import type { Db } from './schema.ts';

export async function setVip(
  db: Db,
  lease: Lease,
  vip: Pick<LoadBalancer, 'vip_port_id' | 'vip_address' | 'additional_vips'>,
): Promise<void> {
  await fenced(db, lease, trx =>
    trx
      .updateTable('load_balancer')
      .set(encodeRow('load_balancer', vip))
      .where('id', '=', lease.loadbalancer_id)
      .execute(),
  );
}
