/** The memory of every process of a system that carries traffic. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Bench, Context } from './bench-types.ts';
import { Samples } from './figures.ts';
import { listTree, memoryOf, type Process } from './processes.ts';
import { startSystem } from './system.ts';
import { ask, awaitAnswer, MemberServer } from './traffic.ts';
import { createTree } from './tree.ts';

const POLL_MS = 10;
const REQUESTS = 500;
const ROWS = 100;

export const memory: Bench = {
  name: 'memory',
  title: 'Memory of each process',
  needsRoot: true,
  defaultRuns: 5,
  async run(context) {
    const rss = new Samples();
    const pss = new Samples();
    const note: Note = (name, pid) => {
      const { rssMib, pssMib } = memoryOf(pid);
      rss.add(name, rssMib);
      pss.add(name, pssMib);
    };
    await lookAtNoop(context, note);
    await lookAtAmphorae(context, note);
    return {
      tables: [
        {
          title: 'Resident (RSS)',
          note: 'Pages shared with other processes count in each of them.',
          figures: rss.figures('MiB'),
        },
        {
          title: 'Proportional (PSS)',
          note: 'Shared pages are divided among those that share them.',
          figures: pss.figures('MiB'),
        },
      ],
      remark: `Each load balancer with an amphora had carried ${REQUESTS} requests.`,
    };
  },
};

type Note = (name: string, pid: number) => void;

async function lookAtNoop(context: Context, note: Note): Promise<void> {
  await using system = await startSystem(context, 'noop');
  const { api, subnet, controllerPid } = system;
  note('controller, noop drivers, just started', controllerPid);
  for (let i = 0; i < ROWS; i++) {
    const lb = await api.create('loadbalancers', 'loadbalancer', { vip_subnet_id: subnet.id });
    await api.whenActive(lb.id, POLL_MS);
  }
  note(`controller, noop drivers, ${ROWS} load balancers`, controllerPid);
}

async function lookAtAmphorae(context: Context, note: Note): Promise<void> {
  await using system = await startSystem(context);
  await using member = await MemberServer.start(system.subnet.gateway_ip);
  for (let i = 0; i < context.runs; i++) {
    const tree = await createTree(system.api, system.subnet.id, member);
    await awaitAnswer(tree.address, POLL_MS, context.signal);
    for (let n = 0; n < REQUESTS; n++) {
      const failure = await ask(tree.address);
      if (failure !== undefined) throw new Error(`A request failed: ${failure}`);
    }
    await system.api.whenActive(tree.loadBalancerId, POLL_MS);
    context.say(`${i + 1} of ${context.runs} load balancers carry traffic`);
  }
  note(`controller, ${context.runs} load balancers with amphorae`, system.controllerPid);
  const instances = join(system.dataDir, 'instances');
  for (const name of readdirSync(instances)) {
    // Its process 1 has noted itself there as the host sees it.
    const init = Number(readFileSync(join(instances, name, 'pid'), 'utf8').split(' ')[0]);
    for (const each of listTree(init)) note(roleOf(each, init), each.pid);
  }
}

function roleOf({ pid, parentPid, args }: Process, init: number): string {
  if (pid === init) return 'amphora: process 1 (sh)';
  const program = basename(args[0] ?? '');
  if (program === 'node') return 'amphora: agent';
  if (program === 'haproxy') return `amphora: haproxy ${parentPid === init ? 'master' : 'worker'}`;
  return `amphora: ${program}`;
}
