import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DatabaseHealth } from '../db/health.ts';
import type { Db } from '../db/schema.ts';
import { sumStatistics } from '../db/statistics.ts';
import { givenDatabase, givenGraph } from '../db/testing.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import type { Log, LogFields } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import { until } from '../lib/until.fixture.ts';
import { buildGraph, type GraphSketch, idOf } from '../model/graph.fixture.ts';
import { InProcessQueue } from '../queue/in-process.ts';
import { sealHeartbeat } from '../wire/heartbeat-codec.ts';
import { HealthManager } from './health-manager.ts';
import { storeWith } from './health-store.fixture.ts';
import type { HealthStore } from './health-store.ts';
import { HEARTBEAT_KEY, type HeartbeatSketch, packetOf } from './heartbeat.fixture.ts';
import { OverdueWatch } from './overdue.ts';

const [A1, A2] = [idOf('amphora', 1), idOf('amphora', 2)];
const [L1, P1, M1] = [idOf('listener', 1), idOf('pool', 1), idOf('member', 1)];

let db: Db & AsyncDisposable;
let manager: HealthManager;
let sender: Socket;
let logged: { level: string; fields: LogFields; message: string }[];
let nudged: string[];

beforeEach(async () => {
  db = await givenDatabase();
  sender = createSocket('udp4');
  logged = [];
  nudged = [];
});
afterEach(async () => {
  await manager.stop();
  sender.close();
  await once(sender, 'close');
  await db[Symbol.asyncDispose]();
});

function recordingLog(): Log {
  const at = (level: string) => (fields: LogFields, message: string) =>
    logged.push({ level, fields, message });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

async function start(
  sketch: GraphSketch,
  store: HealthStore = new DatabaseHealth(db),
  clock: Clock = systemClock,
): Promise<void> {
  await givenGraph(db, buildGraph(sketch));
  const queue = new InProcessQueue();
  queue.consume(id => nudged.push(id));
  manager = new HealthManager(
    {
      bindIp: '127.0.0.1',
      bindPort: 0,
      keys: [HEARTBEAT_KEY],
      heartbeatIntervalMs: 10_000,
      heartbeatTimeoutMs: 60_000,
    },
    { store, queue, clock, log: recordingLog() },
  );
  await manager.start();
}

function send(packet: Buffer): Promise<void> {
  return new Promise((resolve, reject) =>
    sender.send(packet, manager.address().port, '127.0.0.1', error => (error ? reject(error) : resolve())),
  );
}
const heartbeat = (sketch: HeartbeatSketch) => send(packetOf(sketch));
const statusOf = async (table: 'load_balancer' | 'listener' | 'pool' | 'member') =>
  (
    await db
      .selectFrom(table as 'listener')
      .select('operating_status')
      .executeTakeFirstOrThrow()
  ).operating_status;
const healthRows = () => db.selectFrom('amphora_health').selectAll().orderBy('amphora_id').execute();
const total = async () => (await sumStatistics(db, { listener_id: L1 })).total_connections;

const offline = { operating_status: 'OFFLINE' } as const;
const basic: GraphSketch = {
  load_balancer: offline,
  listeners: [{ ...offline, default_pool_id: P1 }],
  pools: [offline],
  members: [offline],
};
const healthy: HeartbeatSketch = {
  listeners: { [L1]: 'OPEN' },
  pools: { [`${P1}:${L1}`]: ['UP', { [M1]: 'UP' }] },
  stats: { [L1]: { tx: 10, rx: 20, conns: 1, totconns: 2, ereq: 3 } },
};

describe('a heartbeat', () => {
  test('makes statuses, counters and life', async () => {
    await start(basic);
    await heartbeat(healthy);
    await until(async () => expect(await healthRows()).toHaveLength(1));
    expect(await statusOf('load_balancer')).toBe('ONLINE');
    expect(await statusOf('listener')).toBe('ONLINE');
    expect(await statusOf('pool')).toBe('ONLINE');
    expect(await statusOf('member')).toBe('ONLINE');
    expect(await sumStatistics(db, { listener_id: L1 })).toEqual({
      bytes_in: 20,
      bytes_out: 10,
      active_connections: 1,
      total_connections: 2,
      request_errors: 3,
    });
    expect(logged).toEqual([]);
  });

  test('that misses a listener does not keep the amphora alive, but says what it says', async () => {
    await start(basic);
    await heartbeat({ listeners: {}, pools: {} });
    await until(async () => expect(await statusOf('listener')).toBe('ERROR'));
    expect(await healthRows()).toEqual([]);
    expect(logged.map(l => l.fields)).toEqual([{ amphora_id: A1, reported: 0, expected: 1, times: 1 }]);
  });

  test('of a hundred at once, the last one decides and every counter counts', async () => {
    await start(basic);
    for (let i = 1; i <= 100; i++) {
      const members = { [M1]: i % 2 === 0 ? 'UP' : 'DOWN' };
      await heartbeat({
        ...healthy,
        pools: { [P1]: ['UP', members] },
        stats: { [L1]: { totconns: i, conns: i } },
      });
    }
    await until(async () => expect(await total()).toBe(5050));
    expect((await sumStatistics(db, { listener_id: L1 })).active_connections).toBe(100);
    expect(await statusOf('member')).toBe('ONLINE');
    expect(await statusOf('pool')).toBe('ONLINE');
  });

  test('of each amphora of a pair counts for itself', async () => {
    await start({ ...basic, load_balancer: { ...offline, topology: 'ACTIVE_STANDBY' }, amphorae: [{}, {}] });
    await heartbeat(healthy);
    await heartbeat({ ...healthy, id: A2 });
    await until(async () => expect((await healthRows()).map(r => r.amphora_id)).toEqual([A1, A2]));
    expect(await total()).toBe(4);
  });

  test('counts for listeners of its own load balancer only', async () => {
    await start(basic);
    await heartbeat({ ...healthy, listeners: { [L1]: 'OPEN', foreign: 'OPEN' } });
    await until(async () => expect(await total()).toBe(2));
    const rows = await db.selectFrom('listener_statistics').select('listener_id').execute();
    expect(rows).toEqual([{ listener_id: L1 }]);
  });
});

describe('a heartbeat that should not be', () => {
  test('of an amphora without a row is told once', async () => {
    await start(basic);
    for (let i = 0; i < 5; i++) await heartbeat({ ...healthy, id: 'unknown' });
    await heartbeat(healthy);
    await until(async () => expect(await healthRows()).toHaveLength(1));
    expect(logged.map(l => l.message)).toEqual([
      'an amphora reports that has no row: delete its instance by hand',
    ]);
  });

  test('of a deleted amphora has it released again, unless it has only just gone', async () => {
    const fresh = { status: 'DELETED', updated_at: new Date().toISOString().slice(0, 23) } as const;
    const old = { status: 'DELETED', updated_at: '2026-01-01T00:00:00.000000' } as const;
    await start({ ...basic, amphorae: [fresh, old] });
    await heartbeat({ ...healthy, id: A1 });
    await heartbeat({ ...healthy, id: A2 });
    await until(() => expect(nudged).toEqual([idOf('lb', 1)]));
    const rows = await db.selectFrom('amphora').select('status').orderBy('id').execute();
    expect(rows.map(r => r.status)).toEqual(['DELETED', 'PENDING_DELETE']);
  });

  test('with a wrong key or not JSON is dropped, and told once', async () => {
    await start(basic);
    for (let i = 0; i < 10; i++) {
      await send(sealHeartbeat('{}', new Secret('guess')));
      await send(sealHeartbeat('no JSON', HEARTBEAT_KEY));
      await send(Buffer.from('hello'));
    }
    await heartbeat(healthy);
    await until(async () => expect(await healthRows()).toHaveLength(1));
    expect(logged.map(l => [l.level, l.fields])).toEqual([['warn', { source: '127.0.0.1', dropped: 1 }]]);
  });
});

describe('while the database fails', () => {
  test('heartbeats are kept in order, and no counter is lost', async () => {
    const real = new DatabaseHealth(db);
    let failures = 0;
    let away = true;
    const store = storeWith(real, {
      update: async (...args) => {
        if (away) throw new Error(`the database is away, ${++failures}`);
        return real.update(...args);
      },
    });
    const pauses: number[] = [];
    const clock: Clock = {
      now: () => systemClock.now(),
      sleep: (ms, signal) => {
        pauses.push(ms);
        return systemClock.sleep(ms, signal);
      },
    };
    await start(basic, store, clock);
    await heartbeat({ ...healthy, pools: { [P1]: ['UP', { [M1]: 'DOWN' }] } });
    await until(() => expect(failures).toBeGreaterThan(0));
    await heartbeat(healthy);
    const before = failures;
    await until(() => expect(failures).toBeGreaterThan(before + 1));
    // For company, and then tried soon again.
    expect(pauses.slice(0, 4)).toEqual([20, 20, 40, 80]);
    away = false;
    await until(async () => expect(await total()).toBe(4));
    expect(await statusOf('member')).toBe('ONLINE');
    expect(logged.map(l => l.fields)).toEqual([{ error: 'the database is away, 1', failures: 1 }]);
  });

  test('for longer than an amphora may be silent: nothing is lost, nobody is thought dead', async () => {
    let [nowMs, away] = [Date.now(), false];
    const fail = () => {
      if (away) throw new Error('the database is away');
    };
    const real = new DatabaseHealth(db);
    const store = storeWith(real, {
      update: async (...args) => {
        fail();
        return real.update(...args);
      },
      resumeFailover: async (...args) => {
        fail();
        return real.resumeFailover(...args);
      },
    });
    const clock: Clock = {
      now: () => nowMs,
      sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 5), signal),
    };
    await start({ ...basic, amphorae: [{}, {}] }, store, clock);
    const silence = {
      heartbeatTimeoutMs: 60_000,
      checkIntervalMs: 3000,
      failoverThreshold: 9,
      failoversAtOnce: 9,
    };
    const watch = new OverdueWatch(silence, {
      store,
      queue: new InProcessQueue(),
      clock,
      log: recordingLog(),
    });
    const report = async (times: number) => {
      for (let i = 0; i < times; i++) for (const id of [A1, A2]) await heartbeat({ ...healthy, id });
    };
    const look = () => watch.look().catch(() => 'away');
    await report(1);
    await until(async () => expect(await healthRows()).toHaveLength(2));
    for (let passed = 0; passed <= 66; passed += 3, nowMs += 3000) await look();

    away = true;
    for (let passed = 0; passed < 300; passed += 3, nowMs += 3000) {
      await report(2);
      expect(await look()).toBe('away');
    }
    away = false;
    expect(await look()).toMatchObject({ looked: false });
    // What waited is too old to say who lives; what it counted is not.
    await until(async () => expect(await total()).toBe(2 * 2 * 201));
    nowMs += 3000;
    await report(1);
    await until(async () =>
      expect((await healthRows()).map(r => Number(r.last_update_ms))).toEqual([nowMs, nowMs]),
    );
    for (let passed = 0; passed < 57; passed += 3, nowMs += 3000)
      expect(await look()).toMatchObject({ looked: false });
    expect(await look()).toMatchObject({ looked: true, doubted: [], held_back: [] });
  });
});

test('what has arrived is written before a stop is over', async () => {
  let arrived = false;
  // The batch waits for company until it is told that the manager stops.
  const clock: Clock = {
    now: () => {
      arrived = true;
      return systemClock.now();
    },
    sleep: (_ms, signal) => systemClock.sleep(60_000, signal),
  };
  await start(basic, new DatabaseHealth(db), clock);
  await heartbeat(healthy);
  await until(() => expect(arrived).toBe(true));
  expect(await total()).toBe(0);
  await manager.stop();
  expect(await total()).toBe(2);
});

test('an address that is taken is named', async () => {
  await start(basic);
  const { port } = manager.address();
  const options = {
    bindIp: '127.0.0.1',
    bindPort: port,
    keys: [],
    heartbeatIntervalMs: 1,
    heartbeatTimeoutMs: 1,
  };
  const parts = {
    store: new DatabaseHealth(db),
    queue: new InProcessQueue(),
    clock: systemClock,
    log: recordingLog(),
  };
  await expect(new HealthManager(options, parts).start()).rejects.toThrow(
    `Cannot receive heartbeats on 127.0.0.1 port ${port}`,
  );
});
