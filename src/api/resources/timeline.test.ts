import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadGraph } from '../../db/graph.ts';
import { returnLease, takeLease } from '../../db/lease.ts';
import { settleDone, settleFailed, settleRemoved, settleWaiting } from '../../db/settle.ts';
import { writeProgress } from '../../db/timeline.ts';
import { systemClock } from '../../lib/clock.ts';
import { encodeProgress, Trace } from '../../providers/trace.ts';
import { noauth } from '../server.ts';
import { type GivenApi, givenActiveLoadBalancer, givenApi, PROJECT } from '../testing.ts';

const STEP = {
  ...{ step: 'wait for agent', subject: 'a1', started_at_ms: 1000, duration_ms: 5 },
  ...{ outcome: 'failed', note: 'n', cause: 'the agent is away' },
};
const T0 = Date.UTC(2026, 0, 31);
const at = (ms: number) => new Date(T0 + ms).toISOString().replace('Z', '000');

let api: GivenApi;
let id: string;
let path: string;
let nowMs = T0;

beforeAll(async () => {
  api = await givenApi();
  api.deps.clock = { ...systemClock, now: () => nowMs };
  ({ id } = await givenActiveLoadBalancer(api));
  await api.db.deleteFrom('pass').execute();
  path = `/v2/ottavia/loadbalancers/${id}/timeline`;
});
afterAll(() => api[Symbol.asyncDispose]());

const show = async (query = '', headers?: Record<string, string>) => {
  const { status, body } = await api.request('GET', path + query, undefined, headers);
  expect(status).toBe(200);
  return body.timeline;
};
const write = () => api.request('PUT', `/v2/lbaas/loadbalancers/${id}`, { loadbalancer: { name: 'x' } });

/** One pass that begins at `ms` and takes 10 ms. */
async function pass(
  ms: number,
  end: (...common: [lease: never, graph: never, record: never]) => Promise<unknown>,
) {
  const lease = await takeLease(api.db, id, 'w1', T0 + ms, 1000);
  const graph = await loadGraph(api.db, id);
  const steps = JSON.stringify([STEP]);
  const record = { worker: 'w1', started_at_ms: T0 + ms, duration_ms: 10, steps };
  await end(lease as never, graph as never, record as never);
}

describe('GET …/timeline', () => {
  test('tells in order what was tried, why it failed, and when it is tried again', async () => {
    expect(await show()).toMatchObject({ state: 'settled', since: null, next_try_at: null, passes: [] });
    await write();
    expect(await show()).toMatchObject({ provisioning_status: 'PENDING_UPDATE', state: 'queued' });
    await takeLease(api.db, id, 'w1', T0, 100);
    expect(await show()).toMatchObject({ state: 'working' });
    nowMs = T0 + 200;
    expect(await show()).toMatchObject({ state: 'queued' });
    await pass(200, (lease, graph, record) =>
      settleWaiting(api.db, lease, graph, record, { reason: 'the agent', retryAtMs: T0 + 300 }),
    );
    expect(await show()).toMatchObject({ state: 'waiting', since: at(200), next_try_at: at(300) });
    const failure = {
      ...{ reason: 'It is away', show: true, retryAtMs: T0 + 900, attempts: 2, failingSinceMs: T0 + 150 },
    };
    await pass(400, (lease, graph, record) => settleFailed(api.db, lease, graph, record, failure, T0 + 410));
    expect(await show()).toMatchObject({
      ...{ provisioning_status: 'ERROR', state: 'failing', since: at(150), next_try_at: at(900) },
      ...{ failed_passes: 2, error_reason: 'It is away' },
      passes: [
        { outcome: 'waiting', reason: 'the agent' },
        { outcome: 'failed', reason: 'It is away', started_at: at(400), duration_ms: 10 },
      ],
    });
    await pass(900, (lease, graph, record) => settleDone(api.db, lease, graph, record, T0 + 910));
    expect(await show()).toMatchObject({ state: 'settled', since: at(910), next_try_at: null });
    expect((await show('?limit=1')).passes).toMatchObject([{ outcome: 'done' }]);
  });

  test('keeps instances and workers from those who may not see amphorae', async () => {
    const step = { step: 'wait for agent', started_at: '1970-01-01T00:00:01.000000', duration_ms: 5 };
    const [seen] = (await show('?limit=1')).passes;
    expect(seen).toMatchObject({ worker: 'w1', steps: [{ ...step, subject: 'a1', cause: STEP.cause }] });
    const { authenticate } = api.deps;
    api.deps.authenticate = request => ({ ...noauth(request), is_admin: false });
    const [told] = (await show('?limit=1', { 'x-project-id': PROJECT, 'x-roles': 'member' })).passes;
    api.deps.authenticate = authenticate;
    expect(told.steps).toEqual([{ ...step, outcome: 'failed' }]);
    expect(told).not.toHaveProperty('worker');
  });

  test('shows the pass that runs, and the step that it is at', async () => {
    const { db } = api.deps;
    const lease = (await takeLease(db, id, 'w1', nowMs, 60_000))!;
    expect((await show()).under_way).toBeNull();
    const trace = new Trace({ ...systemClock, now: () => T0 });
    const tell = () => writeProgress(db, lease, encodeProgress(9, trace));
    let end = () => {};
    const step = trace.step('apply', 'a1', () => new Promise<void>(resolve => (end = resolve)));
    await tell();
    const current = { step: 'apply', started_at: at(0), subject: 'a1' };
    expect((await show()).under_way).toEqual({ generation: 9, started_at: at(0), steps: [], current });
    end();
    await step;
    await tell();
    expect((await show()).under_way).toMatchObject({ steps: [{ ...current, outcome: 'ok' }], current: null });
    await returnLease(db, lease);
    expect((await show()).under_way).toBeNull();
    // What comes late from a pass that is over, or that another one has followed, is told by nobody.
    await tell();
    expect((await show()).under_way).toBeNull();
    const next = (await takeLease(db, id, 'w2', nowMs, 60_000))!;
    await tell();
    expect((await show()).under_way).toBeNull();
    await returnLease(db, next);
  });

  test.each(['0', '51', 'x', '-1', ''])('refuses %j passes', async limit => {
    const { status } = await api.request('GET', `${path}?limit=${limit}`);
    expect(status).toBe(400);
  });

  test('only this can be asked for as events', async () => {
    const headers = { accept: 'text/event-stream' };
    const { status } = await api.request('GET', '/v2/lbaas/loadbalancers', undefined, headers);
    expect(status).toBe(406);
  });
});

test('events come as things happen, have each pass once, and end with the load balancer', async () => {
  const url = await api.listen();
  const response = await fetch(url + path, { headers: { accept: 'text/event-stream' } });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const events = readEvents(response.body!);
  const next = async () => (await events.next()).value?.timeline;
  expect(await next()).toMatchObject({ state: 'settled', passes: [{}, {}, { outcome: 'done' }] });
  await api.request('DELETE', `/v2/lbaas/loadbalancers/${id}`);
  expect(await next()).toMatchObject({ provisioning_status: 'PENDING_DELETE', passes: [] });
  await pass(2000, (lease, graph, record) => settleRemoved(api.db, lease, graph, record, T0 + 2010));
  expect(await next()).toMatchObject({ state: 'deleted', passes: [{ outcome: 'removed' }] });
  expect(await next()).toBeUndefined();
});

async function* readEvents(body: ReadableStream<Uint8Array>) {
  let rest = '';
  for await (const piece of body.pipeThrough(new TextDecoderStream() as never) as AsyncIterable<string>) {
    const events = (rest + piece).split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      const data = /^event: timeline\ndata: (.*)$/.exec(event)?.[1];
      if (data !== undefined) yield JSON.parse(data);
    }
  }
}
