/** Certificates that cannot be loaded: who suffers, who does not, and that it heals by itself. */
import { expect, test } from 'vitest';
import { openDatabase } from '../../src/db/open.ts';
import { NoopSecrets } from '../../src/drivers/certificates/noop-secrets.ts';
import { NoopCloud } from '../../src/drivers/noop-cloud.ts';
import { Fault } from '../../src/lib/errors.ts';
import { servedWorld } from './picture.ts';
import { freshBuild, outsideOf, SteppedClock, SystemProcess, unsettledRows } from './world.ts';

class FragileSecrets extends NoopSecrets {
  readonly broken = new Set<string>();
  reads = 0;

  override async getBundle(reference = '') {
    this.reads++;
    if (this.broken.has(reference)) throw new Fault('not-found', 'It is gone.');
    return super.getBundle();
  }
}

test('a listener and a pool whose certificates cannot be loaded wait in ERROR while the others serve', async () => {
  const cloud = new NoopCloud();
  const db = await openDatabase('sqlite://');
  const clock = new SteppedClock();
  const secrets = new FragileSecrets();
  const system = new SystemProcess({ ...outsideOf(db, cloud), secrets }, clock, 'one');
  /** The statuses of all, by name. */
  const statuses = async () => {
    const found: Record<string, string> = {};
    for (const path of ['loadbalancers', 'listeners', 'pools'])
      for (const row of (await system.request('GET', `/${path}`)).body[path])
        found[row.name] = row.provisioning_status;
    return found;
  };
  const rest = async (path: string, name: string) => {
    const { body } = await system.request('GET', `${path}?name=${name}`);
    return (Object.values(body)[0] as Record<string, string>[])[0]!;
  };
  /** One look after any back-off. */
  const pass = async () => {
    clock.step(61_000);
    await system.passOverAll();
  };
  try {
    const tls = (name: string, protocol_port: number, reference: string) => ({
      ...{ name, protocol: 'TERMINATED_HTTPS', protocol_port, default_tls_container_ref: reference },
    });
    const pool = { name: 'pool', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', tls_enabled: true };
    await system.request('POST', '/loadbalancers', {
      loadbalancer: {
        ...{ name: 'lb', project_id: 'p', vip_subnet_id: '10000000-0000-4000-8000-000000000000' },
        listeners: [tls('bad', 443, 'http://secrets/bad'), tls('good', 444, 'http://secrets/good')],
        pools: [{ ...pool, tls_container_ref: 'http://secrets/pool' }],
      },
    });
    const { id: poolId } = await rest('/pools', 'pool');
    const { id: goodId } = await rest('/listeners', 'good');
    await system.request('PUT', `/listeners/${goodId}`, { listener: { default_pool_id: poolId } });
    for (const name of ['bad', 'pool']) secrets.broken.add(`http://secrets/${name}`);
    await pass();
    const waiting = { lb: 'ACTIVE', bad: 'ERROR', good: 'ACTIVE', pool: 'ERROR' };
    expect(await statuses()).toEqual(waiting);
    const { id, error_reason } = await rest('/loadbalancers', 'lb');
    expect(error_reason).toMatch(/listener .* is not served.*bad.*It is gone.*pool .* is not served/);

    // It goes on being tried, and what others ask for is done.
    await system.request('PUT', `/listeners/${goodId}`, { listener: { connection_limit: 7 } });
    expect(await statuses()).toMatchObject({ lb: 'PENDING_UPDATE', good: 'PENDING_UPDATE' });
    for (let i = 0; i < 3; i++) {
      await pass();
      expect(await statuses()).toEqual(waiting);
    }
    expect(JSON.stringify(await servedWorld(db, cloud))).toContain('maxconn 7');

    secrets.broken.clear();
    await pass();
    expect(await statuses()).toEqual({ lb: 'ACTIVE', bad: 'ACTIVE', good: 'ACTIVE', pool: 'ACTIVE' });
    expect((await rest('/loadbalancers', 'lb')).error_reason).toBeUndefined();
    expect(await unsettledRows(db)).toEqual([]);
    expect(await servedWorld(db, cloud)).toEqual(await freshBuild(db));

    // What the amphora has is not asked for again.
    const reads = secrets.reads;
    await system.request('PUT', `/listeners/${goodId}`, { listener: { connection_limit: 8 } });
    await system.drain();
    expect(secrets.reads).toBe(reads);

    // It is what one on its way out needs no more.
    secrets.broken.add('http://secrets/bad');
    await system.request('DELETE', `/listeners/${(await rest('/listeners', 'bad')).id}`);
    await system.request('PUT', `/loadbalancers/${id}/failover`);
    await system.drain();
    expect(await statuses()).toEqual({ lb: 'ACTIVE', good: 'ACTIVE', pool: 'ACTIVE' });
    const used = [...secrets.consumers].filter(([, consumers]) => consumers.size > 0);
    expect(used.map(([reference]) => reference).sort()).toEqual([
      'http://secrets/good',
      'http://secrets/pool',
    ]);
  } finally {
    await system.close();
    await db.destroy();
  }
});

test('a worker does not rely on what an amphora had before another worker passed', async () => {
  const cloud = new NoopCloud();
  const db = await openDatabase('sqlite://');
  const clock = new SteppedClock();
  const open = (name: string) => new SystemProcess(outsideOf(db, cloud), clock, name);
  const [one, two] = [open('one'), open('two')];
  try {
    const listener = { name: 'l', protocol: 'TERMINATED_HTTPS', protocol_port: 443 };
    const created = await one.request('POST', '/loadbalancers', {
      loadbalancer: {
        ...{ name: 'lb', project_id: 'p', vip_subnet_id: '10000000-0000-4000-8000-000000000000' },
        listeners: [{ ...listener, default_tls_container_ref: 'http://secrets/a' }],
      },
    });
    const { id, listeners } = created.body.loadbalancer;
    await one.passOverAll();
    for (const [worker, admin_state_up] of [
      [two, false],
      [one, true],
      [one, false],
      [two, true],
    ] as const) {
      await worker.request('PUT', `/listeners/${listeners[0].id}`, { listener: { admin_state_up } });
      await worker.passOverAll();
      const { body } = await worker.request('GET', `/loadbalancers/${id}`);
      expect(body.loadbalancer).toMatchObject({ provisioning_status: 'ACTIVE' });
    }
    expect(await db.selectFrom('pass').select('reason').where('outcome', '=', 'failed').execute()).toEqual(
      [],
    );
  } finally {
    await Promise.all([one.close(), two.close()]);
    await db.destroy();
  }
});
