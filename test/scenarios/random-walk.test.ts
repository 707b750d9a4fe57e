/** Several clients change load balancers at random while workers reconcile; at the end the world must equal a fresh build. */
import { expect, test } from 'vitest';
import { CHILD_TABLES } from '../../src/db/children.ts';
import { enableEvents } from '../../src/db/events.ts';
import { openDatabase } from '../../src/db/open.ts';
import type { Db } from '../../src/db/schema.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { createFlavor } from './kill-steps.ts';
import { servedWorld } from './picture.ts';
import { randomFrom, seededRandom } from './random.ts';
import { freshBuild, leftovers, outsideOf, SteppedClock, SystemProcess, unsettledRows } from './world.ts';

const OPERATIONS = Number(process.env.OTTAVIA_WALK_OPERATIONS ?? 1500);
const SEED = Number(process.env.OTTAVIA_WALK_SEED ?? Date.now() % 1_000_000);
const CLIENTS = 4;

/** The VIP's, one of another network, one more of the VIP's network, none. */
const REFERENCES = ['http://secrets/1', 'http://secrets/2', 'http://secrets/3'];
const SUBNETS = [...[1, 2, 3].map(n => `${n}0000000-0000-4000-8000-000000000000`), null];
const NETWORK = '30000000-0000-4000-8000-000000000001';

test(`random changes by ${CLIENTS} clients with two workers lead to the world that a fresh build gives (seed ${SEED})`, async () => {
  const cloud = new NoopCloud();
  const db = await openDatabase('sqlite://');
  await enableEvents(db, ['target']);
  const clock = new SteppedClock();
  const outside = outsideOf(db, cloud);
  const system = new SystemProcess(outside, clock, 'one');
  const other = new SystemProcess(outside, clock, 'two');
  const flavors = [null, await createFlavor(system, 'large', { compute_flavor: 'large' })];
  for (const topology of ['SINGLE', 'ACTIVE_STANDBY'])
    flavors.push(await createFlavor(system, topology, { loadbalancer_topology: topology }));
  const statuses = new Map<number, number>();
  let walking = true;
  const work = async (worker: SystemProcess) => {
    while (walking) {
      await worker.passOverAll();
      await new Promise(setImmediate);
    }
  };
  const walk = async (client: number) => {
    const random = seededRandom(SEED * CLIENTS + client);
    for (let i = 0; i < OPERATIONS / CLIENTS; i++) {
      const status = await randomOperation(system, random, flavors);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  try {
    const workers = [work(system), work(other)];
    await Promise.all(Array.from({ length: CLIENTS }, (_, client) => walk(client)));
    walking = false;
    await Promise.all(workers);
    await system.drain();
    expect(await unsettledRows(db)).toEqual([]);
    expect(await servedWorld(db, cloud)).toEqual(await freshBuild(db));
    expect(await toldStatuses(db)).toEqual(await lastStatuses(db));
    const counts = [...statuses]
      .sort()
      .map(([status, count]) => `${count} × ${status}`)
      .join(', ');
    console.log(`random walk: seed ${SEED}, ${OPERATIONS} operations: ${counts}`);
    // A walk that was refused everything would prove nothing.
    expect((statuses.get(201) ?? 0) + (statuses.get(200) ?? 0)).toBeGreaterThan(OPERATIONS / 4);
    // Policies are for HTTP listeners only.
    expect([...statuses.keys()].filter(status => status >= 500 && status !== 501)).toEqual([]);
    const { body } = await system.request('GET', '/loadbalancers');
    for (const { id } of body.loadbalancers)
      await system.request('DELETE', `/loadbalancers/${id}?cascade=true`);
    await system.housekeeping({ spares: 0 }).keepSpares();
    await system.drain();
    expect(await leftovers(db, cloud, outside.secrets)).toEqual([]);
  } finally {
    walking = false;
    await system.close();
    await other.close();
    await db.destroy();
  }
}, 300_000);

/** One request of a client that sees the world through lists only, and so is often late; returns the status code. */
async function randomOperation(
  system: SystemProcess,
  random: () => number,
  flavors: readonly (string | null)[],
): Promise<number> {
  const pick = async (path: string): Promise<string> => {
    const { body } = await system.request('GET', path);
    const items = (Object.values(body ?? {})[0] ?? []) as { id: string }[];
    return items.length > 0 ? randomFrom(random, items).id : '00000000-0000-4000-8000-00000000dead';
  };
  const number = (below: number) => Math.floor(random() * below);
  const create = () =>
    system.request('POST', '/loadbalancers', {
      loadbalancer: {
        ...{ name: `lb${number(9)}`, project_id: 'p' },
        ...{ vip_network_id: NETWORK, vip_subnet_id: SUBNETS[0] },
      },
    });
  // Where there is none, all else would be refused, and that for long.
  const { body: all } = await system.request('GET', '/loadbalancers');
  if (all.loadbalancers.length === 0) return (await create()).status;
  const OPERATION: [weight: number, run: () => Promise<{ status: number }>][] = [
    [number(8) === 0 ? 1 : 0.2, create],
    [
      1,
      async () =>
        system.request('PUT', `/loadbalancers/${await pick('/loadbalancers')}`, {
          loadbalancer: { admin_state_up: number(4) > 0 },
        }),
    ],
    [
      0.5,
      async () =>
        system.request('PUT', `/loadbalancers/${await pick('/loadbalancers')}`, {
          loadbalancer: { flavor_id: randomFrom(random, flavors) },
        }),
    ],
    [
      0.15,
      async () => system.request('DELETE', `/loadbalancers/${await pick('/loadbalancers')}?cascade=true`),
    ],
    [
      2,
      async () =>
        system.request('POST', '/listeners', {
          listener: {
            name: `l${number(99)}`,
            loadbalancer_id: await pick('/loadbalancers'),
            protocol_port: 80 + number(6),
            ...randomFrom<object>(random, [
              ...['HTTP', 'TCP', 'HTTPS'].map(protocol => ({ protocol })),
              { protocol: 'TERMINATED_HTTPS', default_tls_container_ref: REFERENCES[number(3)] },
            ]),
            allowed_cidrs: randomFrom(random, [null, ['192.0.2.0/24', '198.51.100.7/32']]),
          },
        }),
    ],
    [
      1,
      async () =>
        system.request('PUT', `/listeners/${await pick('/listeners')}`, {
          listener: { connection_limit: number(100), admin_state_up: number(4) > 0 },
        }),
    ],
    [
      1,
      async () =>
        system.request('PUT', `/listeners/${await pick('/listeners')}`, {
          listener: { default_pool_id: number(3) > 0 ? await pick('/pools') : null },
        }),
    ],
    [
      0.5,
      async () =>
        system.request('PUT', `/listeners/${await pick('/listeners')}`, {
          listener: { default_tls_container_ref: REFERENCES[number(3)] },
        }),
    ],
    [0.7, async () => system.request('DELETE', `/listeners/${await pick('/listeners')}`)],
    [
      2,
      async () =>
        system.request('POST', '/pools', {
          pool: {
            name: `p${number(99)}`,
            ...(number(2) > 0
              ? { listener_id: await pick('/listeners') }
              : { loadbalancer_id: await pick('/loadbalancers') }),
            protocol: randomFrom(random, ['HTTP', 'TCP', 'PROXY']),
            lb_algorithm: randomFrom(random, ['ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP']),
          },
        }),
    ],
    [
      1,
      async () =>
        system.request('PUT', `/pools/${await pick('/pools')}`, { pool: { admin_state_up: number(4) > 0 } }),
    ],
    [0.5, async () => system.request('DELETE', `/pools/${await pick('/pools')}`)],
    [
      4,
      async () =>
        system.request('POST', `/pools/${await pick('/pools')}/members`, {
          member: {
            name: `m${number(99)}`,
            address: `192.0.2.${1 + number(9)}`,
            protocol_port: 80,
            subnet_id: randomFrom(random, SUBNETS),
          },
        }),
    ],
    [
      2,
      async () => {
        const pool = await pick('/pools');
        return system.request('PUT', `/pools/${pool}/members/${await pick(`/pools/${pool}/members`)}`, {
          member: { weight: number(5) },
        });
      },
    ],
    [
      1,
      async () => {
        const pool = await pick('/pools');
        return system.request('DELETE', `/pools/${pool}/members/${await pick(`/pools/${pool}/members`)}`);
      },
    ],
    [
      1,
      async () =>
        system.request('PUT', `/pools/${await pick('/pools')}/members`, {
          members: Array.from({ length: number(4) }, (_, i) => ({
            address: `192.0.2.${20 + i}`,
            protocol_port: 80 + number(2),
          })),
        }),
    ],
    [
      1,
      async () =>
        system.request('POST', '/healthmonitors', {
          healthmonitor: {
            pool_id: await pick('/pools'),
            type: randomFrom(random, ['HTTP', 'TCP', 'PING']),
            delay: 1,
            timeout: 1,
            max_retries: 2,
          },
        }),
    ],
    [0.5, async () => system.request('DELETE', `/healthmonitors/${await pick('/healthmonitors')}`)],
    [0.3, async () => system.request('PUT', `/loadbalancers/${await pick('/loadbalancers')}/failover`)],
    [0.3, async () => system.request('PUT', `/octavia/amphorae/${await pick('/octavia/amphorae')}/failover`)],
    [0.3, async () => system.request('PUT', `/octavia/amphorae/${await pick('/octavia/amphorae')}/config`)],
    [0.5, () => keepHouse(system, number(3))],
    [
      2,
      async () =>
        system.request('POST', '/l7policies', {
          l7policy: {
            listener_id: await pick('/listeners'),
            ...randomFrom(random, [
              { action: 'REJECT' },
              { action: 'REDIRECT_TO_URL', redirect_url: 'http://a.example/%41' },
              { action: 'REDIRECT_TO_POOL', redirect_pool_id: await pick('/pools') },
            ]),
            position: 1 + number(4),
          },
        }),
    ],
    [
      1,
      async () =>
        system.request('PUT', `/l7policies/${await pick('/l7policies')}`, {
          l7policy: { position: 1 + number(4), admin_state_up: number(4) > 0 },
        }),
    ],
    [0.5, async () => system.request('DELETE', `/l7policies/${await pick('/l7policies')}`)],
    [
      3,
      async () =>
        system.request('POST', `/l7policies/${await pick('/l7policies')}/rules`, {
          rule: { type: 'PATH', compare_type: 'REGEX', value: `^/${number(9)}`, invert: number(2) > 0 },
        }),
    ],
    [
      0.5,
      async () => {
        const rules = `/l7policies/${await pick('/l7policies')}/rules`;
        return system.request('DELETE', `${rules}/${await pick(rules)}`);
      },
    ],
  ];
  const total = OPERATION.reduce((sum, [weight]) => sum + weight, 0);
  let at = random() * total;
  for (const [weight, run] of OPERATION) {
    at -= weight;
    if (at <= 0) return (await run()).status;
  }
  return (await OPERATION[0]![1]()).status;
}

/** What housekeeping does from time to time, and the worker after it. */
async function keepHouse(system: SystemProcess, spares: number): Promise<{ status: number }> {
  const farAhead = 2 * 365 * 86_400_000;
  const housekeeping = system.housekeeping({ spares, certificateBufferMs: farAhead, certificatesAtOnce: 1 });
  await housekeeping.renewCertificates();
  await housekeeping.keepSpares();
  await system.reconcileUnowned();
  return { status: 202 };
}

/** What the events of everything that is there end with; each begins where the one before ended, and none is missing. */
async function toldStatuses(db: Db): Promise<Map<string, object>> {
  const rows = await db.selectFrom('outbox').selectAll().orderBy('sequence').execute();
  const told = new Map<string, object>();
  const counts = new Map<string, number>();
  for (const { body, sequence, loadbalancer_id: id } of rows) {
    expect(sequence).toBe((counts.get(id) ?? 0) + 1);
    counts.set(id, sequence);
    const { resource_id, previous, provisioning_status, operating_status } = JSON.parse(body);
    expect(previous).toEqual(told.get(resource_id) ?? null);
    told.set(resource_id, { provisioning_status, operating_status });
    if (provisioning_status === 'DELETED') told.delete(resource_id);
  }
  return told;
}

async function lastStatuses(db: Db): Promise<Map<string, object>> {
  const last = new Map<string, object>();
  for (const table of [...CHILD_TABLES, 'load_balancer'] as const) {
    const rows = await db
      .selectFrom(table as 'listener')
      .select(['id', 'provisioning_status', 'operating_status'])
      .where('provisioning_status', '<>', 'DELETED')
      .execute();
    for (const { id, ...statuses } of rows) last.set(id, statuses);
  }
  return last;
}
