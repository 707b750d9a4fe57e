/** The ledger of one load balancer's haproxy: how often it was started, reloaded and changed at run time, and why. */
import { timestamp } from '../../lib/clock.ts';
import { countChange, type HaproxyChange, type HaproxyChanges } from '../../model/amphora.ts';
import type { AgentApplied } from '../../wire/agent-api.ts';
import { findText, writeWhole } from '../files.ts';

/** Counts one more, and says what came of it. */
export function enterChange(file: string, how: HaproxyChange, reason: string): AgentApplied {
  const changes = countChange(readLedger(file), how, reason, timestamp(Date.now()));
  if (how !== 'nothing') writeWhole(file, JSON.stringify(changes), 0o600);
  return { how, reason, changes };
}

function readLedger(file: string): HaproxyChanges | null {
  try {
    return JSON.parse(findText(file) ?? 'null') as HaproxyChanges | null;
  } catch {
    // A torn file: counting begins anew.
    return null;
  }
}
