/** Accidents under load, each of them once: users see no more of it than the table says. `npm run bench -- failover` has them many times. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AccidentStage, deviations } from './accident-stage.ts';
import { ACCIDENTS } from './accidents.ts';
import { titled, trafficObstacle } from './real-system.ts';

/** A busy machine answers late as well, without any accident; how much of a shorter time is kept, the benchmark tells. */
const BUSY_MS = 1000;
/** Two load balancers become whole, or one twice with an accident between. */
const LIMIT_MS = 240_000;

describe.skipIf(trafficObstacle)(titled('under load'), () => {
  let stage: AccidentStage;

  beforeAll(async () => {
    stage = await AccidentStage.open();
  }, LIMIT_MS);
  afterAll(() => stage?.[Symbol.asyncDispose]());

  test('the two halves of a pair are in different failure domains', () => {
    const zones = stage.system.query("select cached_zone from amphora where role <> 'STANDALONE'");
    expect(zones.map(each => each.cached_zone).sort()).toEqual(['1', '2']);
  });

  test.each(ACCIDENTS)(
    '$topology: $name',
    async accident => {
      const outcome = await stage.run(accident);
      const { failed, sent, failures, gapMs, redundantMs } = outcome;
      console.log(
        `${accident.topology}: ${accident.name}: ${failed} of ${sent} failed, gap ${gapMs.toFixed()} ms, redundant after ${redundantMs.toFixed()} ms`,
      );
      expect(deviations(accident, outcome)).toEqual([]);
      expect(gapMs).toBeLessThan(Math.max(accident.gapMs, BUSY_MS));
      expect(failed, JSON.stringify(failures)).toBeLessThanOrEqual(accident.failed ?? sent);
    },
    LIMIT_MS,
  );
});
