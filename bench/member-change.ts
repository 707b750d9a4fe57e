/** From a change of a pool to its effect on the traffic, under light load; no request may fail. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from './api.ts';
import { type Bench, nowMs } from './bench-types.ts';
import { Samples } from './figures.ts';
import { startSystem } from './system.ts';
import { awaitAnswer, LightLoad, MemberServer } from './traffic.ts';
import { addMember, createTree } from './tree.ts';

const EVERY_MS = 5;
const POLL_MS = 5;
/** So long without a request, a member counts as left alone: the load gives each many in that time. */
const QUIET_MS = 200;
const LIMIT_MS = 20_000;
const ADDED = 'member added → first request to it';

export const memberChange: Bench = {
  name: 'member-change',
  title: 'Member added or taken away → traffic follows',
  needsRoot: true,
  defaultRuns: 20,
  async run(context) {
    await using system = await startSystem(context);
    const { api, subnet } = system;
    await using stays = await MemberServer.start(subnet.gateway_ip);
    await using changes = await MemberServer.start(subnet.gateway_ip);
    const tree = await createTree(api, subnet.id, stays);
    await awaitAnswer(tree.address, POLL_MS, context.signal);
    await api.whenActive(tree.loadBalancerId, POLL_MS);
    const effects = new Samples();
    const active = new Samples();
    const steps = new Samples();
    await using load = new LightLoad(tree.address, EVERY_MS);
    const settled = () => api.whenActive(tree.loadBalancerId, POLL_MS);

    for (let run = 0; run <= context.runs; run++) {
      let path = '';
      const change = async (
        name: string,
        send: () => Promise<unknown>,
        effect: (sinceMs: number) => Promise<number>,
      ) => {
        const sentMs = nowMs();
        await send();
        const answeredMs = nowMs();
        const [effectMs, activeMs] = await Promise.all([effect(sentMs), settled()]);
        if (run === 0) return;
        effects.add(name, Math.max(0, effectMs - sentMs));
        active.add(`${name.split(' → ')[0]} → answered`, answeredMs - sentMs);
        active.add(`${name.split(' → ')[0]} → ACTIVE`, activeMs - sentMs);
        const passes = system.passesOf(tree.loadBalancerId).filter(pass => pass.started_at_ms >= sentMs - 1);
        for (const pass of passes) {
          steps.add('POST, PUT or DELETE sent → pass begins', Math.max(0, pass.started_at_ms - sentMs));
          for (const { step, duration_ms } of pass.steps) steps.add(step, duration_ms);
          steps.add('whole pass', pass.duration_ms);
        }
      };
      const first = (sinceMs: number) => firstArrival(api, changes, sinceMs);
      const last = () => lastArrival(changes);
      await change(
        ADDED,
        async () => {
          const member = await addMember(api, tree.poolId, subnet.id, changes);
          path = `v2/lbaas/pools/${tree.poolId}/members/${member.id}`;
        },
        first,
      );
      await change(
        'weight set to 0 → last request to it',
        () => api.send('PUT', path, { member: { weight: 0 } }),
        last,
      );
      await change(
        'weight set to 1 → first request to it',
        () => api.send('PUT', path, { member: { weight: 1 } }),
        first,
      );
      await change('member removed → last request to it', () => api.send('DELETE', path), last);
      if (run > 0)
        context.say(
          `run ${run} of ${context.runs}: added ${effects.get(ADDED).at(-1)!.toFixed(0)} ms, ${load.failures.length} of ${load.sent} requests failed`,
        );
    }
    const { sent, failures } = load;
    return {
      tables: [
        {
          title: 'Change sent → effect on the traffic',
          note: `Light load: one request every ${EVERY_MS} ms, each on a new connection, to a pool that has one other member.`,
          figures: effects.figures('ms', { [ADDED]: 50 }),
        },
        { title: 'Change sent → what the client is told', figures: active.figures('ms') },
        {
          title: 'Inside the worker',
          note: 'From the trace, whole milliseconds.',
          figures: steps.figures('ms'),
        },
      ],
      remark: `${failures.length} of ${sent} requests failed${failures.length > 0 ? `: ${[...new Set(failures)].join('; ')}` : ''}.`,
    };
  },
};

async function firstArrival(api: Api, member: MemberServer, sinceMs: number): Promise<number> {
  await api.when('a request to the member', 2, async () => member.firstSince(sinceMs) !== undefined);
  return member.firstSince(sinceMs)!;
}

async function lastArrival(member: MemberServer): Promise<number> {
  const deadline = nowMs() + LIMIT_MS;
  for (;;) {
    const last = member.arrivals.at(-1) ?? 0;
    if (nowMs() - last > QUIET_MS) return last;
    if (nowMs() > deadline)
      throw new Error(`Requests still come ${LIMIT_MS} ms after their member was taken away`);
    await sleep(10);
  }
}
