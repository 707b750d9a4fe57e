/** What the API carries: lists and single objects under load, and what writes cost, with 500 and with 5,000 load balancers. */
import { request } from 'undici';
import {
  SERVER_KINDS,
  type ServerKind,
  serverObstacle,
  startDatabaseServer,
} from '../test/database-server.ts';
import type { Api, Json } from './api.ts';
import { type Bench, type Context, nowMs } from './bench-types.ts';
import { Samples, type Table, toFigure } from './figures.ts';
import { CONNECTIONS, findTool, load, ROUND_S, startBareServer } from './load.ts';
import { type BenchSystem, startSystem } from './system.ts';

const FEW = 500;
const MANY = 5_000;
const PAGE = 100;
const MEMBERS = 200;
const LISTS = '/v2/lbaas/loadbalancers';
const SETTINGS = { OS_API_SETTINGS__ENABLED_PROVIDER_DRIVERS: 'amphora: Amphorae,noop: None' };

export const apiLoad: Bench = {
  name: 'api',
  title: 'What the API carries',
  needsRoot: false,
  defaultRuns: 5,
  async run(context) {
    await using system = await startSystem(context, 'noop', SETTINGS);
    const tables: Table[] = [];
    const subnetId = await makeSubnet(system.api);
    const [first] = await fill(system, context, subnetId, 0, FEW);
    const show = `${LISTS}/${first}`;
    tables.push(await underLoad(system, context, `a list of ${PAGE} of ${FEW}`, `${LISTS}?limit=${PAGE}`));
    const changed = new Samples();
    await afterChange(system, context, changed, `first page of ${FEW}`, show, `${LISTS}?limit=${PAGE}`);
    const ids = await fill(system, context, subnetId, FEW, MANY);
    const deep = `${LISTS}?limit=${PAGE}&marker=${ids.at(-PAGE - 1)}`;
    tables.push(await underLoad(system, context, `a list of ${PAGE} of ${MANY}`, `${LISTS}?limit=${PAGE}`));
    tables.push(await underLoad(system, context, `the last page of ${MANY}`, deep));
    tables.push(await underLoad(system, context, 'one load balancer', show));
    await afterChange(system, context, changed, `first page of ${MANY}`, show, `${LISTS}?limit=${PAGE}`);
    await afterChange(system, context, changed, `last page of ${MANY}`, show, deep);
    await afterChange(system, context, changed, 'one load balancer', show, show);
    tables.push({
      title: `The first answer after a change, one request after the other, ${PAGE} to a page`,
      figures: changed.figures('ms'),
    });
    tables.push(await writes(system.api, context, subnetId, 'SQLite'));
    for (const kind of SERVER_KINDS) tables.push(...(await onServer(kind, context)));
    return { tables };
  },
};

/** The same with fewer rows, on a server in memory that several processes may write to: nothing is remembered there. */
async function onServer(kind: ServerKind, context: Context): Promise<Table[]> {
  const obstacle = serverObstacle(kind);
  if (obstacle) {
    context.say(`${kind}: left out, ${obstacle}`);
    return [];
  }
  await using server = await startDatabaseServer(kind);
  const connection = server.createDatabase('bench');
  await using system = await startSystem(context, 'noop', {
    ...SETTINGS,
    OS_DATABASE__CONNECTION: connection,
  });
  const subnetId = await makeSubnet(system.api);
  const [first] = await fill(system, context, subnetId, 0, FEW);
  const list = `${LISTS}?limit=${PAGE}`;
  return [
    await underLoad(system, context, `a list of ${PAGE} of ${FEW}, ${kind}`, list),
    await underLoad(system, context, `one load balancer, ${kind}`, `${LISTS}/${first}`),
    await writes(system.api, context, subnetId, kind),
  ];
}

/** One with room for many VIPs. */
async function makeSubnet(api: Api): Promise<string> {
  const post = (path: string, body: object) =>
    api.send('POST', `network/v2.0/${path}`, body) as Promise<Json>;
  const { id } = await post('networks', { network: { name: 'bench' } });
  const subnet = { name: 'bench', network_id: id, ip_version: 4, cidr: '10.96.0.0/16' };
  return (await post('subnets', { subnet })).id;
}

/** Creates load balancers without amphorae up to this many; returns their ids in the order of the list. */
async function fill(
  { api }: BenchSystem,
  context: Context,
  subnetId: string,
  from: number,
  to: number,
): Promise<string[]> {
  const ids: string[] = [];
  let next = from;
  const client = async () => {
    while (next < to) {
      const name = `bench-${next++}`;
      const body = { name, description: 'one of many', provider: 'noop', vip_subnet_id: subnetId };
      ids.push((await api.create('loadbalancers', 'loadbalancer', body)).id);
      if (ids.length % 500 === 0) context.say(`${from + ids.length} of ${to} load balancers`);
    }
  };
  await Promise.all(Array.from({ length: 4 }, client));
  for (const id of ids) await api.whenActive(id, 20);
  return ids;
}

async function underLoad(system: BenchSystem, context: Context, what: string, path: string): Promise<Table> {
  const { api } = system;
  const url = api.url + path;
  const headers = { 'x-auth-token': api.token };
  const bytes = await (await request(url, { headers, signal: context.signal })).body.text();
  await using bare = await startBareServer(bytes);
  const tool = await findTool();
  const rates = new Samples();
  const times = new Samples();
  const ratios: number[] = [];
  for (let round = 0; round < context.runs; round++) {
    const cpuBefore = system.cpuMs();
    const ours = await load(tool, context, url, headers);
    times.add('processor time of Ottavia for one request', (system.cpuMs() - cpuBefore) / ours.requests);
    const theirs = await load(tool, context, bare.url, headers);
    rates.add('Ottavia', ours.perSecond);
    rates.add('bare node:http, same bytes', theirs.perSecond);
    times.add('Ottavia, median of the round', ours.medianMs);
    ratios.push(ours.perSecond / theirs.perSecond);
  }
  const share = toFigure('share of the bare server’s rate', 'x', ratios, { aim: 0.5, more_is_better: true });
  context.say(`${what}: ${share.p50} of the bare server`);
  return {
    title: `GET ${what}: ${CONNECTIONS} connections, rounds of ${ROUND_S} s with ${tool}, both servers in turn`,
    note: `${bytes.length} bytes; each request has its token checked.`,
    figures: [
      ...rates.figures('requests/s').map(figure => ({ ...figure, more_is_better: true as const })),
      share,
      ...times.figures('ms'),
    ],
  };
}

/** What is asked for was changed just before, so that nothing that was remembered can be given. */
async function afterChange(
  { api }: BenchSystem,
  context: Context,
  samples: Samples,
  what: string,
  changedPath: string,
  path: string,
): Promise<void> {
  for (let i = 0; i < context.runs * 20; i++) {
    await api.send('PUT', changedPath.slice(1), { loadbalancer: { description: `change ${i}` } });
    const startMs = nowMs();
    await api.send('GET', path.slice(1));
    samples.add(what, nowMs() - startMs);
  }
}

async function writes(api: Api, context: Context, subnetId: string, database: string): Promise<Table> {
  const times = new Samples();
  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const startMs = nowMs();
    const result = await work();
    times.add(what, nowMs() - startMs);
    return result;
  };
  const lb = { provider: 'noop', vip_subnet_id: subnetId };
  const members = (weight: number) =>
    Array.from({ length: MEMBERS }, (_, i) => ({
      ...{ address: `10.20.${i >> 8}.${i & 255}`, protocol_port: 80, weight },
    }));
  const pool = { name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN' };
  const tree = {
    ...lb,
    listeners: [
      {
        ...{ name: 'http', protocol: 'HTTP', protocol_port: 80 },
        default_pool: {
          ...pool,
          members: members(1).slice(0, 10),
          healthmonitor: { type: 'HTTP', delay: 5, timeout: 3, max_retries: 3 },
        },
      },
    ],
  };
  const owner = await api.create('loadbalancers', 'loadbalancer', lb);
  const { id }: Json = await api.create('pools', 'pool', { ...pool, loadbalancer_id: owner.id });
  for (let i = 0; i < context.runs * 10; i++) {
    await timed('POST of a load balancer', () => api.create('loadbalancers', 'loadbalancer', lb));
    await timed('POST of a tree: listener, pool, monitor and 10 members', () =>
      api.create('loadbalancers', 'loadbalancer', tree),
    );
    await timed(`PUT of ${MEMBERS} members, all changed`, () =>
      api.send('PUT', `v2/lbaas/pools/${id}/members`, { members: members((i % 200) + 1) }),
    );
  }
  return {
    title: `Writes until they are answered, one after the other, ${database}`,
    figures: times.figures('ms'),
  };
}
