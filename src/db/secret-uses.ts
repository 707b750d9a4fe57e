/** Which secrets of the key manager the listeners and pools of a load balancer use, and under which name amphorae have them. */
import { fenced, type Lease } from './lease.ts';
import type { Db, SecretUseRow } from './schema.ts';

export type { SecretUseRow as SecretUse } from './schema.ts';

export async function listSecretUses(db: Db, loadBalancerId: string): Promise<SecretUseRow[]> {
  return db.selectFrom('secret_use').selectAll().where('loadbalancer_id', '=', loadBalancerId).execute();
}

/** Inserts or replaces. */
export async function putSecretUse(db: Db, lease: Lease, use: SecretUseRow): Promise<void> {
  await replace(db, lease, use, [use]);
}

/** Absent is success. */
export async function deleteSecretUse(db: Db, lease: Lease, use: SecretUseRow): Promise<void> {
  await replace(db, lease, use, []);
}

async function replace(db: Db, lease: Lease, use: SecretUseRow, by: readonly SecretUseRow[]): Promise<void> {
  await fenced(db, lease, async trx => {
    await trx
      .deleteFrom('secret_use')
      .where('resource_id', '=', use.resource_id)
      .where('reference', '=', use.reference)
      .execute();
    for (const row of by) await trx.insertInto('secret_use').values(row).execute();
  });
}
