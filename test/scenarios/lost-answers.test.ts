/** Effects whose answers were lost, and that nobody wants any more when the next pass looks. */
import { expect, test } from 'vitest';
import { openDatabase } from '../../src/db/open.ts';
import type { PortSpec } from '../../src/drivers/network/network.ts';
import { NoopNetwork } from '../../src/drivers/network/noop.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { servedWorld } from './picture.ts';
import { freshBuild, outsideOf, SteppedClock, SystemProcess } from './world.ts';

const VIP_SUBNET = '10000000-0000-4000-8000-000000000000';
const OTHER_SUBNET = '30000000-0000-4000-8000-000000000000';
const NETWORK = '30000000-0000-4000-8000-000000000001';
const OTHER_NETWORK = '10000000-0000-4000-8000-000000000001';

class ForgetfulNetwork extends NoopNetwork {
  loses: 'ensurePort' | 'deletePort' | undefined;

  override async ensurePort(spec: PortSpec) {
    const port = await super.ensurePort(spec);
    const isAsked = spec.fixed_ips.some(ip => ip.subnet_id === OTHER_SUBNET);
    if (isAsked && this.loses === 'ensurePort') throw new Error('The answer was lost');
    return port;
  }

  override async deletePort(name: string) {
    if (this.loses === 'deletePort') throw new Error('The request was lost');
    await super.deletePort(name);
  }
}

const MEMBER = { address: '192.0.2.1', protocol_port: 80, subnet_id: OTHER_SUBNET };

async function withPool(
  network_id: string,
  run: (system: SystemProcess, network: ForgetfulNetwork, members: string) => Promise<void>,
): Promise<void> {
  const cloud = new NoopCloud();
  const db = await openDatabase('sqlite://');
  const network = new ForgetfulNetwork(cloud);
  const system = new SystemProcess({ ...outsideOf(db, cloud), network }, new SteppedClock(), 'one');
  try {
    const { body } = await system.request('POST', '/loadbalancers', {
      loadbalancer: {
        ...{ name: 'lb', project_id: 'p', vip_network_id: network_id, vip_subnet_id: VIP_SUBNET },
        pools: [{ name: 'pool', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' }],
      },
    });
    await system.drain();
    await run(system, network, `/pools/${body.loadbalancer.pools[0].id}/members`);
    await system.drain();
    expect(await servedWorld(db, cloud)).toEqual(await freshBuild(db));
  } finally {
    await system.close();
    await db.destroy();
  }
}

test('an address for a member that was deleted before the row could tell of it is given back', () =>
  withPool(NETWORK, async (system, network, members) => {
    const added = await system.request('POST', members, { member: MEMBER });
    network.loses = 'ensurePort';
    await system.passOverAll();
    await system.request('DELETE', `${members}/${added.body.member.id}`);
  }));

test('a port that is wanted again while it is given back is plugged again', () =>
  withPool(OTHER_NETWORK, async (system, network, members) => {
    const added = await system.request('POST', members, { member: MEMBER });
    await system.drain();
    await system.request('DELETE', `${members}/${added.body.member.id}`);
    network.loses = 'deletePort';
    await system.passOverAll();
    await system.request('POST', members, { member: MEMBER });
    network.loses = undefined;
  }));
