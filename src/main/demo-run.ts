/** The story of the demo: a whole system from nothing to balanced traffic, and everything removed again. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { Client, type Resource } from '../cli/client.ts';
import { findCloud } from '../cli/cloud.ts';
import { listGraph, renderTree } from '../cli/tree.ts';
import { errorChain } from '../lib/errors.ts';
import { silentLog } from '../lib/log.ts';
import { startWebServer, WEB_PORT, type WebServer } from './demo-servers.ts';
import { flatten, getLb, interrupted, isMember, out, request, seconds, step, until } from './demo-steps.ts';
import { listLeftovers } from './purge.ts';
import { purgeDirectory, type Standalone, startStandalone } from './standalone.ts';
import { describe } from './start.ts';
import { extendPath } from './start-checks.ts';

const REQUESTS = 20;

/** Returns the exit code; whatever happened, nothing is left behind. */
export async function runDemo(args: readonly string[]): Promise<number> {
  const unknown = args.filter(arg => arg !== '--once');
  if (unknown.length > 0) {
    process.stderr.write(`Cannot run the demo with ${unknown.join(' ')}: only --once is known\n`);
    return 2;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)));
  extendPath(process.env);
  const dataDir = await mkdtemp(join(tmpdir(), 'ottavia-demo-'));
  let failure: string | undefined;
  const made: Made = { servers: [] };
  try {
    await run(dataDir, args.includes('--once'), made);
  } catch (error) {
    if (!interrupted.signal.aborted || args.includes('--once')) failure = describe(error, dataDir);
  }
  const left = await cleanUp(dataDir, made).catch(error => `it could not be removed: ${errorChain(error)}`);
  if (left !== undefined) failure = `${failure === undefined ? '' : `${failure}\n`}${left}`;
  if (failure !== undefined) process.stderr.write(`\n${styleText('red', 'The demo failed')}: ${failure}\n`);
  return failure === undefined ? 0 : 1;
}

/** What has to be removed in the end, however far the demo got. */
interface Made {
  standalone?: Standalone;
  servers: WebServer[];
}

async function run(dataDir: string, once: boolean, made: Made): Promise<void> {
  const startedMs = Date.now();
  const standalone = await step('start a whole system', async () => {
    made.standalone = await startStandalone({ dataDir, listen: '127.0.0.1:0' }, silentLog);
    return [made.standalone, `it listens on ${made.standalone.url}`];
  });
  const { system } = standalone;
  const { networks } = system;
  if (!networks)
    throw new Error('the demo needs amphorae in namespaces: leave compute_driver and network_driver alone');
  for (const name of ['web-1', 'web-2']) {
    await step(`start web server ${name}`, async () => {
      const networkId = networks.private.network.id;
      const server = await startWebServer(name, {
        network: networks.bridge,
        networkId,
        systemId: system.systemId,
      });
      made.servers.push(server);
      return [server, `in a namespace, at ${server.address}:${WEB_PORT}`];
    });
  }
  const clouds = join(dataDir, 'clouds.yaml');
  const client = new Client(
    findCloud({ environment: { OS_CLIENT_CONFIG_FILE: clouds }, cwd: dataDir, cloud: undefined }),
  );
  const lb = await createAll(client, networks.private.subnet.id, made.servers);
  const url = `http://${lb.vip_address}/`;
  await step('wait for the first answer through the VIP', async () => {
    const answer = await until('the VIP to answer', async () => request(url).catch(() => undefined));
    return [answer, `${url} says ${answer}`];
  });
  await step('wait until the members are ONLINE', async () => {
    await until('both members to be ONLINE', async () => {
      const members = flatten(await listGraph(client, await getLb(client, lb.id))).filter(isMember);
      return members.length === 2 && members.every(m => m.operating_status === 'ONLINE');
    });
    return [undefined, 'the health monitor finds both'];
  });
  const counts = await step(`send ${REQUESTS} requests to ${url}`, async () => {
    const counted = new Map<string, number>();
    for (let i = 0; i < REQUESTS; i++) {
      const name = await request(url);
      counted.set(name, (counted.get(name) ?? 0) + 1);
    }
    const text = [...counted]
      .sort()
      .map(([name, count]) => `${name} answered ${count} times`)
      .join(', ');
    return [counted, text];
  });
  out.write(`\nFrom nothing to here in ${seconds(Date.now() - startedMs)}. The load balancer:\n\n`);
  await until('the statuses to settle', async () => {
    const nodes = flatten(await listGraph(client, await getLb(client, lb.id)));
    return nodes.every(node => node.provisioning_status === 'ACTIVE' && node.operating_status === 'ONLINE');
  });
  out.write(renderTree(await listGraph(client, await getLb(client, lb.id)), out));
  for (const { name } of made.servers) {
    if (counts.get(name) !== REQUESTS / 2)
      throw new Error(
        `round robin gave ${name} ${counts.get(name) ?? 0} of ${REQUESTS} requests instead of ${REQUESTS / 2}`,
      );
  }
  if (once) return;
  out.write(`\n${howToGoOn(url, clouds)}`);
  await new Promise(done => interrupted.signal.addEventListener('abort', done, { once: true }));
}

/** Everything through the HTTP API; returns the load balancer when all of it is ACTIVE. */
async function createAll(client: Client, subnetId: string, servers: WebServer[]): Promise<Resource> {
  const create = async (path: string, root: string, body: object): Promise<Resource> => {
    const answer = (await client.request('POST', `lbaas/${path}`, { [root]: body })) as Record<
      string,
      Resource
    >;
    return answer[root]!;
  };
  const active = (id: string) =>
    until(`load balancer ${id} to be ACTIVE`, async () => {
      const lb = await getLb(client, id);
      if (lb.provisioning_status === 'ERROR') throw new Error(`load balancer ${id} is ERROR`);
      return lb.provisioning_status === 'ACTIVE' ? lb : undefined;
    });
  const lb = await step('create the load balancer', async () => {
    const created = await create('loadbalancers', 'loadbalancer', { name: 'demo', vip_subnet_id: subnetId });
    await active(created.id);
    return [created, `ACTIVE, its VIP is ${created.vip_address}`];
  });
  await step('create listener, pool, members and health monitor', async () => {
    const listener = await create('listeners', 'listener', {
      ...{ name: 'http', protocol: 'HTTP', protocol_port: 80, loadbalancer_id: lb.id },
    });
    const pool = await create('pools', 'pool', {
      ...{ name: 'web', protocol: 'HTTP', lb_algorithm: 'ROUND_ROBIN', listener_id: listener.id },
    });
    for (const { name, address } of servers) {
      const member = { name, address, protocol_port: WEB_PORT, subnet_id: subnetId };
      await create(`pools/${pool.id}/members`, 'member', member);
    }
    await create('healthmonitors', 'healthmonitor', {
      ...{ name: 'check', type: 'HTTP', url_path: '/', pool_id: pool.id },
      ...{ delay: 1, timeout: 1, max_retries: 1, max_retries_down: 2 },
    });
    await active(lb.id);
    return [undefined, 'ACTIVE, none of them waited for the other'];
  });
  return lb;
}

async function cleanUp(dataDir: string, made: Made): Promise<string | undefined> {
  const startedMs = Date.now();
  const systemId = made.standalone?.system.systemId;
  const failures: string[] = [];
  const attempt = async (run: () => Promise<unknown>) => {
    // The rest is removed all the same; what could not be is said in the end.
    await run().catch(error => failures.push(errorChain(error)));
  };
  for (const server of made.servers) await attempt(() => server.stop());
  await attempt(async () => made.standalone?.stop());
  await attempt(() => purgeDirectory({ dataDir }, silentLog));
  if (systemId !== undefined) {
    const left = listLeftovers(systemId);
    if (left.length > 0) failures.push(`left behind: ${left.join(', ')}`);
    out.write(`\nRemoved everything in ${seconds(Date.now() - startedMs)}.\n`);
  }
  return failures.length > 0 ? failures.join('\n') : undefined;
}

function howToGoOn(url: string, clouds: string): string {
  const program = fileURLToPath(new URL('../../bin/ottavia', import.meta.url));
  const near = relative(process.cwd(), dirname(program)).startsWith('..')
    ? program
    : relative(process.cwd(), program);
  const ottavia = `OS_CLIENT_CONFIG_FILE=${clouds} ${near.startsWith('/') ? near : `./${near}`}`;
  return `Go on in another terminal:

  curl ${url}
  ${ottavia} tree demo
  ${ottavia} member set web web-1 --weight 3 --wait
  OS_CLIENT_CONFIG_FILE=${clouds} openstack --os-cloud ottavia loadbalancer list

Ctrl-C ends the demo and removes everything.
`;
}
