/** What the standalone cloud's network consists of; the unique keys decide who gets a name or an address. */
import { Fault } from '../lib/errors.ts';
import type { CloudKind, CloudRecords, PortRecord } from '../model/cloud-network.ts';
import { decodeRow, encodeRow } from './rows.ts';
import type { Db, PortRow, Trx } from './schema.ts';

interface FixedIp {
  subnet_id: string;
  ip_address: string;
}

/** The store that a network driver asks for (`drivers/network/store.ts`), over these tables. */
export class NetworkTables {
  readonly #db: Db;
  readonly #timestamp: () => string;

  /** `timestamp` gives the present as it is written into rows. */
  constructor(db: Db, timestamp: () => string) {
    this.#db = db;
    this.#timestamp = timestamp;
  }

  async list<K extends CloudKind>(kind: K): Promise<CloudRecords[K][]> {
    const [rows, addresses] = await Promise.all([
      this.#db
        .selectFrom(kind as 'port')
        .selectAll()
        .orderBy('created_at')
        .orderBy('id')
        .execute(),
      kind === 'port' ? this.#db.selectFrom('port_address').selectAll().execute() : [],
    ]);
    if (kind !== 'port') {
      return rows.map(({ created_at: _, ...row }) => decodeRow(kind, row as never));
    }
    const byPort = Map.groupBy(addresses, address => address.port_id);
    return rows.map(row => decodePort(row, byPort.get(row.id) ?? [])) as never;
  }

  async insert<K extends CloudKind>(kind: K, record: CloudRecords[K]): Promise<void> {
    const row = kind === 'port' ? encodePort(record as PortRecord) : encodeRow(kind, record as never);
    const name = 'name' in record ? record.name : record.id;
    await conflictIfTaken(`Cannot insert ${kind} ${name}: its name or one of its addresses is taken`, () =>
      this.#db.transaction().execute(async trx => {
        await trx
          .insertInto(kind as 'port')
          .values({ ...row, created_at: this.#timestamp() } as PortRow)
          .execute();
        if (kind === 'port') await insertAddresses(trx, record.id, (record as PortRecord).fixed_ips);
      }),
    );
  }

  async update<K extends CloudKind>(kind: K, id: string, change: Partial<CloudRecords[K]>): Promise<void> {
    const { fixed_ips } = change as Partial<PortRecord>;
    const set =
      kind === 'port' ? encodePort(change as Partial<PortRecord>) : encodeRow(kind, change as never);
    await conflictIfTaken(`Cannot change ${kind} ${id}: one of its addresses is taken`, () =>
      this.#db.transaction().execute(async trx => {
        if (Object.keys(set).length > 0) {
          await trx
            .updateTable(kind as 'port')
            .set(set as Partial<PortRow>)
            .where('id', '=', id)
            .execute();
        }
        if (!fixed_ips) return;
        await trx.deleteFrom('port_address').where('port_id', '=', id).execute();
        await insertAddresses(trx, id, fixed_ips);
      }),
    );
  }

  async delete(kind: CloudKind, id: string): Promise<void> {
    await conflictIfTaken(`Cannot delete ${kind} ${id}: it is in use`, () =>
      this.#db.transaction().execute(async trx => {
        if (kind === 'port') {
          const nowhere = { port_id: null, fixed_ip_address: null };
          await trx.updateTable('floating_ip').set(nowhere).where('port_id', '=', id).execute();
          await trx.deleteFrom('port_address').where('port_id', '=', id).execute();
        }
        await trx
          .deleteFrom(kind as 'port')
          .where('id', '=', id)
          .execute();
      }),
    );
  }

  findPort(id: string): Promise<PortRecord | undefined> {
    return this.#findPort('id', id);
  }

  async findPortByName(name: string): Promise<PortRecord | undefined> {
    return name === '' ? undefined : this.#findPort('name', name);
  }

  async insertPortAddress(portId: string, address: FixedIp): Promise<void> {
    const { subnet_id, ip_address } = address;
    await conflictIfTaken(`IP address ${ip_address} already allocated in subnet ${subnet_id}`, () =>
      insertAddresses(this.#db, portId, [address]),
    );
  }

  async listTakenAddresses(subnetId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('port_address')
      .select('ip_address')
      .where('subnet_id', '=', subnetId)
      .execute();
    return rows.map(row => row.ip_address);
  }

  async #findPort(column: 'id' | 'name', value: string): Promise<PortRecord | undefined> {
    const row = await this.#db.selectFrom('port').selectAll().where(column, '=', value).executeTakeFirst();
    if (!row) return undefined;
    const addresses = await this.#db
      .selectFrom('port_address')
      .selectAll()
      .where('port_id', '=', row.id)
      .execute();
    return decodePort(row, addresses);
  }
}

async function insertAddresses(db: Db | Trx, port_id: string, addresses: readonly FixedIp[]): Promise<void> {
  if (addresses.length === 0) return;
  const rows = addresses.map(({ subnet_id, ip_address }) => ({ port_id, subnet_id, ip_address }));
  await db.insertInto('port_address').values(rows).execute();
}

/** A name lies where it is unique if it is a key, and beside that if a user chose it. */
function encodePort({ fixed_ips: _, user_made, ...port }: Partial<PortRecord>): Partial<PortRow> {
  const { name, ...row } = encodeRow('port', port);
  if (user_made === undefined) return name === undefined ? row : { ...row, title: name };
  return {
    ...row,
    name: user_made || name === '' ? null : (name ?? null),
    title: user_made ? (name ?? '') : null,
  };
}

function decodePort({ created_at: _, title, ...row }: PortRow, addresses: FixedIp[]): PortRecord {
  return {
    ...decodeRow('port', row as never),
    name: title ?? row.name ?? '',
    user_made: title !== null,
    fixed_ips: addresses.map(({ subnet_id, ip_address }) => ({ subnet_id, ip_address })),
  };
}

/** SQLite's extended codes for a unique index, a primary key and a reference, then PostgreSQL's and MySQL's. */
const CONFLICTS: readonly unknown[] = [
  ...[2067, 1555, 787, 1811],
  ...['23505', '23503', 'ER_DUP_ENTRY', 'ER_ROW_IS_REFERENCED_2', 'ER_NO_REFERENCED_ROW_2'],
];

/** Turns the violation of a key, as each database reports it, into a conflict; all else goes on up. */
async function conflictIfTaken(sentence: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    const { errcode, code } = cause as { errcode?: number; code?: string };
    if (CONFLICTS.includes(errcode) || CONFLICTS.includes(code))
      throw new Fault('conflict', sentence, { cause });
    throw cause;
  }
}
