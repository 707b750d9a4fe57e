/** Where there is no data plane, whatever the API knows can be had; where there is one, what it lacks is refused. */
import { expect, test } from 'vitest';
import { openDatabase } from '../../src/db/open.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { LISTENER_PROTOCOLS } from '../../src/model/listener.ts';
import { POOL_PROTOCOLS } from '../../src/model/pool.ts';
import { outsideOf, SteppedClock, SystemProcess, unsettledRows } from './world.ts';

const TLS = { default_tls_container_ref: 'http://barbican.example/v1/containers/1' };

test('noop drivers serve every protocol, TLS to members, and listeners for some clients only', async () => {
  const db = await openDatabase('sqlite://');
  const system = new SystemProcess(outsideOf(db, new NoopCloud()), new SteppedClock(), 'one');
  try {
    const listeners = LISTENER_PROTOCOLS.map((protocol, i) => ({
      ...{ protocol, protocol_port: 1000 + i, allowed_cidrs: ['192.0.2.0/24'] },
      ...(protocol === 'TERMINATED_HTTPS' && TLS),
    }));
    const pools = POOL_PROTOCOLS.map(protocol => ({
      ...{ name: protocol, protocol, lb_algorithm: 'ROUND_ROBIN', tls_enabled: protocol === 'HTTP' },
      members: [{ address: '192.0.2.10', protocol_port: 80 }],
    }));
    const answer = await system.request('POST', '/loadbalancers', {
      loadbalancer: {
        ...{ vip_subnet_id: '10000000-0000-4000-8000-000000000000', project_id: 'p' },
        listeners: [
          { protocol: 'HTTP', protocol_port: 80, default_pool: { name: 'HTTP' } },
          { protocol: 'UDP', protocol_port: 80, default_pool: { name: 'UDP' } },
          ...listeners,
        ],
        pools,
      },
    });
    expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 201 });
    await system.drain();
    expect(await unsettledRows(db)).toEqual([]);
  } finally {
    await system.close();
    await db.destroy();
  }
});
