/** What the amphorae of each pair agree on: decided once, so that both count and believe alike whatever the settings become. */
import { randomBytes } from 'node:crypto';
import type { VrrpGroup } from '../model/vrrp-group.ts';
import { fenced, type Lease } from './lease.ts';
import type { Db } from './schema.ts';

/** The group as it stands; the first pass decides it. */
export async function ensureVrrpGroup(db: Db, lease: Lease, advert_interval_ms: number): Promise<VrrpGroup> {
  const { loadbalancer_id } = lease;
  const row = await db
    .selectFrom('vrrp_group')
    .selectAll()
    .where('loadbalancer_id', '=', loadbalancer_id)
    .executeTakeFirst();
  if (row) return { ...row, given: JSON.parse(row.given) };
  return fenced(db, lease, async trx => {
    // Version 2 of VRRP takes eight characters. Source: contract dataplane.md 10.
    const auth_pass = randomBytes(4).toString('hex').slice(0, 7);
    const group = { loadbalancer_id, auth_pass, advert_interval_ms };
    await trx
      .insertInto('vrrp_group')
      .values({ ...group, given: '{}' })
      .execute();
    return { ...group, given: {} };
  });
}

/** Writes what each amphora was given. */
export async function storeGiven(db: Db, lease: Lease, { given }: VrrpGroup): Promise<void> {
  await fenced(db, lease, trx =>
    trx
      .updateTable('vrrp_group')
      .set({ given: JSON.stringify(given) })
      .where('loadbalancer_id', '=', lease.loadbalancer_id)
      .execute(),
  );
}
