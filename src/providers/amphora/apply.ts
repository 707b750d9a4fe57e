/** Gives an amphora its configuration, and notes what its haproxy went through. */
import { isDeepStrictEqual } from 'node:util';
import type { AmphoraConfig, Applied } from '../../drivers/amphora/amphora.ts';
import { timestamp } from '../../lib/clock.ts';
import { type Amphora, countChange } from '../../model/amphora.ts';
import { type AmphoraPass, step } from './parts.ts';

export async function applyConfig(pass: AmphoraPass, amphora: Amphora, config: AmphoraConfig): Promise<void> {
  const { amphora: driver, clock } = pass.parts;
  const apply = () => driver.apply(amphora, config);
  const applied = await step(pass, 'apply configuration', amphora.id, apply, describe);
  const { how, reason, changes: told } = applied;
  const before = amphora.haproxy_changes;
  // Where the agent does not count, somebody has to.
  const changes =
    told ?? (how === 'stopped' ? before : countChange(before, how, reason ?? '', timestamp(clock.now())));
  if (changes !== null && !isDeepStrictEqual(changes, before))
    pass.trace.haproxyChanges.set(amphora.id, changes);
}

const describe = ({ how, reason }: Applied): string => (reason ? `${how}: ${reason}` : how);
