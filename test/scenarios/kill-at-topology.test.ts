/** The process dies at every effect while a load balancer gets another flavor; the next one finishes the work, or a delete leaves nothing. */
import { type Actor, killAtEveryStep } from './kill-at-every-step.ts';
import { become, createWithFlavors } from './kill-steps.ts';

const was = (name: Parameters<typeof become>[0]) => async (actor: Actor) => {
  await createWithFlavors(actor);
  await become(name)(actor);
};

killAtEveryStep([
  { name: 'single to pair', given: createWithFlavors, when: become('pair') },
  { name: 'pair to single', given: was('pair'), when: become(null) },
  { name: 'single to a larger one', given: createWithFlavors, when: become('large') },
  { name: 'pair to a larger one', given: was('pair'), when: become('large pair') },
  { name: 'single to a larger pair', given: createWithFlavors, when: become('large pair') },
  { name: 'pair to a larger single one', given: was('pair'), when: become('large') },
]);
