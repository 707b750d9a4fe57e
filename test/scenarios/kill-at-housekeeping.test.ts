/** The process dies at every effect while housekeeping has work done; the next one finishes the work, or a delete leaves nothing. */
import { killAtEveryStep } from './kill-at-every-step.ts';
import {
  collectGarbage,
  createWithSpare,
  leaveGarbage,
  renewCertificates,
  takeAndReplenish,
} from './kill-steps.ts';

killAtEveryStep([
  { name: 'spares', when: createWithSpare },
  { name: 'replacement by a spare', given: createWithSpare, when: takeAndReplenish },
  { name: 'renewal of certificates', given: createWithSpare, when: renewCertificates },
  { name: 'garbage', given: leaveGarbage, when: collectGarbage, housekeeping: collectGarbage },
]);
