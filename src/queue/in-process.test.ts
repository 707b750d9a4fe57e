import { InProcessQueue } from './in-process.ts';
import { queueContract } from './queue.contract.ts';

queueContract('InProcessQueue', async () => ({
  open: async () => new InProcessQueue(),
  isShared: false,
  tearDown: async () => {},
}));
