/** Which networks of members an amphora has a port in, so that a port is found and released after any crash. */
import { fenced, type Lease } from './lease.ts';
import type { Db } from './schema.ts';

export interface MemberPort {
  amphora_id: string;
  network_id: string;
  port_id: string | null;
  plugged_subnets: string[];
}

export async function listMemberPorts(db: Db, amphoraId: string): Promise<MemberPort[]> {
  const rows = await db
    .selectFrom('amphora_member_port')
    .selectAll()
    .where('amphora_id', '=', amphoraId)
    .orderBy('network_id')
    .execute();
  return rows.map(row => ({ ...row, plugged_subnets: JSON.parse(row.plugged_subnets) }));
}

/** Inserts or replaces. */
export async function putMemberPort(db: Db, lease: Lease, port: MemberPort): Promise<void> {
  await fenced(db, lease, async trx => {
    await trx
      .deleteFrom('amphora_member_port')
      .where('amphora_id', '=', port.amphora_id)
      .where('network_id', '=', port.network_id)
      .execute();
    await trx
      .insertInto('amphora_member_port')
      .values({ ...port, plugged_subnets: JSON.stringify(port.plugged_subnets) })
      .execute();
  });
}

/** Absent is success. */
export async function deleteMemberPort(
  db: Db,
  lease: Lease,
  amphoraId: string,
  networkId: string,
): Promise<void> {
  await fenced(db, lease, async trx => {
    await trx
      .deleteFrom('amphora_member_port')
      .where('amphora_id', '=', amphoraId)
      .where('network_id', '=', networkId)
      .execute();
  });
}
