/** A cloud of load balancers for the receiver of heartbeats: its rows, and what its amphorae say. */
import { randomInt, randomUUID } from 'node:crypto';
import { insertRecords } from '../src/db/children.ts';
import type { Db } from '../src/db/schema.ts';
import { givenGraph } from '../src/db/testing.ts';
import { buildGraph, type GraphSketch } from '../src/model/graph.fixture.ts';
import type { Heartbeat } from '../src/wire/heartbeat.ts';

export interface HeartbeatLoadBalancer {
  amphora: string;
  listeners: { id: string; pool: string; members: string[] }[];
}

export interface HeartbeatCloud {
  key: string;
  load_balancers: HeartbeatLoadBalancer[];
}

/** Every heartbeat counts one connection on each listener; all else that is counted differs. One that flaps has a member that comes and goes. */
export function heartbeatOf(
  { amphora, listeners }: HeartbeatLoadBalancer,
  round: number,
  flaps = false,
): Heartbeat {
  const word = flaps && round % 2 === 1 ? 'DOWN' : 'UP';
  const stats = () => ({
    tx: randomInt(1e6),
    rx: randomInt(1e5),
    conns: randomInt(100),
    totconns: 1,
    ereq: 0,
  });
  const members = (ids: string[]) => Object.fromEntries(ids.map((id, index) => [id, index ? 'UP' : word]));
  return {
    id: amphora,
    seq: round,
    listeners: Object.fromEntries(listeners.map(({ id }) => [id, { status: 'OPEN', stats: stats() }])),
    pools: Object.fromEntries(
      listeners.map(l => [`${l.pool}:${l.id}`, { status: 'UP', members: members(l.members) }]),
    ),
    ver: 3,
  };
}

/** As many load balancers, each with its amphora and this many listeners, pools and members in all. */
export function sketchCloud(count: number, listeners: number, members: number): HeartbeatLoadBalancer[] {
  const each = (n: number, make: () => unknown) => Array.from({ length: n }, make);
  return each(count, () => ({
    amphora: randomUUID(),
    listeners: each(listeners, () => ({
      ...{ id: randomUUID(), pool: randomUUID() },
      members: each(members / listeners, randomUUID),
    })),
  })) as HeartbeatLoadBalancer[];
}

export async function writeCloud(db: Db, cloud: readonly HeartbeatLoadBalancer[]): Promise<void> {
  for (const { amphora, listeners } of cloud) {
    const loadbalancer_id = randomUUID();
    const sketch: GraphSketch = {
      load_balancer: { id: loadbalancer_id },
      listeners: listeners.map(({ id, pool }) => ({ id, loadbalancer_id, default_pool_id: pool })),
      pools: listeners.map(({ pool }) => ({ id: pool, loadbalancer_id })),
      members: [],
      amphorae: [{ id: amphora, loadbalancer_id }],
    };
    await givenGraph(db, buildGraph(sketch));
    const rows = buildGraph({
      members: listeners.flatMap(({ pool, members }) =>
        members.map(id => ({ id, pool_id: pool, loadbalancer_id })),
      ),
    }).members;
    await db.transaction().execute(trx => insertRecords(trx, 'member', rows));
  }
}
