/** What tests of every room need to begin: an empty database in memory, and rows with sensible values. */
import { randomUUID } from 'node:crypto';
import { Kysely, sql } from 'kysely';
import type { LoadBalancerGraph } from '../model/graph.ts';
import type { LoadBalancer } from '../model/load-balancer.ts';
import { insertLoadBalancer } from './load-balancers.ts';
import { openDatabase } from './open.ts';
import { encodeRow, type RecordOf, type RecordTable } from './rows.ts';
import type { Db } from './schema.ts';
import { findServerDialect } from './servers.ts';

/** Where a server has databases made for tests, such as `postgresql://…/postgres`; without it they are in memory. */
export const TEST_SERVER = 'OTTAVIA_TEST_SERVER';

/** Closed by `await using`. */
export async function givenDatabase(): Promise<Db & AsyncDisposable> {
  const server = process.env[TEST_SERVER];
  const { url, drop } = server ? await createDatabase(server) : { url: 'sqlite://', drop: async () => {} };
  const db = await openDatabase(url);
  const close = async () => {
    await db.destroy();
    await drop();
  };
  return Object.assign(db, { [Symbol.asyncDispose]: close });
}

/** An empty one on the server; nobody may be connected to it when it is dropped. */
export async function createDatabase(server: string): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const admin = new Kysely({ dialect: findServerDialect(server)! });
  await sql.raw(`create database ${name}`).execute(admin);
  return {
    url: server.replace(/\/\w+(\?|$)/, `/${name}$1`),
    async drop() {
      await sql.raw(`drop database ${name}`).execute(admin);
      await admin.destroy();
    },
  };
}

/** A load balancer that was just accepted: PENDING_CREATE, generation 1. */
export function loadBalancerRecord(set: Partial<LoadBalancer> = {}): LoadBalancer {
  return {
    id: randomUUID(),
    project_id: 'p1',
    name: 'lb',
    description: '',
    admin_state_up: true,
    provisioning_status: 'PENDING_CREATE',
    operating_status: 'OFFLINE',
    tags: [],
    created_at: '2026-01-01T00:00:00.000000',
    updated_at: null,
    generation: 1,
    vip_address: '10.0.0.9',
    vip_port_id: randomUUID(),
    vip_subnet_id: randomUUID(),
    vip_network_id: randomUUID(),
    vip_qos_policy_id: null,
    vip_sg_ids: [],
    vip_vnic_type: 'normal',
    additional_vips: [],
    vip_port_owned: true,
    provider: 'amphora',
    flavor_id: null,
    availability_zone: null,
    topology: 'SINGLE',
    settled_generation: 0,
    error_reason: null,
    ...set,
  };
}

/** Inserts one and returns its id; nobody holds its lease. */
export async function givenLoadBalancer(db: Db, set: Partial<LoadBalancer> = {}): Promise<string> {
  const record = loadBalancerRecord(set);
  await insertLoadBalancer(db, record, undefined);
  return record.id;
}

/** Writes a whole graph as it is, past every rule of the API. */
export async function givenGraph(db: Db, graph: LoadBalancerGraph): Promise<void> {
  await insertLoadBalancer(db, graph.load_balancer, undefined);
  const insert = async <T extends RecordTable>(table: T, records: RecordOf<T>[]) => {
    const rows = records.map(record => encodeRow(table, record));
    if (rows.length > 0)
      await db
        .insertInto(table as 'pool')
        .values(rows as never)
        .execute();
  };
  await insert('pool', graph.pools);
  await insert('listener', graph.listeners);
  await insert('member', graph.members);
  await insert('health_monitor', graph.health_monitors);
  await insert('l7policy', graph.l7policies);
  await insert('l7rule', graph.l7rules);
  await insert('amphora', graph.amphorae);
}
