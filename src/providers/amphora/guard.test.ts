import { expect, test } from 'vitest';
import { NoopAmphora } from '../../drivers/amphora/noop.ts';
import { NoopSecrets } from '../../drivers/certificates/noop-secrets.ts';
import { NoopCompute } from '../../drivers/compute/noop.ts';
import { NoopNetwork } from '../../drivers/network/noop.ts';
import { NoopCloud } from '../../drivers/noop-cloud.ts';
import type { Pass } from '../provider.ts';
import { guardedParts } from './guard.ts';
import type { AmphoraProviderParts } from './parts.ts';

test('what a pass asks of the drivers after its lease is over is not done, in the middle of a step too', async () => {
  const cloud = new NoopCloud();
  const parts = {
    compute: new NoopCompute(cloud),
    network: new NoopNetwork(cloud),
    amphora: new NoopAmphora(cloud),
    secrets: new NoopSecrets(),
  } as unknown as AmphoraProviderParts;
  let isOver = false;
  const checkLease = () => {
    if (isOver) throw new Error('over');
  };
  const { compute, network } = guardedParts(parts, { checkLease } as Pass);
  expect(compute.supports.persistent).toBe(false);
  await compute.ensureInstance({ name: 'amphora-1', networks: [], files: [] });
  isOver = true;
  await expect(compute.deleteInstance('amphora-1')).rejects.toThrow('over');
  await expect(network.deletePort('port')).rejects.toThrow('over');
  expect([...cloud.instances.keys()]).toEqual(['amphora-1']);
});
