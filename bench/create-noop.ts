/** From POST to ACTIVE with the noop drivers: what API, database and worker cost by themselves. */
import { type Bench, nowMs } from './bench-types.ts';
import { Samples, toFigure } from './figures.ts';
import { startSystem } from './system.ts';

const POLL_MS = 1;
const WARM_UP = 10;
const AT_ONCE = 16;

export const createNoop: Bench = {
  name: 'create-noop',
  title: 'POST load balancer → ACTIVE, noop drivers',
  needsRoot: false,
  defaultRuns: 200,
  async run(context) {
    await using system = await startSystem(context, 'noop');
    const { api } = system;
    const client = new Samples();
    const inside = new Samples();
    const steps = new Samples();
    const cpu: number[] = [];
    const body = (name: string) => ({ name, vip_subnet_id: system.subnet.id });

    for (let i = -WARM_UP; i < context.runs; i++) {
      const cpuBefore = system.cpuMs();
      const startMs = nowMs();
      const lb = await api.create('loadbalancers', 'loadbalancer', body(`bench-${i}`));
      const answeredMs = nowMs();
      const activeMs = await api.whenActive(lb.id, POLL_MS);
      const cpuMs = system.cpuMs() - cpuBefore;
      const passes = system.passesOf(lb.id);
      const deleteMs = nowMs();
      const goneMs = await api.remove(lb.id, POLL_MS);
      if (i < 0) continue;
      const done = passes.find(pass => pass.outcome === 'done')!;
      client.add('POST answered', answeredMs - startMs);
      client.add('ACTIVE, as a client that polls sees it', activeMs - startMs);
      client.add('ACTIVE, as the row says it', done.started_at_ms + done.duration_ms - startMs);
      client.add('DELETE → gone', goneMs - deleteMs);
      cpu.push(cpuMs);
      inside.add('POST sent → pass begins', Math.max(0, done.started_at_ms - startMs));
      inside.add('pass, from its beginning to its settling', done.duration_ms);
      for (const step of done.steps) steps.add(step.step, step.duration_ms);
      if (i % 50 === 49) context.say(`${i + 1} of ${context.runs} made and removed`);
    }

    const many = await createMany();
    return {
      tables: [
        {
          title: 'As seen from outside',
          note: `One after the other; the client asks again ${POLL_MS} ms after each answer.`,
          figures: client.figures('ms', {
            'ACTIVE, as a client that polls sees it': 20,
            'ACTIVE, as the row says it': 20,
          }),
        },
        {
          title: 'Inside',
          figures: [
            ...inside.figures('ms'),
            toFigure('processor time of the controller until ACTIVE', 'ms', cpu),
          ],
        },
        {
          title: 'Steps of the pass',
          note: 'From the trace, whole milliseconds.',
          figures: steps.figures('ms'),
        },
        {
          title: `${context.runs} at once, ${AT_ONCE} clients`,
          figures: [
            toFigure('load balancers made per second', 'requests/s', [many.perSecond], {
              more_is_better: true,
            }),
            toFigure('POST → ACTIVE, as the row says it', 'ms', many.activeMs),
          ],
        },
      ],
    };

    async function createMany() {
      const startMs = nowMs();
      let next = 0;
      const made: { id: string; sentMs: number }[] = [];
      const clients = Array.from({ length: AT_ONCE }, async () => {
        while (next < context.runs) {
          const sentMs = nowMs();
          const lb = await api.create('loadbalancers', 'loadbalancer', body(`many-${next++}`));
          made.push({ id: lb.id, sentMs });
        }
      });
      await Promise.all(clients);
      const activeMs: number[] = [];
      let lastMs = startMs;
      for (const { id, sentMs } of made) {
        await api.whenActive(id, POLL_MS);
        const done = system.passesOf(id).find(pass => pass.outcome === 'done')!;
        const at = done.started_at_ms + done.duration_ms;
        activeMs.push(at - sentMs);
        lastMs = Math.max(lastMs, at);
      }
      context.say(`${context.runs} made at once`);
      return { perSecond: (context.runs * 1000) / (lastMs - startMs), activeMs };
    }
  },
};
