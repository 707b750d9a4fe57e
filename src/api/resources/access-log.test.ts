import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeRow } from '../../db/rows.ts';
import { type AccessLog, LOG_START } from '../../drivers/compute/access-log.ts';
import { systemClock } from '../../lib/clock.ts';
import { buildGraph, idOf } from '../../model/graph.fixture.ts';
import { type GivenApi, givenActiveLoadBalancer, givenApi } from '../testing.ts';

const A = idOf('amphora', 1);
const B = idOf('amphora', 2);
const GONE = idOf('amphora', 3);
const C = idOf('amphora', 4);

/** Lines in memory, by instance; their times are those of all together. */
class MemoryLog implements AccessLog {
  readonly #lines = new Map<string, { time: string; text: string }[]>();
  #count = 0;

  write(amphora: string, text: string): void {
    const time = `2026-01-31T00:00:00.${String(++this.#count).padStart(6, '0')}`;
    const lines = this.#lines.get(`amphora-${amphora}`) ?? [];
    this.#lines.set(`amphora-${amphora}`, [...lines, { time, text }]);
  }

  async read(name: string, from: Parameters<AccessLog['read']>[1]) {
    const all = this.#lines.get(name) ?? [];
    const start = 'after' in from ? from.after.offset : Math.max(0, all.length - from.limit);
    return { lines: all.slice(start), position: { file: name, offset: all.length } };
  }
}

const log = new MemoryLog();
let api: GivenApi;
let path: string;
let id: string;

async function addAmphora(amphora: string, status = 'ALLOCATED'): Promise<void> {
  const { amphorae } = buildGraph({ amphorae: [{ id: amphora, loadbalancer_id: id, status } as never] });
  await api.db
    .insertInto('amphora')
    .values(amphorae.map(each => encodeRow('amphora', each)))
    .execute();
}

beforeAll(async () => {
  api = await givenApi({ accessLog: log });
  ({ id } = await givenActiveLoadBalancer(api));
  path = `/v2/ottavia/loadbalancers/${id}/logs`;
  await addAmphora(A);
  await addAmphora(B);
  await addAmphora(GONE, 'DELETED');
  for (let i = 1; i <= 60; i++) {
    log.write(A, `a ${i}`);
    log.write(B, `b ${i}`);
    log.write(GONE, 'gone');
  }
});
afterAll(() => api[Symbol.asyncDispose]());

async function texts(query: string): Promise<string[]> {
  const { status, body } = await api.request('GET', path + query);
  expect(status).toBe(200);
  return body.logs.map(({ text }: { text: string }) => text);
}

describe('GET …/logs', () => {
  test('has the newest lines of all amphorae that are there, the newest last', async () => {
    expect(await texts('?limit=3')).toEqual(['b 59', 'a 60', 'b 60']);
    expect(await texts('')).toHaveLength(100);
    expect(await texts('?limit=10000')).toHaveLength(120);
    expect(await texts('?limit=0')).toEqual([]);
    const { body } = await api.request('GET', `${path}?limit=1`);
    expect(body).toEqual({
      logs: [{ time: '2026-01-31T00:00:00.000179', amphora_id: B, text: 'b 60' }],
    });
  });

  test('begins at a time, that very one included', async () => {
    expect(await texts('?since=2026-01-31T00:00:00.000176')).toEqual(['b 59', 'a 60', 'b 60']);
    expect(await texts('?since=2026-01-31T00:00:00.000177&limit=1')).toEqual(['b 60']);
    expect(await texts('?since=2027')).toEqual([]);
  });

  test.each(['-1', '10001', '1.5', 'x', '1e2', ''])('refuses %j lines', async limit => {
    const { status, body } = await api.request('GET', `${path}?limit=${limit}`);
    expect([status, body.faultstring]).toEqual([400, expect.stringContaining('Invalid limit')]);
  });

  test('is the business of those who may see the load balancer, and of no others', async () => {
    const { status } = await api.request('GET', '/v2/ottavia/loadbalancers/nope/logs');
    expect(status).toBe(404);
  });

  test('says why where nothing is kept', async () => {
    await using elsewhere = await givenApi({ accessLog: { unavailable: 'the dog ate them' } });
    const lb = await givenActiveLoadBalancer(elsewhere);
    const { status, body } = await elsewhere.request('GET', `/v2/ottavia/loadbalancers/${lb.id}/logs`);
    expect(status).toBe(501);
    expect(body.faultstring).toBe(`Cannot show logs of load balancer ${lb.id}: the dog ate them.`);
  });
});

describe('GET …/logs?follow=true', () => {
  /** What is sent, line by line; the first `count` of them that are not empty. */
  async function* follow(url: string): AsyncGenerator<{ amphora_id: string; text: string }> {
    const response = await fetch(url);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    let rest = '';
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line !== '') yield JSON.parse(line);
    }
  }

  test('goes on with what comes, from new amphorae too, and ends with the load balancer', async () => {
    api.deps.clock = systemClock;
    const url = await api.listen();
    const lines = follow(`${url}${path}?limit=1&follow=true`);
    const next = async () => (await lines.next()).value?.text;
    expect(await next()).toBe('b 60');
    log.write(A, 'a 61');
    expect(await next()).toBe('a 61');
    await addAmphora(C);
    log.write(C, 'c 1');
    expect(await next()).toBe('c 1');
    await api.request('DELETE', `/loadbalancers/${id}`);
    await api.settle();
    expect(await lines.next()).toEqual({ done: true, value: undefined });
  });

  test('is cut when the server stops', async () => {
    const own = await givenApi({ accessLog: { read: async () => ({ lines: [], position: LOG_START }) } });
    own.deps.clock = systemClock;
    const { id: lbId } = await givenActiveLoadBalancer(own);
    const url = await own.listen();
    const response = await fetch(`${url}/v2/ottavia/loadbalancers/${lbId}/logs?follow=true`);
    const ended = response.text().then(
      () => 'ended',
      () => 'cut',
    );
    await own[Symbol.asyncDispose]();
    expect(await ended).toBe('cut');
  });
});
