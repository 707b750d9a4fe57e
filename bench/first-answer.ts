/** From POST to the first good answer through the VIP, with real amphorae, and where that time goes. */
import { type Bench, type Context, nowMs } from './bench-types.ts';
import { Samples, toFigure } from './figures.ts';
import { type BenchSystem, type RecordedPass, startSystem } from './system.ts';
import { awaitAnswer, MemberServer } from './traffic.ts';
import { createTree } from './tree.ts';
import { splitTime } from './where-time-goes.ts';

/** Of the VIP. */
const POLL_MS = 5;
/** Of the API, which has other things to do. */
const API_POLL_MS = 20;
const ANSWER = 'first good answer through the VIP';

export const firstAnswer: Bench = {
  name: 'first-answer',
  title: 'POST load balancer → first good answer through the VIP, amphorae in namespaces',
  needsRoot: true,
  defaultRuns: 20,
  async run(context) {
    await using system = await startSystem(context);
    await using member = await MemberServer.start(system.subnet.gateway_ip);
    const moments = new Samples();
    const parts = new Samples();
    const cpu: number[] = [];
    const removal: number[] = [];
    const passes: number[] = [];
    // The first one pays for what a fresh process has not loaded yet.
    for (let run = 0; run <= context.runs; run++) {
      const seen = await observe(context, system, member);
      if (run === 0) continue;
      for (const [name, ms] of seen.moments) moments.add(name, ms);
      for (const [name, ms] of seen.parts) parts.add(name, ms);
      cpu.push(seen.cpuMs);
      removal.push(seen.removalMs);
      passes.push(seen.passes);
      context.say(`run ${run} of ${context.runs}: ${moments.get(ANSWER).at(-1)!.toFixed(0)} ms`);
    }
    return {
      tables: [
        {
          title: 'Moments since the POST of the load balancer was sent',
          note:
            'Load balancer, listener, pool and member (a web server on the host) are posted one after the other without waiting ' +
            `in between. One client asks the VIP on new connections, ${POLL_MS} ms after each answer, another the API, after ${API_POLL_MS} ms.`,
          figures: moments.figures('ms', { [ANSWER]: 1000 }).sort((a, b) => a.p50 - b.p50),
        },
        {
          title: 'Where the time until that answer goes',
          note: 'From the trace, whole milliseconds, in the order of their beginning; what several passes do is added up.',
          figures: parts.figures('ms'),
        },
        {
          title: 'Beside it',
          figures: [
            toFigure('processor time of the controller, agent and haproxy not counted', 'ms', cpu),
            toFigure('DELETE (cascade) → gone', 'ms', removal),
          ],
        },
      ],
      remark: `Passes of the worker begun before the answer: ${[...new Set(passes)].sort().join(' or ')}.`,
    };
  },
};

async function observe({ signal }: Context, system: BenchSystem, member: MemberServer) {
  const { api } = system;
  const cpuBefore = system.cpuMs();
  const startMs = nowMs();
  const moments = new Map<string, number>();
  const note = (name: string, at = nowMs()) => {
    // Of what happens several times the first time counts.
    if (!moments.has(name)) moments.set(name, at - startMs);
  };
  let answer: Promise<number> | undefined;
  const tree = await createTree(api, system.subnet.id, member, (what, object) => {
    note(`POST of the ${what} answered`);
    // As soon as its address is known.
    if (what !== 'load balancer') return;
    answer = awaitAnswer(object.vip_address as string, POLL_MS, signal);
    answer.catch(() => undefined);
  });
  const id = tree.loadBalancerId;
  const [answeredMs] = await Promise.all([
    answer!,
    api.when(`load balancer ${id} to be ACTIVE and all of it ONLINE`, API_POLL_MS, async () => {
      const root = await api.getStatusTree(id);
      if (root.provisioning_status === 'ERROR') throw new Error(`Load balancer ${id} is ERROR`);
      const isActive = root.provisioning_status === 'ACTIVE';
      const parts = [root, ...(root.listeners ?? []), ...(root.listeners?.[0]?.pools ?? [])];
      const isOnline = parts.length === 3 && parts.every(part => part.operating_status === 'ONLINE');
      if (isActive) note('ACTIVE for the client');
      if (isOnline) note('load balancer, listener and pool ONLINE for the client');
      return isActive && isOnline;
    }),
  ]);
  note(ANSWER, answeredMs);
  const cpuMs = system.cpuMs() - cpuBefore;
  const passes = system.passesOf(id);
  noteSteps(passes, note);
  const removeMs = nowMs();
  const goneMs = await api.remove(id);
  return {
    moments,
    parts: splitTime(passes, startMs, answeredMs),
    cpuMs,
    removalMs: goneMs - removeMs,
    passes: passes.filter(pass => pass.started_at_ms < answeredMs).length,
  };
}

/** The ends of steps that a reader knows as something that has come to be. */
const COMES_TO_BE: Record<string, string> = {
  'build instance': 'instance runs',
  'wait for agent': 'agent answers',
  'plug VIP': 'VIP is plugged',
};

function noteSteps(passes: readonly RecordedPass[], note: (name: string, at: number) => void): void {
  let applied = 0;
  for (const [index, pass] of passes.entries()) {
    note(`pass ${index + 1} begins`, pass.started_at_ms);
    for (const { step, started_at_ms, duration_ms } of pass.steps) {
      const name =
        step === 'apply configuration' ? `configuration ${++applied} is applied` : COMES_TO_BE[step];
      if (name) note(name, started_at_ms + duration_ms);
    }
    note(`pass ${index + 1} is settled`, pass.started_at_ms + pass.duration_ms);
  }
}
