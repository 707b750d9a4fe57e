/** Networks, subnets and ports of the standalone cloud; the unique keys decide who gets a name or an address. */
import { Fault } from '../lib/errors.ts';
import type { Db, NetworkRow, PortRow, SubnetRow } from './schema.ts';

type Network = Omit<NetworkRow, 'created_at'>;
interface Subnet extends Omit<SubnetRow, 'created_at' | 'ip_version' | 'allocation_pools' | 'host_routes'> {
  ip_version: 4 | 6;
  allocation_pools: { start: string; end: string }[];
  host_routes: { destination: string; nexthop: string }[];
}
interface FixedIp {
  subnet_id: string;
  ip_address: string;
}
interface Port extends Omit<PortRow, 'created_at' | 'name' | 'allowed_addresses'> {
  /** `''` when it has none. */
  name: string;
  fixed_ips: FixedIp[];
  allowed_addresses: string[];
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

  listNetworks(): Promise<Network[]> {
    return this.#db
      .selectFrom('network')
      .select(['id', 'name', 'project_id', 'mtu'])
      .orderBy('created_at')
      .orderBy('id')
      .execute();
  }

  async insertNetwork(network: Network): Promise<void> {
    const { id, name, project_id, mtu } = network;
    const row = { id, name, project_id, mtu, created_at: this.#timestamp() };
    await this.#db.insertInto('network').values(row).execute();
  }

  async deleteNetwork(id: string): Promise<void> {
    await this.#db.deleteFrom('network').where('id', '=', id).execute();
  }

  async listSubnets(): Promise<Subnet[]> {
    const rows = await this.#db
      .selectFrom('subnet')
      .selectAll()
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map(({ created_at: _, ...row }) => ({
      ...row,
      ip_version: row.ip_version === 6 ? 6 : 4,
      allocation_pools: JSON.parse(row.allocation_pools),
      host_routes: JSON.parse(row.host_routes),
    }));
  }

  async insertSubnet(subnet: Subnet): Promise<void> {
    const { id, name, project_id, network_id, ip_version, cidr, gateway_ip } = subnet;
    const row = {
      ...{ id, name, project_id, network_id, ip_version, cidr, gateway_ip },
      allocation_pools: JSON.stringify(subnet.allocation_pools),
      host_routes: JSON.stringify(subnet.host_routes),
      created_at: this.#timestamp(),
    };
    await this.#db.insertInto('subnet').values(row).execute();
  }

  async deleteSubnet(id: string): Promise<void> {
    await this.#db.deleteFrom('subnet').where('id', '=', id).execute();
  }

  async findPort(id: string): Promise<Port | undefined> {
    return this.#withAddresses(
      await this.#db.selectFrom('port').selectAll().where('id', '=', id).executeTakeFirst(),
    );
  }

  async findPortByName(name: string): Promise<Port | undefined> {
    if (name === '') return undefined;
    return this.#withAddresses(
      await this.#db.selectFrom('port').selectAll().where('name', '=', name).executeTakeFirst(),
    );
  }

  async listPorts(): Promise<Port[]> {
    const [rows, addresses] = await Promise.all([
      this.#db.selectFrom('port').selectAll().orderBy('created_at').orderBy('id').execute(),
      this.#db.selectFrom('port_address').selectAll().execute(),
    ]);
    const byPort = Map.groupBy(addresses, address => address.port_id);
    return rows.map(row => decodePort(row, byPort.get(row.id) ?? []));
  }

  async insertPort(port: Port): Promise<void> {
    const { id, project_id, network_id, mac_address, device_id, device_owner } = port;
    const row: PortRow = {
      ...{ id, project_id, network_id, mac_address, device_id, device_owner },
      name: port.name === '' ? null : port.name,
      allowed_addresses: JSON.stringify(port.allowed_addresses),
      created_at: this.#timestamp(),
    };
    await conflictIfTaken(`Port ${port.name || port.id}: its name or one of its addresses is taken`, () =>
      this.#db.transaction().execute(async trx => {
        await trx.insertInto('port').values(row).execute();
        const addresses = port.fixed_ips.map(ip => ({ port_id: id, ...ip }));
        if (addresses.length > 0) await trx.insertInto('port_address').values(addresses).execute();
      }),
    );
  }

  async insertPortAddress(portId: string, address: FixedIp): Promise<void> {
    const { subnet_id, ip_address } = address;
    await conflictIfTaken(`IP address ${ip_address} already allocated in subnet ${subnet_id}`, () =>
      this.#db.insertInto('port_address').values({ port_id: portId, subnet_id, ip_address }).execute(),
    );
  }

  async updatePort(id: string, change: { device_id?: string; allowed_addresses?: string[] }): Promise<void> {
    const { device_id, allowed_addresses } = change;
    const set: Partial<PortRow> = {};
    if (device_id !== undefined) set.device_id = device_id;
    if (allowed_addresses !== undefined) set.allowed_addresses = JSON.stringify(allowed_addresses);
    if (Object.keys(set).length === 0) return;
    await this.#db.updateTable('port').set(set).where('id', '=', id).execute();
  }

  async deletePort(id: string): Promise<void> {
    await this.#db.transaction().execute(async trx => {
      await trx.deleteFrom('port_address').where('port_id', '=', id).execute();
      await trx.deleteFrom('port').where('id', '=', id).execute();
    });
  }

  async listTakenAddresses(subnetId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('port_address')
      .select('ip_address')
      .where('subnet_id', '=', subnetId)
      .execute();
    return rows.map(row => row.ip_address);
  }

  async #withAddresses(row: PortRow | undefined): Promise<Port | undefined> {
    if (!row) return undefined;
    const addresses = await this.#db
      .selectFrom('port_address')
      .selectAll()
      .where('port_id', '=', row.id)
      .execute();
    return decodePort(row, addresses);
  }
}

function decodePort({ created_at: _, ...row }: PortRow, addresses: FixedIp[]): Port {
  return {
    ...row,
    name: row.name ?? '',
    fixed_ips: addresses.map(({ subnet_id, ip_address }) => ({ subnet_id, ip_address })),
    allowed_addresses: JSON.parse(row.allowed_addresses),
  };
}

/** Turns the violation of a unique key, as each database reports it, into a conflict; all else goes on up. */
async function conflictIfTaken(sentence: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    const { errcode, code } = cause as { errcode?: number; code?: string };
    // SQLite's extended codes for a unique index and a primary key, then PostgreSQL's and MySQL's.
    const isTaken = errcode === 2067 || errcode === 1555 || code === '23505' || code === 'ER_DUP_ENTRY';
    if (isTaken) throw new Fault('conflict', sentence, { cause });
    throw cause;
  }
}
