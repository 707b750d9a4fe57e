import { expect, test } from 'vitest';
import { observe, parseStats, statusesOf } from './haproxy/stats.ts';
import { buildHeartbeat } from './heartbeat.ts';

const HEAD = '# pxname,svname,scur,bin,bout,ereq,stot,status,weight,last_chk,';
const CSV = `${HEAD}
l1,FRONTEND,2,100,200,1,9,OPEN,,,
p1:l1,m1,0,0,0,,3,UP,1,,
p1:l1,m2,0,0,0,,3,UP,0,,
p1:l1,m3,0,0,0,,3,DOWN 1/2,1,"Connection refused, ""twice""",
p1:l1,m4,0,0,0,,3,no check,1,,
p1:l1,m5,0,0,0,,3,MAINT,1,,
p1:l1,BACKEND,0,0,0,,3,UP,2,,
prometheus-exporter-internal-endpoint,FRONTEND,1,1,1,0,1,OPEN,,,
prometheus-exporter-internal,prometheus-internal,1,1,1,,1,no check,1,,
prometheus-exporter-internal,BACKEND,1,1,1,,1,UP,1,,

`;
const lookOf = (csv: string) => ({
  loadBalancerId: 'lb',
  observation: observe(parseStats(csv), (_backend, server) => server !== 'm5'),
  leftOver: [],
});

test('a heartbeat holds what haproxy shows, in the words of the contract', () => {
  const changes = { l1: { bin: 10, bout: 20, ereq: 1, stot: 4 } };
  expect(buildHeartbeat('a1', 7, [lookOf(CSV)], changes)).toEqual({
    id: 'a1',
    seq: 7,
    listeners: { l1: { status: 'OPEN', stats: { tx: 20, rx: 10, conns: 2, totconns: 4, ereq: 1 } } },
    pools: {
      'p1:l1': { status: 'UP', members: { m1: 'UP', m2: 'DRAIN', m3: 'DOWN 1/2', m4: 'no check' } },
    },
    ver: 3,
  });
});

test('the absolute counters are those of the frontends', () => {
  expect(lookOf(CSV).observation.listeners.l1?.counters).toEqual({ bin: 100, bout: 200, ereq: 1, stot: 9 });
});

test('no haproxy that answers: a heartbeat without listeners', () => {
  expect(buildHeartbeat('a1', 0, [], {})).toEqual({ id: 'a1', seq: 0, listeners: {}, pools: {}, ver: 3 });
});

test('neither counters nor the steps of a check are news, a status is', () => {
  const before = statusesOf(lookOf(CSV).observation);
  const counted = CSV.replace('2,100,200', '5,900,900').replace('DOWN 1/2', 'DOWN 0/2');
  expect(statusesOf(lookOf(counted).observation)).toBe(before);
  expect(statusesOf(lookOf(CSV.replace('DOWN 1/2', 'UP')).observation)).not.toBe(before);
});
