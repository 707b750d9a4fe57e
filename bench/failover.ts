/** Whatever may befall amphorae, under a constant load: what users see of it, and how soon all is there as it was. */

import { AccidentStage, deviations, LOAD } from '../test/host/accident-stage.ts';
import { ACCIDENTS } from '../test/host/accidents.ts';
import type { Bench } from './bench-types.ts';
import { toFigure } from './figures.ts';

/** Nobody has to be woken for what is whole again so soon. */
const REDUNDANT_AIM_MS = 10_000;

export const failover: Bench = {
  name: 'failover',
  title: 'Accidents under load: failed requests, the longest gap, the time until all is there again',
  needsRoot: true,
  defaultRuns: 20,
  async run({ runs, signal, say }) {
    await using stage = await AccidentStage.open();
    const results = [];
    const wrong: string[] = [];
    for (const accident of ACCIDENTS) {
      const outcomes = [];
      for (let run = 1; run <= runs; run++) {
        signal.throwIfAborted();
        const title = `${accident.topology}: ${accident.name}, run ${run} of ${runs}`;
        try {
          const outcome = await stage.run(accident);
          outcomes.push(outcome);
          wrong.push(...deviations(accident, outcome).map(each => `${title}: ${each}`));
          const { failed, sent, gapMs, redundantMs, failures } = outcome;
          const reasons = failures.map(([reason, count]) => `, ${count} × ${reason}`).join('');
          say(
            `${title}: ${failed} of ${sent} requests failed${reasons}, gap ${gapMs.toFixed()} ms, redundant after ${redundantMs.toFixed()} ms`,
          );
        } catch (error) {
          // What is not whole again in time is told with the figures of all others.
          wrong.push(`${title}: ${(error as Error).message}`);
          say(wrong.at(-1)!);
        }
      }
      const name = `${accident.topology}: ${accident.name}`;
      if (outcomes.length > 0) results.push({ accident, name, outcomes });
    }
    const note = `One request every ${LOAD.everyMs} ms to each VIP, IPv4 and IPv6, each on a connection of its own and with a limit of ${LOAD.limitMs} ms, from a namespace of its own. Settings are those of standalone.`;
    return {
      tables: [
        {
          title: 'Longest time without an answer',
          note,
          figures: results.map(({ accident, name, outcomes }) =>
            toFigure(
              name,
              'ms',
              outcomes.map(each => each.gapMs),
              { aim: accident.gapMs },
            ),
          ),
        },
        {
          title: 'Failed requests',
          note: 'Of all VIPs together.',
          figures: results.map(({ accident, name, outcomes }) =>
            toFigure(
              name,
              'requests',
              outcomes.map(each => each.failed),
              accident.failed === undefined ? {} : { aim: accident.failed },
            ),
          ),
        },
        {
          title: 'Accident → redundant again',
          note: 'Load balancer ACTIVE and ONLINE, as many amphorae as it is to have, all ALLOCATED with agent, haproxy and keepalived running, the VIPs at one of them.',
          figures: results.map(({ name, outcomes }) =>
            toFigure(
              name,
              'ms',
              outcomes.map(each => each.redundantMs),
              { aim: REDUNDANT_AIM_MS },
            ),
          ),
        },
      ],
      remark:
        wrong.length === 0
          ? 'In all runs those amphorae were replaced, and those held the VIPs afterwards, of which it was expected.'
          : `Otherwise than expected: ${wrong.join('; ')}.`,
    };
  },
};
