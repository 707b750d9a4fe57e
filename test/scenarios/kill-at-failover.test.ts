/** The process dies at every effect while amphorae are replaced; the next one finishes the work, or a delete leaves nothing. */
import { type Actor, killAtEveryStep } from './kill-at-every-step.ts';
import { createPair, createTree, doubtFirst, failOver, failOverHalf, loseFirst } from './kill-steps.ts';

/** A health manager doubts the first amphora, whose instance may be gone. */
const doubting =
  (given: (actor: Actor) => Promise<void>, isLost = false) =>
  async (actor: Actor) => {
    await given(actor);
    if (isLost) await loseFirst(actor);
    await doubtFirst(actor);
  };
const work = ({ system }: Actor) => system.drain();

killAtEveryStep([
  { name: 'failover', given: createTree, when: failOver },
  { name: 'creation of a pair', when: createPair },
  { name: 'failover of a pair', given: createPair, when: failOver },
  { name: 'failover of a half', given: createPair, when: failOverHalf },
  { name: 'doubt about one that is well', given: doubting(createTree), when: work },
  { name: 'doubt about one that is dead', given: doubting(createTree, true), when: work },
  { name: 'doubt about a half that is dead', given: doubting(createPair, true), when: work },
]);
