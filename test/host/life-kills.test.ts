/** SIGKILL at random moments of a creation and of a deletion: what was accepted is finished, and nothing is left over. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { CliError } from '../../src/cli/cli-error.ts';
import type { Resource } from '../../src/cli/client.ts';
import { seededRandom } from '../scenarios/random.ts';
import { ask } from './http-client.ts';
import { handPicked, MemberHost } from './member-host.ts';
import { SystemProcess, titled, trafficObstacle } from './real-system.ts';
import { MEMBER_PORTS, openMembers } from './web-load-balancer.ts';

const KILLS = Number(process.env.KILLS ?? 20);
const SEED = Number(process.env.SEED ?? 1);
/** A creation takes about as long as this on an idle machine. */
const LONGEST_MS = 800;

/** What the API has accepted of one load balancer, in its order, before the process died. */
interface Accepted {
  lb?: Resource;
  listener?: Resource;
  pool?: Resource;
  member?: Resource;
  isDeletionSent?: boolean;
}

/** False when the process died under the request: nobody knows then whether it was accepted. */
async function survives(run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (error instanceof CliError && error.message.startsWith('Cannot reach')) return false;
    throw error;
  }
}

/** Sends the whole creation, request by request, and returns when it is sent or the process is dead. */
async function create(system: SystemProcess, members: MemberHost, accepted: Accepted): Promise<void> {
  const { api, subnet } = system;
  await survives(async () => {
    accepted.lb = await api.create('loadbalancers', { vip_subnet_id: subnet.id });
    accepted.listener = await api.create('listeners', {
      ...{ loadbalancer_id: accepted.lb.id, protocol: 'HTTP', protocol_port: 80 },
    });
    accepted.pool = await api.create('pools', {
      ...{ listener_id: accepted.listener.id, protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' },
    });
    accepted.member = await api.create(`pools/${accepted.pool.id}/members`, {
      ...{ address: members.addresses[0], protocol_port: MEMBER_PORTS.a, subnet_id: subnet.id },
    });
  });
}

/** Fails unless all that was accepted is there, ACTIVE, and carries traffic as far as it was made. */
async function expectFinished({ api }: SystemProcess, accepted: Accepted): Promise<void> {
  const { lb, listener, pool, member } = accepted;
  if (!lb) return;
  const { vip_address } = await api.active(lb.id);
  expect(vip_address).toBe(lb.vip_address);
  const paths = [
    listener && `listeners/${listener.id}`,
    pool && `pools/${pool.id}`,
    member && `pools/${pool!.id}/members/${member.id}`,
  ];
  for (const path of paths.filter(path => path !== undefined)) {
    expect(await api.show(path)).toMatchObject({ provisioning_status: 'ACTIVE' });
  }
  if (member) expect((await ask(`http://${vip_address}/r/0`)).body).toBe('a /r/0');
  // A member whose answer never arrived may be there.
  else if (listener)
    expect(pool ? [200, 503] : [503]).toContain((await ask(`http://${vip_address}/r/0`)).status);
}

test.skipIf(trafficObstacle)(
  titled(`SIGKILL at ${KILLS} random moments of creations and deletions (seed ${SEED})`),
  async () => {
    const random = seededRandom(SEED);
    await using system = await SystemProcess.open();
    await using members = await MemberHost.open([system.subnet], [handPicked(system.subnet, 0)]);
    await openMembers(members);
    const { api } = system;
    const empty = system.hostState();
    const { token: _, ...emptyRows } = system.countRows();
    let last: Accepted = {};
    const reached = { nothing: 0, lb: 0, listener: 0, pool: 0, member: 0 };
    for (let round = 0; round < KILLS; round++) {
      const accepted: Accepted = {};
      // The requests themselves are over soon: early moments are tried more often than late ones.
      const killAfterMs = random() ** 2 * LONGEST_MS;
      // The one before is deleted while this one is created, so that both may be hit.
      const deleted = survives(async () => {
        if (last.lb) await api.remove(`loadbalancers/${last.lb.id}?cascade=true`);
        last.isDeletionSent = true;
      });
      const created = create(system, members, accepted);
      await sleep(killAfterMs);
      await system.end('SIGKILL');
      await Promise.all([created, deleted]);
      await system.start();
      const furthest = (['member', 'pool', 'listener', 'lb'] as const).find(part => accepted[part]);
      reached[furthest ?? 'nothing']++;
      // A deletion that was accepted is carried out; one that was cut off may be sent again.
      if (last.lb && !last.isDeletionSent) {
        const { id } = last.lb;
        if ((await api.list('loadbalancers')).some(lb => lb.id === id && !isLeaving(lb))) {
          await api.remove(`loadbalancers/${id}?cascade=true`);
        }
      }
      if (last.lb) await api.gone(last.lb.id);
      await expectFinished(system, accepted).catch(cause => {
        const { id } = accepted.lb!;
        throw new Error(`round ${round}, killed after ${killAfterMs.toFixed(0)} ms, load balancer ${id}`, {
          cause,
        });
      });
      last = accepted;
    }
    // Those whose answer never arrived are there as well, or are not; who is there is ACTIVE and can be deleted.
    for (const { id } of await api.list('loadbalancers')) {
      await api.active(id);
      await api.remove(`loadbalancers/${id}?cascade=true`);
      await api.gone(id);
    }
    expect(system.hostState()).toEqual(empty);
    const { load_balancer, amphora, pass, token, ...rows } = system.countRows();
    expect(rows).toEqual(emptyRows);
    console.log(`${KILLS} kills; the last thing accepted before each was: ${JSON.stringify(reached)}`);
  },
  60_000 + KILLS * 6000,
);

const isLeaving = (lb: Resource): boolean => lb.provisioning_status === 'PENDING_DELETE';
