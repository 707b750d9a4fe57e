/** The process dies at every outside call and every transaction; the next one finishes the work, or a delete leaves nothing. */
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/db/open.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { type Moment, Mortal } from './mortal.ts';
import {
  freshBuild,
  leftovers,
  outsideOf,
  SteppedClock,
  SystemProcess,
  servedWorld,
  unsettledRows,
} from './world.ts';

const SUBNET = '10000000-0000-4000-8000-000000000000';
const MEMBER_SUBNET = '20000000-0000-4000-8000-000000000000';
/** In the VIP's network; the network in memory knows that from the last digit. */
const NEIGHBOUR_SUBNET = '30000000-0000-4000-8000-000000000000';
const NETWORK = '30000000-0000-4000-8000-000000000001';

/** What a user's session does, as requests that follow each other with the worker in between. */
interface Scenario {
  name: string;
  /** Done by a process that lives. */
  given?: (system: SystemProcess) => Promise<void>;
  /** Done by the process that dies; ids come from the rows, because an answer may never have come. */
  when: (system: SystemProcess) => Promise<void>;
}

async function createTree(system: SystemProcess): Promise<void> {
  const lb = await system.request('POST', '/loadbalancers', {
    loadbalancer: { name: 'lb', vip_network_id: NETWORK, vip_subnet_id: SUBNET, project_id: 'p' },
  });
  await system.drain();
  const { id } = lb.body.loadbalancer;
  const listener = await system.request('POST', '/listeners', {
    listener: {
      ...{ name: 'l', loadbalancer_id: id, protocol: 'HTTP', protocol_port: 80 },
      allowed_cidrs: ['192.0.2.0/24'],
    },
  });
  const pool = await system.request('POST', '/pools', {
    pool: {
      name: 'p',
      listener_id: listener.body.listener.id,
      protocol: 'HTTP',
      lb_algorithm: 'ROUND_ROBIN',
    },
  });
  await system.drain();
  const { id: poolId } = pool.body.pool;
  await system.request('POST', `/pools/${poolId}/members`, {
    member: { name: 'm1', address: '192.0.2.10', protocol_port: 80, subnet_id: MEMBER_SUBNET },
  });
  await system.request('POST', `/pools/${poolId}/members`, {
    member: { name: 'm2', address: '192.0.2.11', protocol_port: 80, subnet_id: NEIGHBOUR_SUBNET },
  });
  await system.request('POST', '/healthmonitors', {
    healthmonitor: { name: 'h', pool_id: poolId, type: 'HTTP', delay: 1, timeout: 1, max_retries: 1 },
  });
  const addPolicy = (set: object) =>
    system.request('POST', '/l7policies', { l7policy: { listener_id: listener.body.listener.id, ...set } });
  await addPolicy({ name: 'a', action: 'REJECT' });
  const policy = await addPolicy({
    ...{ name: 'b', action: 'REDIRECT_TO_POOL', redirect_pool_id: poolId, position: 1 },
  });
  await system.request('POST', `/l7policies/${policy.body.l7policy.id}/rules`, {
    rule: { type: 'PATH', compare_type: 'STARTS_WITH', value: '/b' },
  });
  await system.drain();
}

const idOf = async (system: SystemProcess, path: string, name: string): Promise<string> => {
  const { body } = await system.request('GET', `${path}?name=${name}`);
  return (Object.values(body)[0] as { id: string }[])[0]!.id;
};

async function updateTree(system: SystemProcess): Promise<void> {
  const pool = await idOf(system, '/pools', 'p');
  await system.request('PUT', `/pools/${pool}/members`, {
    members: [
      { name: 'm2', address: '192.0.2.11', protocol_port: 80, weight: 7 },
      { name: 'm3', address: '192.0.2.12', protocol_port: 80 },
    ],
  });
  await system.drain();
  const monitor = await idOf(system, '/healthmonitors', 'h');
  await system.request('DELETE', `/healthmonitors/${monitor}`);
  await system.request('DELETE', `/l7policies/${await idOf(system, '/l7policies', 'b')}`);
  await system.request('PUT', `/pools/${pool}`, { pool: { lb_algorithm: 'LEAST_CONNECTIONS' } });
  await system.drain();
}

async function createTls(system: SystemProcess): Promise<void> {
  const tls = { protocol: 'TERMINATED_HTTPS', protocol_port: 443 };
  const listener = { name: 'tls', ...tls, default_tls_container_ref: 'http://secrets/1' };
  await system.request('POST', '/loadbalancers', {
    loadbalancer: { name: 'lb', vip_subnet_id: SUBNET, project_id: 'p', listeners: [listener] },
  });
  await system.drain();
}

async function changeCertificates(system: SystemProcess): Promise<void> {
  await system.request('PUT', `/listeners/${await idOf(system, '/listeners', 'tls')}`, {
    listener: { default_tls_container_ref: 'http://secrets/2' },
  });
  await system.drain();
}

async function failOver(system: SystemProcess): Promise<void> {
  const lb = await idOf(system, '/loadbalancers', 'lb');
  await system.request('PUT', `/loadbalancers/${lb}/failover`);
  await system.drain();
  const [amphora] = (await system.request('GET', '/octavia/amphorae')).body.amphorae;
  await system.request('PUT', `/octavia/amphorae/${amphora.id}/config`);
  await system.drain();
}

async function createPair(system: SystemProcess): Promise<void> {
  const { body } = await system.request('POST', '/flavorprofiles', {
    flavorprofile: {
      ...{ name: 'p', provider_name: 'amphora', flavor_data: '{"loadbalancer_topology": "ACTIVE_STANDBY"}' },
    },
  });
  const flavor = await system.request('POST', '/flavors', {
    flavor: { name: 'pair', flavor_profile_id: body.flavorprofile.id },
  });
  const listener = { name: 'l', protocol: 'HTTP', protocol_port: 80 };
  const placed = { vip_subnet_id: SUBNET, project_id: 'p', flavor_id: flavor.body.flavor.id };
  await system.request('POST', '/loadbalancers', {
    loadbalancer: { name: 'lb', ...placed, listeners: [listener] },
  });
  await system.drain();
}

async function failOverHalf(system: SystemProcess): Promise<void> {
  const [, master] = (await system.request('GET', '/octavia/amphorae?sort=role')).body.amphorae;
  await system.request('PUT', `/octavia/amphorae/${master.id}/failover`);
  await system.drain();
}

async function createWithSpare(system: SystemProcess): Promise<void> {
  await system.housekeeping({ spares: 2 }).keepSpares();
  await system.drain();
  await createTls(system);
  await system.housekeeping({ spares: 1 }).keepSpares();
  await system.reconcileUnowned();
}

async function renewCertificates(system: SystemProcess): Promise<void> {
  const farAhead = 2 * 365 * 86_400_000;
  await system.housekeeping({ spares: 1, certificateBufferMs: farAhead }).renewCertificates();
  await system.drain();
}

async function removeAll(system: SystemProcess): Promise<void> {
  const { body } = await system.request('GET', '/loadbalancers');
  for (const { id } of body.loadbalancers)
    await system.request('DELETE', `/loadbalancers/${id}?cascade=true`);
  await system.housekeeping({ spares: 0 }).keepSpares();
  await system.drain();
}

const SCENARIOS: Scenario[] = [
  { name: 'create', when: createTree },
  { name: 'update', given: createTree, when: updateTree },
  { name: 'change of certificates', given: createTls, when: changeCertificates },
  { name: 'failover', given: createTree, when: failOver },
  { name: 'creation of a pair', when: createPair },
  { name: 'failover of a pair', given: createPair, when: failOver },
  { name: 'failover of a half', given: createPair, when: failOverHalf },
  { name: 'spares', when: createWithSpare },
  { name: 'renewal of certificates', given: createWithSpare, when: renewCertificates },
  { name: 'delete', given: createTree, when: removeAll },
];

interface Run {
  calls: string[];
  died: boolean;
  unsettled: string[];
  served: unknown;
  fresh: unknown;
  leftAfterDelete: string[];
}

/** Runs a scenario in a process that may die; another one takes over, and at last deletes everything. */
async function run(scenario: Scenario, mortal: Mortal, ending: 'finish' | 'delete'): Promise<Run> {
  const cloud = new NoopCloud();
  const db = await openDatabase('sqlite://');
  const clock = new SteppedClock();
  const outside = outsideOf(db, cloud);
  const healthy = new SystemProcess(outside, clock, 'healthy');
  const doomed = new SystemProcess(mortal.wrap(outside), clock, 'doomed');
  try {
    await scenario.given?.(healthy);
    // What a dead process answered, if anything, is nothing to go by.
    await scenario.when(doomed).catch(error => {
      if (!mortal.dead) throw error;
    });
    // Longer than the lease of the dead: its work is free to be taken.
    clock.step(120_000);
    let pictures = { unsettled: [] as string[], served: undefined as unknown, fresh: undefined as unknown };
    if (ending === 'finish') {
      await healthy.drain();
      pictures = {
        unsettled: await unsettledRows(db),
        served: await servedWorld(db, cloud),
        fresh: await freshBuild(db),
      };
    }
    await removeAll(healthy);
    return {
      calls: mortal.calls,
      died: mortal.dead,
      ...pictures,
      leftAfterDelete: await leftovers(db, cloud, outside.secrets),
    };
  } finally {
    await healthy.close();
    await doomed.close();
    await db.destroy();
  }
}

describe.each(SCENARIOS)('a process that dies during $name', scenario => {
  test('is followed by one that finishes what was accepted, and a delete leaves nothing', async () => {
    const undisturbed = await run(scenario, new Mortal(), 'finish');
    expect(undisturbed.calls.length).toBeGreaterThan(5);
    let tried = 0;
    for (let call = 0; call < undisturbed.calls.length; call++) {
      for (const moment of ['before', 'after'] satisfies Moment[]) {
        for (const ending of ['finish', 'delete'] as const) {
          const at = `killed ${moment} call ${call} (${undisturbed.calls[call]}), then ${ending}`;
          const { died, unsettled, served, fresh, leftAfterDelete } = await run(
            scenario,
            new Mortal({ call, moment }),
            ending,
          );
          expect(died, at).toBe(true);
          expect(unsettled, at).toEqual([]);
          expect(served, at).toEqual(fresh);
          expect(leftAfterDelete, at).toEqual([]);
          tried++;
        }
      }
    }
    console.log(
      `kill at every step, ${scenario.name}: ${tried} crash points tried over ${undisturbed.calls.length} calls`,
    );
  }, 300_000);
});
